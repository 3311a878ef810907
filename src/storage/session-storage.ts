import { LocalLocks } from './local-locks.js';

/** A value, or the promise of one: a storage that can answer at once need not make a promise. */
export type Awaitable<T> = T | PromiseLike<T>;

/** What rests in a storage. All times are milliseconds since the Unix epoch. */
export interface SessionRecord {
  /** Public name of the record: 22 base64url characters, stable for the session's life. */
  readonly handle: string;
  /** SHA-256 of the id's secret part, base64url. The only thing that is stored of it (S8). */
  readonly proof: string;
  /** 1 when created, one more with every update. */
  readonly version: number;
  readonly createdAt: number;
  /** Last use, to within `touchAfter`. */
  readonly touchedAt: number;
  /** The session is dead as soon as `now >= expiresAt` (S21). */
  readonly expiresAt: number;
  /** When the user logged in, if somebody did. */
  readonly authenticatedAt?: number | undefined;
  /** This session's own idle timeout in milliseconds, if it has one. */
  readonly ttl?: number | undefined;
  readonly userId?: string | undefined;
  /** One encoded value per top-level key. A storage never looks inside a value. */
  readonly data: Readonly<Record<string, string>>;
}

/**
 * What an update does to a record. A field that is absent stays as it is; of the data, only the
 * keys that are named change. No key is in both `set` and `remove`.
 */
export interface SessionChange {
  readonly set?: Readonly<Record<string, string>> | undefined;
  readonly remove?: readonly string[] | undefined;
  readonly proof?: string | undefined;
  readonly userId?: string | undefined;
  readonly authenticatedAt?: number | undefined;
  readonly touchedAt?: number | undefined;
  readonly expiresAt?: number | undefined;
  readonly ttl?: number | undefined;
  /** Write only if the record still has this version, else answer `'conflict'`. */
  readonly expectedVersion?: number | undefined;
  /** Write only if the lease with this token still holds the session, else answer `'conflict'` (S54). */
  readonly lease?: string | undefined;
}

export type UpdateResult = 'ok' | 'conflict' | 'gone';

/** Exclusive hold on one session, for a limited time. */
export interface SessionLease {
  /** Names the holder; goes into {@link SessionChange.lease} as the fence. */
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

/** Something that happened to a record without anybody asking for it. */
export interface StorageEvent {
  readonly type: 'expired' | 'evicted' | 'corrupt' | 'destroyed';
  readonly handle?: string | undefined;
  readonly userId?: string | undefined;
}

/**
 * Where sessions rest: the seven methods below are all that a storage must have.
 *
 * - Answers are values or promises. A failure is a throw or a rejection: the store turns it into a
 *   `SessionStorageError`, a 503.
 * - An expired record counts as absent everywhere except in {@link count}, purged or not (S25).
 * - Records and data handed in or out are never changed afterwards, by either side.
 *
 * `describeSessionStorage` in `nest-sessions/testing` is this contract as a test suite.
 */
export abstract class SessionStorage {
  /** Stores a new record. False if the handle is taken: what is there stays as it was (S7). */
  abstract create(record: SessionRecord): Awaitable<boolean>;

  /** The record, or undefined if it is absent, expired or damaged. Reading changes nothing. */
  abstract read(handle: string): Awaitable<SessionRecord | undefined>;

  /**
   * Applies a change atomically and adds one to the version. `'gone'`: no such record, and none is
   * made (S27). `'conflict'`: `expectedVersion` or `lease` did not hold, and nothing changed.
   */
  abstract update(handle: string, change: SessionChange): Awaitable<UpdateResult>;

  /** Removes a record. False, and not an error, if it was absent. */
  abstract destroy(handle: string): Awaitable<boolean>;

  /** Removes at most `limit` expired records and says how many; fewer than `limit` means that none is left. */
  abstract purgeExpired(limit: number): Awaitable<number>;

  /** How many records there are, expired ones that were not purged yet included. */
  abstract count(): Awaitable<number>;

  /** The records bound to a user, in no particular order. */
  abstract byUser(userId: string): Awaitable<SessionRecord[]>;

  /**
   * Waits in line for the exclusive hold on a session. Throws `SessionLockError` when the wait is over.
   * As it stands here it covers every store of this process that uses this storage object; a storage
   * that several processes share overrides it.
   */
  lock(handle: string, options: LockOptions): Awaitable<SessionLease> {
    return this.locks.acquire(handle, options);
  }

  /** Called once when the application starts. */
  open(): Awaitable<void> {}

  /** Called once when the application has shut down; frees only what the storage itself opened. */
  close(): Awaitable<void> {}

  /** Calls `listener` for every {@link StorageEvent} until the function that is returned is called. */
  subscribe(listener: (event: StorageEvent) => void): () => void {
    this.listeners.add(listener);
    return () => void this.listeners.delete(listener);
  }

  /** Tells the subscribers what happened. */
  protected notify(event: StorageEvent): void {
    for (const listener of this.listeners) listener(event);
  }

  /** Whether the lease with this token holds the session now: the fence of {@link update}. */
  protected holds(handle: string, token: string): boolean {
    return this.locks.holds(handle, token);
  }

  private readonly locks = new LocalLocks();
  private readonly listeners = new Set<(event: StorageEvent) => void>();
}
