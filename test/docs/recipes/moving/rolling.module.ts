import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { expressSessions } from 'nest-sessions/express';
import { oldStore } from './old-store.js';

@Module({
  imports: [
    SessionModule.forRoot({
      importFrom: expressSessions({
        secret: 'what express-session had',
        store: oldStore,
        userId: (data) => data.passport?.user,
        keep: true,
        until: '2027-01-31T06:00:00Z',
      }),
    }),
  ],
})
export class AppModule {}
