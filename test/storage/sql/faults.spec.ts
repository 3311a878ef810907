import { types } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import mysql from 'mysql2';
import mysqlPromise from 'mysql2/promise';
import { Client, Pool } from 'pg';
import { type SqlDatabase, SqlStorage } from '../../../src/storage/sql/index.js';
import { dropTable, newTable } from './support/databases.js';
import { Proxy } from './support/proxy.js';
import { newRecord, times } from './support/records.js';
import { hasBinary, MariadbServer, PostgresServer, sleep, type SqlServer, until } from './support/server.js';

const TIMEOUT = 400;
/** A call is given up in time, give or take what a busy machine takes. */
const SLACK = 400;

/** A connection beside the storage. */
interface Other {
  query(sql: string): Promise<any[]>;
  end(): Promise<unknown>;
}

interface Product {
  readonly name: string;
  readonly binaries: readonly string[];
  start(): Promise<SqlServer>;
  pool(url: string, size: number): { readonly database: SqlDatabase; end(): Promise<unknown> };
  connect(url: string): Promise<Other>;
  /** Takes a connection of the pool away. */
  connection(database: any): Promise<{ query(sql: string): Promise<unknown>; release(): void }>;
  readonly begin: string;
  /** How many statements wait for a lock. */
  waiting(other: Other): Promise<number>;
  /** Ends all other connections of the server. */
  endOthers(other: Other): Promise<void>;
}

const products: readonly Product[] = [
  {
    name: 'PostgreSQL',
    binaries: ['postgres', 'initdb'],
    start: () => PostgresServer.start(['deadlock_timeout=200ms']),
    pool(url, size) {
      const pool = new Pool({ connectionString: url, max: size });
      pool.on('error', () => undefined);
      return { database: pool, end: () => pool.end() };
    },
    async connect(url) {
      const client = new Client(url);
      client.on('error', () => undefined);
      await client.connect();
      return { query: async (sql) => (await client.query(sql)).rows, end: () => client.end() };
    },
    connection: (database: Pool) => database.connect(),
    begin: 'BEGIN',
    waiting: async ({ query }) =>
      (await query(`SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'`)).length,
    async endOthers({ query }) {
      await query(`SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE pid <> pg_backend_pid() AND backend_type = 'client backend'`);
    },
  },
  {
    name: 'MariaDB',
    binaries: ['mariadbd', 'mariadb-install-db'],
    start: () => MariadbServer.start(['--innodb-lock-wait-timeout=1']),
    pool(url, size) {
      const pool = mysql.createPool({ uri: url, connectionLimit: size });
      return { database: pool, end: () => pool.promise().end() };
    },
    async connect(url) {
      const connection = await mysqlPromise.createConnection(url);
      connection.on('error', () => undefined);
      return { query: async (sql) => (await connection.query(sql))[0] as any[], end: () => connection.end() };
    },
    connection: (database: mysql.Pool) => database.promise().getConnection(),
    begin: 'START TRANSACTION',
    async waiting({ query }) {
      // What is asked again within 100 ms is answered from before.
      await sleep(150);
      return (await query(`SELECT trx_id FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'`))
        .length;
    },
    async endOthers({ query }) {
      const others = await query(
        `SELECT id FROM information_schema.processlist WHERE id <> CONNECTION_ID() AND db = 'test'`,
      );
      for (const { id } of others) await query(`KILL ${id}`);
    },
  },
];

