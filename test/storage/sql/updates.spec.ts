import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Client } from 'pg';
import type { SessionChange } from '../../../src/storage/session-storage.js';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { type Counted, counted } from './support/counted.js';
import {
  describeEachDriver,
  describeWithDatabase,
  dropTable,
  driverKinds,
  newTable,
  type Opened,
  plainDrivers,
} from './support/databases.js';
import { HOUR, newHandle, newProof, newRecord, times } from './support/records.js';

describeEachDriver((kind, place) => {
  let opened: Opened;
  let table: string;
  let storage: SqlStorage;

  beforeEach(async () => {
    opened = await kind.open(place());
    table = newTable();
    storage = new SqlStorage(opened.database, { table, commandTimeout: 10_000 });
    await storage.open();
  });
  afterEach(async () => {
    await dropTable(opened, table);
    await opened.close();
  });

  /** Something that happens between an update that did not match and the look at why. */
  const meanwhile = (work: () => unknown) => {
    const { read } = storage;
    jest.spyOn(storage, 'read').mockImplementationOnce(async (handle) => {
      await work();
      return read.call(storage, handle);
    });
  };

  describe('an update that was not made', () => {
    it('is a conflict, also where what it expected has come true since', async () => {
      const { handle } = newRecord();
      await storage.create(newRecord({ handle, userId: 'ada', ttl: HOUR }));
      const changes: [SessionChange, SessionChange][] = [
        [{ expected: { userId: 'bob' } }, { userId: 'bob' }],
        [{ expected: { userId: null } }, { userId: null }],
        [{ expected: { ttl: null } }, { ttl: null }],
        [{ expected: { ttl: 5 } }, { ttl: 5 }],
      ];
      for (const [update, comesTrue] of changes) {
        meanwhile(() => storage.update(handle, comesTrue));
        expect(await storage.update(handle, { set: { late: '1' }, ...update })).toBe('conflict');
        expect((await storage.read(handle))!.data).toEqual({ visits: '1' });
      }
    });

    it('is gone, also where the handle was taken again since', async () => {
      const record = newRecord();
      meanwhile(() => storage.create(record));
      expect(await storage.update(record.handle, { set: { late: '1' } })).toBe('gone');
      expect(await storage.read(record.handle)).toEqual(record);
    });
  });

  it('updates of one turn of the event loop get an answer each, and change what they name', async () => {
    const now = Date.now();
    const records = times(60, (i) =>
      newRecord({
        userId: i % 2 ? 'ada' : undefined,
        ttl: i % 3 ? HOUR : undefined,
        data: { a: '1', b: '"x"' },
      }),
    );
    for (const record of records) await storage.create(record);
    await storage.destroy(records[0].handle);
    const changeOf = (i: number): SessionChange =>
      [
        { set: { a: '2', 'ключ "\\': '"\0\ud800é👩‍💻"' } },
        { remove: ['a'], touchedAt: now + i, expiresAt: now + HOUR + i },
        { proof: `p${i}`, userId: `bob${i}`, authenticatedAt: now + i, client: `"é\0${i}"`, set: { c: '3' } },
        { userId: null, ttl: null, client: null, authenticatedAt: null },
        { ttl: i, expected: { userId: i % 2 ? 'ada' : null, proof: records[i].proof } },
        { set: { a: '9' }, expected: { userId: 'eve' } },
      ][i % 6];
    const answers = await Promise.all(records.map(({ handle }, i) => storage.update(handle, changeOf(i))));
    // One by one on another table, the same comes out.
    const other = new SqlStorage(opened.database, { table: `${table}_b` });
    await other.open();
    for (const record of records) await other.create(record);
    await other.destroy(records[0].handle);
    const alone = [];
    for (const [i, { handle }] of records.entries()) alone.push(await other.update(handle, changeOf(i)));
    expect(answers).toEqual(alone);
    expect(new Set(answers)).toEqual(new Set(['ok', 'gone', 'conflict']));
    for (const { handle } of records) expect(await storage.read(handle)).toEqual(await other.read(handle));
    await dropTable(opened, `${table}_b`);
  });

  it('updates of one session in one turn are all made', async () => {
    const { handle } = newRecord();
    await storage.create(newRecord({ handle, data: {} }));
    const answers = await Promise.all(times(10, (i) => storage.update(handle, { set: { [`k${i}`]: '1' } })));
    expect(answers).toEqual(times(10, () => 'ok'));
    expect(Object.keys((await storage.read(handle))!.data).length).toBe(10);
  });
}, plainDrivers);

