import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Command, Redis } from 'ioredis';
import { RedisStorage } from '../../../src/storage/redis/index.js';
import type { StorageEvent } from '../../../src/storage/session-storage.js';
import { newHandle, newPrefix, newRecord } from './support/records.js';
import { describeWithServer, Server, sleep, until } from './support/server.js';

/** What rests in Redis, and how it gets there and away. */
describeWithServer('the layout in Redis', () => {
  let server: Server;
  let redis: Redis;
  let prefix: string;
  let storage: RedisStorage;
  let events: StorageEvent[];

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
    storage = new RedisStorage(redis, { prefix });
    events = [];
    storage.subscribe((event) => events.push(event));
  });
  afterEach(() => {
    jest.restoreAllMocks();
    return storage.close();
  });

  const keyOf = (handle: string) => `${prefix}{${handle}}`;
  const keys = async () => (await redis.keys(`${prefix}*`)).sort();
  /** How often each command was called by `work`, those of scripts included. */
  async function commands(work: () => Promise<unknown>) {
    await redis.config('RESETSTAT');
    await work();
    const stats = await redis.info('commandstats');
    const calls = [...stats.matchAll(/cmdstat_([^:]+):calls=(\d+)/g)];
    return Object.fromEntries(
      calls.map(([, name, count]) => [name, Number(count)]).filter(([name]) => name !== 'config|resetstat'),
    );
  }

  describe('of a session', () => {
    it('is one hash, that Redis removes at the deadline itself', async () => {
      const record = newRecord({ expiresAt: Date.now() + 60_000.5 });
      await storage.create(record);
      expect(await keys()).toEqual([keyOf(record.handle)]);
      expect(await redis.type(keyOf(record.handle))).toBe('hash');
      expect(await redis.pexpiretime(keyOf(record.handle))).toBe(Math.ceil(record.expiresAt));
      await storage.update(record.handle, { expiresAt: record.expiresAt + 1_000 });
      expect(await redis.pexpiretime(keyOf(record.handle))).toBe(Math.ceil(record.expiresAt) + 1_000);
      await storage.update(record.handle, { set: { a: '1' } });
      expect(await redis.pexpiretime(keyOf(record.handle))).toBe(Math.ceil(record.expiresAt) + 1_000);
    });

    it('stays in the compact form of Redis while its values are short', async () => {
      const record = newRecord({
        userId: 'u'.repeat(40),
        authenticatedAt: Date.now(),
        ttl: 2_592_000_000,
        data: { csrf: '"0123456789012345678901234"', visits: '100', locale: '"de-AT"' },
      });
      await storage.create(record);
      await storage.update(record.handle, { touchedAt: Date.now(), expiresAt: record.expiresAt + 1 });
      expect(await redis.object('ENCODING', keyOf(record.handle))).toBe('listpack');
    });

    it('has all its keys in one slot, whatever the prefix', async () => {
      await redis.call('CLUSTER', 'KEYSLOT', 'x').catch(() => undefined);
      const { handle } = newRecord();
      await storage.create(newRecord({ handle }));
      const held = await storage.lock(handle, { wait: 1_000, hold: 5_000 });
      const other = new RedisStorage(redis, { prefix });
      const waiting = other.lock(handle, { wait: 500, hold: 5_000 }).catch(() => undefined);
      await until(async () => (await keys()).length === 3, 'the lock has a line');
      const tags = (await keys()).map((key) => /\{(.*?)\}/.exec(key)?.[1]);
      expect(tags).toEqual([handle, handle, handle]);
      await held.release();
      await (await waiting)?.release();
      await other.close();
    });

    it('has a field for its user and one for its client only while it has them', async () => {
      const fields = async () =>
        (await redis.hkeys(keyOf(handle))).filter((field) => field[0] === '@').sort();
      const { handle } = newRecord();
      await storage.create(newRecord({ handle }));
      expect(await fields()).toEqual(['@', '@p']);
      await storage.update(handle, { userId: 'ada', authenticatedAt: 1, client: '' });
      expect(await fields()).toEqual(['@', '@c', '@p', '@u']);
      await storage.update(handle, { userId: null });
      expect(await storage.read(handle)).toMatchObject({ userId: undefined, authenticatedAt: 1, client: '' });
      expect(await fields()).toEqual(['@', '@c', '@p', '@u']);
      await storage.update(handle, { authenticatedAt: null, client: null });
      expect(await fields()).toEqual(['@', '@p']);
      await storage.update(handle, { authenticatedAt: 2, client: '{"ip":"::1"}' });
      expect(await storage.read(handle)).toMatchObject({ authenticatedAt: 2, client: '{"ip":"::1"}' });
    });

    it('keeps the data keys apart from its own fields (S48)', async () => {
      const data = { '@': '1', '@p': '2', '@u': '3', '@@': '4', '@c': '6', visits: '5' };
      const record = newRecord({ data });
      await storage.create(record);
      expect((await storage.read(record.handle))!.data).toEqual(data);
      await storage.update(record.handle, { set: { '@u': '6' }, remove: ['@', '@p', '@@', '@c'] });
      expect((await storage.read(record.handle))!.data).toEqual({ '@u': '6', visits: '5' });
      expect((await storage.read(record.handle))!.proof).toBe(record.proof);
    });

    it('takes 10,000 keys in one call', async () => {
      const data = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`k${i}`, '1']));
      const record = newRecord({ data });
      await storage.create(record);
      expect(Object.keys((await storage.read(record.handle))!.data).length).toBe(10_000);
      const set = Object.fromEntries(Array.from({ length: 10_000 }, (_, i) => [`n${i}`, '1']));
      await storage.update(record.handle, { set, remove: Object.keys(data) });
      expect((await storage.read(record.handle))!.data).toEqual(set);
    });
  });

  describe('of users', () => {
    const indexKey = async () => (await keys()).find((key) => key.includes('user:'));
    const indexOf = async (userId: string) => {
      const { keys } = storage as unknown as { keys: { user(userId: string): string } };
      return keys.user(userId);
    };

    it('lists a session before its record names the user', async () => {
      const steps: string[] = [];
      const original = redis.sendCommand.bind(redis);
      const spy = jest.spyOn(redis, 'sendCommand').mockImplementation((command) => {
        steps.push(
          command.args.some((arg) => String(arg).startsWith(`${prefix}user:`)) ? 'index' : 'session',
        );
        return original(command);
      });
      const record = newRecord({ userId: 'ada' });
      await storage.create(record);
      await storage.update(record.handle, { userId: 'bob', expiresAt: record.expiresAt + 1 });
      expect(steps).toEqual(['index', 'session', 'index', 'session']);
      // Without a deadline it has to be asked for first: nothing is written then.
      await storage.update(record.handle, { userId: 'eve' });
      expect(steps.slice(4)).toEqual(['session', 'index', 'session']);
      spy.mockRestore();
    });

    it('misses no session when a node dies between the two writes', async () => {
      const record = newRecord();
      await storage.create(record);
      // What a login has done when it has got so far.
      const { users } = storage as unknown as { users: { add(...args: unknown[]): Promise<void> } };
      await users.add('ada', record.handle, record.expiresAt);
      expect(await storage.byUser('ada')).toEqual([]);
      await storage.update(record.handle, { userId: 'ada' });
      expect((await storage.byUser('ada')).map(({ handle }) => handle)).toEqual([record.handle]);
    });

    it('lists a session for as long as it is touched, with hardly a write for it', async () => {
      const start = Date.now();
      const record = newRecord({ userId: 'ada', expiresAt: start + 60_000 });
      await storage.create(record);
      const used = await commands(async () => {
        for (let i = 1; i <= 60; i++) {
          const expiresAt = start + 60_000 + i * 1_000;
          expect(await storage.update(record.handle, { touchedAt: Date.now(), expiresAt })).toBe('ok');
          const listedUntil = Number(await redis.zscore((await indexKey())!, record.handle));
          expect(listedUntil).toBeGreaterThanOrEqual(expiresAt);
          expect(await redis.pexpiretime((await indexKey())!)).toBeGreaterThanOrEqual(listedUntil);
        }
      });
      expect(used['evalsha']).toBeLessThanOrEqual(60 + 2 * 4);
    });

    it('is rid of a session that is destroyed, and of those that expired, by itself', async () => {
      const soon = { userId: 'ada', expiresAt: Date.now() + 400 };
      for (let i = 0; i < 5; i++) await storage.create(newRecord(soon));
      const last = newRecord({ userId: 'ada' });
      await storage.create(last);
      expect(await redis.zcard((await indexKey())!)).toBe(6);
      await sleep(600);
      const next = newRecord({ userId: 'ada', expiresAt: Date.now() + 400 });
      await storage.create(next);
      const left = await redis.zrange((await indexKey())!, '0', '-1');
      expect(left).toEqual([next.handle, last.handle]);
      await storage.destroy(last.handle);
      expect(await redis.zscore((await indexKey())!, last.handle)).toBeNull();
      await until(async () => (await keys()).length === 0, 'all is gone');
    });

    it('lists a session that was unbound for whoever it is bound to next, him who was in before too', async () => {
      const record = newRecord({ userId: 'ada' });
      await storage.create(record);
      const usersOf = async () =>
        [await storage.byUser('ada'), await storage.byUser('bob')].map((r) => r.length);
      await storage.update(record.handle, { userId: null, expected: { userId: 'ada' } });
      expect(await usersOf()).toEqual([0, 0]);
      // Nobody's session is listed for nobody, however long it is used.
      const later = record.expiresAt + 7_200_000;
      const touched = await commands(() => storage.update(record.handle, { expiresAt: later }));
      expect(touched['zadd']).toBeUndefined();
      await storage.update(record.handle, { userId: 'bob', expected: { userId: null } });
      expect(await usersOf()).toEqual([0, 1]);
      await storage.update(record.handle, { userId: 'ada' });
      expect(await usersOf()).toEqual([1, 0]);
      const until = Number(await redis.zscore((await indexOf('ada'))!, record.handle));
      expect(until).toBeGreaterThanOrEqual(later);
    });

    it('keeps an entry that was made anew since the session ended', async () => {
      const record = newRecord({ userId: 'ada' });
      await storage.create(record);
      // The destroyer is slow between its two writes; meanwhile the handle comes back.
      const destroyed = storage.destroy(record.handle);
      await storage.create({ ...record, expiresAt: record.expiresAt + 60_000, proof: 'p'.repeat(43) });
      await destroyed;
      expect((await storage.byUser('ada')).length).toBe(1);
    });
  });

  it('is empty again after sessions came and went, without a purge (S52)', async () => {
    const expiresAt = Date.now() + 2_500;
    for (let batch = 0; batch < 2; batch++) {
      const records = Array.from({ length: 1_000 }, (_, i) => newRecord({ expiresAt, userId: `u${i % 50}` }));
      await Promise.all(records.map((record) => storage.create(record)));
    }
    expect(await storage.count()).toBe(2_000);
    await until(async () => (await keys()).length === 0, 'nothing is left');
  }, 20_000);

  it('takes nobody else’s keys for sessions', async () => {
    await storage.create(newRecord({ userId: 'ada' }));
    const neighbours = new RedisStorage(redis, { prefix: `${prefix}more:` });
    await neighbours.create(newRecord({ userId: 'ada' }));
    const glob = new RedisStorage(redis, { prefix: `${prefix.slice(0, 3)}*` });
    expect([await storage.count(), await neighbours.count(), await glob.count()]).toEqual([1, 1, 0]);
    expect((await storage.byUser('ada')).length).toBe(1);
  });

  describe('is used with', () => {
    it('one command to read, and one to write, at most', async () => {
      const record = newRecord({ userId: 'ada' });
      await storage.create(record);
      expect(await commands(() => storage.read(record.handle))).toEqual({ hgetall: 1 });
      const written = await commands(() => storage.update(record.handle, { set: { a: '1' }, remove: ['b'] }));
      expect(written).toEqual({ evalsha: 1, hmget: 1, hset: 1, hdel: 1 });
      const touch = { touchedAt: Date.now() + 1, expiresAt: record.expiresAt + 1 };
      const touched = await commands(() => storage.update(record.handle, touch));
      expect(touched).toEqual({ evalsha: 1, hmget: 1, hset: 1, pexpireat: 1 });
      const created = await commands(() => storage.create(newRecord()));
      expect(created).toEqual({ evalsha: 1, exists: 1, hset: 1, pexpireat: 1 });
      expect(await commands(() => storage.purgeExpired(10) as Promise<number>)).toEqual({});
    });

    it('one write to the connection for all that is asked for at once', async () => {
      const handles = Array.from({ length: 10 }, newHandle);
      await storage.read(handles[0]);
      const alone = jest.spyOn(redis.stream, '_write');
      const together = jest.spyOn(redis.stream as unknown as Required<typeof redis.stream>, '_writev');
      const answers = await Promise.all(handles.map((handle) => storage.read(handle)));
      expect(answers).toEqual(handles.map(() => undefined));
      expect([alone.mock.calls.length, together.mock.calls.length]).toEqual([0, 1]);
      // Nothing is held back for good: the client still serves its owner.
      expect(await redis.ping()).toBe('PONG');
    });

    it('scripts that a server forgot', async () => {
      const record = newRecord({ userId: 'ada' });
      await redis.script('FLUSH');
      expect(await storage.create(record)).toBe(true);
      await redis.script('FLUSH');
      expect(await storage.update(record.handle, { set: { visits: '2' } })).toBe('ok');
      await redis.script('FLUSH');
      const lease = await storage.lock(record.handle, { wait: 1_000, hold: 1_000 });
      await redis.script('FLUSH');
      await lease.release();
      await redis.script('FLUSH');
      expect(await storage.destroy(record.handle)).toBe(true);
      expect(await keys()).toEqual([]);
    });
  });

  it('is read right, whatever shape the client is set to give answers in', async () => {
    const odd = new Redis({ port: server.port, replyMapping: 'resp3', stringNumbers: true });
    const old = new Redis({ port: server.port, protocol: 2 });
    const data = JSON.parse('{ "__proto__": "1", "visits": "2", "@": "3" }');
    for (const client of [odd, old]) {
      const other = new RedisStorage(client, { prefix });
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

  describe('when a client sends something again that was not answered', () => {
    /** Every script twice, as after a connection broke between the two. */
    function twice() {
      const original = redis.sendCommand.bind(redis);
      return jest.spyOn(redis, 'sendCommand').mockImplementation((command) => {
        if (command.name === 'evalsha' || command.name === 'eval') {
          const first = new Command(command.name, [...command.args]);
          first.promise.catch(() => undefined);
          void original(first);
        }
        return original(command);
      });
    }

    it('creates the session once, and says so', async () => {
      const spy = twice();
      const record = newRecord({ userId: 'ada' });
      expect(await storage.create(record)).toBe(true);
      expect(await storage.create(record)).toBe(false);
      expect(await storage.create({ ...record, proof: 'p'.repeat(43) })).toBe(false);
      spy.mockRestore();
      expect(await storage.read(record.handle)).toEqual(record);
    });

    it('rotates once, and says so: the new id works (S18)', async () => {
      const before = newRecord({ data: { visits: '1' } });
      const { handle } = before;
      await storage.create(before);
      const lease = await storage.lock(handle, { wait: 100, hold: 5_000 });
      const spy = twice();
      const proof = 'n'.repeat(43);
      const login = {
        proof,
        userId: 'ada',
        ttl: 9_000,
        expiresAt: before.expiresAt - 1,
        set: { visits: '2' },
        lease: lease.token,
        expected: { proof: before.proof, ttl: null, userId: null },
      };
      expect(await storage.update(handle, login)).toBe('ok');
      spy.mockRestore();
      const { userId, ttl, expiresAt } = login;
      const now = { ...before, proof, userId, ttl, expiresAt, data: { visits: '2' } };
      expect(await storage.read(handle)).toEqual(now);
      // The same once more is another rotation, and its proof is not what it expects.
      expect(await storage.update(handle, login)).toBe('conflict');
      expect(await storage.read(handle)).toEqual(now);
      await lease.release();
    });

    it('has the lock, and gives it back', async () => {
      const spy = twice();
      const handle = newHandle();
      for (let i = 0; i < 3; i++) {
        await (await storage.lock(handle, { wait: 100, hold: 5_000 })).release();
      }
      spy.mockRestore();
      expect(await keys()).toEqual([]);
    });
  });

  describe('once damaged, makes a session of nobody, with an event (S49)', () => {
    const damages: [string, (key: string) => Promise<unknown>][] = [
      ['without its times', (key) => redis.hdel(key, '@')],
      ['without its proof', (key) => redis.hdel(key, '@p')],
      ['without its user', (key) => redis.hdel(key, '@u')],
      ['with times that are none', (key) => redis.hset(key, '@', 'nonsense')],
      ['with an empty deadline', (key) => redis.hset(key, '@', '2  - 0')],
      ['with a deadline of another kind', (key) => redis.hset(key, '@', '2 NaN - 0')],
      ['with a last use before 1970', (key) => redis.hset(key, '@', '-1 9999999999999 - 0')],
      ['with a user who is listed nowhere', (key) => redis.hset(key, '@', '2 9999999999999 - -')],
      ['with an empty proof', (key) => redis.hset(key, '@p', '')],
      ['with a user of another kind', (key) => redis.hset(key, '@u', 'ada')],
      ['with other fields only', async (key) => [await redis.del(key), await redis.hset(key, 'name', 'ada')]],
      ['a string', async (key) => [await redis.del(key), await redis.set(key, '{"user":"ada"}')]],
      ['a list', async (key) => [await redis.del(key), await redis.rpush(key, 'ada')]],
    ];

    it.each(damages)('%s', async (_name, damage) => {
      const { handle } = newRecord();
      await storage.create(newRecord({ handle, userId: 'ada' }));
      await damage(keyOf(handle));
      const before = await redis.dump(keyOf(handle));
      expect(await storage.read(handle)).toBeUndefined();
      expect(events).toEqual([{ type: 'corrupt', handle }]);
      expect(await storage.byUser('ada')).toEqual([]);
      expect(await storage.update(handle, { set: { a: '1' }, userId: 'bob' })).toBe('gone');
      expect(await storage.update(handle, { expected: { userId: 'ada' } })).toBe('gone');
      // Each time that somebody met it.
      expect(events).toEqual(Array(4).fill({ type: 'corrupt', handle }));
      expect(await storage.alive([handle])).toEqual([]);
      expect(await storage.create(newRecord({ handle }))).toBe(false);
      expect(await storage.destroy(handle, { userId: 'ada' })).toBe(false);
      expect(await redis.dump(keyOf(handle))).toEqual(before);
      expect(await storage.destroy(handle)).toBe(true);
      expect(await storage.create(newRecord({ handle }))).toBe(true);
    });
  });

  it('is damaged too where its user is no Unicode, and its index entry could never be found (S59)', async () => {
    const { handle, expiresAt } = newRecord();
    await storage.create(newRecord({ handle, userId: 'ada' }));
    await redis.hset(keyOf(handle), '@u', Buffer.from('- =\xff', 'latin1'));
    expect(await storage.update(handle, { expiresAt: expiresAt + 3_600_000 })).toBe('gone');
    expect(events).toEqual([{ type: 'corrupt', handle }]);
  });

  it('changes nothing at all where memory is short', async () => {
    const record = newRecord({ data: { visits: '1', gone: '1' } });
    await storage.create(record);
    await redis.config('SET', 'maxmemory', '1');
    try {
      await expect(storage.create(newRecord())).rejects.toThrow(/OOM/);
      await expect(storage.update(record.handle, { set: { visits: '2' }, remove: ['gone'] })).rejects.toThrow(
        /OOM/,
      );
      expect(await storage.read(record.handle)).toEqual(record);
      expect(await storage.destroy(record.handle)).toBe(true);
    } finally {
      await redis.config('SET', 'maxmemory', '0');
    }
  });

  it('counts a session as ended that this node’s clock says has ended (S21, S25)', async () => {
    const record = newRecord({ userId: 'ada' });
    await storage.create(record);
    const clock = jest.spyOn(Date, 'now').mockReturnValue(record.expiresAt);
    try {
      expect(await storage.read(record.handle)).toBeUndefined();
      expect(await storage.update(record.handle, { set: { a: '1' } })).toBe('gone');
      expect(await storage.byUser('ada')).toEqual([]);
      expect(
        await storage.create({ ...newRecord(), handle: record.handle, expiresAt: record.expiresAt + 9 }),
      ).toBe(true);
      expect(await storage.read(record.handle)).toMatchObject({ userId: undefined, data: { visits: '1' } });
      clock.mockReturnValue(record.expiresAt + 9);
      expect(await storage.destroy(record.handle)).toBe(false);
      expect(await redis.exists(keyOf(record.handle))).toBe(0);
    } finally {
      clock.mockRestore();
    }
  });
});
