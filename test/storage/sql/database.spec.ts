import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Kysely, MssqlDialect, PostgresDialect } from 'kysely';
import knex from 'knex';
import mysql from 'mysql2';
import { Client, Pool } from 'pg';
import { DataSource } from 'typeorm';
import { SessionOptionsError } from '../../../src/errors.js';
import { SqlStorage, type SqlStorageOptions } from '../../../src/storage/sql/index.js';
import { describeWithDatabase, driverKinds, newTable } from './support/databases.js';
import { newRecord } from './support/records.js';

const refusal = (make: () => unknown): string => {
  try {
    make();
  } catch (error) {
    expect(error).toBeInstanceOf(SessionOptionsError);
    return (error as Error).message;
  }
  throw new Error('It was taken.');
};

describe('a database', () => {
  it('that is none of those the storage takes is refused with what it takes', () => {
    const others: unknown[] = [
      undefined,
      null,
      'postgres://localhost/app',
      {},
      () => undefined,
      new Client(),
      knex({ client: 'pg' }),
      { query: () => undefined },
      new Map(),
    ];
    for (const other of others) {
      expect(refusal(() => new SqlStorage(other as never))).toMatch(
        /^SqlStorage takes a Pool of pg, a pool of mysql2/,
      );
    }
    expect(refusal(() => new SqlStorage('postgres://u:secret@h/d' as never))).toContain(
      'use SqlStorage.connect(url)',
    );
    expect(refusal(() => new SqlStorage('postgres://u:secret@h/d' as never))).not.toContain('secret');
  });

  it('of another kind in Kysely or TypeORM is refused too', () => {
    const mssql = new Kysely<any>({
      dialect: new MssqlDialect({ tarn: { options: {}, Pool: class {} }, tedious: {} } as never),
    });
    expect(refusal(() => new SqlStorage(mssql))).toContain('got one for another database');
    expect(refusal(() => new SqlStorage(new DataSource({ type: 'cockroachdb' } as never)))).toContain(
      'cockroachdb',
    );
  });

  it('of TypeORM that was not initialized fails with what to do, and works once it was', async () => {
    const storage = new SqlStorage(new DataSource({ type: 'postgres', url: 'postgres://127.0.0.1:1/x' }));
    await expect(storage.open()).rejects.toThrow('await dataSource.initialize()');
  });

  it('is neither opened nor asked by making the storage', () => {
    const pool = new Pool({ connectionString: 'postgres://127.0.0.1:1/x' });
    const connect = jest.spyOn(pool, 'connect');
    expect(new SqlStorage(pool)).toBeInstanceOf(SqlStorage);
    expect(connect).not.toHaveBeenCalled();
  });
});

describe('options', () => {
  const pool = new Pool();

  it.each([
    [{ tabel: 'x' }, 'tabel is not an option'],
    [{ createTable: 'yes' }, 'createTable must be true or false'],
    [{ commandTimeout: 0 }, 'commandTimeout must be a number of milliseconds'],
    [{ commandTimeout: '1s' }, 'commandTimeout must be a number of milliseconds'],
    [{ prepare: 1 }, 'prepare must be true or false'],
    [{ userId: 'int' }, 'userId must be "text" or "uuid" or "bigint"'],
    [{ now: 5 }, 'now must be a function'],
  ])('%j are refused by name', (options, problem) => {
    expect(refusal(() => new SqlStorage(pool, options as unknown as SqlStorageOptions))).toContain(problem);
  });

  it('of the DDL are checked as well (S53)', () => {
    expect(refusal(() => SqlStorage.ddl('oracle' as never))).toContain(
      "'postgres', 'mysql', 'mariadb' or 'sqlite'",
    );
    expect(refusal(() => SqlStorage.ddl('postgres', { table: 'a; drop' }))).toContain('table must be');
    for (const references of [
      'users',
      'users(id',
      'users(id); DROP TABLE x',
      'a.b.c(d)',
      '"users"("id")',
      '',
    ]) {
      expect(refusal(() => SqlStorage.ddl('postgres', { references }))).toContain(
        'references must be a table',
      );
    }
    expect(SqlStorage.ddl('postgres', { references: 'auth.users(id)', schema: 'web' })).toContain(
      'REFERENCES "auth"."users" ("id") ON DELETE CASCADE',
    );
    expect(SqlStorage.ddl('mysql')).toContain('utf8mb4_0900_bin');
    expect(SqlStorage.ddl('mariadb')).toContain('utf8mb4_nopad_bin');
  });
});

