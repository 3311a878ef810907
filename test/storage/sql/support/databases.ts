import { randomBytes } from 'node:crypto';
import { mkdtempSync, rmSync } from 'node:fs';
import { createRequire } from 'node:module';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, it } from '@jest/globals';
import { Kysely, MysqlDialect, PostgresDialect, SqliteDialect } from 'kysely';
import mysql from 'mysql2';
import mysqlPromise from 'mysql2/promise';
import { Pool } from 'pg';
import { DataSource } from 'typeorm';
import type { SqlDatabase } from '../../../../src/storage/sql/index.js';
import { hasBinary, listens, MariadbServer, PostgresServer, type SqlServer } from './server.js';

export type Product = 'PostgreSQL' | 'MariaDB' | 'SQLite';

/** Where a test's database is: a URL, or the file of SQLite. */
export interface Place {
  readonly url: string;
}

/** What an application has of one database, and how to be rid of it. */
export interface Opened {
  readonly database: SqlDatabase;
  /** Runs a statement beside the storage. */
  query(sql: string): Promise<any[]>;
  close(): Promise<unknown>;
}

export interface DriverKind {
  readonly name: string;
  readonly product: Product;
  /** Why it cannot be tried here. */
  readonly missing?: string | undefined;
  open(place: Place): Promise<Opened>;
}

const require = createRequire(import.meta.url);
const noop = () => undefined;

function pgPool(url: string, options: object = {}) {
  const pool = new Pool({ connectionString: url, max: 10, ...options });
  pool.on('error', noop);
  return pool;
}

const mysqlPool = (url: string, options: object = {}) =>
  mysql.createPool({ uri: url, connectionLimit: 10, ...options });

async function ofDataSource(dataSource: DataSource): Promise<Opened> {
  await dataSource.initialize();
  return {
    database: dataSource,
    query: (sql) => dataSource.query(sql),
    close: () => dataSource.destroy(),
  };
}

const ofKysely = (database: Kysely<any>): Opened => ({
  database,
  query: async (sql) => [...(await database.executeQuery(rawQuery(sql))).rows],
  close: () => database.destroy(),
});

const rawQuery = (sql: string) =>
  ({ sql, parameters: [], query: { kind: 'RawNode' }, queryId: { queryId: sql } }) as never;

/** Every driver that the storage takes. */
export const driverKinds: readonly DriverKind[] = [
  {
    name: 'pg',
    product: 'PostgreSQL',
    async open({ url }) {
      const pool = pgPool(url);
      return { database: pool, query: async (sql) => (await pool.query(sql)).rows, close: () => pool.end() };
    },
  },
  {
    name: 'TypeORM on pg',
    product: 'PostgreSQL',
    open: ({ url }) => ofDataSource(new DataSource({ type: 'postgres', url })),
  },
  {
    name: 'Kysely on pg',
    product: 'PostgreSQL',
    open: async ({ url }) =>
      ofKysely(new Kysely<any>({ dialect: new PostgresDialect({ pool: pgPool(url) }) })),
  },
  {
    name: 'mysql2',
    product: 'MariaDB',
    async open({ url }) {
      const pool = mysqlPool(url);
      const promised = pool.promise();
      return {
        database: pool,
        query: async (sql) => (await promised.query(sql))[0] as any[],
        close: () => promised.end(),
      };
    },
  },
  {
    name: 'mysql2/promise',
    product: 'MariaDB',
    async open({ url }) {
      const pool = mysqlPromise.createPool({ uri: url, connectionLimit: 10 });
      return {
        database: pool,
        query: async (sql) => (await pool.query(sql))[0] as any[],
        close: () => pool.end(),
      };
    },
  },
  {
    name: 'TypeORM on mysql2',
    product: 'MariaDB',
    open: ({ url }) => ofDataSource(new DataSource({ type: 'mariadb', url })),
  },
  {
    name: 'Kysely on mysql2',
    product: 'MariaDB',
    open: async ({ url }) =>
      ofKysely(new Kysely<any>({ dialect: new MysqlDialect({ pool: mysqlPool(url) }) })),
  },
  ...['better-sqlite3', 'libsql', 'node:sqlite'].map((name) => sqliteKind(name)),
  {
    name: 'TypeORM on better-sqlite3',
    product: 'SQLite',
    missing: whyNot('better-sqlite3'),
    open: ({ url }) =>
      ofDataSource(new DataSource({ type: 'better-sqlite3', database: url, enableWAL: true })),
  },
  {
    name: 'Kysely on better-sqlite3',
    product: 'SQLite',
    missing: whyNot('better-sqlite3'),
    async open({ url }) {
      const Database = require('better-sqlite3');
      return ofKysely(new Kysely<any>({ dialect: new SqliteDialect({ database: new Database(url) }) }));
    },
  },
];

