import { Module } from '@nestjs/common';
import { ScheduleModule } from '@nestjs/schedule';
import { SessionModule } from 'nest-sessions';

@Module({
  imports: [
    ScheduleModule.forRoot(), // only if the application has jobs of its own
    SessionModule.forRoot({ purge: { cron: '*/10 * * * *', batch: 5_000 } }),
  ],
})
export class AppModule {}
