import { LockNotFreeError } from '../errors.js';
import type { LockOptions, SessionLease } from './lease.js';

/** How many may wait for one session; more are refused at once (S55). */
const MAX_WAITING = 1_000;

/** Exclusive holds within this process: first come, first served, and none for longer than its time. */
export class LocalLocks {
  private readonly queues = new Map<string, Queue>();
  private lastToken = 0;

  /** @throws {LockNotFreeError} when the wait is over, or too many wait already */
  acquire(handle: string, { wait, hold }: LockOptions): SessionLease | Promise<SessionLease> {
    const queue = this.queues.get(handle);
    if (!queue) {
      const opened: Queue = { holder: undefined!, waiting: new Set() };
      this.queues.set(handle, opened);
      return this.grant(handle, opened, hold);
    }
    if (queue.waiting.size >= MAX_WAITING) {
      throw new LockNotFreeError(handle, `has ${MAX_WAITING} waiting for it already`);
    }
    return new Promise((resolve, reject) => {
      const waiter: Waiter = {
        grant: () => {
          clearTimeout(timer);
          resolve(this.grant(handle, queue, hold));
        },
      };
      const timer = setTimeout(() => {
        queue.waiting.delete(waiter);
        reject(new LockNotFreeError(handle, `was not free within ${wait} ms`));
      }, timerFor(wait));
      queue.waiting.add(waiter);
    });
  }

  holds(handle: string, token: string): boolean {
    return this.queues.get(handle)?.holder.token === token;
  }

  private grant(handle: string, queue: Queue, hold: number): SessionLease {
    const token = String(++this.lastToken);
    const release = () => {
      // Not `queue.holder`: this queue may have ended, and the handle have another one by now.
      if (!this.holds(handle, token)) return;
      clearTimeout(timer);
      const [next] = queue.waiting;
      if (next) {
        queue.waiting.delete(next);
        next.grant();
      } else {
        this.queues.delete(handle);
      }
    };
    const timer = setTimeout(release, timerFor(hold));
    timer.unref();
    queue.holder = { token, release };
    return queue.holder;
  }
}

/** Node's timers end at once when they are to take longer than this: 24.8 days. */
const LONGEST_TIMER = 2 ** 31 - 1;

export function timerFor(milliseconds: number): number {
  return Math.min(milliseconds, LONGEST_TIMER);
}

interface Queue {
  holder: SessionLease;
  readonly waiting: Set<Waiter>;
}

interface Waiter {
  grant(): void;
}
