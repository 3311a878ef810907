// oxlint-disable no-new -- what the page shows is the making of a storage, not what is done with it
import Database from 'better-sqlite3';
import { Kysely, PostgresDialect } from 'kysely';
import Libsql from 'libsql';
import { createPool } from 'mysql2/promise';
import { Module } from '@nestjs/common';
import { SessionModule } from 'nest-sessions';
import { SqlStorage } from 'nest-sessions/sql';
import { Pool } from 'pg';

/** Compiled; test/storage/sql runs each of them. */
export function start() {
  const pool = new Pool({ connectionString: process.env.DATABASE_URL });

  @Module({ imports: [SessionModule.forRoot({ storage: new SqlStorage(pool) })] })
  class AppModule {}
  return AppModule;
}

// The lines are those of the page.
// prettier-ignore
export function databases() {
  new SqlStorage(new Pool({ connectionString: 'postgres://app@db.internal/app' }));

  new SqlStorage(createPool('mysql://app@db.internal/app')); // or that of 'mysql2', which calls back

  new SqlStorage(new Database('app.db', { timeout: 20 }));
  new SqlStorage(new Libsql('app.db', { timeout: 20 }));

  new SqlStorage(new Kysely<object>({ dialect: new PostgresDialect({ pool: new Pool() }) }));
}

export function connected() {
  SessionModule.forRootAsync({
    useFactory: async () => ({
      storage: await SqlStorage.connect('postgres://app:password@db.internal/app', { pool: { max: 20 } }),
    }),
  });
}
