import { randomBytes } from 'node:crypto';
import { setTimeout as sleep } from 'node:timers/promises';
import { LockNotFreeError } from '../../errors.js';
import { LocalLocks, timerFor } from '../local-locks.js';
import type { LockOptions, SessionLease } from '../lease.js';
import type { Attempts } from './attempts.js';
import type { Statements } from './statements.js';

/** Milliseconds between two questions whether a lease is free: at first, and at most. */
const FIRST_PAUSE = 3;
const LONGEST_PAUSE = 60;

/** Holds in a row after which a process lets others have their chance, and milliseconds that it waits for that. */
const IN_A_ROW = 16;
const LET_OTHERS = 2 * LONGEST_PAUSE;

/**
 * Exclusive holds on sessions over all processes: a row each, with the holder's token and the end of its time. No
 * connection is held meanwhile. Within this process the waiters stand in a local line, so that only the first of
 * them asks the database, at times in which chance has a part.
 */
export class SqlLeases {
  private readonly node = randomBytes(12).toString('base64url');
  private readonly local = new LocalLocks();
  private readonly lines = new Map<string, Line>();
  private lastToken = 0;

  constructor(
    private readonly attempts: Attempts,
    private readonly statements: Statements,
    private readonly now: () => number,
  ) {}

  /** @throws {LockNotFreeError} when the wait is over */
  async acquire(handle: string, { wait, hold }: LockOptions): Promise<SessionLease> {
    const deadline = performance.now() + wait;
    const line = this.enter(handle);
    let place: SessionLease | undefined;
    const leave = () => {
      this.exit(handle, line);
      void place?.release();
    };
    const token = `${this.node}.${++this.lastToken}`;
    try {
      // Longer than the lease can last; it ends with the lease.
      place = await this.local.acquire(handle, { wait, hold: wait + hold });
      await this.take(handle, token, hold, wait, deadline, line);
    } catch (error) {
      // It may have been granted all the same, if only the answer was lost.
      if (place) void this.free(handle, token);
      leave();
      throw error;
    }
    let ended = false;
    const end = () => {
      ended = true;
      leave();
    };
    const timer = setTimeout(end, timerFor(hold));
    timer.unref();
    const release = async () => {
      if (ended) return;
      clearTimeout(timer);
      ended = true;
      await this.free(handle, token);
      leave();
    };
    return { token, release };
  }

  private async take(
    handle: string,
    token: string,
    hold: number,
    wait: number,
    deadline: number,
    line: Line,
  ): Promise<void> {
    if (line.inARow >= IN_A_ROW) {
      line.inARow = 0;
      await sleep(Math.min(jittered(LET_OTHERS), Math.max(0, deadline - performance.now())));
    }
    for (let pause = FIRST_PAUSE; ; pause = Math.min(pause * 2, LONGEST_PAUSE)) {
      const now = this.now();
      const values = { handle, token, now, until: now + hold };
      for (const statement of this.statements.acquire) {
        const { affected } = await this.attempts.run(statement, values);
        if (affected === 0) continue;
        line.inARow++;
        return;
      }
      line.inARow = 0;
      const left = deadline - performance.now();
      if (left <= 0)
        throw new LockNotFreeError(handle, `was not free within ${wait} ms, held by another process`);
      await sleep(Math.min(jittered(pause), left));
    }
  }

  /** If it fails, the lease ends at its time. */
  private async free(handle: string, token: string): Promise<void> {
    try {
      await this.attempts.run(this.statements.release, { handle, token });
    } catch {
      // The request that has the lease met the same failure, or has its answer already.
    }
  }

  private enter(handle: string): Line {
    let line = this.lines.get(handle);
    if (!line) this.lines.set(handle, (line = { length: 0, inARow: 0 }));
    line.length++;
    return line;
  }

  private exit(handle: string, line: Line): void {
    if (--line.length === 0) this.lines.delete(handle);
  }
}

/** Holders of one session and those who wait for it, in this process. */
interface Line {
  length: number;
  /** Holds since another process had it, or had its chance. */
  inARow: number;
}

const jittered = (milliseconds: number): number => milliseconds * (0.5 + Math.random());