describeWithDatabase('PostgreSQL', 'updates of one turn of the event loop on PostgreSQL', (place) => {
  let database: Counted;
  let opened: Opened;
  let table: string;

  beforeEach(async () => {
    opened = await driverKinds.find(({ name }) => name === 'pg')!.open(place());
    database = await counted.PostgreSQL(place().url);
    table = newTable();
  });
  afterEach(async () => {
    await database.close();
    await dropTable(opened, table);
    await opened.close();
  });

  it('are one statement, and one more for each that it did not change', async () => {
    const storage = new SqlStorage(database.database, { table });
    await storage.open();
    const records = times(20, () => newRecord());
    for (const record of records) await storage.create(record);
    database.sent.length = 0;
    const set = { a: `"${'x'.repeat(1_000)}"` };
    await Promise.all(records.map(({ handle }) => storage.update(handle, { set })));
    expect(database.sent.length).toBe(1);
    for (const { handle } of records) expect((await storage.read(handle))!.data['a']).toBe(set.a);
    database.sent.length = 0;
    const answers = await Promise.all([
      ...records.map(({ handle }) => storage.update(handle, { set: { b: '1' } })),
      storage.update(newHandle(), { set }),
    ]);
    expect(answers).toEqual([...times(20, () => 'ok'), 'gone']);
    // Those that were made, the one that was not, and why.
    expect(database.sent.length).toBe(3);
  });

  it('do not wait for a row that somebody else has locked, but for that one alone', async () => {
    const storage = new SqlStorage(opened.database, { table, commandTimeout: 10_000 });
    await storage.open();
    const records = times(10, () => newRecord());
    for (const record of records) await storage.create(record);
    const client = new Client(place().url);
    await client.connect();
    await client.query('BEGIN');
    await client.query(`SELECT 1 FROM ${table} WHERE handle = '${records[3].handle}' FOR UPDATE`);
    const done: number[] = [];
    const updates = records.map(async ({ handle }, i) => {
      const answer = await storage.update(handle, { set: { a: '1' } });
      done.push(i);
      return answer;
    });
    await Promise.all(updates.filter((_, i) => i !== 3));
    expect(done).not.toContain(3);
    await client.query('COMMIT');
    expect(await updates[3]).toBe('ok');
    await client.end();
  });

  it('fail for nobody else’s value', async () => {
    const storage = new SqlStorage(opened.database, { table });
    await storage.open();
    await opened.query(`ALTER TABLE ${table} ADD CHECK (ttl <> 13)`);
    const records = times(4, () => newRecord());
    for (const record of records) await storage.create(record);
    const outcomes = await Promise.allSettled(
      records.map(({ handle }, i) => storage.update(handle, { ttl: i + 12 })),
    );
    expect(outcomes.map(({ status }) => status)).toEqual(['fulfilled', 'rejected', 'fulfilled', 'fulfilled']);
    const found = await Promise.all(records.map(({ handle }) => storage.read(handle)));
    expect(found.map((record) => record!.ttl)).toEqual([12, undefined, 14, 15]);
  });

  it('do not wait for the application’s row of a user, but for a login of that one alone', async () => {
    const users = `${table}_users`;
    await opened.query(`CREATE TABLE ${users} (id text COLLATE "C" PRIMARY KEY)`);
    await opened.query(`INSERT INTO ${users} VALUES ('ada')`);
    const ddl = SqlStorage.ddl('postgres', { table, references: `${users}(id)` });
    for (const statement of ddl.split(';\n')) if (statement) await opened.query(statement);
    const storage = new SqlStorage(opened.database, { table, commandTimeout: 10_000 });
    const [visitor, ...others] = times(5, () => newRecord());
    for (const record of [visitor, ...others]) await storage.create(record);
    const client = new Client(place().url);
    await client.connect();
    await client.query('BEGIN');
    await client.query(`SELECT 1 FROM ${users} FOR UPDATE`);
    const login = Promise.resolve(storage.update(visitor.handle, { userId: 'ada', proof: newProof() }));
    const writes = others.map(({ handle }) => storage.update(handle, { set: { a: '1' } }));
    expect(await Promise.all(writes)).toEqual(times(4, () => 'ok'));
    expect((await storage.read(visitor.handle))?.userId).toBeUndefined();
    await client.query('COMMIT');
    expect(await login).toBe('ok');
    await client.end();
    await opened.query(`DROP TABLE ${table}, ${users}`);
  });
});

describeWithDatabase('MariaDB', 'a pool of mysql2 that counts only rows that were changed', (place) => {
  it('makes an update that changes nothing no matter of looking why', async () => {
    const { createPool } = await import('mysql2');
    const pool = createPool({ uri: place().url, flags: ['-FOUND_ROWS'] });
    const table = newTable();
    const storage = new SqlStorage(pool, { table });
    await storage.open();
    const record = newRecord();
    await storage.create(record);
    const read = jest.spyOn(storage, 'read');
    expect(await storage.update(record.handle, { set: record.data })).toBe('ok');
    const lease = await storage.lock(record.handle, { wait: 1_000, hold: 10_000 });
    expect(await storage.update(record.handle, { set: record.data, lease: lease.token })).toBe('ok');
    expect(read).not.toHaveBeenCalled();
    await lease.release();
    await pool.promise().query(`DROP TABLE ${table}, ${table}_leases`);
    await pool.promise().end();
  });
});
