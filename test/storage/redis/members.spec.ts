import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { clientKinds, type TestClient } from './support/clients.js';
import { RedisBench } from './support/bench.js';
import { RedisCluster } from './support/cluster.js';
import { newHandle, newPrefix, newRecord } from './support/records.js';
import { describeWithServer, type Server, until } from './support/server.js';

/** How dear the optional methods are, and what they do in trouble; what they answer is in the contract suite. */
describeWithServer('of the optional methods in Redis,', () => {
  const bench = RedisBench.set();
  let cluster: RedisCluster;
  let connection: TestClient | undefined;
  beforeAll(async () => {
    cluster = await RedisCluster.start();
  }, 30_000);
  afterAll(() => cluster.remove());
  afterEach(() => connection?.close());

  it('alive() is one command for a hundred sessions', async () => {
    await bench.storage.alive([newHandle()]);
    const used = await bench.commands(() => bench.storage.alive(Array.from({ length: 250 }, newHandle)));
    expect(used).toEqual({ evalsha: 3, hmget: 250, exists: 250 });
  });

  it('list() reads the sessions of a page, and no others', async () => {
    await Promise.all(Array.from({ length: 50 }, () => bench.storage.create(newRecord({ userId: 'ada' }))));
    const used = await bench.commands(() => bench.storage.list({ limit: 10 }));
    expect(used['hgetall']).toBeGreaterThanOrEqual(10);
    expect(used['hgetall']).toBeLessThan(20);
    expect(used['scan']).toBeLessThan(5);
  });

  it('list() and count() tell of a thousand sessions once each, whatever the pages', async () => {
    const handles = await Promise.all(
      Array.from({ length: 1_000 }, async () => {
        const record = newRecord();
        await bench.storage.create(record);
        return record.handle;
      }),
    );
    const listed: string[] = [];
    let cursor: string | undefined;
    do {
      const page = await bench.storage.list({ limit: 100, cursor });
      for (const { handle } of page.records) listed.push(handle);
      ({ cursor } = page);
    } while (cursor !== undefined);
    expect(listed.sort()).toEqual(handles.sort());
    expect(await bench.storage.count()).toBe(1_000);
  });

  describe.each(clientKinds)('with $name,', (kind) => {
    const open = async (made: TestClient) => {
      connection = made;
      const storage = new RedisStorage(made.client, { prefix: newPrefix(), commandTimeout: 300 });
      await storage.open();
      await storage.ping();
      return storage;
    };
    async function expectPings(storage: RedisStorage, server: Server): Promise<void> {
      server.freeze();
      try {
        await expect(storage.ping()).rejects.toThrow('Redis did not answer within 300 ms');
      } finally {
        server.thaw();
      }
      await until(
        () =>
          storage.ping().then(
            () => true,
            () => false,
          ),
        'it answers again',
      );
    }

    it('ping() fails in time while the server stands still, and answers afterwards (S51)', async () => {
      await expectPings(await open(kind.single(bench.server)), bench.server);
    });

    it('ping() fails while any master of a Cluster stands still (S51)', async () => {
      const storage = await open(kind.cluster(cluster));
      for (const master of cluster.masters) await expectPings(storage, master);
    });
  });
});