describe('SqlStorage.connect', () => {
  let directory: string;
  let before: string;
  beforeEach(() => {
    directory = mkdtempSync(join(tmpdir(), 'nest-sessions-connect-'));
    before = process.cwd();
  });
  afterEach(() => {
    process.chdir(before);
    rmSync(directory, { recursive: true, force: true });
  });

  it('refuses what is no URL of these databases, and shows no password', async () => {
    const urls = [
      'redis://:secret@h',
      'postgres:secret',
      'mysql//secret',
      'sqlite:',
      'sqlite://secret',
      '',
      5,
      undefined,
    ];
    for (const url of urls as string[]) {
      const failure = await SqlStorage.connect(url).catch((error: Error) => error.message);
      expect(failure).toMatch(/^SqlStorage.connect takes a URL such as/);
      expect(failure).not.toContain('secret');
    }
    const nowhere = `sqlite:${join(directory, 'nowhere', 'x.db')}`;
    await expect(SqlStorage.connect(nowhere)).rejects.toThrow(/cannot open the file ".*nowhere\/x\.db"/);
    await expect(SqlStorage.connect('sqlite:x.db', { pool: {} })).rejects.toThrow('reached over a network');
    await expect(SqlStorage.connect('postgres://h/d', { pool: 5 as never })).rejects.toThrow(
      'pool must be an object',
    );
    await expect(SqlStorage.connect('postgres://h/d', { tabel: 'x' } as never)).rejects.toThrow(
      'tabel is not an option',
    );
  });

  it('opens a file of SQLite, relative or absolute, which is there the next time', async () => {
    process.chdir(directory);
    const record = newRecord();
    const first = await SqlStorage.connect('sqlite:sessions.db');
    await first.open();
    expect(first.create(record)).toBe(true);
    await first.close();
    expect(() => first.read(record.handle)).toThrow();
    const second = await SqlStorage.connect(`sqlite:${join(directory, 'sessions.db')}`);
    await second.open();
    expect(second.read(record.handle)).toEqual(record);
    await second.close();
  });
});

for (const [product, protocol] of [
  ['PostgreSQL', 'postgres:'],
  ['MariaDB', 'mariadb:'],
] as const) {
  describeWithDatabase(product, `SqlStorage.connect to ${product}`, (place) => {
    it('has a pool of its own, which is closed with it', async () => {
      const url = place().url.replace(/^\w+:/, protocol);
      const table = newTable();
      const storage = await SqlStorage.connect(url, {
        table,
        pool: product === 'PostgreSQL' ? { max: 2 } : { connectionLimit: 2 },
      });
      await storage.open();
      const record = newRecord();
      expect(await storage.create(record)).toBe(true);
      expect(await storage.read(record.handle)).toEqual(record);
      await storage.close();
      await storage.close();
      await expect((async () => storage.read(record.handle))()).rejects.toThrow();
      const opened = await driverKinds.find((kind) => kind.product === product)!.open(place());
      await opened.query(`DROP TABLE ${table}`);
      await opened.query(`DROP TABLE ${table}_leases`);
      await opened.close();
    });

    it('leaves the application’s pool open', async () => {
      const opened = await driverKinds.find((kind) => kind.product === product)!.open(place());
      const table = newTable();
      const storage = new SqlStorage(opened.database, { table });
      await storage.open();
      await storage.close();
      expect(await opened.query('SELECT 1 AS one')).toEqual([{ one: 1 }]);
      await opened.query(`DROP TABLE ${table}`);
      await opened.query(`DROP TABLE ${table}_leases`);
      await opened.close();
    });
  });
}

describeWithDatabase('PostgreSQL', 'Kysely', (place) => {
  it('is used without the plugins of the application', async () => {
    const { CamelCasePlugin, ParseJSONResultsPlugin } = await import('kysely');
    const table = newTable();
    const pool = new Pool({ connectionString: place().url });
    const database = new Kysely<any>({
      dialect: new PostgresDialect({ pool }),
      plugins: [new CamelCasePlugin(), new ParseJSONResultsPlugin()],
    });
    const storage = new SqlStorage(database, { table });
    await storage.open();
    const record = newRecord({ userId: 'ada', data: { a: '{"b":1}' }, client: '{"c":2}' });
    await storage.create(record);
    expect(await storage.read(record.handle)).toEqual(record);
    expect(await storage.byUser('ada')).toEqual([record]);
    await pool.query(`DROP TABLE ${table}, ${table}_leases`);
    await database.destroy();
  });

  it('gives a call up in time as well', async () => {
    const table = newTable();
    const pool = new Pool({ connectionString: place().url, max: 1 });
    const database = new Kysely<any>({ dialect: new PostgresDialect({ pool }) });
    const storage = new SqlStorage(database, { table, commandTimeout: 200 });
    await storage.open();
    const client = await pool.connect();
    const started = performance.now();
    await expect((async () => storage.read('abc'))()).rejects.toThrow('did not answer within 200 ms');
    expect(performance.now() - started).toBeLessThan(600);
    client.release();
    expect(await storage.read('abc')).toBeUndefined();
    await pool.query(`DROP TABLE ${table}, ${table}_leases`);
    await database.destroy();
  });
});

describeWithDatabase('PostgreSQL', 'a DataSource', (place) => {
  it('that was destroyed is used again once it is initialized again', async () => {
    const table = newTable();
    const dataSource = new DataSource({ type: 'postgres', url: place().url });
    const storage = new SqlStorage(dataSource, { table });
    const record = newRecord();
    await dataSource.initialize();
    await storage.open();
    await storage.create(record);
    await dataSource.destroy();
    await expect((async () => storage.read(record.handle))()).rejects.toThrow('not initialized');
    await dataSource.initialize();
    expect(await storage.read(record.handle)).toEqual(record);
    await dataSource.query(`DROP TABLE ${table}, ${table}_leases`);
    await dataSource.destroy();
  });
});

describe('mysql2', () => {
  it('is recognised in both flavours, and what is inside the one with promises too', () => {
    const pool = mysql.createPool({ host: '127.0.0.1', port: 1 });
    for (const database of [pool, pool.promise()])
      expect(new SqlStorage(database)).toBeInstanceOf(SqlStorage);
  });
});
