import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { LockNotFreeError } from '../../../src/errors.js';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import type { SessionLease } from '../../../src/storage/session-storage.js';
import { clientKinds, type TestClient } from './support/clients.js';
import { newHandle, newPrefix } from './support/records.js';
import { describeWithServer, Server, until } from './support/server.js';

/** Milliseconds that no test ever waits for: only a fault makes it this long. */
const LONG = 60_000;

/** What becomes of a lock that could not be had; what all storages promise is in the contract suite. */
describeWithServer('locks in Redis', () => {
  let server: Server;
  let redis: Redis;
  let prefix: string;
  let handle: string;
  let held: SessionLease;
  let holder: RedisStorage;

  beforeAll(async () => {
    server = await Server.start();
    redis = new Redis(server.url);
  });
  afterAll(async () => {
    redis.disconnect();
    await server.remove();
  });
  beforeEach(() => {
    prefix = newPrefix();
    handle = newHandle();
    holder = new RedisStorage(redis, { prefix });
  });
  afterEach(() => holder.close());

  const inLine = () => redis.llen(`${prefix}{${handle}}:line`);
  const refusal = (waiting: Promise<SessionLease>) =>
    waiting.then(
      () => undefined,
      (error: unknown) => error,
    );

  it('are known to Redis alone: this process is no judge of who holds one', async () => {
    held = await holder.lock(handle, { wait: LONG, hold: LONG });
    const inherited = holder as unknown as { holds(handle: string, token: string): boolean };
    expect(() => inherited.holds(handle, held.token)).toThrow(/only Redis knows/);
    await held.release();
  });

  it('have a local line that is not cut short by times longer than any timer (S54)', async () => {
    const month = 2 ** 31 - 1;
    held = await holder.lock(handle, { wait: month, hold: month });
    await redis.config('RESETSTAT');
    const refused = await refusal(holder.lock(handle, { wait: 100, hold: month }));
    expect(refused).toBeInstanceOf(LockNotFreeError);
    expect(await redis.info('commandstats')).not.toContain('evalsha');
    await held.release();
  });

  describe.each(clientKinds)('with $name', (kind) => {
    let connection: TestClient;
    let waiter: RedisStorage;

    beforeEach(async () => {
      connection = kind.single(server);
      waiter = new RedisStorage(connection.client, { prefix, commandTimeout: 300 });
      await waiter.open();
    });
    afterEach(async () => {
      await waiter.close();
      connection.close();
    });

    it('that were waited for in vain are waited for no more: the line is left at once (S54)', async () => {
      held = await holder.lock(handle, { wait: LONG, hold: LONG });
      const refused = await refusal(waiter.lock(handle, { wait: 100, hold: LONG }));
      expect(refused).toBeInstanceOf(LockNotFreeError);
      expect(refused).toMatchObject({ code: 'ERR_SESSION_LOCK' });
      expect(String(refused)).toMatch(/its lock was not free within 100 ms, held by another process/);
      await until(async () => (await inLine()) === 0, 'the line is empty', 1_000);
      await held.release();
      expect(await redis.keys(`${prefix}*`)).toEqual([]);
    });

    it('that were given to a holder who had given up are given back at once (S54)', async () => {
      server.freeze();
      const refused = await refusal(waiter.lock(handle, { wait: LONG, hold: LONG }));
      expect(String(refused)).toMatch(/did not answer within 300 ms/);
      server.thaw();
      const next = await holder.lock(handle, { wait: 5_000, hold: LONG });
      await next.release();
    });

    it('that were waited for in vain leave the local line too', async () => {
      server.freeze();
      await refusal(waiter.lock(handle, { wait: LONG, hold: LONG }));
      server.thaw();
      const next = await waiter.lock(handle, { wait: 5_000, hold: LONG });
      await next.release();
    });
  });
});