function sqliteKind(name: string): DriverKind {
  return {
    name,
    product: 'SQLite',
    missing: whyNot(name),
    async open({ url }) {
      const database = openSqlite(name, url);
      database.exec('PRAGMA journal_mode = WAL');
      return {
        database,
        query: async (sql) => (/^select/i.test(sql) ? database.prepare(sql).all() : [database.exec(sql)]),
        close: async () => database.close(),
      };
    },
  };
}

/** A database of one of the three drivers. */
export function openSqlite(name: string, file: string, readOnly = false): any {
  const Database = name === 'node:sqlite' ? require('node:sqlite').DatabaseSync : require(name);
  return new Database(file, { [name === 'node:sqlite' ? 'readOnly' : 'readonly']: readOnly });
}

/** A native add-on is made for one version of Node, and Node's own is not in every version. */
function whyNot(name: string): string | undefined {
  try {
    openSqlite(name, ':memory:').close();
    return undefined;
  } catch (error) {
    return String((error as Error).message).split('\n')[0];
  }
}

/** Where the tests' databases are: the server that `DATABASE_URL` says, the one at the standard port, or one of their own. */
interface Source {
  readonly url?: string | undefined;
  readonly start?: (() => Promise<SqlServer>) | undefined;
}

const sources: Readonly<Record<'PostgreSQL' | 'MariaDB', Source>> = {
  PostgreSQL: await sourceOf(
    /^postgres/,
    5432,
    'postgres://postgres@127.0.0.1:5432/test',
    ['postgres', 'initdb'],
    () => PostgresServer.start(),
  ),
  MariaDB: await sourceOf(
    /^(?:mysql|mariadb)/,
    3306,
    'mysql://root@127.0.0.1:3306/test',
    ['mariadbd', 'mariadb-install-db'],
    () => MariadbServer.start(),
  ),
};

async function sourceOf(
  scheme: RegExp,
  port: number,
  standard: string,
  binaries: readonly string[],
  start: () => Promise<SqlServer>,
): Promise<Source> {
  const given = process.env['DATABASE_URL'];
  if (given !== undefined && scheme.test(given)) return { url: given };
  if (await listens(port)) return { url: standard };
  return binaries.every(hasBinary) ? { start } : {};
}

/** `describe` with a database of one product; else it says why not, and with CI=true it fails. */
export function describeWithDatabase(
  product: Product,
  name: string,
  body: (place: () => Place) => void,
  missing?: string,
): void {
  const source = product === 'SQLite' ? undefined : sources[product];
  const reason =
    missing ?? (source && !source.url && !source.start ? `there is no ${product} here` : undefined);
  describe(name, () => {
    if (reason !== undefined) {
      // What cannot be loaded by this version of Node is no fault of the machine.
      if (process.env['CI'] === 'true' && missing === undefined) {
        it(`has ${product} to be tested with`, () => {
          throw new Error(reason);
        });
      } else {
        it.skip(`is not tested: ${reason}`, noop);
      }
      return;
    }
    let place: Place;
    let end: () => unknown = noop;
    beforeAll(async () => {
      if (!source) {
        const directory = mkdtempSync(join(tmpdir(), 'nest-sessions-sqlite-'));
        place = { url: join(directory, 'sessions.db') };
        end = () => rmSync(directory, { recursive: true, force: true });
      } else if (source.url !== undefined) {
        place = { url: source.url };
      } else {
        const server = await source.start!();
        place = { url: server.url };
        end = () => server.remove();
      }
    }, 60_000);
    afterAll(async () => void (await end()));
    body(() => place);
  });
}

/** `describe` for each driver, or each of those of one product. */
export function describeEachDriver(
  body: (kind: DriverKind, place: () => Place) => void,
  kinds: readonly DriverKind[] = driverKinds,
): void {
  for (const kind of kinds) {
    describeWithDatabase(
      kind.product,
      `${kind.product}, ${kind.name}`,
      (place) => body(kind, place),
      kind.missing,
    );
  }
}

/** The plain driver of each product. */
export const plainDrivers: readonly DriverKind[] = driverKinds.filter(({ name }) =>
  ['pg', 'mysql2', whyNot('better-sqlite3') === undefined ? 'better-sqlite3' : 'node:sqlite'].includes(name),
);

export const newTable = (): string => `t${randomBytes(6).toString('hex')}`;

export async function dropTable({ query }: Opened, table: string): Promise<void> {
  await query(`DROP TABLE IF EXISTS ${table}`).catch(noop);
  await query(`DROP TABLE IF EXISTS ${table}_leases`).catch(noop);
}
