import { expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { RedisKeys } from '../../../src/storage/redis/keys.js';
import type { SessionChange } from '../../../src/storage/session-storage.js';
import { RedisBench } from './support/bench.js';
import { newRecord } from './support/records.js';
import { describeWithServer, sleep, until } from './support/server.js';

const HOUR = 3_600_000;

describeWithServer('the index of users in Redis', () => {
  const bench = RedisBench.set();
  const indexKey = (userId: string) => new RedisKeys(bench.prefix).user(userId);
  /** Until when the index lists a session for a user; 0 if it does not. */
  const listedUntil = async (userId: string, handle: string) =>
    Number((await bench.redis.zscore(indexKey(userId), handle)) ?? 0);

  it('lists a session before its record names the user', async () => {
    const steps: string[] = [];
    // From now on the server knows the scripts, and none is sent twice.
    await bench.storage.create(newRecord({ userId: 'ada' }));
    await bench.storage.update(newRecord().handle, {});
    const original = bench.redis.sendCommand.bind(bench.redis);
    const spy = jest.spyOn(bench.redis, 'sendCommand').mockImplementation((command) => {
      steps.push(
        command.args.some((arg) => String(arg).startsWith(`${bench.prefix}user:`)) ? 'index' : 'session',
      );
      return original(command);
    });
    const record = newRecord({ userId: 'ada' });
    await bench.storage.create(record);
    await bench.storage.update(record.handle, { userId: 'bob', expiresAt: record.expiresAt + 1 });
    expect(steps).toEqual(['index', 'session', 'index', 'session']);
    // Without a deadline it has to be asked for first: nothing is written then.
    await bench.storage.update(record.handle, { userId: 'eve' });
    expect(steps.slice(4)).toEqual(['session', 'index', 'session']);
    spy.mockRestore();
  });

  it('misses no session when a node dies between the two writes', async () => {
    const record = newRecord();
    await bench.storage.create(record);
    // What a login has done when it has got so far.
    await bench.redis.zadd(indexKey('ada'), record.expiresAt, record.handle);
    expect(await bench.storage.byUser('ada')).toEqual([]);
    await bench.storage.update(record.handle, { userId: 'ada' });
    expect((await bench.storage.byUser('ada')).map(({ handle }) => handle)).toEqual([record.handle]);
  });

  it('lists a session for as long as it is touched, with hardly a write for it', async () => {
    const start = Date.now();
    const record = newRecord({ userId: 'ada', expiresAt: start + 60_000 });
    await bench.storage.create(record);
    const used = await bench.commands(async () => {
      for (let i = 1; i <= 60; i++) {
        const expiresAt = start + 60_000 + i * 1_000;
        expect(await bench.storage.update(record.handle, { touchedAt: Date.now(), expiresAt })).toBe('ok');
        const listed = await listedUntil('ada', record.handle);
        expect(listed).toBeGreaterThanOrEqual(expiresAt);
        expect(await bench.redis.pexpiretime(indexKey('ada'))).toBeGreaterThanOrEqual(listed);
      }
    });
    expect(used['evalsha']).toBeLessThanOrEqual(60 + 2 * 4);
  });

  it('is rid of a session that is destroyed, and of those that expired, by itself', async () => {
    const soon = { userId: 'ada', expiresAt: Date.now() + 400 };
    for (let i = 0; i < 5; i++) await bench.storage.create(newRecord(soon));
    const last = newRecord({ userId: 'ada' });
    await bench.storage.create(last);
    expect(await bench.redis.zcard(indexKey('ada'))).toBe(6);
    await sleep(600);
    const next = newRecord({ userId: 'ada', expiresAt: Date.now() + 400 });
    await bench.storage.create(next);
    const left = await bench.redis.zrange(indexKey('ada'), '0', '-1');
    expect(left).toEqual([next.handle, last.handle]);
    await bench.storage.destroy(last.handle);
    expect(await listedUntil('ada', last.handle)).toBe(0);
    await until(async () => (await bench.keys()).length === 0, 'all is gone');
  });

  it('lists a session that was let go for the user who gets it next, the one of before too', async () => {
    const { handle, expiresAt } = newRecord();
    await bench.storage.create(newRecord({ handle, expiresAt, userId: 'ada' }));
    const counts = async () => {
      const lists = await Promise.all(['ada', 'bob'].map((userId) => bench.storage.byUser(userId)));
      return lists.map(({ length }) => length);
    };
    await bench.storage.update(handle, { userId: null, expected: { userId: 'ada' } });
    expect(await counts()).toEqual([0, 0]);
    // However long it is used, nothing is written for nobody.
    const later = expiresAt + 2 * HOUR;
    const touched = await bench.commands(() => bench.storage.update(handle, { expiresAt: later }));
    expect(touched).not.toHaveProperty('zadd');
    await bench.storage.update(handle, { userId: 'bob', expected: { userId: null } });
    expect(await counts()).toEqual([0, 1]);
    await bench.storage.update(handle, { userId: 'ada' });
    expect(await counts()).toEqual([1, 0]);
    expect(await listedUntil('ada', handle)).toBeGreaterThanOrEqual(later);
  });

  it('lists whoever has a session in the end, for as long as it lives, however its writers meet', async () => {
    const elsewhere = new Redis(bench.server.url);
    const other = new RedisStorage(elsewhere, { prefix: bench.prefix });
    for (let round = 0; round < 60; round++) {
      const record = newRecord({ userId: 'ada', expiresAt: Date.now() + 60_000 });
      const { handle } = record;
      await bench.storage.create(record);
      // None says whom it expects, and those that bind do not say the deadline: both may change meanwhile.
      const changes: SessionChange[] = [
        { userId: 'bob' },
        { expiresAt: Date.now() + HOUR },
        { userId: round % 2 ? 'ada' : null },
        { expiresAt: Date.now() + 9 * HOUR },
        { userId: 'eve' },
        { expiresAt: Date.now() + 2 * HOUR },
      ];
      const answers = changes.map((change, i) => {
        const storage = (i + round) % 2 ? bench.storage : other;
        return storage.update(handle, { ...change, set: { [`change${i}`]: '1' } });
      });
      expect(await Promise.all(answers)).toEqual(changes.map(() => 'ok'));
      const found = (await bench.storage.read(handle))!;
      expect(Object.keys(found.data).length).toBe(1 + changes.length);
      if (found.userId === undefined) continue;
      expect(await listedUntil(found.userId, handle)).toBeGreaterThanOrEqual(found.expiresAt);
      expect((await bench.storage.byUser(found.userId)).map((each) => each.handle)).toContain(handle);
    }
    elsewhere.disconnect();
  });

  it('is read a hundred sessions at a time, however many a user has', async () => {
    const handles = await Promise.all(
      Array.from({ length: 250 }, async () => {
        const record = newRecord({ userId: 'ada' });
        await bench.storage.create(record);
        return record.handle;
      }),
    );
    let pending = 0;
    let most = 0;
    const original = bench.redis.sendCommand.bind(bench.redis);
    jest.spyOn(bench.redis, 'sendCommand').mockImplementation((command) => {
      most = Math.max(most, ++pending);
      const answer = original(command) as Promise<unknown>;
      return answer.finally(() => void pending--);
    });
    const found = await bench.storage.byUser('ada');
    expect(found.map(({ handle }) => handle).sort()).toEqual(handles.sort());
    expect(most).toBe(100);
  });

  it('keeps an entry that was made anew since the session ended', async () => {
    const record = newRecord({ userId: 'ada' });
    await bench.storage.create(record);
    // The destroyer is slow between its two writes; meanwhile the handle comes back.
    const destroyed = bench.storage.destroy(record.handle);
    await bench.storage.create({ ...record, expiresAt: record.expiresAt + 60_000, proof: 'p'.repeat(43) });
    await destroyed;
    expect((await bench.storage.byUser('ada')).length).toBe(1);
  });
});
