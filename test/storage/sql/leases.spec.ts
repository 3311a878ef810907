import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import { Client } from 'pg';
import { createConnection } from 'mysql2/promise';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import {
  describeEachDriver,
  describeWithDatabase,
  dropTable,
  driverKinds,
  newTable,
  type Opened,
  plainDrivers,
} from './support/databases.js';
import { newHandle, newRecord, times } from './support/records.js';
import { sleep, until } from './support/server.js';

const wait = 10_000;

describeEachDriver((kind, place) => {
  let opened: Opened;
  let table: string;
  let nodes: SqlStorage[];

  beforeEach(async () => {
    opened = await kind.open(place());
    table = newTable();
    nodes = times(2, () => new SqlStorage(opened.database, { table, commandTimeout: 10_000 }));
    await nodes[0].open();
  });
  afterEach(async () => {
    jest.restoreAllMocks();
    await dropTable(opened, table);
    await opened.close();
  });

  const leases = () => opened.query(`SELECT handle FROM ${table}_leases`);

  it('leaves no row of a lease that was released, and the purge takes one that was lost', async () => {
    const lease = await nodes[0].lock(newHandle(), { wait, hold: 10_000 });
    await nodes[0].lock(newHandle(), { wait, hold: 50 });
    expect((await leases()).length).toBe(2);
    await lease.release();
    expect((await leases()).length).toBe(1);
    await sleep(60);
    await nodes[1].purgeExpired(10);
    expect(await leases()).toEqual([]);
  });

  it('lets a process that waits have its turn, though another one always has somebody in line', async () => {
    const handle = newHandle();
    const busy = { on: true };
    const work = async () => {
      while (busy.on) {
        const lease = await nodes[0].lock(handle, { wait, hold: 5_000 });
        await sleep(1);
        await lease.release();
      }
    };
    const busyOnes = times(4, work);
    for (let turn = 0; turn < 5; turn++)
      await (await nodes[1].lock(handle, { wait: 5_000, hold: 5_000 })).release();
    busy.on = false;
    await Promise.all(busyOnes);
  });

  it('goes by the application’s clock alone, a day off or not', async () => {
    const now = Date.now() - 86_400_000;
    const past = new SqlStorage(opened.database, { table, now: () => now });
    const record = newRecord({ createdAt: now, touchedAt: now, expiresAt: now + 1_000 });
    await past.create(record);
    const lease = await past.lock(record.handle, { wait, hold: 1_000 });
    expect(await past.update(record.handle, { set: { a: '1' }, lease: lease.token })).toBe('ok');
    await lease.release();
    expect((await past.read(record.handle))?.data['a']).toBe('1');
    expect(await past.purgeExpired(10)).toBe(0);
    expect(await nodes[0].read(record.handle)).toBeUndefined();
    expect(await nodes[0].purgeExpired(10)).toBe(1);
  });
}, plainDrivers);

/** One connection that locks a session's row, as anybody might. */
interface RowLock {
  release(): Promise<void>;
}

const rowLocks: Record<string, (url: string, table: string, handle: string) => Promise<RowLock>> = {
  async PostgreSQL(url, table, handle) {
    const client = new Client(url);
    await client.connect();
    await client.query('BEGIN');
    await client.query(`SELECT 1 FROM ${table} WHERE handle = '${handle}' FOR UPDATE`);
    return {
      release: async () => {
        await client.query('COMMIT');
        await client.end();
      },
    };
  },
  async MariaDB(url, table, handle) {
    const connection = await createConnection(url);
    await connection.query('START TRANSACTION');
    await connection.query(`SELECT 1 FROM ${table} WHERE handle = '${handle}' FOR UPDATE`);
    return {
      release: async () => {
        await connection.query('COMMIT');
        await connection.end();
      },
    };
  },
};

for (const product of ['PostgreSQL', 'MariaDB'] as const) {
  const kind = driverKinds.find((each) => each.product === product)!;
  describeWithDatabase(product, `the fence of ${product}`, (place) => {
    it.each(['REPEATABLE READ', 'READ COMMITTED'])(
      'and the next holder agree about a write that was under way when the lease ran out, at %s (S54)',
      async (level) => {
        const opened = await kind.open(place());
        const pool = opened.database as unknown as {
          on(event: string, listener: (connection: any) => void): void;
        };
        const set = product === 'PostgreSQL' ? 'SET SESSION CHARACTERISTICS AS' : 'SET SESSION';
        const event = product === 'PostgreSQL' ? 'connect' : 'connection';
        pool.on(event, (connection) => void connection.query(`${set} TRANSACTION ISOLATION LEVEL ${level}`));
        const table = newTable();
        const options = { table, commandTimeout: 10_000 };
        const [late, next] = times(2, () => new SqlStorage(opened.database, options));
        await late.open();
        for (let round = 0; round < 5; round++) {
          const { handle } = newRecord();
          await late.create(newRecord({ handle, data: { by: '"nobody"' } }));
          const lease = await late.lock(handle, { wait, hold: 400 });
          const row = await rowLocks[product](place().url, table, handle);
          const writing = Promise.resolve(late.update(handle, { set: { by: '"late"' }, lease: lease.token }));
          let seen: string | undefined;
          const taking = next.lock(handle, { wait, hold: 10_000 }).then(async (taken) => {
            seen = (await next.read(handle))!.data['by'];
            return taken;
          });
          await sleep(500 + round * 20);
          await row.release();
          const answer = await writing;
          const taken = await taking;
          expect([answer, seen]).toEqual(answer === 'ok' ? ['ok', '"late"'] : ['lost', '"nobody"']);
          await until(async () => (await next.read(handle))!.data['by'] === seen, 'nothing came later');
          await taken.release();
        }
        await dropTable(opened, table);
        await opened.close();
      },
    );
  });
}
