import { afterAll, beforeAll, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { type RedisClient, RedisStorage } from '../../../src/storage/redis/index.js';
import { RedisCluster } from './support/cluster.js';
import { Proxy } from './support/proxy.js';
import { newPrefix, newRecord } from './support/records.js';
import { describeWithServer, Server, until } from './support/server.js';

/** Milliseconds that a call may take here: less than it takes a Cluster to think that a node is dead. */
const TIMEOUT = 200;

/** 64 MB in all: more than the buffers of a connection hold. */
const WRITES = 64;
const BIG = JSON.stringify('x'.repeat(1 << 20));

describeWithServer('a write that was given up', () => {
  let server: Server;
  let cluster: RedisCluster;
  beforeAll(async () => {
    [server, cluster] = await Promise.all([Server.start(), RedisCluster.start()]);
  }, 30_000);
  afterAll(() => Promise.all([server.remove(), cluster.remove()]));

  it('is not sent again on the next connection, over a newer one', async () => {
    const proxy = await Proxy.start(server.port);
    const client = new Redis({
      port: proxy.port,
      host: '127.0.0.1',
      // Comes back late: long after the request was answered.
      retryStrategy: () => 600,
    }).on('error', () => undefined);
    const prefix = newPrefix();
    const storage = new RedisStorage(client, { prefix, commandTimeout: TIMEOUT });
    const other = new Redis(server.url);
    const newer = new RedisStorage(other, { prefix });
    const record = newRecord();
    await storage.create(record);
    proxy.cutNextAnswer(0);
    await expect(storage.update(record.handle, { set: { n: '"old"' } })).rejects.toThrow(/did not answer/);
    expect(await newer.update(record.handle, { set: { n: '"new"' } })).toBe('ok');
    await until(() => client.status === 'ready', 'the client is back');
    await storage.read(record.handle);
    expect((await newer.read(record.handle))!.data['n']).toBe('"new"');
    client.disconnect();
    other.disconnect();
    await proxy.stop();
  }, 20_000);

  describe('while it waited in the queue of node-redis for a socket that was full, is not sent', () => {
    /** Has the servers stand still until the socket is full and the rest in the queue, and then go on. */
    async function expectTakenBack(client: RedisClient & { destroy(): void }, servers: readonly Server[]) {
      const storage = new RedisStorage(client, { prefix: newPrefix(), commandTimeout: TIMEOUT });
      await storage.open();
      const { handle } = newRecord();
      await storage.create(newRecord({ handle }));
      // From now on the server knows the script, without which it would refuse them all.
      await storage.update(handle, { set: { visits: '2' } });
      let lost = 0;
      client.on('error', () => void lost++);
      for (const each of servers) each.freeze();
      const writes = Array.from({ length: WRITES }, (_, i) =>
        storage.update(handle, { set: { big: BIG, [`write${i}`]: '1' } }),
      );
      const refused = expect.objectContaining({ name: 'RedisUnavailableError' });
      const outcomes = await Promise.allSettled(writes);
      return {
        async goOn() {
          for (const each of servers) each.thaw();
          expect(outcomes).toEqual(Array(WRITES).fill({ status: 'rejected', reason: refused }));
          const read = () => storage.read(handle).catch(() => undefined);
          await until(read, 'it is answered, behind whatever the client still sends');
          // Of what was in the socket, some may have arrived.
          const written = Object.keys((await read())!.data).filter((key) => key.startsWith('write'));
          expect(written).not.toContain(`write${WRITES - 1}`);
          expect(written.length).toBeLessThan(WRITES / 2);
          await storage.close();
          client.destroy();
        },
        connectionIsLost: () => until(() => lost > 0, 'the connection is given up'),
      };
    }

    it('when it drains', async () => {
      const stalled = await expectTakenBack(createClient({ url: server.url }), [server]);
      await stalled.goOn();
    }, 30_000);

    it('on the next connection', async () => {
      const socket = { socketTimeout: 2 * TIMEOUT, reconnectStrategy: () => 50 };
      const stalled = await expectTakenBack(createClient({ url: server.url, socket }), [server]);
      await stalled.connectionIsLost();
      await stalled.goOn();
    }, 30_000);

    it('to a node of a Cluster either', async () => {
      const rootNodes = cluster.startup.map(({ port }) => ({ url: `redis://127.0.0.1:${port}` }));
      const stalled = await expectTakenBack(createCluster({ rootNodes }), cluster.masters);
      await stalled.goOn();
    }, 30_000);
  });
});