for (const product of products) {
  const missing = product.binaries.filter((name) => !hasBinary(name));
  const describeIt = missing.length > 0 && process.env['CI'] !== 'true' ? describe.skip : describe;
  describeIt(
    `trouble with ${product.name}${missing.length > 0 ? `: ${missing.join()} is not on the PATH` : ''}`,
    () => {
      let server: SqlServer;
      let proxy: Proxy;
      let other: Other;
      let pools: { end(): Promise<unknown> }[] = [];
      let table: string;

      beforeAll(async () => {
        server = await product.start();
        proxy = await Proxy.start(server.port);
      }, 60_000);
      afterAll(async () => {
        await proxy.stop();
        await server.remove();
      }, 60_000);
      beforeEach(async () => {
        table = newTable();
        other = await product.connect(server.url);
      });
      afterEach(async () => {
        const ended = Promise.allSettled(pools.map((pool) => pool.end()));
        await ended;
        pools = [];
        await dropTable({ query: other.query } as never, table);
        await other.end().catch(() => undefined);
      });

      /** A storage with a pool of its own, by way of the proxy. */
      async function open({ size = 4, commandTimeout = TIMEOUT } = {}) {
        const url = new URL(server.url);
        url.port = String(proxy.port);
        const pool = product.pool(url.href, size);
        pools.push(pool);
        const storage = new SqlStorage(pool.database, { table, commandTimeout });
        await storage.open();
        const record = newRecord({ userId: 'ada' });
        await storage.create(record);
        return { storage, record, pool };
      }

      /** What a call comes to, and that it takes no longer than it may. */
      async function inTime(call: () => unknown, limit = TIMEOUT): Promise<unknown> {
        const started = performance.now();
        const outcome = await Promise.resolve()
          .then(call)
          .catch((error: Error) => error);
        expect(performance.now() - started).toBeLessThan(limit + SLACK);
        return outcome;
      }

      async function everyCallFails(storage: SqlStorage, { handle }: { handle: string }): Promise<void> {
        const calls = [
          () => storage.read(handle),
          () => storage.create(newRecord()),
          () => storage.update(handle, { set: { a: '1' } }),
          () => storage.destroy(handle),
          () => storage.byUser('ada'),
          () => storage.alive([handle]),
          () => storage.list({ limit: 1 }),
          () => storage.lock(handle, { wait: 10_000, hold: 1_000 }),
          () => storage.ping(),
        ];
        for (const call of calls) expect(types.isNativeError(await inTime(call))).toBe(true);
      }

      const works = (storage: SqlStorage, { handle }: { handle: string }) =>
        until(
          async () => !types.isNativeError(await inTime(() => storage.read(handle))),
          'it works again',
          20_000,
        );

      it.each(['SIGKILL', 'SIGINT'] as const)(
        'fails in time while the server is away (%s), and recovers by itself',
        async (signal) => {
          const { storage, record } = await open();
          await other.end();
          await server.end(signal === 'SIGINT' && product.name === 'MariaDB' ? 'SIGTERM' : signal);
          await everyCallFails(storage, record);
          await server.start();
          await works(storage, record);
          expect(await storage.read(record.handle)).toEqual(record);
          expect(await storage.update(record.handle, { set: { visits: '2' } })).toBe('ok');
          other = await product.connect(server.url);
        },
        60_000,
      );

      it('fails in time while nothing is answered, and recovers by itself', async () => {
        const { storage, record } = await open();
        proxy.fallSilent();
        await everyCallFails(storage, record);
        proxy.recover();
        await works(storage, record);
        expect(await storage.read(record.handle)).toEqual(record);
      }, 60_000);

      it('fails in time while the server stands still (SIGSTOP), writes of one turn as well, and recovers by itself', async () => {
        const { storage, record } = await open();
        const records = [record, ...times(9, () => newRecord())];
        for (const each of records.slice(1)) await storage.create(each);
        server.freeze();
        try {
          await everyCallFails(storage, record);
          const writes = records.map(({ handle }) =>
            inTime(() => storage.update(handle, { set: { late: '1' } })),
          );
          for (const outcome of await Promise.all(writes)) expect(types.isNativeError(outcome)).toBe(true);
        } finally {
          // A server that stands still would hold up all that comes after it.
          server.freeze('SIGCONT');
        }
        await works(storage, record);
        const again = await Promise.all(
          records.map(({ handle }) => storage.update(handle, { set: { now: '1' } })),
        );
        expect(again).toEqual(records.map(() => 'ok'));
      }, 60_000);

      it('recovers from connections that were ended, in use or not', async () => {
        const { storage, record } = await open();
        for (let round = 0; round < 3; round++) {
          const reads = times(20, () =>
            Promise.resolve(storage.read(record.handle)).catch((error: Error) => error),
          );
          await product.endOthers(other);
          await Promise.all(reads);
          await works(storage, record);
          expect(await storage.update(record.handle, { set: { visits: String(round) } })).toBe('ok');
        }
      }, 60_000);

      it('does not repeat what may have been done: a lost answer is an error, and reading tells', async () => {
        const { storage, record } = await open({ size: 1 });
        // Now the statement is prepared, and the next answer is that to the update itself.
        await storage.update(record.handle, { set: { n: '0' }, proof: record.proof });
        proxy.loseNextAnswer();
        const outcome = await inTime(() =>
          storage.update(record.handle, { set: { n: '1' }, proof: 'p'.repeat(43) }),
        );
        expect(types.isNativeError(outcome)).toBe(true);
        await works(storage, record);
        await until(async () => (await storage.read(record.handle))?.data['n'] === '1', 'it was done');
      });

      it('gives up in time what waits for a connection, and gives back one that comes later', async () => {
        const { storage, record, pool } = await open({ size: 1 });
        const borrowed = await product.connection(pool.database);
        const outcomes = await Promise.all(times(5, () => inTime(() => storage.read(record.handle))));
        for (const outcome of outcomes)
          expect(String(outcome)).toContain('No connection to the database was free');
        borrowed.release();
        expect(await storage.read(record.handle)).toEqual(record);
        (await product.connection(pool.database)).release();
      });

      it('gives up in time what waits for a lock, and the database does not carry it out later (S71)', async () => {
        const { storage, record } = await open({ size: 2 });
        const { handle } = record;
        await other.query(product.begin);
        await other.query(`SELECT 1 FROM ${table} WHERE handle = '${handle}' FOR UPDATE`);
        const outcomes = await Promise.all(
          times(4, (i) => inTime(() => storage.update(handle, { set: { [`k${i}`]: '1' } }))),
        );
        for (const outcome of outcomes) expect(String(outcome)).toMatch(/did not answer|No connection/);
        // Reading waits for nobody, and the pool has its connections.
        expect(await storage.read(handle)).toEqual(record);
        const witness = await product.connect(server.url);
        await until(async () => (await product.waiting(witness)) === 0, 'nobody waits in the database');
        await witness.end();
        await other.query('COMMIT');
        expect(await storage.update(handle, { set: { next: '1' } })).toBe('ok');
        expect((await storage.read(handle))?.data).toEqual({ visits: '1', next: '1' });
      }, 30_000);

      it('waits for a lock that is free again in time', async () => {
        const { storage, record } = await open({ commandTimeout: 10_000 });
        await other.query(product.begin);
        await other.query(`SELECT 1 FROM ${table} WHERE handle = '${record.handle}' FOR UPDATE`);
        const update = storage.update(record.handle, { set: { a: '1' } });
        // Longer than MariaDB lets a statement wait here: it is tried again.
        await sleep(1_500);
        await other.query('COMMIT');
        expect(await update).toBe('ok');
      }, 30_000);

      it('tries the victim of a deadlock again', async () => {
        const { storage, record } = await open({ commandTimeout: 10_000 });
        const { handle } = record;
        const lease = await storage.lock(handle, { wait: 1_000, hold: 30_000 });
        await other.query(product.begin);
        await other.query(`SELECT 1 FROM ${table} WHERE handle = '${handle}' FOR UPDATE`);
        const update = Promise.resolve(storage.update(handle, { set: { a: '1' }, lease: lease.token }));
        const witness = await product.connect(server.url);
        await until(async () => (await product.waiting(witness)) === 1, 'the write waits');
        await witness.end();
        // Whoever of the two is the victim, the other goes on.
        await other.query(`UPDATE ${table}_leases SET expires_at = expires_at + 1`).catch(() => undefined);
        await other.query('COMMIT');
        expect(await update).toBe('ok');
        expect((await storage.read(handle))?.data['a']).toBe('1');
      }, 30_000);

      it('passes on that the server itself gave up, and keeps its connection', async () => {
        const { storage, record, pool } = await open({ size: 1, commandTimeout: 5_000 });
        const name = product.name === 'PostgreSQL' ? 'statement_timeout' : 'max_statement_time';
        const connection = await product.connection(pool.database);
        await connection.query(`SET SESSION ${name} = ${product.name === 'PostgreSQL' ? 100 : 0.1}`);
        connection.release();
        await other.query(product.begin);
        await other.query(`SELECT 1 FROM ${table} WHERE handle = '${record.handle}' FOR UPDATE`);
        const outcome = await inTime(() => storage.update(record.handle, { set: { a: '1' } }), 2_000);
        expect(String(outcome)).toMatch(/timeout|max_statement_time/);
        await other.query('COMMIT');
        expect(await storage.update(record.handle, { set: { a: '2' } })).toBe('ok');
      });

      it('opens a transaction again after one that was cut off: the purge', async () => {
        const { storage, pool } = await open({ size: 1, commandTimeout: 100 });
        for (const record of times(30, () => newRecord({ expiresAt: Date.now() - 1 })))
          await storage.create(record);
        proxy.fallSilent();
        expect(types.isNativeError(await inTime(() => storage.purgeExpired(10), 1_000))).toBe(true);
        proxy.recover();
        await until(async () => (await inTime(() => storage.ping(), 1_000)) === undefined, 'it works again');
        expect(await storage.purgeExpired(100)).toBe(30);
        (await product.connection(pool.database)).release();
      }, 30_000);
    },
  );
}
