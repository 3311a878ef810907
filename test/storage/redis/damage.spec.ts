import { expect, it } from '@jest/globals';
import { RedisBench } from './support/bench.js';
import { newRecord } from './support/records.js';
import { describeWithServer } from './support/server.js';

describeWithServer('a session in Redis that is damaged is nobody’s, with an event (S49):', () => {
  const bench = RedisBench.set();

  const damages: [string, (key: string) => Promise<unknown>][] = [
    ['without its times', (key) => bench.redis.hdel(key, '@')],
    ['without its proof', (key) => bench.redis.hdel(key, '@p')],
    ['without its user', (key) => bench.redis.hdel(key, '@u')],
    ['with times that are none', (key) => bench.redis.hset(key, '@', 'nonsense')],
    ['with an empty deadline', (key) => bench.redis.hset(key, '@', '2  - 0')],
    ['with a deadline of another kind', (key) => bench.redis.hset(key, '@', '2 NaN - 0')],
    ['with a last use before 1970', (key) => bench.redis.hset(key, '@', '-1 9999999999999 - 0')],
    ['with a user who is listed nowhere', (key) => bench.redis.hset(key, '@', '2 9999999999999 - -')],
    ['with an empty proof', (key) => bench.redis.hset(key, '@p', '')],
    ['with a user of another kind', (key) => bench.redis.hset(key, '@u', 'ada')],
    [
      'with other fields only',
      async (key) => [await bench.redis.del(key), await bench.redis.hset(key, 'name', 'ada')],
    ],
    [
      'that is a string',
      async (key) => [await bench.redis.del(key), await bench.redis.set(key, '{"user":"ada"}')],
    ],
    ['that is a list', async (key) => [await bench.redis.del(key), await bench.redis.rpush(key, 'ada')]],
  ];

  it.each(damages)('one %s', async (_name, damage) => {
    const { handle } = newRecord();
    await bench.storage.create(newRecord({ handle, userId: 'ada' }));
    await damage(bench.keyOf(handle));
    const before = await bench.redis.dump(bench.keyOf(handle));
    expect(await bench.storage.read(handle)).toBeUndefined();
    expect(bench.events).toEqual([{ type: 'corrupt', handle }]);
    expect(await bench.storage.byUser('ada')).toEqual([]);
    expect(await bench.storage.update(handle, { set: { a: '1' }, userId: 'bob' })).toBe('gone');
    expect(await bench.storage.update(handle, { expected: { userId: 'ada' } })).toBe('gone');
    // Each time that somebody met it.
    expect(bench.events).toEqual(Array(4).fill({ type: 'corrupt', handle }));
    expect(await bench.storage.alive([handle])).toEqual([]);
    expect(await bench.storage.create(newRecord({ handle }))).toBe(false);
    expect(await bench.storage.destroy(handle, { userId: 'ada' })).toBe(false);
    expect(await bench.redis.dump(bench.keyOf(handle))).toEqual(before);
    expect(await bench.storage.destroy(handle)).toBe(true);
    expect(await bench.storage.create(newRecord({ handle }))).toBe(true);
  });

  it('one whose user is no Unicode, as no index entry of it could ever be found (S59)', async () => {
    const { handle, expiresAt } = newRecord();
    await bench.storage.create(newRecord({ handle, userId: 'ada' }));
    await bench.redis.hset(bench.keyOf(handle), '@u', Buffer.from('- =\xff', 'latin1'));
    expect(await bench.storage.update(handle, { expiresAt: expiresAt + 3_600_000 })).toBe('gone');
    expect(bench.events).toEqual([{ type: 'corrupt', handle }]);
  });
});
