import { afterEach, beforeEach, expect, it } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import type { StorageEvent } from '../../../src/storage/session-storage.js';
import { RedisBench } from './support/bench.js';
import { newRecord } from './support/records.js';
import { describeWithServer, sleep, until } from './support/server.js';

/** Milliseconds of a session that expires during a test. */
const SHORT = 200;

describeWithServer('two storages that are to hear of each other', () => {
  const bench = RedisBench.set();
  let connections: Redis[];
  let storages: RedisStorage[];
  let heard: StorageEvent[][];

  beforeEach(async () => {
    connections = [new Redis(bench.server.url), new Redis(bench.server.url)];
    storages = connections.map((redis) => new RedisStorage(redis, { prefix: bench.prefix, events: true }));
    heard = storages.map((storage) => {
      const events: StorageEvent[] = [];
      storage.subscribe((event) => events.push(event));
      return events;
    });
    await Promise.all(storages.map((storage) => storage.open()));
  });
  afterEach(async () => {
    await Promise.all(storages.map((storage) => storage.close()));
    for (const redis of connections) redis.disconnect();
  });

  const purge = () => Promise.all(storages.map((storage) => storage.purgeExpired(100)));
  /** Of both: what one does, it need not hear of. */
  const told = (handle: string) => heard.map((events) => events.filter((event) => event.handle === handle));

  it('are told at once of a session that was destroyed, and whose it was (S64)', async () => {
    const users = ['ada', 'a b\n=c -', undefined, '-'];
    for (const userId of users) {
      const { handle } = newRecord();
      await storages[0].create(newRecord({ handle, userId: 'before' }));
      await storages[0].update(handle, { userId: userId ?? null });
      const began = performance.now();
      expect(await storages[0].destroy(handle)).toBe(true);
      await until(() => told(handle)[1].length > 0, 'the other one hears of it', 1_000);
      expect(performance.now() - began).toBeLessThan(500);
      expect(told(handle)).toEqual([[], [{ type: 'destroyed', handle, userId }]]);
    }
  });

  it('are told at once of a login, and who it is now (S56)', async () => {
    const { handle } = newRecord();
    await storages[0].create(newRecord({ handle }));
    const { proof } = newRecord();
    expect(await storages[0].update(handle, { proof })).toBe('ok');
    expect(await storages[0].update(handle, { proof, userId: 'a b\n=c -' })).toBe('ok');
    expect(await storages[0].update(handle, { proof, userId: 'bob', expected: { userId: null } })).toBe(
      'conflict',
    );
    expect(await storages[0].update(handle, { proof, userId: null })).toBe('ok');
    await until(() => told(handle)[1].length > 1, 'the other one hears of it', 1_000);
    const rotated = { type: 'rotated', handle };
    expect(told(handle)).toEqual([
      [],
      [
        { ...rotated, userId: 'a b\n=c -' },
        { ...rotated, userId: undefined },
      ],
    ]);
  });

  it('are not told of a session that was not the expected one, or not there, or had expired', async () => {
    const { handle } = newRecord();
    const expiresAt = Date.now() + SHORT;
    await storages[0].create(newRecord({ handle, userId: 'ada', expiresAt }));
    expect(await storages[0].destroy(handle, { userId: 'bob' })).toBe(false);
    await sleep(expiresAt - Date.now() + 5);
    expect(await storages[0].destroy(handle)).toBe(false);
    expect(await storages[0].destroy(handle)).toBe(false);
    await sleep(50);
    expect(told(handle)).toEqual([[], []]);
  });

  it('are told of a session that expired, once each, and whose it was, whoever purges', async () => {
    const expiresAt = Date.now() + SHORT;
    const later = Date.now() + 60_000;
    const given = async (fields: object) => {
      const record = newRecord(fields);
      await storages[0].create(record);
      return record.handle;
    };
    const expired = {
      visitor: await given({ expiresAt }),
      user: await given({ expiresAt, userId: 'ada' }),
      bound: await given({ expiresAt }),
      shortened: await given({ expiresAt: later, userId: 'bob' }),
    };
    const touched = await given({ expiresAt });
    const ended = await given({ expiresAt });
    await storages[1].update(expired.bound, { userId: 'eve' });
    await storages[1].update(expired.shortened, { expiresAt });
    await storages[1].update(touched, { expiresAt: later });
    await storages[1].destroy(ended);
    expect(await purge()).toEqual([0, 0]);
    await sleep(expiresAt - Date.now() + 1);
    const [mine, others] = await purge();
    expect(mine + others).toBe(4);
    await until(() => told(expired.shortened).every(({ length }) => length > 0), 'both hear of it');
    await sleep(50);
    const users = { visitor: undefined, user: 'ada', bound: 'eve', shortened: 'bob' };
    for (const [name, handle] of Object.entries(expired)) {
      const event = { type: 'expired', handle, userId: users[name as keyof typeof users] };
      expect(told(handle)).toEqual([[event], [event]]);
    }
    expect([...told(touched), ...told(ended)].flat().filter(({ type }) => type === 'expired')).toEqual([]);
    expect(await purge()).toEqual([0, 0]);
    expect(await storages[0].count()).toBe(1);
  });

  it('keep an expired session for the purge to see its user, where nobody else sees it any more', async () => {
    const expiresAt = Date.now() + SHORT;
    const { handle } = newRecord();
    const record = newRecord({ handle, userId: 'ada', expiresAt: Date.now() + 60_000 });
    await storages[0].create(record);
    await storages[0].update(handle, { expiresAt });
    expect(await bench.redis.pexpiretime(bench.keyOf(handle))).toBe(expiresAt + 300_000);
    await sleep(expiresAt - Date.now() + 1);
    expect(await storages[1].read(handle)).toBeUndefined();
    expect(await storages[1].update(handle, { expiresAt: expiresAt + 60_000 })).toBe('gone');
    expect(await storages[1].byUser('ada')).toEqual([]);
    expect(await storages[1].alive([handle])).toEqual([]);
    expect((await storages[1].list({ limit: 10 })).records).toEqual([]);
    expect(await storages[1].create(newRecord({ handle }))).toBe(true);
    expect(await purge()).toEqual([0, 0]);
    expect(await storages[1].read(handle)).toBeDefined();
  });

  it('tell of one that was gone already without its user', async () => {
    const { handle } = newRecord();
    await storages[0].create(newRecord({ handle, userId: 'ada', expiresAt: Date.now() + SHORT }));
    // Redis, where the purge came more than five minutes late.
    await bench.redis.del(bench.keyOf(handle));
    await sleep(SHORT + 1);
    expect((await purge()).sort()).toEqual([0, 1]);
    await until(() => told(handle).every(({ length }) => length > 0), 'both hear of it');
    const event = { type: 'expired', handle, userId: undefined };
    expect(told(handle)).toEqual([[event], [event]]);
  });

  it('leave nothing behind for it', async () => {
    const expiresAt = Date.now() + SHORT;
    for (let i = 0; i < 150; i++) await storages[i % 2].create(newRecord({ expiresAt }));
    await sleep(expiresAt - Date.now() + 1);
    expect(await storages[0].purgeExpired(100)).toBe(100);
    expect(await storages[0].purgeExpired(100)).toBe(50);
    expect(await bench.keys()).toEqual([]);
  });
});
