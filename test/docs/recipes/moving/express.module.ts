import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { expressSessions } from 'nest-sessions/express';
import { oldStore } from './old-store.js';

@Module({
  imports: [
    SessionModule.forRoot({
      importFrom: expressSessions({
        secret: 'what express-session had',
        store: oldStore, // the one that express-session had: new RedisStore({ client }), …
        userId: (data) => data.passport?.user,
      }),
    }),
  ],
})
export class AppModule {}
