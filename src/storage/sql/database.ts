import { SessionOptionsError } from '../../errors.js';
import { kindOf } from '../../rules.js';
import { isKysely, type KyselyInstance, KyselyPort } from './drivers/kysely.js';
import {
  callbackPool,
  isMysqlPool,
  type MysqlPool,
  MysqlPoolPort,
  type MysqlPromisePool,
} from './drivers/mysql2-pool.js';
import { isPgPool, type PgPool, PgPoolPort } from './drivers/pg-pool.js';
import { isSqliteDatabase, type SqliteDatabase, SqliteDatabasePort } from './drivers/sqlite-database.js';
import { isDataSource, type TypeormDataSource, TypeormPort } from './drivers/typeorm.js';
import type { SqlPort } from './port.js';

/** What an application has: a pool, a SQLite database, or a Kysely or TypeORM on one. */
export type SqlDatabase =
  PgPool | MysqlPool | MysqlPromisePool | SqliteDatabase | KyselyInstance | TypeormDataSource;

/** @throws {SessionOptionsError} when it is none of these */
export function portOf(database: SqlDatabase, prepare: boolean): SqlPort {
  if (typeof database === 'object' && database !== null) {
    if (isDataSource(database)) {
      return new TypeormPort(database, (pool) => portOf(pool as SqlDatabase, prepare));
    }
    if (isKysely(database)) return new KyselyPort(database);
    if (isPgPool(database)) return new PgPoolPort(database, prepare);
    if (isMysqlPool(database)) return new MysqlPoolPort(callbackPool(database));
    if (isSqliteDatabase(database)) return new SqliteDatabasePort(database);
  }
  throw new SessionOptionsError(
    'SqlStorage takes a Pool of pg, a pool of mysql2 (either flavour), a database of better-sqlite3, libsql or ' +
      'node:sqlite, a Kysely instance or a TypeORM DataSource; got ' +
      `${typeof database === 'string' ? 'a string: for a URL, use SqlStorage.connect(url)' : kindOf(database)}.`,
  );
}
