import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { logs, type RunningApp } from '../../support/app.js';
import { startNode } from './support/app.js';
import { clientKinds, type TestClient } from './support/clients.js';
import { Load, type Outcome } from './support/load.js';
import { Proxy } from './support/proxy.js';
import { newHandle, newPrefix, newRecord } from './support/records.js';
import { ask, describeWithServer, Server, sleep, until } from './support/server.js';

/** Milliseconds that a call to Redis may take here, and what a request may take on top. */
const TIMEOUT = 500;
const MARGIN = 700;

describeWithServer('when Redis is in trouble', () => {
  let server: Server;
  let unhandled: unknown[];
  const note = (reason: unknown) => void unhandled.push(reason);

  beforeAll(async () => {
    server = await Server.start();
  });
  afterAll(() => server.remove());
  beforeEach(() => {
    unhandled = [];
    process.on('unhandledRejection', note);
    process.on('uncaughtException', note);
  });
  afterEach(async () => {
    await sleep(20);
    process.off('unhandledRejection', note);
    process.off('uncaughtException', note);
    expect(unhandled).toEqual([]);
  });

  describe.each(clientKinds)('with $name', (kind) => {
    let connection: TestClient;
    let app: RunningApp;

    beforeEach(async () => {
      connection = kind.single(server);
      const storage = new RedisStorage(connection.client, { prefix: newPrefix(), commandTimeout: TIMEOUT });
      app = await startNode(storage, kind.name === 'ioredis' ? 'fastify' : 'express');
    });
    afterEach(async () => {
      await app.stop();
      connection.close();
    });

    /** Nothing but answers and opaque refusals, all of them in time. */
    function expectBounded(outcomes: readonly Outcome[], calls = 1): void {
      const others = outcomes.filter(({ status }) => status !== 200 && status !== 503);
      expect(others).toEqual([]);
      for (const { status, text, took } of outcomes) {
        if (status === 503)
          expect(JSON.parse(text)).toEqual({ statusCode: 503, message: 'Service Unavailable' });
        if (took > calls * TIMEOUT + MARGIN) throw new Error(`A request took ${took} ms`);
      }
    }

    async function expectRecovered(load: Load, within: number): Promise<void> {
      await until(
        () => load.since(performance.now() - 200).some(({ status }) => status === 200),
        'it works',
        within,
      );
      await sleep(200);
      const from = performance.now();
      await sleep(200);
      const after = load.since(from);
      expect(after.length).toBeGreaterThan(10);
      expect(after.filter(({ status }) => status !== 200)).toEqual([]);
    }

    it('stalled: refuses in time, then goes on with every acknowledged write (S51)', async () => {
      const load = await Load.start(app, 20);
      await sleep(300);
      server.freeze();
      await sleep(1_000);
      server.thaw();
      await expectRecovered(load, 3_000);
      await load.stop();
      expect(load.outcomes.filter(({ status }) => status === 503).length).toBeGreaterThanOrEqual(20);
      // A request may read and write.
      expectBounded(load.outcomes, 2);
      expect(load.lost).toEqual([]);
      expect(logs.join('\n')).toContain(`Redis did not answer within ${TIMEOUT} ms`);
    }, 20_000);

    it('killed or stopped, and started again empty: refuses in time, then starts anew (S51)', async () => {
      const load = await Load.start(app, 20);
      await sleep(200);
      await server.end(kind.name === 'ioredis' ? 'SIGKILL' : 'SIGTERM');
      await sleep(800);
      await server.start();
      await expectRecovered(load, 8_000);
      await load.stop();
      expect(load.outcomes.some(({ status }) => status === 503)).toBe(true);
      expectBounded(load.outcomes, 2);
    }, 20_000);

    it('waits out a moment without a connection, and refuses nobody for it', async () => {
      const load = await Load.start(app, 10);
      await sleep(200);
      await ask(server.port, (redis) => redis.call('CLIENT', 'KILL', 'TYPE', 'normal', 'SKIPME', 'yes'));
      await sleep(600);
      await load.stop();
      expectBounded(load.outcomes, 2);
      const refused = load.outcomes.filter(({ status }) => status !== 200).length;
      // What node-redis had sent and not heard of yet, it gives up.
      expect(refused).toBeLessThanOrEqual(kind.name === 'ioredis' ? 0 : 10);
      expect(load.lost).toEqual([]);
    }, 20_000);

    it('keeps nothing in the client’s queue while it is away, and sends nothing late', async () => {
      const client = app.client();
      await client.get('/set/n/before');
      await server.end();
      const refused = await Promise.all(Array.from({ length: 200 }, (_, i) => client.get(`/set/n/late${i}`)));
      expect(new Set(refused.map(({ status }) => status))).toEqual(new Set([503]));
      if (connection.client instanceof Redis)
        expect(connection.client).toHaveProperty('offlineQueue.length', 0);
      await server.start();
      await until(async () => (await client.get('/read')).status === 200, 'it works again');
      await ask(server.port, async (redis) => {
        expect(await redis.keys('*')).toEqual([]);
        expect(await redis.info('commandstats')).not.toContain('evalsha');
      });
    }, 20_000);

    it('has an error for an application that starts meanwhile, and ends', async () => {
      const nowhere = kind.single({ port: 1 });
      const storage = new RedisStorage(nowhere.client, { commandTimeout: 100 });
      const opening = Promise.resolve(storage.open());
      const refused: unknown = await Promise.race([
        opening.then(
          () => 'opened',
          (error: unknown) => error,
        ),
        sleep(2_000).then(() => 'still waiting'),
      ]);
      expect(String(refused)).toMatch(/ECONNREFUSED/);
      await storage.close();
      nowhere.close();
    }, 20_000);
  });

  describe('of a connection that is cut in the middle of an answer', () => {
    let proxy: Proxy;
    beforeEach(async () => {
      proxy = await Proxy.start(server.port);
    });
    afterEach(() => proxy.stop());

    it('a rotation reaches the client all the same, with an id that works (S18)', async () => {
      const client = new Redis({ port: proxy.port, host: '127.0.0.1' }).on('error', () => undefined);
      const storage = new RedisStorage(client, { prefix: newPrefix(), commandTimeout: 1_000 });
      const app = await startNode(storage);
      const browser = app.client();
      await browser.get('/set/n/1');
      for (const path of ['/rotate', '/login/ada', '/rotate']) {
        const before = browser.sid;
        const original = client.sendCommand.bind(client);
        client.sendCommand = ((command: { name: string; args: unknown[] }) => {
          const last = command.name === 'evalsha' && !String(command.args[2]).includes('user:');
          if (last) proxy.cutNextAnswer(2);
          if (last) client.sendCommand = original;
          return original(command as never);
        }) as never;
        const reply = await browser.get(path);
        expect(reply.status).toBe(200);
        expect(browser.sid).not.toBe(before);
        expect((await browser.get('/read')).json()).toEqual({ isNew: false, value: '1' });
      }
      expect(proxy.cuts).toBe(3);
      await app.stop();
      client.disconnect();
    }, 20_000);

    it('at every byte of it, nothing hangs and what was acknowledged is there', async () => {
      for (const kind of clientKinds) {
        const { client, close } = kind.single(proxy);
        const storage = new RedisStorage(client, { prefix: newPrefix(), commandTimeout: 1_000 });
        await storage.open();
        const record = newRecord();
        await storage.create(record);
        for (let bytes = 0; bytes < 5; bytes++) {
          proxy.cutNextAnswer(bytes);
          const began = performance.now();
          const written = await storage
            .update(record.handle, { set: { n: String(bytes) } })
            .catch(() => 'failed');
          expect(['ok', 'failed']).toContain(written);
          expect(performance.now() - began).toBeLessThan(1_300);
          await until(async () => {
            const found = await storage.read(record.handle).catch(() => undefined);
            if (found && written === 'ok') expect(found.data['n']).toBe(String(bytes));
            return found;
          }, 'it can be read again');
        }
        await storage.close();
        close();
      }
    }, 20_000);
  });

  it('refuses at once when thousands wait for an answer already, and takes them back (S55)', async () => {
    const client = new Redis(server.url);
    const storage = new RedisStorage(client, { prefix: newPrefix(), commandTimeout: 200 });
    const record = newRecord();
    await storage.create(record);
    server.freeze();
    const first = Array.from({ length: 2_000 }, () => storage.read(record.handle).catch(() => undefined));
    await Promise.all(first);
    const began = performance.now();
    await expect(storage.read(record.handle)).rejects.toThrow(/answers none of the last 2000 commands/);
    expect(performance.now() - began).toBeLessThan(50);
    server.thaw();
    await until(() => storage.read(record.handle).then(Boolean, () => false), 'it answers again');
    client.disconnect();
  }, 20_000);

  it.each(clientKinds)(
    'closes a connection for messages that is still being made, with $name',
    async (kind) => {
      const { client, close } = kind.single(server);
      const storage = new RedisStorage(client, { prefix: newPrefix(), commandTimeout: 200 });
      await storage.open();
      const handle = newHandle();
      const held = await storage.lock(handle, { wait: 100, hold: 60_000 });
      server.freeze();
      const other = new RedisStorage(client, { prefix: newPrefix(), commandTimeout: 200, events: true });
      void other.open();
      await sleep(50);
      await other.close();
      await storage.close();
      close();
      server.thaw();
      await held.release();
      await until(async () => (await connections(server)) === 1, 'nobody is connected any more');
    },
  );

  it('does not end the process for an error event that nobody listens to', async () => {
    const client = createClient({ url: server.url });
    const storage = new RedisStorage(client, { prefix: newPrefix() });
    await storage.open();
    client.emit('error', new Error('gone'));
    await storage.close();
    expect(client.isOpen).toBe(false);
  });
});

/** How many clients a server has, the one that asks included. */
async function connections(server: Server): Promise<number> {
  const info = await ask(server.port, (redis) => redis.info('clients'));
  return Number(/connected_clients:(\d+)/.exec(info)![1]);
}
