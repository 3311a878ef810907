import { type ChildProcess, spawn, spawnSync } from 'node:child_process';
import { once } from 'node:events';
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Client, Pool } from 'pg';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import { newTable } from './support/databases.js';
import { newRecord, times } from './support/records.js';
import { account, freePort, hasBinary, listens, PostgresServer, sleep, until } from './support/server.js';

const missing = ['pgbouncer', 'postgres', 'initdb'].filter((name) => !hasBinary(name));
const describeIt = missing.length > 0 && process.env['CI'] !== 'true' ? describe.skip : describe;

/** The real one, which gives every transaction another connection. */
describeIt(
  `PgBouncer in transaction mode${missing.length > 0 ? `: ${missing.join()} is not on the PATH` : ''}`,
  () => {
    const directory = mkdtempSync(join(tmpdir(), 'nest-sessions-bouncer-'));
    let server: PostgresServer;
    let bouncer: ChildProcess;
    let pool: Pool;

    beforeAll(async () => {
      server = await PostgresServer.start();
      chmodSync(directory, 0o755);
      const port = await freePort();
      const config = join(directory, 'pgbouncer.ini');
      writeFileSync(
        config,
        [
          '[databases]',
          `postgres = host=127.0.0.1 port=${server.port} user=postgres`,
          '[pgbouncer]',
          `listen_port = ${port}`,
          'listen_addr = 127.0.0.1',
          'unix_socket_dir =',
          'auth_type = any',
          'pool_mode = transaction',
          'default_pool_size = 3',
          // Newer ones follow prepared statements; this is the hard case.
          ...(followsPrepared() ? ['max_prepared_statements = 0'] : []),
        ].join('\n'),
      );
      bouncer = spawn('pgbouncer', [config], { stdio: 'ignore', ...account });
      await until(() => listens(port), 'PgBouncer listens');
      pool = new Pool({ connectionString: `postgres://postgres@127.0.0.1:${port}/postgres`, max: 10 });
      pool.on('error', () => undefined);
    }, 60_000);
    afterAll(async () => {
      await pool.end();
      const exited = once(bouncer, 'exit');
      bouncer.kill('SIGKILL');
      await exited;
      await server.remove();
      rmSync(directory, { recursive: true, force: true });
    });

    it('serves everything when nothing is prepared', async () => {
      const storage = new SqlStorage(pool, { table: newTable(), prepare: false, commandTimeout: 10_000 });
      await storage.open();
      const records = times(50, () => newRecord({ userId: 'ada', data: {} }));
      await Promise.all(records.map((record) => storage.create(record)));
      await Promise.all(
        records.map(async ({ handle }, i) => {
          const lease = await storage.lock(handle, { wait: 10_000, hold: 10_000 });
          expect(await storage.update(handle, { set: { n: String(i) }, lease: lease.token })).toBe('ok');
          await lease.release();
          expect((await storage.read(handle))?.data['n']).toBe(String(i));
        }),
      );
      const expiresAt = Date.now() - 1;
      await Promise.all(records.map(({ handle }) => storage.update(handle, { expiresAt })));
      const counts = await Promise.all(times(4, () => storage.purgeExpired(100)));
      expect(counts.reduce((sum, count) => sum + count, 0)).toBe(50);
    }, 30_000);

    it('passes on that a statement was given up', async () => {
      const table = newTable();
      const storage = new SqlStorage(pool, { table, prepare: false, commandTimeout: 300 });
      await storage.open();
      const { handle } = newRecord();
      await storage.create(newRecord({ handle }));
      const other = new Client(server.url);
      other.on('error', () => undefined);
      await other.connect();
      await other.query('BEGIN');
      await other.query(`SELECT 1 FROM ${table} WHERE handle = '${handle}' FOR UPDATE`);
      await expect(storage.update(handle, { set: { a: '1' } })).rejects.toThrow('did not answer');
      const waits = `SELECT pid FROM pg_stat_activity WHERE wait_event_type = 'Lock'`;
      await until(async () => (await other.query(waits)).rows.length === 0, 'nobody waits in the database');
      await other.query('COMMIT');
      await other.end();
      await sleep(20);
      expect((await storage.read(handle))?.data).toEqual({ visits: '1' });
    }, 30_000);
  },
);

/** From 1.21 on. */
function followsPrepared(): boolean {
  const [, major, minor] = /(\d+)\.(\d+)/.exec(String(spawnSync('pgbouncer', ['--version']).stdout))!;
  return Number(major) > 1 || Number(minor) >= 21;
}
