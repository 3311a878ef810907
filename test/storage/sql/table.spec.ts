import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Client, Pool } from 'pg';
import type { SessionRecord } from '../../../src/storage/record.js';
import { type SqlDatabaseName, SqlStorage } from '../../../src/storage/sql/index.js';
import {
  describeEachDriver,
  describeWithDatabase,
  type DriverKind,
  dropTable,
  driverKinds,
  newTable,
  type Opened,
  plainDrivers,
} from './support/databases.js';
import { HOUR, newHandle, newRecord, times } from './support/records.js';
import { until } from './support/server.js';

const ddlName: Record<string, SqlDatabaseName> = {
  PostgreSQL: 'postgres',
  MariaDB: 'mariadb',
  SQLite: 'sqlite',
};

/** Errors of better-sqlite3 are those of the test file that loaded it first: no `Error` for the next one's jest. */
const fails = (call: () => unknown): Promise<boolean> =>
  Promise.resolve()
    .then(call)
    .then(
      () => false,
      () => true,
    );

const statementsOf = (ddl: string): string[] =>
  ddl
    .split(';\n')
    .map((text) => text.trim())
    .filter((text) => text !== '');

describeEachDriver((kind, place) => {
  let opened: Opened;
  let table: string;

  beforeEach(async () => {
    opened = await kind.open(place());
    table = newTable();
  });
  afterEach(async () => {
    await dropTable(opened, table);
    await opened.close();
  });

  const run = async (ddl: string) => {
    for (const statement of statementsOf(ddl)) await opened.query(statement);
  };

  describe('tables', () => {
    it('are looked for, and made if they are not there, by each who opens the storage', async () => {
      const storage = new SqlStorage(opened.database, { table });
      await storage.open();
      const record = newRecord();
      await storage.create(record);
      await storage.open();
      await new SqlStorage(opened.database, { table }).open();
      expect(await storage.read(record.handle)).toEqual(record);
    });

    it('of two storages are two, in one schema', async () => {
      const [one, two] = [table, `${table}_b`].map(
        (name) => new SqlStorage(opened.database, { table: name }),
      );
      await Promise.all([one.open(), two.open()]);
      const record = newRecord();
      await one.create(record);
      expect(await two.read(record.handle)).toBeUndefined();
      expect([await one.count(), await two.count()]).toEqual([1, 0]);
      await dropTable(opened, `${table}_b`);
    });

    it('that a migration has made are used as they are', async () => {
      await run(SqlStorage.ddl(ddlName[kind.product], { table }));
      const storage = new SqlStorage(opened.database, { table, createTable: false });
      await storage.open();
      const record = newRecord({ userId: 'ada' });
      await storage.create(record);
      expect(await storage.byUser('ada')).toEqual([record]);
    });

    it('that are not there and not to be made are an error with the statements that make them', async () => {
      const storage = new SqlStorage(opened.database, { table, createTable: false });
      const failure = await storage.open().catch((error: Error) => error.message);
      expect(failure).toMatch(
        /^SqlStorage: the tables are not there, or lack something, and createTable is false\./,
      );
      const ddl = String(failure).split('\n\n')[1];
      await run(ddl);
      await storage.open();
    });

    it('that could not be made are made the next time', async () => {
      // Somebody has a view of that name, and takes it away later.
      await opened.query(`CREATE VIEW ${table}_leases AS SELECT 1 AS handle`);
      const storage = new SqlStorage(opened.database, { table });
      await expect(storage.open()).rejects.toThrow('These statements create them');
      await opened.query(`DROP VIEW ${table}_leases`);
      await storage.open();
      expect(await storage.count()).toBe(0);
    });

    it('have names that are checked and quoted (S53, S71)', async () => {
      const names = [
        '',
        'a b',
        'a"b',
        'a`b',
        "a'",
        'a;--',
        'a.b',
        '1a',
        'ä',
        'x'.repeat(49),
        '"sessions"',
        5,
        null,
      ];
      for (const name of names as string[]) {
        expect(() => new SqlStorage(opened.database, { table: name })).toThrow(
          /SqlStorage: table must be 1 to 48/,
        );
        expect(() => new SqlStorage(opened.database, { schema: name })).toThrow(/SqlStorage: schema must be/);
      }
      // Words and letters that mean something to the database, and the longest name there may be.
      const long = `Order_${'x'.repeat(42)}`;
      const storage = new SqlStorage(opened.database, { table: long });
      await storage.open();
      expect(await storage.create(newRecord())).toBe(true);
      const quote = kind.product === 'MariaDB' ? '`' : '"';
      for (const name of [long, `${long}_leases`]) await opened.query(`DROP TABLE ${quote}${name}${quote}`);
    });
  });

  describe('the column of the users', () => {
    const users: Record<'uuid' | 'bigint', { good: string[]; bad: string[] }> = {
      uuid: {
        good: ['0e37df36-f698-11e6-8dd4-cb9ced3df976', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
        bad: ['ada', '0E37DF36-F698-11E6-8DD4-CB9CED3DF976', '{0e37df36-f698-11e6-8dd4-cb9ced3df976}', '42'],
      },
      bigint: {
        good: ['1', '0', '-7', '9007199254740993', '9223372036854775807', '-9223372036854775808'],
        bad: ['ada', '01', '1.0', '1e3', ' 1', '9223372036854775808', '-0', '0x1'],
      },
    };

    it.each(['uuid', 'bigint'] as const)(
      'as %s holds such users exactly, and refuses others at once (S59)',
      async (userId) => {
        const storage = new SqlStorage(opened.database, { table, userId });
        await storage.open();
        const record = newRecord();
        await storage.create(record);
        for (const user of users[userId].good) {
          const own = newRecord({ userId: user });
          await storage.create(own);
          expect(await storage.byUser(user)).toEqual([own]);
          expect(await storage.update(record.handle, { userId: user })).toBe('ok');
          expect((await storage.read(record.handle))?.userId).toBe(user);
          expect(await storage.update(record.handle, { expected: { userId: user } })).toBe('ok');
          expect(await storage.update(record.handle, { expected: { userId: '5' } })).toBe('conflict');
          expect(await storage.destroy(own.handle, { userId: user })).toBe(true);
        }
        expect(await storage.update(record.handle, { userId: null })).toBe('ok');
        for (const user of users[userId].bad) {
          expect(() => storage.create(newRecord({ userId: user }))).toThrow('nothing was stored');
          expect(() => storage.update(record.handle, { userId: user })).toThrow('nothing was stored');
          expect(await storage.byUser(user)).toEqual([]);
          expect(await storage.update(record.handle, { expected: { userId: user } })).toBe('conflict');
          expect(await storage.update(newHandle(), { expected: { userId: user } })).toBe('gone');
          expect(await storage.destroy(record.handle, { userId: user })).toBe(false);
        }
        expect(await storage.read(record.handle)).toEqual(record);
        expect(await storage.count()).toBe(1);
      },
    );

    it.each(['text', 'uuid', 'bigint'] as const)(
      'as %s may refer to the users, and takes the sessions along with one',
      async (userId) => {
        const type = {
          PostgreSQL: { text: 'text COLLATE "C"', uuid: 'uuid', bigint: 'bigint' },
          MariaDB: { text: 'varchar(512)', uuid: 'char(36)', bigint: 'bigint' },
          SQLite: { text: 'TEXT', uuid: 'TEXT', bigint: 'INTEGER' },
        }[kind.product][userId];
        const ada = { text: 'ada', uuid: '0e37df36-f698-11e6-8dd4-cb9ced3df976', bigint: '9007199254740993' }[
          userId
        ];
        const options =
          kind.product === 'MariaDB' ? ' DEFAULT CHARSET utf8mb4 COLLATE utf8mb4_nopad_bin' : '';
        await opened.query(`CREATE TABLE ${table}_users (id ${type} PRIMARY KEY)${options}`);
        if (kind.product === 'SQLite') await opened.query('PRAGMA foreign_keys = ON');
        await opened.query(
          `INSERT INTO ${table}_users (id) VALUES (${userId === 'bigint' ? ada : `'${ada}'`})`,
        );
        await run(SqlStorage.ddl(ddlName[kind.product], { table, userId, references: `${table}_users(id)` }));
        const storage = new SqlStorage(opened.database, { table, userId });
        await storage.open();
        await storage.create(newRecord({ userId: ada }));
        const visitor = newRecord();
        await storage.create(visitor);
        const other = { text: 'eve', uuid: '0e37df36-f698-11e6-8dd4-cb9ced3df977', bigint: '3' }[userId];
        expect(await fails(() => storage.create(newRecord({ userId: other })))).toBe(true);
        expect(await fails(() => storage.update(visitor.handle, { userId: other }))).toBe(true);
        await opened.query(`DELETE FROM ${table}_users`);
        expect(await storage.byUser(ada)).toEqual([]);
        expect(await storage.read(visitor.handle)).toEqual(visitor);
        await opened.query(`DROP TABLE ${table}`);
        await opened.query(`DROP TABLE ${table}_users`);
      },
    );
  });

  it('tells who expired of a purge, once each', async () => {
    const storage = new SqlStorage(opened.database, { table });
    await storage.open();
    const events: object[] = [];
    storage.subscribe((event) => events.push(event));
    const now = Date.now();
    const visitor = newRecord({ expiresAt: now - 2 });
    const ada = newRecord({ expiresAt: now - 1, userId: 'ada' });
    for (const record of [visitor, ada, newRecord()]) await storage.create(record);
    expect(await storage.purgeExpired(10)).toBe(2);
    expect(events).toEqual([
      { type: 'expired', handle: visitor.handle, userId: undefined },
      { type: 'expired', handle: ada.handle, userId: 'ada' },
    ]);
  });

  it('says of a damaged record that it is corrupt, and has none (S49)', async () => {
    const storage = new SqlStorage(opened.database, { table });
    await storage.open();
    const events: object[] = [];
    storage.subscribe((event) => events.push(event));
    const damages = [`data = '[]'`, `data = '{"a":5}'`, `client = 'no JSON'`, `data = 'null'`];
    for (const damage of damages) {
      const { handle } = newRecord();
      await storage.create(newRecord({ handle, userId: 'ada' }));
      await opened.query(`UPDATE ${table} SET ${damage} WHERE handle = '${handle}'`);
      events.length = 0;
      expect(await storage.read(handle)).toBeUndefined();
      expect(await storage.byUser('ada')).toEqual([]);
      expect(events).toEqual(times(2, () => ({ type: 'corrupt', handle })));
      expect(await storage.update(handle, { expected: { userId: 'bob' } })).toBe('gone');
      expect(await storage.destroy(handle)).toBe(true);
    }
  });
}, plainDrivers);

const plain = (name: string): DriverKind => driverKinds.find((kind) => kind.name === name)!;

describeWithDatabase('PostgreSQL', 'tables in PostgreSQL', (place) => {
  let opened: Opened;
  let table: string;
  beforeEach(async () => {
    opened = await plain('pg').open(place());
    table = newTable();
  });
  afterEach(async () => {
    await dropTable(opened, table);
    await opened.close();
  });

  it('have no index that a touch moves: more than nine of ten touches are HOT', async () => {
    const storage = new SqlStorage(opened.database, { table });
    await storage.open();
    const records = times(500, () => newRecord({ userId: 'ada', data: { a: `"${'x'.repeat(300)}"` } }));
    for (const record of records) await storage.create(record);
    const touch = ({ handle, touchedAt, expiresAt }: SessionRecord, by: number) =>
      storage.update(handle, { touchedAt: touchedAt + by, expiresAt: expiresAt + by });
    // One by one, and 20 at once, as requests are.
    for (const record of [...records, ...records]) await touch(record, 1);
    for (let i = 0; i < 50; i++) {
      const some = records.filter((_, at) => at % 25 === i % 25);
      await Promise.all(some.map((record) => touch(record, 2 + i)));
    }
    const stats = async () =>
      (
        await opened.query(
          `SELECT n_tup_upd AS all, n_tup_hot_upd AS hot FROM pg_stat_user_tables WHERE relname = '${table}'`,
        )
      )[0];
    await until(async () => Number((await stats()).all) >= 2_000, 'the statistics are there', 20_000);
    const { all, hot } = await stats();
    expect(Number(hot) / Number(all)).toBeGreaterThan(0.9);
  }, 60_000);

  it('can be in a schema of their own, with indexes of the same names elsewhere', async () => {
    await opened.query(`CREATE SCHEMA "${table}s"`);
    const [here, there] = [undefined, `${table}s`].map(
      (schema) => new SqlStorage(opened.database, { table, schema }),
    );
    await Promise.all([here.open(), there.open()]);
    const record = newRecord();
    await there.create(record);
    expect([await here.count(), await there.count()]).toEqual([0, 1]);
    const indexes = await opened.query(
      `SELECT schemaname FROM pg_indexes WHERE indexname = '${table}_user_id'`,
    );
    expect(indexes.length).toBe(2);
    await opened.query(`DROP SCHEMA "${table}s" CASCADE`);
  });

  it('that a role may not make are one error with the statements, and are used once an owner has made them', async () => {
    const role = `${table}_role`;
    await opened.query(`CREATE SCHEMA "${table}s"`);
    await opened.query(`CREATE ROLE ${role} LOGIN`);
    await opened.query(`GRANT USAGE ON SCHEMA "${table}s" TO ${role}`);
    const pool = new Pool({ connectionString: place().url, user: role, max: 2 });
    const url = new URL(place().url);
    url.username = role;
    const own = new Pool({ connectionString: url.href });
    const storage = new SqlStorage(own, { table, schema: `${table}s` });
    const message = await storage.open().catch((error: Error) => error.message);
    expect(message).toMatch(/^SqlStorage: the tables are not there, or lack something: permission denied/);
    for (const statement of statementsOf(String(message).split('\n\n')[1])) await opened.query(statement);
    await opened.query(`GRANT SELECT, INSERT, UPDATE, DELETE ON ALL TABLES IN SCHEMA "${table}s" TO ${role}`);
    await storage.open();
    expect(await storage.create(newRecord())).toBe(true);
    expect(await storage.purgeExpired(10)).toBe(0);
    await (await storage.lock(newHandle(), { wait: 100, hold: 100 })).release();
    await Promise.all([own.end(), pool.end()]);
    await opened.query(`DROP SCHEMA "${table}s" CASCADE`);
    await opened.query(`DROP ROLE ${role}`);
  });

  it('are read right whatever parsers and settings the application has for its own', async () => {
    const text = () => (value: string) => ({ odd: value });
    class OddClient extends Client {
      constructor(config: any) {
        super({ ...config, types: { getTypeParser: text } });
      }
    }
    const pool = new Pool({ connectionString: place().url, Client: OddClient } as object);
    const storage = new SqlStorage(pool, { table });
    await storage.open();
    const record = newRecord({ userId: 'ada', ttl: HOUR, authenticatedAt: 5, client: '"x"' });
    await storage.create(record);
    expect(await storage.read(record.handle)).toEqual(record);
    expect(await storage.count()).toBe(1);
    await pool.end();
  });

  it('serve a role whose transactions are serializable', async () => {
    await opened.query(`CREATE ROLE ${table}_role LOGIN SUPERUSER`);
    await opened.query(`ALTER ROLE ${table}_role SET default_transaction_isolation = 'serializable'`);
    const url = new URL(place().url);
    url.username = `${table}_role`;
    const pool = new Pool({ connectionString: url.href, max: 10 });
    const storage = new SqlStorage(pool, { table, commandTimeout: 20_000 });
    await storage.open();
    const { handle } = newRecord();
    await storage.create(newRecord({ handle, data: {} }));
    const answers = await Promise.all(times(60, (i) => storage.update(handle, { set: { [`k${i}`]: '1' } })));
    expect(new Set(answers)).toEqual(new Set(['ok']));
    expect(Object.keys((await storage.read(handle))!.data).length).toBe(60);
    await dropTable(opened, table);
    await pool.end();
    await opened.query(`DROP ROLE ${table}_role`);
  });
});

describeWithDatabase('MariaDB', 'tables in MariaDB', (place) => {
  it('keep what they are given, whatever the character set and the settings of the pool', async () => {
    const { createPool } = await import('mysql2');
    const table = newTable();
    const pool = createPool({
      uri: place().url,
      charset: 'latin1',
      supportBigNumbers: true,
      bigNumberStrings: true,
      rowsAsArray: true,
      nestTables: '_',
      namedPlaceholders: true,
      flags: ['-FOUND_ROWS'],
      typeCast: () => 'odd',
    });
    const storage = new SqlStorage(pool, { table });
    await storage.open();
    const records = ['日本語', '👩‍💻', 'ä', '?', 'a\0b', 'ada'].map((text) =>
      newRecord({ userId: text, client: text, ttl: HOUR, data: { [text]: text, plain: '"ä"' } }),
    );
    for (const record of records) await storage.create(record);
    for (const record of records) {
      expect(await storage.read(record.handle)).toEqual(record);
      expect(await storage.byUser(record.userId!)).toEqual([record]);
      // This pool counts rows that were changed, and none is.
      expect(await storage.update(record.handle, { set: { plain: '"ä"' } })).toBe('ok');
      expect(await storage.destroy(record.handle, { userId: record.userId })).toBe(true);
    }
    await pool.promise().query(`DROP TABLE ${table}`);
    await pool.promise().query(`DROP TABLE ${table}_leases`);
    await pool.promise().end();
  });

  it('can be in another database', async () => {
    const opened = await plain('mysql2').open(place());
    const schema = newTable();
    await opened.query(`CREATE DATABASE ${schema}`);
    const storage = new SqlStorage(opened.database, { schema });
    await storage.open();
    const record = newRecord();
    await storage.create(record);
    expect(await storage.read(record.handle)).toEqual(record);
    await opened.query(`DROP DATABASE ${schema}`);
    await opened.close();
  });
});
