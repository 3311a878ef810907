import { SessionOptionsError } from '../../errors.js';
import { checkedOptions, isOptions, kindOf, type OptionRules } from '../../rules.js';
import type { SqlDatabase } from './database.js';
import { BUSY_TIMEOUT, type SqliteDatabase } from './drivers/sqlite-database.js';
import { SQL_OPTIONS, type SqlStorageOptions } from './options.js';

/** What `SqlStorage.connect(url, options)` takes besides the storage's own options. */
export interface SqlConnectOptions extends SqlStorageOptions {
  /** Options for the driver's pool, for what the URL cannot say: `{ max: 20, ssl: { ca } }`. Not for SQLite. */
  readonly pool?: Readonly<Record<string, unknown>> | undefined;
}

const OPTIONS: OptionRules<SqlConnectOptions> = {
  ...SQL_OPTIONS,
  // It may hold a password.
  pool: { takes: 'an object of options for the driver', accepts: isOptions, shows: kindOf },
};

/** @throws {SessionOptionsError} one error that names every option that is unknown or wrong */
export const connectOptions = (options: SqlConnectOptions): SqlConnectOptions =>
  checkedOptions('SqlStorage.connect', options, OPTIONS);

/** A database that was opened here. */
export interface OwnDatabase {
  readonly database: SqlDatabase;
  close(): Promise<void>;
}

/** Milliseconds after which making a connection is given up. */
const CONNECT_TIMEOUT = 5_000;

/** @throws {SessionOptionsError} when the URL is of no database, or its driver is not installed */
export async function connectDatabase(url: unknown, pool: object | undefined): Promise<OwnDatabase> {
  if (typeof url === 'string') {
    if (/^postgres(?:ql)?:\/\/./.test(url) && URL.canParse(url)) return connectPostgres(url, pool);
    if (/^(?:mysql|mariadb):\/\/./.test(url) && URL.canParse(url)) return connectMysql(url, pool);
    if (/^sqlite:./.test(url) && !url.startsWith('sqlite://'))
      return openSqlite(url.slice('sqlite:'.length), pool);
  }
  // Never the URL itself: it may hold a password.
  throw new SessionOptionsError(
    'SqlStorage.connect takes a URL such as "postgres://user:password@host/db", "mysql://…", "mariadb://…", ' +
      '"sqlite:relative.db" or "sqlite:/absolute.db"; got ' +
      (typeof url === 'string' ? 'a text that is none.' : `${kindOf(url)}.`),
  );
}

async function connectPostgres(url: string, options: object | undefined): Promise<OwnDatabase> {
  const { Pool } = await load(() => import('pg'), 'pg');
  const pool = new Pool({
    connectionString: url,
    application_name: 'nest-sessions',
    connectionTimeoutMillis: CONNECT_TIMEOUT,
    keepAlive: true,
    ...options,
  });
  // The request that meets a failure reports it; without a listener, one of an idle connection ends the process.
  pool.on('error', () => undefined);
  return { database: pool, close: () => pool.end() };
}

async function connectMysql(url: string, options: object | undefined): Promise<OwnDatabase> {
  const { createPool } = await load(() => import('mysql2'), 'mysql2');
  const pool = createPool({
    uri: url.replace(/^mariadb:/, 'mysql:'),
    connectTimeout: CONNECT_TIMEOUT,
    ...options,
  });
  return { database: pool, close: () => pool.promise().end() };
}

/** Whichever driver is installed; Node's own is the last choice, as it is there from Node 22.5 on. */
async function openSqlite(file: string, options: object | undefined): Promise<OwnDatabase> {
  if (options !== undefined) {
    throw new SessionOptionsError(
      'SqlStorage.connect: pool is for databases that are reached over a network.',
    );
  }
  const Database = await sqliteDriver();
  const database = openFile(Database, file);
  // With a log of its own for writing, readers and a writer do not wait for each other.
  database.exec('PRAGMA journal_mode = WAL');
  database.exec('PRAGMA synchronous = NORMAL');
  database.exec(`PRAGMA busy_timeout = ${BUSY_TIMEOUT}`);
  return {
    database,
    close: async () => {
      database.close();
    },
  };
}

function openFile(Database: SqliteDriver, file: string): SqliteDatabase {
  try {
    return new Database(file);
  } catch (error) {
    throw new SessionOptionsError(
      `SqlStorage.connect cannot open the file "${file}": ${(error as Error).message}.`,
      { cause: error },
    );
  }
}

type SqliteDriver = new (file: string) => SqliteDatabase;

async function sqliteDriver(): Promise<SqliteDriver> {
  const drivers: (() => Promise<SqliteDriver>)[] = [
    async () => (await import('better-sqlite3')).default as SqliteDriver,
    async () => (await import('libsql')).default as unknown as SqliteDriver,
    async () => ((await import(NODE_SQLITE)) as { DatabaseSync: SqliteDriver }).DatabaseSync,
  ];
  const causes: unknown[] = [];
  for (const driver of drivers) {
    try {
      const Database = await driver();
      // A binary that was built for another Node is found out only when it is used.
      new Database(':memory:').close();
      return Database;
    } catch (error) {
      causes.push(error);
    }
  }
  throw new SessionOptionsError(
    'SqlStorage.connect needs the package better-sqlite3 or libsql, built for this version of Node, or a Node with node:sqlite: ' +
      'npm install better-sqlite3.',
    { cause: new AggregateError(causes) },
  );
}

/** Not a literal: the types of the oldest Node that is supported do not know it. */
const NODE_SQLITE: string = 'node:sqlite';

async function load<T>(module: () => Promise<T>, name: string): Promise<T> {
  try {
    return await module();
  } catch (error) {
    throw new SessionOptionsError(`SqlStorage.connect needs the package ${name}: npm install ${name}.`, {
      cause: error,
    });
  }
}
