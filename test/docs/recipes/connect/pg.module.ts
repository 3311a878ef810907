import connectPgSimple from 'connect-pg-simple';
import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { ConnectStorage, connectShim } from 'nest-sessions/express';
import { Pool } from 'pg';

export const pool = new Pool({ connectionString: process.env.DATABASE_URL });

const PgStore = connectPgSimple(connectShim); // where express-session is installed: connectPgSimple(session)

@Module({
  imports: [SessionModule.forRoot({ storage: new ConnectStorage(new PgStore({ pool })) })],
})
export class AppModule {}
