import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LockNotFreeError } from '../../errors.js';
import { LocalLocks } from '../local-locks.js';
import type { LockOptions, SessionLease } from '../session-storage.js';
import type { Attempts } from './attempts.js';
import type { Dialect } from './dialects/dialect.js';

/** Milliseconds between two questions whether a lease is free: at first, and at most. */
const FIRST_PAUSE = 3;
const LONGEST_PAUSE = 60;

/** Holds in a row after which a process lets others have their chance, and milliseconds that it waits for that. */
const IN_A_ROW = 16;
const LET_OTHERS = 2 * LONGEST_PAUSE;

/**
 * Exclusive holds on sessions over all processes: a row each, with the holder's token and the end of its time. No
 * connection is held meanwhile. Within this process the waiters stand in a local line, so that one of them asks the
 * database, at times that chance has a part in.
 */
export class SqlLeases {
  private readonly node = randomBytes(12).toString('base64url');
  private readonly local = new LocalLocks();
  /** How many holds of this process there were in a row, of each session with waiters here. */
  private readonly rows = new Map<string, number>();
  private readonly waiting = new Map<string, number>();
  private lastToken = 0;

  constructor(
    private readonly attempts: Attempts,
    private readonly dialect: Dialect,
    private readonly now: () => number,
  ) {}

  /** @throws {LockNotFreeError} when the wait is over */
  async acquire(handle: string, { wait, hold }: LockOptions): Promise<SessionLease> {
    const deadline = performance.now() + wait;
    this.count(handle, 1);
    let place: SessionLease;
    try {
      // Longer than the lease can last; it ends with the lease.
      place = await this.local.acquire(handle, { wait, hold: wait + hold });
    } finally {
      this.count(handle, -1);
    }
    const token = `${this.node}.${++this.lastToken}`;
    try {
      await this.take(handle, token, hold, deadline, wait);
    } catch (error) {
      // It may have been granted all the same, if only the answer was lost.
      void this.leave(handle, token);
      void place.release();
      throw error;
    }
    let released = false;
    const end = () => {
      released = true;
      clearTimeout(timer);
      return this.next(handle, place);
    };
    const timer = setTimeout(end, hold);
    timer.unref();
    return {
      token,
      release: async () => {
        if (released) return;
        released = true;
        clearTimeout(timer);
        await this.leave(handle, token);
        this.next(handle, place);
      },
    };
  }
}
