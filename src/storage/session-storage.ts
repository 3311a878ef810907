import type { Awaitable } from '../awaitable.js';
import type { LockOptions, SessionLease } from './lease.js';
import { LocalLocks } from './local-locks.js';
import type { SessionRecord } from './record.js';

export type { LockOptions, SessionLease } from './lease.js';

/**
 * What an update does to a record. A field that is absent stays as it is, and one that is `null` is removed. Of
 * the data, only the keys that are named change. No key is in both `set` and `remove`.
 */
export interface SessionChange {
  readonly set?: Readonly<Record<string, string>> | undefined;
  readonly remove?: readonly string[] | undefined;
  readonly proof?: string | undefined;
  readonly touchedAt?: number | undefined;
  readonly expiresAt?: number | undefined;
  readonly userId?: string | null | undefined;
  readonly authenticatedAt?: number | null | undefined;
  readonly ttl?: number | null | undefined;
  readonly client?: string | null | undefined;
  /** Write only if this holds of the record, else answer `'conflict'`. */
  readonly expected?: Expectation | undefined;
  /** Write only if the lease with this token still holds the session, else answer `'lost'` (S54). */
  readonly lease?: string | undefined;
}

/** What must be true of a record. A field that is absent may be anything, and one that is `null` must be absent. */
export interface Expectation {
  readonly proof?: string | undefined;
  readonly ttl?: number | null | undefined;
  readonly userId?: string | null | undefined;
}

/**
 * - `'ok'`: the change is stored, or changed nothing.
 * - `'gone'`: there is no live record, and none was made (S27).
 * - `'lost'`: the lease does not hold the session any more; nothing changed, whatever else is true.
 * - `'conflict'`: the expectation does not hold; nothing changed.
 */
export type UpdateResult = 'ok' | 'gone' | 'conflict' | 'lost';

/** Something that happened to a record without this process having asked for it. */
export interface StorageEvent {
  /** `'rotated'`: another process logged a user in. */
  readonly type: 'expired' | 'evicted' | 'corrupt' | 'destroyed' | 'rotated';
  readonly handle?: string | undefined;
  readonly userId?: string | undefined;
}

/** One page of {@link SessionStorage.list}. */
export interface RecordPage {
  readonly records: readonly SessionRecord[];
  /** Where the next page starts; undefined after the last one. */
  readonly cursor?: string | undefined;
}

/**
 * Where sessions rest. Four methods are all that a storage must have; the others have a default, or a clear error
 * where they are needed.
 *
 * - Answers are values or promises. A failure is a throw or a rejection: the library makes a
 *   `SessionStorageError` of it, a 503.
 * - An expired record counts as absent everywhere except in {@link count}, purged or not (S25).
 * - What is handed in or out is never changed afterwards, by either side.
 *
 * `describeSessionStorage` in `nest-sessions/testing` is this contract as a test suite.
 */
export abstract class SessionStorage {
  /** Stores a new record. False if the handle is taken: what is there stays as it was (S7). */
  abstract create(record: SessionRecord): Awaitable<boolean>;

  /** The record, or undefined if it is absent, expired or damaged. Reading changes nothing. */
  abstract read(handle: string): Awaitable<SessionRecord | undefined>;

  /** Applies a change to a live record, all of it or nothing, in one step that no other call can come between. */
  abstract update(handle: string, change: SessionChange): Awaitable<UpdateResult>;

  /**
   * Removes a record. False, and not an error, if it was absent, or `expected` does not hold: then it stays.
   */
  abstract destroy(handle: string, expected?: Expectation): Awaitable<boolean>;

  /**
   * Removes at most `limit` expired records and says how many; fewer than `limit` means that none is left. Absent
   * where the storage removes them by itself and has nothing to tell.
   */
  purgeExpired?(limit: number): Awaitable<number>;

  /** How many records there are, expired ones that were not purged yet included. */
  count?(): Awaitable<number>;

  /** The live records bound to a user, in no particular order. */
  byUser?(userId: string): Awaitable<readonly SessionRecord[]>;

  /** Which of these handles have a live record. Absent: they are read one by one. */
  alive?(handles: readonly string[]): Awaitable<readonly string[]>;

  /**
   * Live records a page at a time, in no particular order: about `limit` of them, from `cursor` on. A record that is
   * there from the first page to the last is on one of them.
   */
  list?(page: { readonly limit: number; readonly cursor?: string | undefined }): Awaitable<RecordPage>;

  /** Answers if the storage does, else rejects. Absent: a record that is not there is read. */
  ping?(): Awaitable<void>;

  /**
   * Waits in line for the exclusive hold on a session, whether or not it has a record yet. As it stands here it
   * covers every store of this process that uses this storage object; a storage that several processes share
   * overrides it, and {@link holds} or the fence in its own {@link update} with it.
   *
   * @throws {LockNotFreeError} when the wait is over
   */
  lock(handle: string, options: LockOptions): Awaitable<SessionLease> {
    return this.locks.acquire(handle, options);
  }

  /** Called when an application that uses this storage starts. */
  open(): Awaitable<void> {}

  /** Called when the last application that uses this storage has shut down; frees what the storage itself opened. */
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

  /** Whether the lease with this token holds the session now: the fence of {@link update}, for the {@link lock} above. */
  protected holds(handle: string, token: string): boolean {
    return this.localLocks?.holds(handle, token) ?? false;
  }

  private get locks(): LocalLocks {
    return (this.localLocks ??= new LocalLocks());
  }

  private localLocks: LocalLocks | undefined;
  private readonly listeners = new Set<(event: StorageEvent) => void>();
}
