import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisStorage, type RedisStorageOptions } from '../../../src/storage/redis/index.js';
import type { RunningApp } from '../../support/app.js';
import type { Client } from '../../support/client.js';
import { forgetGates, gate } from '../../support/gate.js';
import { startNode } from './support/app.js';
import { clientKinds, type TestClient } from './support/clients.js';
import { newPrefix } from './support/records.js';
import { describeWithServer, Server, sleep, until } from './support/server.js';

describeWithServer('two nodes', () => {
  let server: Server;
  let redis: Redis;
  let clients: TestClient[];
  let nodes: RunningApp[];
  let browser: Client[];
  let prefix: string;

  beforeAll(async () => {
    server = await Server.start();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.remove();
  });
  afterEach(async () => {
    forgetGates();
    await Promise.all(nodes.map((node) => node.stop()));
    for (const client of clients) client.close();
  });

  /** Two applications, and one browser that talks to both of them. */
  async function startBoth(options: RedisStorageOptions = {}, [first, second] = clientKinds): Promise<void> {
    prefix = newPrefix();
    clients = [first.single(server), second.single(server)];
    const storages = clients.map(({ client }) => new RedisStorage(client, { prefix, ...options }));
    nodes = await Promise.all([startNode(storages[0]), startNode(storages[1], 'express')]);
    const [one, other] = nodes.map((node) => node.client());
    Object.defineProperty(other, 'jar', { value: one.jar });
    browser = [one, other];
  }

  describe('share sessions, one with ioredis and one with node-redis:', () => {
    beforeEach(() => startBoth());

    it('what one writes, the other reads', async () => {
      await browser[0].get('/set/n/1');
      expect((await browser[1].get('/read')).json()).toEqual({ isNew: false, value: '1' });
    });

    it('both keep what they write at once', async () => {
      await browser[0].get('/set/n/1');
      const writes = ['a', 'b'].map((name, i) => browser[i].get(`/slow/write?gate=${name}`));
      await Promise.all([gate('a').reached(), gate('b').reached()]);
      gate('a').open();
      gate('b').open();
      expect((await Promise.all(writes)).map(({ status }) => status)).toEqual([200, 200]);
      expect((await browser[0].get('/all')).json().data).toEqual({ n: '1', a: 'yes', b: 'yes' });
    });

    it('logged out on one stays logged out while the other saves (S27)', async () => {
      await browser[0].get('/login/ada');
      const { sid, handle } = browser[0];
      const saving = browser[1].get('/slow/write?gate=save');
      await gate('save').reached();
      await browser[0].get('/logout');
      gate('save').open();
      expect((await saving).setCookies).toEqual([]);
      expect((await browser[1].get('/read', { cookie: `sid=${sid}` })).json()).toMatchObject({ isNew: true });
      expect(await redis.keys(`*${handle}*`)).toEqual([]);
    });

    it('rotated on both at once, it has one id that is alive (S14)', async () => {
      await browser[0].get('/set/n/1');
      const before = browser[0].sid;
      const rotations = ['r0', 'r1'].map((name, i) =>
        browser[i].get(`/slow/rotate?gate=${name}`, { cookie: `sid=${before}` }),
      );
      await Promise.all([gate('r0').reached(), gate('r1').reached()]);
      gate('r0').open();
      gate('r1').open();
      const replies = await Promise.all(rotations);
      const ids = replies.flatMap(({ setCookies }) => setCookies.map(({ value }) => value));
      expect(ids.length).toBe(1);
      expect(ids[0]).not.toBe(before);
      const isNew = async (sid: string) =>
        (await browser[0].get('/read', { cookie: `sid=${sid}` })).json().isNew;
      expect([await isNew(before), await isNew(ids[0])]).toEqual([true, false]);
    });

    it('counts every tap', async () => {
      await browser[0].get('/set/n/0');
      const taps = Array.from({ length: 40 }, (_, i) => browser[i % 2].get('/count'));
      const counts = (await Promise.all(taps)).map(({ text }) => Number(text));
      expect(counts.sort((a, b) => a - b)).toEqual(Array.from({ length: 40 }, (_, i) => i + 1));
    });

    it('a change of all sessions of a user from outside takes its turn with taps elsewhere (S54)', async () => {
      await browser[1].get('/login/ada');
      const add = (data: any) => void (data.n = Number(data.n ?? 0) + 1);
      const { handle } = browser[1];
      const changes = Array.from({ length: 5 }, () => nodes[0].store.tapByUser('ada', add));
      const taps = Array.from({ length: 10 }, () => browser[1].get('/count'));
      const byHandle = Array.from({ length: 5 }, () => nodes[0].store.tapByHandle(handle, add));
      expect(await Promise.all(changes)).toEqual([1, 1, 1, 1, 1]);
      await Promise.all([...taps, ...byHandle]);
      const { sessions } = await nodes[0].store.list();
      expect(sessions).toMatchObject([{ handle, userId: 'ada', data: { n: 20 } }]);
    });

    it('cost one command to read, and two to write', async () => {
      await browser[0].get('/login/ada');
      const calls = async (path: string) => {
        await redis.config('RESETSTAT');
        await browser[0].get(path);
        const stats = [...(await redis.info('commandstats')).matchAll(/cmdstat_(\w+):calls=(\d+)/g)];
        return Object.fromEntries(
          stats
            .map(([, name, count]) => [name, Number(count)] as const)
            .filter(([name]) => /hgetall|evalsha/.test(name)),
        );
      };
      expect(await calls('/read')).toEqual({ hgetall: 1 });
      expect(await calls('/set/n/2')).toEqual({ hgetall: 1, evalsha: 1 });
    });

    it('hear nothing of each other, and nobody listens', async () => {
      await browser[0].get('/set/n/1');
      await browser[0].get('/logout');
      await sleep(50);
      expect(nodes[1].eventTypes()).toEqual([]);
      expect(await redis.pubsub('CHANNELS', '*events*')).toEqual([]);
    });
  });

  describe('that are to hear of each other', () => {
    beforeEach(() => startBoth({ events: true }));

    it('are told when a session is destroyed, each once', async () => {
      await browser[0].get('/login/ada');
      const { handle } = browser[0];
      nodes[0].events.length = 0;
      await browser[0].get('/logout');
      await until(() => nodes[1].events.length > 0, 'the other node hears of it');
      await sleep(50);
      for (const node of nodes) {
        expect(node.events).toEqual([{ type: 'destroyed', handle, userId: 'ada', at: expect.any(Date) }]);
      }
    });
  });
});
