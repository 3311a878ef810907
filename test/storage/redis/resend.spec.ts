import { expect, it, jest } from '@jest/globals';
import { Command } from 'ioredis';
import { RedisBench } from './support/bench.js';
import { newHandle, newRecord } from './support/records.js';
import { describeWithServer } from './support/server.js';

describeWithServer('when a client sends something again that was not answered, a storage', () => {
  const bench = RedisBench.set();

  /** Every script twice, as after a connection broke between the two. */
  function twice() {
    const original = bench.redis.sendCommand.bind(bench.redis);
    return jest.spyOn(bench.redis, 'sendCommand').mockImplementation((command) => {
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
    expect(await bench.storage.create(record)).toBe(true);
    expect(await bench.storage.create(record)).toBe(false);
    expect(await bench.storage.create({ ...record, proof: 'p'.repeat(43) })).toBe(false);
    spy.mockRestore();
    expect(await bench.storage.read(record.handle)).toEqual(record);
  });

  it('rotates once, and says so: the new id works (S18)', async () => {
    const before = newRecord({ data: { visits: '1' } });
    const { handle } = before;
    await bench.storage.create(before);
    const lease = await bench.storage.lock(handle, { wait: 100, hold: 5_000 });
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
    expect(await bench.storage.update(handle, login)).toBe('ok');
    spy.mockRestore();
    const { userId, ttl, expiresAt } = login;
    const now = { ...before, proof, userId, ttl, expiresAt, data: { visits: '2' } };
    expect(await bench.storage.read(handle)).toEqual(now);
    // The same once more is another rotation, and its proof is not what it expects.
    expect(await bench.storage.update(handle, login)).toBe('conflict');
    expect(await bench.storage.read(handle)).toEqual(now);
    await lease.release();
  });

  it('makes a change once that ends what it expects, and says so', async () => {
    const record = newRecord({ userId: 'ada', ttl: 9_000 });
    const { handle } = record;
    await bench.storage.create(record);
    const spy = twice();
    const unbind = { userId: null, expected: { userId: 'ada' } };
    expect(await bench.storage.update(handle, unbind)).toBe('ok');
    const shorten = { ttl: 5_000, expiresAt: record.expiresAt - 1, expected: { ttl: 9_000 } };
    expect(await bench.storage.update(handle, shorten)).toBe('ok');
    expect(await bench.storage.update(handle, unbind)).toBe('conflict');
    expect(await bench.storage.update(handle, shorten)).toBe('conflict');
    spy.mockRestore();
    const { ttl, expiresAt } = shorten;
    expect(await bench.storage.read(handle)).toEqual({ ...record, userId: undefined, ttl, expiresAt });
  });

  it('has the lock, and gives it back', async () => {
    const spy = twice();
    const handle = newHandle();
    for (let i = 0; i < 3; i++) {
      await (await bench.storage.lock(handle, { wait: 100, hold: 5_000 })).release();
    }
    spy.mockRestore();
    expect(await bench.keys()).toEqual([]);
  });
});
