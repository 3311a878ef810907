import { randomBytes } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { SessionLockError } from '../../../src/index.js';
import { proofOf } from '../../../src/session/id.js';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { buildSources } from '../../support/build.js';
import { NodeProcess } from './support/node-process.js';
import { newPrefix, newRecord } from './support/records.js';
import { describeWithServer, Server, sleep, until } from './support/server.js';

/** Milliseconds of a lease that a test waits for. */
const HOLD = 1_000;

describeWithServer('taps over processes', () => {
  let server: Server;
  let redis: Redis;
  let sources: ReturnType<typeof buildSources>;
  let storage: RedisStorage;
  let handle: string;
  let id: string;
  const prefix = newPrefix();
  /** Two with each client. The tests that kill some come last. */
  let nodes: NodeProcess[];

  beforeAll(async () => {
    sources = buildSources();
    server = await Server.start();
    redis = new Redis(server.url);
    const options = { directory: sources.directory, port: server.port, prefix };
    const clients = ['ioredis', 'node-redis', 'ioredis', 'node-redis'];
    nodes = await Promise.all(clients.map((client) => NodeProcess.start({ ...options, client })));
  }, 60_000);
  afterAll(async () => {
    await Promise.all(nodes.map((node) => node.stop()));
    redis.disconnect();
    sources.remove();
    await server.remove();
  }, 20_000);
  beforeEach(async () => {
    storage = new RedisStorage(redis, { prefix });
    const secret = randomBytes(32).toString('base64url');
    const record = newRecord({ proof: proofOf(secret), data: { n: '0' } });
    handle = record.handle;
    id = `${handle}.${secret}`;
    await storage.create(record);
  });
  afterEach(() => storage.close());

  const stored = async (key: string) => JSON.parse((await storage.read(handle))!.data[key] ?? 'null');

  it('lose no step of 4 processes that count to 1,000 (S54)', async () => {
    await Promise.all(nodes.map((node) => node.do('configure')));
    const order = (node: NodeProcess, i: number) =>
      // Two of them with ten taps at a time, which wait for each other within the process too.
      node.do('increment', { id, times: 250, atOnce: i < 2 ? 1 : 10 });
    expect(await Promise.all(nodes.map(order))).toEqual(Array(4).fill({ ran: 250 }));
    expect(await stored('n')).toBe(1_000);
    expect(await redis.exists(`${prefix}{${handle}}:lock`, `${prefix}{${handle}}:line`)).toBe(0);
  }, 40_000);

  it('of a holder that was frozen past its lease write nothing when it wakes (S27, S54)', async () => {
    const [frozen, next] = nodes;
    await Promise.all([frozen.do('configure', { hold: `${HOLD}ms` }), next.do('configure')]);
    frozen.tell('hold', { id, by: 'frozen' });
    await frozen.hear('inside');
    frozen.signal('SIGSTOP');
    expect(await next.do('tap', { id, by: 'next' })).toEqual({ done: true });
    frozen.tell('leave');
    frozen.signal('SIGCONT');
    const refused = await frozen.outcome();
    expect(refused).toMatchObject({ name: 'SessionLockError', code: 'ERR_SESSION_LOCK' });
    expect(refused.message).toMatch(/lock was lost, held for longer than lock\.hold/);
    expect(await stored('by')).toBe('next');
  }, 20_000);

  it('wait for as long as they may, and then say why not; nobody asks hard meanwhile', async () => {
    const [holder, waiter] = nodes;
    await Promise.all([holder.do('configure'), waiter.do('configure', { wait: '2s' })]);
    holder.tell('hold', { id, by: 'holder' });
    await holder.hear('inside');
    await redis.config('RESETSTAT');
    const began = performance.now();
    const refused = await waiter.do('tap', { id, by: 'waiter' });
    expect(performance.now() - began).toBeGreaterThan(1_900);
    expect(performance.now() - began).toBeLessThan(2_900);
    expect(refused).toMatchObject({ name: 'SessionLockError', code: 'ERR_SESSION_LOCK' });
    expect(refused.message).toMatch(/not free within 2000 ms/);
    expect(await scriptsRun()).toBeLessThanOrEqual(6);
    holder.tell('leave');
    await holder.outcome();
    expect(await redis.exists(`${prefix}{${handle}}:line`)).toBe(0);
  }, 20_000);

  it('are freed within the lease of a holder that was killed (S54)', async () => {
    const [killed, next] = nodes;
    await Promise.all([killed.do('configure', { hold: `${HOLD}ms` }), next.do('configure')]);
    killed.tell('hold', { id, by: 'killed' });
    await killed.hear('inside');
    const waiting = next.do('tap', { id, by: 'next' });
    const began = performance.now();
    killed.signal('SIGKILL');
    expect(await waiting).toEqual({ done: true });
    expect(performance.now() - began).toBeLessThan(HOLD + 500);
    expect(await stored('by')).toBe('next');
  }, 20_000);

  it('pass over one that was killed while it waited', async () => {
    const [, holder, killed, next] = nodes;
    await Promise.all([holder, killed, next].map((node) => node.do('configure')));
    holder.tell('hold', { id, by: 'holder' });
    await holder.hear('inside');
    killed.tell('tap', { id, by: 'killed' });
    const inLine = (count: number) => async () => (await redis.llen(`${prefix}{${handle}}:line`)) === count;
    await until(inLine(1), 'one waits');
    const waiting = next.do('tap', { id, by: 'next' });
    await until(inLine(2), 'both wait');
    killed.signal('SIGKILL');
    const began = performance.now();
    holder.tell('leave');
    expect(await waiting).toEqual({ done: true });
    expect(performance.now() - began).toBeLessThan(2_800);
    expect(await stored('by')).toBe('next');
  }, 20_000);

  it('are woken at once by the one that leaves', async () => {
    const elsewhere = redis.duplicate();
    const other = new RedisStorage(elsewhere, { prefix });
    const waits: number[] = [];
    for (let i = 0; i < 10; i++) {
      const held = await storage.lock(handle, { wait: 5_000, hold: 5_000 });
      const waiting = other.lock(handle, { wait: 5_000, hold: 5_000 });
      await sleep(50);
      const began = performance.now();
      await held.release();
      const lease = await waiting;
      waits.push(performance.now() - began);
      await lease.release();
    }
    waits.sort((a, b) => a - b);
    expect(waits[5]).toBeLessThan(50);
    await other.close();
    elsewhere.disconnect();
  });

  it('go to the other node in turn, however many wait here', async () => {
    const elsewhere = redis.duplicate();
    const other = new RedisStorage(elsewhere, { prefix });
    const held = await storage.lock(handle, { wait: 5_000, hold: 5_000 });
    const order: string[] = [];
    const enter = async (node: RedisStorage, name: string) => {
      const lease = await node.lock(handle, { wait: 5_000, hold: 5_000 });
      order.push(name);
      await lease.release();
    };
    const there = enter(other, 'there');
    await sleep(100);
    const here = Array.from({ length: 20 }, () => enter(storage, 'here'));
    await held.release();
    await Promise.all([there, ...here]);
    expect(order.indexOf('there')).toBe(0);
    await other.close();
    elsewhere.disconnect();
  });

  it('are refused when too many wait, of whom Redis hears nothing (S55)', async () => {
    const held = await storage.lock(handle, { wait: 1_000, hold: 60_000 });
    await redis.config('RESETSTAT');
    const waiting = Array.from({ length: 1_001 }, () =>
      storage.lock(handle, { wait: 100, hold: 1_000 }).then(
        () => 'held',
        (error: unknown) => error instanceof SessionLockError,
      ),
    );
    expect(new Set(await Promise.all(waiting))).toEqual(new Set([true]));
    expect(await scriptsRun()).toBe(0);
    await held.release();
  });

  async function scriptsRun(): Promise<number> {
    const calls = /cmdstat_evalsha:calls=(\d+)/.exec(await redis.info('commandstats'))?.[1];
    return Number(calls ?? 0);
  }
});
