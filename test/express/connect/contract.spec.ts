import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll } from '@jest/globals';
import { Logger } from '@nestjs/common';
import connectPgSimple from 'connect-pg-simple';
import { RedisStore } from 'connect-redis';
import expressSession from 'express-session';
import createMemoryStore from 'memorystore';
import { Pool } from 'pg';
import { createClient } from 'redis';
import createFileStore from 'session-file-store';
import { connectShim } from '../../../src/express/connect/shim.js';
import { ConnectStorage } from '../../../src/express/connect/storage.js';
import { describeSessionStorage, type OptionalMember } from '../../../src/testing/storage-contract.js';
import { describeWithServer, Server } from '../../storage/redis/support/server.js';
import { describeWithDatabase } from '../../storage/sql/support/databases.js';

// Each storage says what it cannot when it is opened, and here hundreds are.
Logger.overrideLogger(false);

/** What a storage on any store lacks: stores expire by themselves, and know no batch. */
const always: OptionalMember[] = ['purgeExpired', 'alive', 'ping'];
const withoutAll: OptionalMember[] = [...always, 'byUser', 'list'];
/** A thousand calls at once wait for ten connections, on a machine that has other things to do. */
const timeout = 30_000;

const MemoryStore = createMemoryStore(connectShim);

describeSessionStorage(
  'ConnectStorage, memorystore',
  () => new ConnectStorage(new MemoryStore({ checkPeriod: 100 }), { timeout }),
  { clock: 'real', without: always },
);

describeSessionStorage(
  "ConnectStorage, express-session's own MemoryStore",
  () => new ConnectStorage(new expressSession.MemoryStore(), { timeout }),
  { clock: 'real', without: always },
);

const FileStore = createFileStore(connectShim);
let path: string;
beforeAll(() => void (path = mkdtempSync(join(tmpdir(), 'nest-sessions-files-'))));
afterAll(() => rmSync(path, { recursive: true, force: true }));

describeSessionStorage(
  'ConnectStorage, session-file-store',
  () => {
    const store = new FileStore({ path, retries: 0, reapInterval: 0.1, logFn: () => undefined });
    return new ConnectStorage(store, { timeout });
  },
  {
    clock: 'real',
    without: withoutAll,
    cleanup: () => {
      rmSync(path, { recursive: true, force: true });
      path = mkdtempSync(join(tmpdir(), 'nest-sessions-files-'));
    },
  },
);

describeWithServer('a Redis server', () => {
  let server: Server;
  let client: ReturnType<typeof createClient>;
  beforeAll(async () => {
    server = await Server.start();
    client = createClient({ url: server.url });
    await client.connect();
  });
  afterAll(async () => {
    client.destroy();
    await server.remove();
  });

  describeSessionStorage(
    'ConnectStorage, connect-redis',
    () => new ConnectStorage(new RedisStore({ client }), { timeout }),
    { clock: 'real', without: always, cleanup: async () => void (await client.flushAll()) },
  );
});

describeWithDatabase('PostgreSQL', 'a PostgreSQL server', (place) => {
  const tableName = `connect_${process.pid}`;
  const PgStore = connectPgSimple(connectShim);
  let pool: Pool;
  beforeAll(async () => {
    pool = new Pool({ connectionString: place().url });
    const columns = 'sid varchar primary key collate "C", sess json not null, expire timestamp(6) not null';
    await pool.query(`create table ${tableName} (${columns})`);
  });
  afterAll(async () => {
    await pool.query(`drop table ${tableName}`);
    await pool.end();
  });

  describeSessionStorage(
    'ConnectStorage, connect-pg-simple',
    () => new ConnectStorage(new PgStore({ pool, tableName, pruneSessionInterval: false }), { timeout }),
    {
      clock: 'real',
      without: [...withoutAll, 'count'],
      cleanup: async () => void (await pool.query(`delete from ${tableName}`)),
    },
  );
});
