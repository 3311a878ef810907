import { Module } from '@nestjs/common';
import type { Request } from 'express';
import { SessionModule } from 'nest-sessions';

export const described = [
  SessionModule.forRoot({
    describeClient: (request: Request) => ({
      ip: request.ip,
      userAgent: request.headers['user-agent']?.slice(0, 200),
    }),
  }),
];

@Module({
  imports: [SessionModule.forRoot({ maxPerUser: 3 })],
})
export class LimitedModule {}

export const refusing = [SessionModule.forRoot({ maxPerUser: 1, whenExceeded: 'refuse' })];
