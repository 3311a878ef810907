import type { Awaitable } from '../awaitable.js';

/** Exclusive hold on one session, for a limited time. */
export interface SessionLease {
  /** Names the holder; goes into `SessionChange.lease` as the fence. */
  readonly token: string;
  /** Gives the session to the next in line. Releasing twice, or after the time ran out, does nothing. */
  release(): Awaitable<void>;
}

export interface LockOptions {
  /** Longest wait for the lease in milliseconds. */
  readonly wait: number;
  /** Milliseconds after which the lease ends by itself. */
  readonly hold: number;
}
