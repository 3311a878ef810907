import type { IncomingMessage } from 'node:http';
import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { PollController } from './poll.controller.js';

@Module({
  imports: [
    SessionModule.forRoot({ touchWhen: (request: IncomingMessage) => request.headers['x-poll'] !== '1' }),
  ],
  controllers: [PollController],
})
export class AppModule {}
