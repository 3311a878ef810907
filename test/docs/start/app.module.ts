import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { VisitsController } from './visits.controller.js';
import { VisitsService } from './visits.service.js';

@Module({
  imports: [SessionModule.forRoot({ ttl: '1h' })],
  controllers: [VisitsController],
  providers: [VisitsService],
})
export class AppModule {}
