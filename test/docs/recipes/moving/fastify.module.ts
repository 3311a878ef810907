import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { fastifySessions } from 'nest-sessions/express';
import { oldStore } from './old-store.js';

@Module({
  imports: [
    SessionModule.forRoot({
      importFrom: fastifySessions({
        secret: 'what @fastify/session had, 32 characters or more',
        store: oldStore,
        map: ({ account, cart, loggedInAt }) => ({
          data: { cart },
          userId: account?.id,
          authenticatedAt: loggedInAt,
        }),
      }),
    }),
  ],
})
export class AppModule {}
