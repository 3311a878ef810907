import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import type { RunningApp } from '../../support/app.js';
import { startNode } from './support/app.js';
import { clientKinds, type TestClient } from './support/clients.js';
import { RedisCluster } from './support/cluster.js';
import { Load } from './support/load.js';
import { newHandle, newPrefix, newRecord } from './support/records.js';
import { ask, describeWithServer, type Server, sleep, until } from './support/server.js';

const TIMEOUT = 500;
const MARGIN = 700;

describeWithServer('a Cluster with replicas', () => {
  let cluster: RedisCluster;
  let connection: TestClient;
  let storage: RedisStorage;
  let app: RunningApp;

  beforeAll(async () => {
    cluster = await RedisCluster.start({ replicas: true });
  }, 40_000);
  afterAll(() => cluster.remove());

  describe.each(clientKinds)('with $name', (kind) => {
    beforeEach(async () => {
      connection = kind.cluster(cluster);
      storage = new RedisStorage(connection.client, { prefix: newPrefix(), commandTimeout: TIMEOUT });
      app = await startNode(storage);
    });
    afterEach(async () => {
      await app.stop();
      connection.close();
    });

    it('has its sessions on all masters, all keys of one in one slot', async () => {
      for (let i = 0; i < 60; i++) await storage.create(newRecord({ userId: `u${i % 7}` }));
      expect(await storage.count()).toBe(60);
      const masters = await mastersOf(cluster);
      for (const master of masters) {
        expect(await ask(master.port, (redis) => redis.dbsize())).toBeGreaterThan(0);
      }
      expect((await storage.byUser('u3')).length).toBe(9);
      const handle = newHandle();
      const slots = await ask(masters[0].port, (redis) =>
        Promise.all(
          ['', ':lock', ':line'].map((rest) => redis.call('CLUSTER', 'KEYSLOT', `sess:{${handle}}${rest}`)),
        ),
      );
      expect(new Set(slots).size).toBe(1);
    });

    const faults = kind.name === 'ioredis' ? (['killed', 'stalled'] as const) : (['killed'] as const);
    it.each(faults)(
      'goes on when a master is %s under load: refuses in time, and keeps what was acknowledged',
      async (fault) => {
        const load = await Load.start(app, 20);
        await sleep(300);
        const [master] = await mastersOf(cluster);
        // Replication is asynchronous: what the replica has not heard of is what Redis itself loses.
        await sleep(100);
        if (fault === 'killed') await master.end('SIGKILL');
        else master.freeze();
        const from = performance.now();
        await until(
          async () => (await mastersOf(cluster, master)).length === 3,
          'a replica is promoted',
          15_000,
        );
        const promoted = performance.now() - from;
        const allWork = () => {
          const recent = load.since(performance.now() - 500);
          return recent.length > 50 && recent.every(({ status }) => status === 200);
        };
        await until(allWork, 'all sessions work again', 10_000);
        const recovered = performance.now() - from;
        await load.stop();
        const slow = load.outcomes.filter(({ took }) => took > 2 * TIMEOUT + MARGIN);
        expect(slow).toEqual([]);
        expect(load.outcomes.filter(({ status }) => status !== 200 && status !== 503)).toEqual([]);
        expect(load.lost.length).toBeLessThan(load.outcomes.length / 20);
        expect(recovered - promoted).toBeLessThan(8_000);
        if (fault === 'killed') await master.start();
        else master.thaw();
        await until(async () => isReplica(master), 'the former master follows', 15_000);
        const creates = () =>
          Promise.all(Array.from({ length: 30 }, () => storage.create(newRecord()))).then(
            (answers) => answers.every(Boolean),
            () => false,
          );
        await until(creates, 'new sessions find their place', 10_000);
      },
      50_000,
    );
  });
});

/** The nodes that are masters now; without one that is not asked. */
async function mastersOf(cluster: RedisCluster, except?: Server): Promise<Server[]> {
  const masters: Server[] = [];
  for (const node of cluster.nodes) {
    if (node !== except && !(await isReplica(node).catch(() => true))) masters.push(node);
  }
  return masters;
}

async function isReplica(node: Server): Promise<boolean> {
  const redis = new Redis({
    port: node.port,
    host: '127.0.0.1',
    lazyConnect: true,
    commandTimeout: 300,
    retryStrategy: null as never,
  }).on('error', () => undefined);
  try {
    return (await redis.info('replication')).includes('role:slave');
  } finally {
    redis.disconnect();
  }
}
