import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { startNode } from './support/app.js';
import { Load } from './support/load.js';
import { newPrefix } from './support/records.js';
import { ask, describeWithServer, Server, sleep, until } from './support/server.js';

const TIMEOUT = 500;

describeWithServer('behind Sentinel', () => {
  let master: Server;
  let replica: Server;
  let sentinel: Server;

  beforeAll(async () => {
    master = await Server.start();
    replica = await Server.start(['--replicaof', `127.0.0.1 ${master.port}`]);
    const linked = () => ask(replica.port, (redis) => redis.info('replication'));
    await until(async () => (await linked()).includes('master_link_status:up'), 'the replica follows');
    sentinel = await Server.startSentinel(master);
    const known = () => ask(sentinel.port, (redis) => redis.call('SENTINEL', 'REPLICAS', 'mymaster'));
    await until(
      async () => ((await known()) as unknown[]).length === 1,
      'the Sentinel knows the replica',
      15_000,
    );
  }, 30_000);
  afterAll(() => Promise.all([master, replica, sentinel].map((server) => server.remove())));

  it('a storage that connected itself goes on with the new master, without a restart', async () => {
    const storage = await RedisStorage.connect(master.url, {
      prefix: newPrefix(),
      commandTimeout: TIMEOUT,
      client: { sentinels: [{ host: '127.0.0.1', port: sentinel.port }], name: 'mymaster' },
    });
    const app = await startNode(storage);
    const load = await Load.start(app, 10);
    await sleep(500);
    await master.end();
    const works = () => {
      const recent = load.since(performance.now() - 300);
      return recent.length > 20 && recent.every(({ status }) => status === 200);
    };
    await until(() => load.outcomes.some(({ status }) => status === 503), 'the failover is noticed');
    await until(works, 'all works again', 20_000);
    await load.stop();
    expect(load.outcomes.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
    expect(Math.max(...load.outcomes.map(({ took }) => took))).toBeLessThan(2 * TIMEOUT + 400);
    // Redis's own loss: what the master acknowledged in its last moments. Each of the ten has one write under way.
    expect(load.lost.length).toBeLessThan(load.outcomes.length / 20);
    await app.stop();
  }, 40_000);
});
