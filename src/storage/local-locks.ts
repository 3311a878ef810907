import { SessionLockError } from '../errors.http.js';
import type { LockOptions, SessionLease } from './session-storage.js';

/** How many may wait for one session; more are refused at once (S55). */
const MAX_WAITING = 1_000;

/** Exclusive holds within this process: first come, first served, and none for longer than its time. */
export class LocalLocks {
  private readonly queues = new Map<string, Queue>();
  private lastToken = 0;

  /** @throws {SessionLockError} when the wait is over, or too many wait already */
  acquire(handle: string, { wait, hold }: LockOptions): SessionLease | Promise<SessionLease> {
    const queue = this.queues.get(handle);
    if (!queue) {
      const opened: Queue = { holder: undefined!, waiting: new Set() };
      this.queues.set(handle, opened);
      return this.grant(handle, opened, hold);
    }
    if (queue.waiting.size >= MAX_WAITING) {
      throw new SessionLockError(`Session ${handle}: ${MAX_WAITING} are waiting for its lock already.`);
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
        reject(
          new SessionLockError(
            `Session ${handle}: its lock was not free within ${wait} ms. ` +
              'Keep what runs inside tap() or @SessionLock() short, or raise lock.wait.',
          ),
        );
      }, wait);
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
    const timer = setTimeout(release, hold);
    timer.unref();
    queue.holder = { token, release };
    return queue.holder;
  }
}

interface Queue {
  holder: SessionLease;
  readonly waiting: Set<Waiter>;
}

interface Waiter {
  grant(): void;
}
