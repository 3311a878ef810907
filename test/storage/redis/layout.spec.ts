import { describe, expect, it, jest } from '@jest/globals';
import { Redis } from 'ioredis';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import { RedisBench } from './support/bench.js';
import { newHandle, newRecord } from './support/records.js';
import { describeWithServer, until } from './support/server.js';

/** What rests in Redis, and how it gets there and away. */
describeWithServer('the layout in Redis', () => {
  const bench = RedisBench.set();

  describe('of a session', () => {
    it('is one hash, that Redis removes at the deadline itself', async () => {
      const record = newRecord({ expiresAt: Date.now() + 60_000.5 });
      await bench.storage.create(record);
      expect(await bench.keys()).toEqual([bench.keyOf(record.handle)]);
      expect(await bench.redis.type(bench.keyOf(record.handle))).toBe('hash');
      expect(await bench.redis.pexpiretime(bench.keyOf(record.handle))).toBe(Math.ceil(record.expiresAt));
      await bench.storage.update(record.handle, { expiresAt: record.expiresAt + 1_000 });
      expect(await bench.redis.pexpiretime(bench.keyOf(record.handle))).toBe(
        Math.ceil(record.expiresAt) + 1_000,
      );
      await bench.storage.update(record.handle, { set: { a: '1' } });
      expect(await bench.redis.pexpiretime(bench.keyOf(record.handle))).toBe(
        Math.ceil(record.expiresAt) + 1_000,
      );
    });

    it('stays in the compact form of Redis while its values are short', async () => {
      const record = newRecord({
        userId: 'u'.repeat(40),
        authenticatedAt: Date.now(),
        ttl: 2_592_000_000,
        data: { csrf: '"0123456789012345678901234"', visits: '100', locale: '"de-AT"' },
      });
      await bench.storage.create(record);
      await bench.storage.update(record.handle, { touchedAt: Date.now(), expiresAt: record.expiresAt + 1 });
      expect(await bench.redis.object('ENCODING', bench.keyOf(record.handle))).toBe('listpack');
    });

    it('has all its keys in one slot, whatever the prefix', async () => {
      await bench.redis.call('CLUSTER', 'KEYSLOT', 'x').catch(() => undefined);
      const { handle } = newRecord();
      await bench.storage.create(newRecord({ handle }));
      const held = await bench.storage.lock(handle, { wait: 1_000, hold: 5_000 });
      const other = new RedisStorage(bench.redis, { prefix: bench.prefix });
      const waiting = other.lock(handle, { wait: 500, hold: 5_000 }).catch(() => undefined);
      await until(async () => (await bench.keys()).length === 3, 'the lock has a line');
      const tags = (await bench.keys()).map((key) => /\{(.*?)\}/.exec(key)?.[1]);
      expect(tags).toEqual([handle, handle, handle]);
      await held.release();
      await (await waiting)?.release();
      await other.close();
    });

    it('has a field for its user and one for its client only while it has them', async () => {
      const fields = async () =>
        (await bench.redis.hkeys(bench.keyOf(handle))).filter((field) => field[0] === '@').sort();
      const { handle } = newRecord();
      await bench.storage.create(newRecord({ handle }));
      expect(await fields()).toEqual(['@', '@p']);
      await bench.storage.update(handle, { userId: 'ada', authenticatedAt: 1, client: '' });
      expect(await fields()).toEqual(['@', '@c', '@p', '@u']);
      await bench.storage.update(handle, { userId: null });
      expect(await bench.storage.read(handle)).toMatchObject({
        userId: undefined,
        authenticatedAt: 1,
        client: '',
      });
      expect(await fields()).toEqual(['@', '@c', '@p', '@u']);
      await bench.storage.update(handle, { authenticatedAt: null, client: null });
      expect(await fields()).toEqual(['@', '@p']);
      await bench.storage.update(handle, { authenticatedAt: 2, client: '{"ip":"::1"}' });
      expect(await bench.storage.read(handle)).toMatchObject({ authenticatedAt: 2, client: '{"ip":"::1"}' });
    });

    it('keeps the data keys apart from its own fields (S48)', async () => {
      const data = { '@': '1', '@p': '2', '@u': '3', '@@': '4', '@c': '6', visits: '5' };
      const record = newRecord({ data });
      await bench.storage.create(record);
      expect((await bench.storage.read(record.handle))!.data).toEqual(data);
      await bench.storage.update(record.handle, { set: { '@u': '6' }, remove: ['@', '@p', '@@', '@c'] });
      expect((await bench.storage.read(record.handle))!.data).toEqual({ '@u': '6', visits: '5' });
      expect((await bench.storage.read(record.handle))!.proof).toBe(record.proof);
    });

    it('takes 10,000 keys in one call', async () => {
      const data = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, '1']));
      const record = newRecord({ data });
      await bench.storage.create(record);
      expect(Object.keys((await bench.storage.read(record.handle))!.data).length).toBe(10_000);
      const set = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`n${i}`, '1']));
      await bench.storage.update(record.handle, { set, remove: Object.keys(data) });
      expect((await bench.storage.read(record.handle))!.data).toEqual(set);
    });
  });

  it('is empty again after sessions came and went, without a purge (S52)', async () => {
    const expiresAt = Date.now() + 2_500;
    for (let batch = 0; batch < 2; batch++) {
      const records = Array.from({ length: 1_000 }, (_, i) => newRecord({ expiresAt, userId: `u${i % 50}` }));
      await Promise.all(records.map((record) => bench.storage.create(record)));
    }
    expect(await bench.storage.count()).toBe(2_000);
    await until(async () => (await bench.keys()).length === 0, 'nothing is left');
  }, 20_000);

  it('takes nobody else’s keys for sessions', async () => {
    await bench.storage.create(newRecord({ userId: 'ada' }));
    const neighbours = new RedisStorage(bench.redis, { prefix: `${bench.prefix}more:` });
    await neighbours.create(newRecord({ userId: 'ada' }));
    const glob = new RedisStorage(bench.redis, { prefix: `${bench.prefix.slice(0, 3)}*` });
    expect([await bench.storage.count(), await neighbours.count(), await glob.count()]).toEqual([1, 1, 0]);
    expect((await bench.storage.byUser('ada')).length).toBe(1);
  });

  describe('is used with', () => {
    it('one command to read, and one to write, at most', async () => {
      const record = newRecord({ userId: 'ada' });
      await bench.storage.create(record);
      expect(await bench.commands(() => bench.storage.read(record.handle))).toEqual({ hgetall: 1 });
      const written = await bench.commands(() =>
        bench.storage.update(record.handle, { set: { a: '1' }, remove: ['b'] }),
      );
      expect(written).toEqual({ evalsha: 1, hmget: 1, hset: 1, hdel: 1 });
      const touch = { touchedAt: Date.now() + 1, expiresAt: record.expiresAt + 1 };
      const touched = await bench.commands(() => bench.storage.update(record.handle, touch));
      expect(touched).toEqual({ evalsha: 1, hmget: 1, hset: 1, pexpireat: 1 });
      const created = await bench.commands(() => bench.storage.create(newRecord()));
      expect(created).toEqual({ evalsha: 1, exists: 1, hset: 1, pexpireat: 1 });
      expect(await bench.commands(() => bench.storage.purgeExpired(10) as Promise<number>)).toEqual({});
    });

    it('one write to the connection for all that is asked for at once', async () => {
      const handles = Array.from({ length: 10 }, newHandle);
      await bench.storage.read(handles[0]);
      const alone = jest.spyOn(bench.redis.stream, '_write');
      const together = jest.spyOn(
        bench.redis.stream as unknown as Required<typeof bench.redis.stream>,
        '_writev',
      );
      const answers = await Promise.all(handles.map((handle) => bench.storage.read(handle)));
      expect(answers).toEqual(handles.map(() => undefined));
      expect([alone.mock.calls.length, together.mock.calls.length]).toEqual([0, 1]);
      // Nothing is held back for good: the client still serves its owner.
      expect(await bench.redis.ping()).toBe('PONG');
    });

    it('scripts that a server forgot', async () => {
      const record = newRecord({ userId: 'ada' });
      await bench.redis.script('FLUSH');
      expect(await bench.storage.create(record)).toBe(true);
      await bench.redis.script('FLUSH');
      expect(await bench.storage.update(record.handle, { set: { visits: '2' } })).toBe('ok');
      await bench.redis.script('FLUSH');
      const lease = await bench.storage.lock(record.handle, { wait: 1_000, hold: 1_000 });
      await bench.redis.script('FLUSH');
      await lease.release();
      await bench.redis.script('FLUSH');
      expect(await bench.storage.destroy(record.handle)).toBe(true);
      expect(await bench.keys()).toEqual([]);
    });
  });

  it('is read right, whatever shape the client is set to give answers in', async () => {
    const odd = new Redis({ port: bench.server.port, replyMapping: 'resp3', stringNumbers: true });
    const old = new Redis({ port: bench.server.port, protocol: 2 });
    const data = JSON.parse('{ "__proto__": "1", "visits": "2", "@": "3" }');
    for (const client of [odd, old]) {
      const other = new RedisStorage(client, { prefix: bench.prefix });
      const record = newRecord({ data, userId: 'ada' });
      expect(await other.create(record)).toBe(true);
      expect(await other.read(record.handle)).toEqual(record);
      expect(await other.update(record.handle, { expected: { ttl: 2 } })).toBe('conflict');
      expect(await other.update(record.handle, { expiresAt: record.expiresAt * 2 })).toBe('ok');
      expect(await other.alive([record.handle])).toEqual([record.handle]);
      expect((await other.list({ limit: 10 })).records.length).toBe(1);
      await (await other.lock(record.handle, { wait: 100, hold: 100 })).release();
      expect((await other.byUser('ada')).length).toBe(1);
      expect(await other.destroy(record.handle)).toBe(true);
      client.disconnect();
    }
  });

  it('counts a session as ended that this node’s clock says has ended (S21, S25)', async () => {
    const record = newRecord({ userId: 'ada' });
    await bench.storage.create(record);
    const clock = jest.spyOn(Date, 'now').mockReturnValue(record.expiresAt);
    try {
      expect(await bench.storage.read(record.handle)).toBeUndefined();
      expect(await bench.storage.update(record.handle, { set: { a: '1' } })).toBe('gone');
      expect(await bench.storage.byUser('ada')).toEqual([]);
      expect(
        await bench.storage.create({
          ...newRecord(),
          handle: record.handle,
          expiresAt: record.expiresAt + 9,
        }),
      ).toBe(true);
      expect(await bench.storage.read(record.handle)).toMatchObject({
        userId: undefined,
        data: { visits: '1' },
      });
      clock.mockReturnValue(record.expiresAt + 9);
      expect(await bench.storage.destroy(record.handle)).toBe(false);
      expect(await bench.redis.exists(bench.keyOf(record.handle))).toBe(0);
    } finally {
      clock.mockRestore();
    }
  });

  it('changes nothing at all where memory is short', async () => {
    const record = newRecord({ data: { visits: '1', gone: '1' } });
    await bench.storage.create(record);
    await bench.redis.config('SET', 'maxmemory', '1');
    try {
      await expect(bench.storage.create(newRecord())).rejects.toThrow(/OOM/);
      await expect(
        bench.storage.update(record.handle, { set: { visits: '2' }, remove: ['gone'] }),
      ).rejects.toThrow(/OOM/);
      expect(await bench.storage.read(record.handle)).toEqual(record);
      expect(await bench.storage.destroy(record.handle)).toBe(true);
    } finally {
      await bench.redis.config('SET', 'maxmemory', '0');
    }
  });
});
