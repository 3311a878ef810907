import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { SessionMetricsModule } from 'nest-sessions/opentelemetry';

@Module({
  imports: [SessionModule.forRoot(), SessionMetricsModule],
})
export class AppModule {}
