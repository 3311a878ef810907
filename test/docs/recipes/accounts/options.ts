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
