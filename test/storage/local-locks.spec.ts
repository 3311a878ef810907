import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { LockNotFreeError } from '../../src/errors.js';
import type { SessionLease } from '../../src/storage/lease.js';
import { LocalLocks } from '../../src/storage/local-locks.js';

describe('LocalLocks', () => {
  let locks: LocalLocks;
  const options = { wait: 1_000, hold: 5_000 };
  const acquire = (handle: string, some: Partial<typeof options> = {}) =>
    locks.acquire(handle, { ...options, ...some });

  beforeEach(() => {
    jest.useFakeTimers();
    locks = new LocalLocks();
  });

  afterEach(() => {
    jest.useRealTimers();
  });

  it('gives a free lock at once, without a promise', () => {
    expect(acquire('a')).not.toBeInstanceOf(Promise);
  });

  it('ends a hold at its time to the millisecond, and fences its token (S54)', async () => {
    const { token } = acquire('a') as SessionLease;
    jest.advanceTimersByTime(4_999);
    expect(locks.holds('a', token)).toBe(true);
    jest.advanceTimersByTime(1);
    expect(locks.holds('a', token)).toBe(false);
  });

  it('counts the hold of one who waited from when it got the lock', async () => {
    const first = acquire('a') as SessionLease;
    const waiting = acquire('a');
    jest.advanceTimersByTime(900);
    await first.release();
    const { token } = await waiting;
    jest.advanceTimersByTime(4_900);
    expect(locks.holds('a', token)).toBe(true);
    jest.advanceTimersByTime(100);
    expect(locks.holds('a', token)).toBe(false);
  });

  it('refuses who waited too long, by the name of the session and the option (S54)', async () => {
    acquire('a');
    const refused = acquire('a') as Promise<SessionLease>;
    const checked = expect(refused).rejects.toThrow(/Session a: .*not free within 1000 ms.*lock\.wait/);
    jest.advanceTimersByTime(1_000);
    await checked;
    const error: unknown = await refused.catch((reason: unknown) => reason);
    expect([error instanceof LockNotFreeError, (error as LockNotFreeError).code]).toEqual([
      true,
      'ERR_SESSION_LOCK',
    ]);
  });

  it('passes over those who gave up', async () => {
    const first = acquire('a') as SessionLease;
    const impatient = expect(acquire('a', { wait: 10 })).rejects.toThrow();
    const patient = acquire('a');
    jest.advanceTimersByTime(10);
    await impatient;
    await first.release();
    expect(locks.holds('a', (await patient).token)).toBe(true);
  });

  it('lets at most a thousand wait for one session (S55)', async () => {
    acquire('a', { hold: 500 });
    const waiting = Promise.all(Array.from({ length: 1_000 }, async () => (await acquire('a')).release()));
    expect(() => acquire('a')).toThrow(/Session a: its lock has 1000 waiting/);
    acquire('b');
    jest.advanceTimersByTime(500);
    await waiting;
  });

  it('takes a second release for nothing, also when another queue has begun since', async () => {
    const first = acquire('a') as SessionLease;
    await first.release();
    const second = acquire('a') as SessionLease;
    await first.release();
    expect(locks.holds('a', second.token)).toBe(true);
    expect(acquire('a')).toBeInstanceOf(Promise);
  });

  it.each([2 ** 31, 1e12, Infinity])(
    'ends neither a wait nor a hold of %d ms at once (S54)',
    async (long) => {
      const lease = acquire('a', { hold: long }) as SessionLease;
      const waiting = acquire('a', { wait: long }) as Promise<SessionLease>;
      const refused = jest.fn();
      waiting.catch(refused);
      // Node's timers can do 24.8 days.
      await jest.advanceTimersByTimeAsync(24 * 86_400_000);
      expect(refused).not.toHaveBeenCalled();
      expect(locks.holds('a', lease.token)).toBe(true);
      await lease.release();
      expect(locks.holds('a', (await waiting).token)).toBe(true);
    },
  );

  it('keeps nothing of locks that are free, and no timer (S55)', async () => {
    for (let i = 0; i < 100; i++) await (await acquire(`s${i}`)).release();
    expect(jest.getTimerCount()).toBe(0);
    expect((locks as unknown as { queues: Map<string, unknown> }).queues.size).toBe(0);
  });
});
