import { randomBytes } from 'node:crypto';
import { LockNotFreeError } from '../../errors.js';
import { LocalLocks } from '../local-locks.js';
import type { LockOptions, SessionLease } from '../session-storage.js';
import { Messages } from './messages.js';
import type { RedisKeys } from './keys.js';
import type { RedisPort } from './port.js';
import { leaveLock, takeLock } from './lease-scripts.js';

/**
 * Milliseconds after which a waiting node asks by itself: for the case that the one that was to wake it died, or
 * the message was lost. Up to a quarter more, so that nodes do not ask all at once.
 */
const ASK_AFTER = 1_000;

/** Milliseconds that the next in line has to take the lock up. More than the longest time between two questions. */
const TAKE_UP = 1_500;

/** The longest time of one of Node's timers, in milliseconds. */
const LONGEST_TIMER = 2 ** 31 - 1;

/** Past the end of a lock that nobody released, milliseconds until its waiters ask. */
const MARGIN = 5;

/**
 * Exclusive holds on sessions over all nodes. Within this process the waiters stand in a local line, so that it
 * stands in the line of a session in Redis only once. A holder that releases hands the lock to the first in that line
 * and wakes its node. Each node listens to a channel of its own; nobody else hears of it.
 */
export class RedisLeases {
  private readonly node = randomBytes(12).toString('base64url');
  private readonly local = new LocalLocks();
  private readonly waiting = new Map<string, () => void>();
  private readonly messages: Messages;
  private lastToken = 0;

  constructor(
    private readonly port: RedisPort,
    private readonly keys: RedisKeys,
  ) {
    this.messages = new Messages(
      port,
      [keys.wakeChannel + this.node],
      (_channel, token) => this.waiting.get(token)?.(),
      () => {
        for (const wake of this.waiting.values()) wake();
      },
    );
  }

  /** @throws {LockNotFreeError} when the wait is over */
  async acquire(handle: string, { wait, hold }: LockOptions): Promise<SessionLease> {
    const deadline = performance.now() + wait;
    // Longer than the lease can last; it ends with the lease.
    const stay = Math.min(wait + hold, LONGEST_TIMER);
    const place = await this.local.acquire(handle, { wait, hold: stay });
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
    const release = async () => {
      if (released) return;
      released = true;
      clearTimeout(timer);
      const left = this.leave(handle, token);
      // The next one of this process asks right behind it, without waiting for the answer.
      void place.release();
      await left;
    };
    const timer = setTimeout(() => {
      released = true;
      void place.release();
    }, hold);
    timer.unref();
    return { token, release };
  }

  close(): void {
    this.messages.close();
  }

  private async take(
    handle: string,
    token: string,
    hold: number,
    deadline: number,
    wait: number,
  ): Promise<void> {
    const keys = [this.keys.lock(handle), this.keys.line(handle)];
    const args = [token, String(Math.ceil(hold)), String(Math.ceil(wait) + TAKE_UP)];
    for (let tries = 0; ; tries++) {
      // From before the question, so that no wake-up between its answer and the waiting is lost.
      const woken = this.wakeUp(token);
      try {
        const freeIn = (await takeLock.run(this.port, keys, args)) as number;
        if (freeIn === 0) return;
        const left = deadline - performance.now();
        if (left <= 0)
          throw new LockNotFreeError(handle, `was not free within ${wait} ms, held by another process`);
        const next = woken.within(Math.min(left, freeIn + MARGIN, nextQuestion()));
        // A node that starts to listen only now may have been woken before, and asks again at once.
        await (tries === 0 && !this.messages.isOpen ? Promise.race([this.messages.open(), next]) : next);
      } finally {
        woken.forget();
      }
    }
  }

  /** Gives the lock on, or the place in the line up. If that fails, the lease ends at its time. */
  private leave(handle: string, token: string): Promise<void> {
    const keys = [this.keys.lock(handle), this.keys.line(handle)];
    return leaveLock.run(this.port, keys, [token, String(TAKE_UP), this.keys.wakeChannel]).then(
      () => undefined,
      () => undefined,
    );
  }

  private wakeUp(token: string) {
    let timer: NodeJS.Timeout | undefined;
    let wake!: () => void;
    const woken = new Promise<void>((resolve) => (wake = resolve));
    this.waiting.set(token, wake);
    return {
      within: (milliseconds: number): Promise<void> => {
        timer = setTimeout(wake, milliseconds);
        return woken;
      },
      forget: (): void => {
        clearTimeout(timer);
        this.waiting.delete(token);
      },
    };
  }
}

const nextQuestion = () => ASK_AFTER * (1 + Math.random() / 4);
