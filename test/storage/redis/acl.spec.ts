import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { inspect } from 'node:util';
import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { type RedisClient, RedisStorage } from '../../../src/storage/redis/index.js';
import { RedisCluster } from './support/cluster.js';
import { newRecord } from './support/records.js';
import { ask, describeWithServer, Server, until } from './support/server.js';

const DOCS = readFileSync(join(import.meta.dirname, '../../../docs/redis.md'), 'utf8');
/** What the docs say that a user of the server must be allowed: at all, and in a Cluster. */
const RULES = /`(~sess:\* [^`]+)`/.exec(DOCS)![1].split(' ');
const OF_CLUSTER = /in a Cluster, `(\+\w+)`/.exec(DOCS)![1];

const username = 'app';
const password = 'secret';

describeWithServer('a user of the server who is allowed what the docs say', () => {
  let server: Server;
  let cluster: RedisCluster;
  const allow = ({ port }: Server, rules: readonly string[]) =>
    ask(port, (redis) => redis.call('ACL', 'SETUSER', username, 'on', `>${password}`, ...rules));

  beforeAll(async () => {
    [server, cluster] = await Promise.all([Server.start(), RedisCluster.start()]);
    await allow(server, RULES);
    await Promise.all(cluster.nodes.map((node) => allow(node, [...RULES, OF_CLUSTER])));
  }, 30_000);
  afterAll(() => Promise.all([server.remove(), cluster.remove()]));

  const rootNodes = () => cluster.startup.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` }));
  const clients: Record<string, () => RedisClient> = {
    ioredis: () => new Redis({ port: server.port, username, password }),
    'node-redis': () => createClient({ url: server.url, username, password }),
    'ioredis, Cluster': () => new Cluster(cluster.startup, { redisOptions: { username, password } }),
    'node-redis, Cluster': () => createCluster({ rootNodes: rootNodes(), defaults: { username, password } }),
  };

  it.each<[name: string, make: (wrong: string) => RedisClient]>([
    ['ioredis', (wrong) => new Redis({ port: server.port, username, password: wrong })],
    ['node-redis', (wrong) => createClient({ url: server.url, username, password: wrong })],
  ])(
    '%s: a wrong password is the reason that the start gives, and is not shown (S50)',
    async (_name, make) => {
      const client = make('hunter2');
      const storage = new RedisStorage(client, { commandTimeout: 100 });
      const refused: unknown = await storage.open().catch((error: unknown) => error);
      expect(String(refused)).toMatch(/WRONGPASS/);
      expect(inspect(refused, { depth: Infinity })).not.toContain('hunter2');
      await storage.close();
      if ('disconnect' in client) await client.disconnect();
    },
  );

  it.each(Object.keys(clients))(
    'can do all there is to do with sessions, locks and events: %s',
    async (name) => {
      const client = clients[name]();
      const storage = new RedisStorage(client, { events: true });
      await storage.open();
      await storage.ping();
      const { handle } = newRecord();
      await storage.create(newRecord({ handle, userId: 'ada', client: '"phone"' }));
      const change = { set: { a: '1' }, remove: ['visits'], userId: 'bob', expiresAt: Date.now() + 9_000 };
      expect(await storage.update(handle, change)).toBe('ok');
      expect((await storage.byUser('bob')).length).toBe(1);
      expect(await storage.alive([handle])).toEqual([handle]);
      expect((await storage.list({ limit: 10 })).records.length).toBe(1);
      expect(await storage.count()).toBe(1);
      const held = await storage.lock(handle, { wait: 100, hold: 9_000 });
      const other = new RedisStorage(client, { events: true });
      const waiting = other.lock(handle, { wait: 5_000, hold: 9_000 });
      await held.release();
      await (await waiting).release();
      await storage.create(newRecord({ userId: 'eve', expiresAt: Date.now() + 50 }));
      await until(async () => (await storage.purgeExpired(10)) === 1, 'one has expired');
      expect(await storage.destroy(handle)).toBe(true);
      await storage.close();
      await other.close();
      if ('disconnect' in client) client.disconnect();
    },
  );
});
