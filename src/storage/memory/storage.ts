// The parts, from the outside in:
//
//   storage         the class: the contract, and what happens when it is full
//   in-slices       long work with turns of the event loop in between
//   expiry-buckets  which session expires next; twice, as visitors' sessions go before users'
//   slot-index      the slot of a handle, or of one of a user's sessions
//   user-index      all slots of a user
//   session-bodies  what a session consists of: one text, or an object if it is big
//   layouts         the keys of those texts, shared by all sessions that have the same
//   slots           the numbers that sessions go by, in pages of 1,024, and the columns of what is kept for each
//
// A session is a slot number, and everything about it is in columns under that number: one object for each session
// would be several times as big, and the garbage collector would have to go through a million of them.
import type { Awaitable } from '../../awaitable.js';
import { SessionError } from '../../errors.js';
import { RecordData, type SessionRecord } from '../record.js';
import {
  type Expectation,
  type RecordPage,
  type SessionChange,
  SessionStorage,
  type StorageEvent,
  type UpdateResult,
} from '../session-storage.js';
import { checkStorageOptions, type StorageOptionRules } from '../storage-options.js';
import { ExpiryBuckets } from './expiry-buckets.js';
import { inSlices, SLICE } from './in-slices.js';
import { SessionBodies } from './session-bodies.js';
import { SlotIndex } from './slot-index.js';
import { Float64Column, Int32Column, NONE, Slots } from './slots.js';
import { UserIndex } from './user-index.js';

export interface MemoryStorageOptions {
  /** The most sessions there are at a time. Default 1,000,000. */
  readonly maxSessions?: number | undefined;
  /**
   * What {@link MemoryStorage.create} does when there are as many: `'evict'` (the default) ends the session without
   * a user that would expire first, and a user's only where there is no other (S60); `'reject'` throws.
   */
  readonly whenFull?: 'evict' | 'reject' | undefined;
  /** The clock, in milliseconds since the Unix epoch. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** The numbers of a session. */
const EXPIRES_AT = 0;
const CREATED_AT = 1;
const TOUCHED_AT = 2;

/** How many records `create` looks at to find the one that has to go; of more, it takes the best so far. */
const MAX_EVICTION_STEPS = 2_000;

/**
 * Sessions in this process's memory. They end with the process and are not shared with others: for one process, for
 * development and for tests.
 *
 * It answers at once, without promises; only what goes through many records gives the event loop turns in between.
 * It holds at most `maxSessions` and says so, with the event `evicted`, when it has to end one for that.
 *
 * @example
 * SessionModule.forRoot({ storage: new MemoryStorage({ maxSessions: 50_000 }) })
 */
export class MemoryStorage extends SessionStorage {
  private readonly maxSessions: number;
  private readonly whenFull: 'evict' | 'reject';
  private readonly now: () => number;

  private readonly numbers = new Float64Column(3);
  private readonly bodies = new SessionBodies();
  private readonly byHandle = new SlotIndex((slot, handle) => this.bodies.hasHandle(slot, handle));
  private readonly users = new UserIndex((slot) => this.bodies.userIdOf(slot));
  private readonly slots: Slots;
  /** When sessions expire: those without a user, and those with one. */
  private readonly visitorBuckets: ExpiryBuckets;
  private readonly userBuckets: ExpiryBuckets;
  private size = 0;

  /** @throws {SessionOptionsError} when an option is unknown or wrong */
  constructor(options: MemoryStorageOptions = {}) {
    super();
    checkStorageOptions('MemoryStorage', options, OPTIONS);
    const { maxSessions = 1_000_000, whenFull = 'evict', now = () => Date.now() } = options;
    this.maxSessions = maxSessions;
    this.whenFull = whenFull;
    this.now = now;
    const links = new Int32Column(2);
    this.slots = new Slots([this.numbers, this.bodies, links], [this.byHandle.column, ...this.users.columns]);
    this.visitorBuckets = new ExpiryBuckets(this.slots, links);
    this.userBuckets = new ExpiryBuckets(this.slots, links);
  }

  /** @throws {SessionError} when the storage is full and may not evict */
  create(record: SessionRecord): boolean {
    const now = this.now();
    const taken = this.byHandle.find(record.handle);
    if (taken !== NONE) {
      if (this.isAlive(taken, now)) return false;
      this.remove(taken, 'expired');
    }
    while (this.size >= this.maxSessions) this.makeRoom(now);
    const slot = this.slots.take();
    this.bodies.write(slot, record);
    this.numbers.set(slot, EXPIRES_AT, record.expiresAt);
    this.numbers.set(slot, CREATED_AT, record.createdAt);
    this.numbers.set(slot, TOUCHED_AT, record.touchedAt);
    this.byHandle.add(record.handle, slot);
    this.users.add(slot);
    this.bucketsOf(slot).file(slot, record.expiresAt, now);
    this.size++;
    return true;
  }

  read(handle: string): SessionRecord | undefined {
    const slot = this.findAlive(handle, this.now());
    return slot === NONE ? undefined : this.recordOf(slot);
  }

  update(handle: string, change: SessionChange): UpdateResult {
    const now = this.now();
    const slot = this.findAlive(handle, now);
    if (slot === NONE) return 'gone';
    const { expected, lease, touchedAt, expiresAt } = change;
    if (lease !== undefined && !this.holds(handle, lease)) return 'lost';
    if (expected !== undefined && !this.bodies.meets(slot, expected)) return 'conflict';
    this.changeBody(slot, change, now);
    if (touchedAt !== undefined) this.numbers.set(slot, TOUCHED_AT, touchedAt);
    if (expiresAt !== undefined) this.moveDeadline(slot, expiresAt, now);
    return 'ok';
  }

  destroy(handle: string, expected?: Expectation): boolean {
    const slot = this.byHandle.find(handle);
    if (slot === NONE) return false;
    const alive = this.isAlive(slot, this.now());
    if (alive && expected !== undefined && !this.bodies.meets(slot, expected)) return false;
    this.remove(slot, alive ? undefined : 'expired');
    return alive;
  }

  /**
   * Looks only at what is due. The answer is a promise if more than a slice of it is, or `limit` was reached: purging
   * batch after batch lets the event loop have its turns even so.
   */
  override purgeExpired(limit: number): Awaitable<number> {
    let removed = 0;
    return inSlices(
      () => {
        if (removed >= limit) return false;
        const slice = this.purgeSlice(limit - removed, SLICE);
        removed += slice.removed;
        return slice.more;
      },
      () => removed,
    );
  }

  override count(): number {
    return this.size;
  }

  /** Answers at once for a user of up to 500 sessions, and later for one of more. */
  override byUser(userId: string): Awaitable<SessionRecord[]> {
    const slots = this.users.slotsOf(userId);
    const records: SessionRecord[] = [];
    let at = 0;
    return inSlices(
      () => {
        const now = this.now();
        for (const end = Math.min(at + SLICE, slots.length); at < end; at++) {
          const slot = slots[at];
          if (this.holdsAlive(slot, now) && this.bodies.userIdOf(slot) === userId) {
            records.push(this.recordOf(slot));
          }
        }
        return at < slots.length;
      },
      () => records,
    );
  }

  override alive(handles: readonly string[]): string[] {
    const now = this.now();
    return handles.filter((handle) => this.findAlive(handle, now) !== NONE);
  }

  /**
   * In the order of the slots: a session keeps its slot while it lives.
   *
   * @throws {SessionError} when the cursor is none that a page had
   */
  override list({
    limit,
    cursor = '0',
  }: {
    limit: number;
    cursor?: string | undefined;
  }): Awaitable<RecordPage> {
    if (!/^\d{1,10}$/.test(cursor)) {
      throw new SessionError('MemoryStorage: the cursor of a list must be one that the page before had.');
    }
    const records: SessionRecord[] = [];
    const wanted = Math.max(limit, 1);
    let slot = Number(cursor);
    return inSlices(
      () => {
        const now = this.now();
        for (let step = 0; slot < this.slots.end && records.length < wanted; slot++) {
          if (step++ === SLICE) return true;
          if (this.holdsAlive(slot, now)) records.push(this.recordOf(slot));
        }
        return false;
      },
      () => ({ records, cursor: slot < this.slots.end ? String(slot) : undefined }),
    );
  }

  override ping(): void {}

  private findAlive(handle: string, now: number): number {
    const slot = this.byHandle.find(handle);
    return slot !== NONE && this.isAlive(slot, now) ? slot : NONE;
  }

  /** Of a slot that may hold no session, or not any more. */
  private holdsAlive(slot: number, now: number): boolean {
    return this.bodies.isUsed(slot) && this.isAlive(slot, now);
  }

  private isAlive(slot: number, now: number): boolean {
    return now < this.numbers.get(slot, EXPIRES_AT);
  }

  private bucketsOf(slot: number): ExpiryBuckets {
    return this.bodies.hasUser(slot) ? this.userBuckets : this.visitorBuckets;
  }

  private recordOf(slot: number): SessionRecord {
    const { handle, proof, authenticatedAt, ttl, userId, client, data } = this.bodies.read(slot);
    return {
      handle,
      proof,
      createdAt: this.numbers.get(slot, CREATED_AT),
      touchedAt: this.numbers.get(slot, TOUCHED_AT),
      expiresAt: this.numbers.get(slot, EXPIRES_AT),
      authenticatedAt,
      ttl,
      userId,
      client,
      data,
    };
  }

  private changeBody(slot: number, change: SessionChange, now: number): void {
    const { set, remove, proof, userId, authenticatedAt, ttl, client } = change;
    const onlyData =
      proof === undefined &&
      userId === undefined &&
      authenticatedAt === undefined &&
      ttl === undefined &&
      client === undefined;
    if (onlyData && !remove?.length && (!set || this.bodies.patch(slot, set))) return;
    const body = this.bodies.read(slot);
    const rebound = userId !== undefined && (userId ?? undefined) !== body.userId;
    if (rebound) {
      this.users.remove(slot);
      this.bucketsOf(slot).remove(slot);
    }
    this.bodies.write(slot, {
      handle: body.handle,
      proof: proof ?? body.proof,
      userId: changed(body.userId, userId),
      authenticatedAt: changed(body.authenticatedAt, authenticatedAt),
      ttl: changed(body.ttl, ttl),
      client: changed(body.client, client),
      data: set || remove ? changedData(body.data, set, remove) : body.data,
    });
    if (rebound) {
      this.users.add(slot);
      this.bucketsOf(slot).file(slot, this.numbers.get(slot, EXPIRES_AT), now);
    }
  }

  /** A later deadline is only written down: the buckets find out when they come to look. */
  private moveDeadline(slot: number, expiresAt: number, now: number): void {
    const earlier = expiresAt < this.numbers.get(slot, EXPIRES_AT);
    this.numbers.set(slot, EXPIRES_AT, expiresAt);
    if (!earlier) return;
    const buckets = this.bucketsOf(slot);
    buckets.remove(slot);
    buckets.file(slot, expiresAt, now);
  }

  /** Removes one record: an expired one, else a visitor's, else a user's; of these the one that expires first. */
  private makeRoom(now: number): void {
    if (this.purgeSlice(1, MAX_EVICTION_STEPS).removed > 0) return;
    if (this.whenFull === 'reject') {
      throw new SessionError(
        `MemoryStorage: full with ${this.maxSessions} sessions, and whenFull is 'reject'; nothing was stored. ` +
          'Raise maxSessions, shorten ttl, or keep sessions in a storage outside this process.',
      );
    }
    const visitor = this.earliestOf(this.visitorBuckets, now);
    this.remove(visitor === NONE ? this.earliestOf(this.userBuckets, now) : visitor, 'evicted');
  }

  private earliestOf(buckets: ExpiryBuckets, now: number): number {
    let best = NONE;
    for (let step = 0; step < MAX_EVICTION_STEPS; step++) {
      const slot = buckets.first();
      if (slot === NONE) break;
      const expiresAt = this.numbers.get(slot, EXPIRES_AT);
      if (buckets.isEarliest(expiresAt)) return slot;
      if (best === NONE || expiresAt < this.numbers.get(best, EXPIRES_AT)) best = slot;
      buckets.refileFirst(expiresAt, now);
    }
    return best;
  }

  /** Removes up to `limit` expired records, and looks at no more than `steps`. */
  private purgeSlice(limit: number, steps: number): { removed: number; more: boolean } {
    const now = this.now();
    let removed = 0;
    for (let step = 0; step < steps && removed < limit; step++) {
      let buckets = this.visitorBuckets;
      let slot = buckets.firstDue(now);
      if (slot === NONE) {
        buckets = this.userBuckets;
        slot = buckets.firstDue(now);
      }
      if (slot === NONE) return { removed, more: false };
      if (this.isAlive(slot, now)) {
        buckets.refileFirst(this.numbers.get(slot, EXPIRES_AT), now);
      } else {
        this.remove(slot, 'expired');
        removed++;
      }
    }
    return { removed, more: true };
  }

  private remove(slot: number, reason: StorageEvent['type'] | undefined): void {
    const event = reason && {
      type: reason,
      handle: this.bodies.handleOf(slot),
      userId: this.bodies.userIdOf(slot),
    };
    this.byHandle.remove(slot);
    this.users.remove(slot);
    this.bucketsOf(slot).remove(slot);
    this.bodies.clear(slot);
    this.slots.give(slot);
    this.size--;
    if (event) this.notify(event);
  }
}

/** A field after a change that may leave it alone or, by null, remove it. */
function changed<T>(before: T | undefined, change: T | null | undefined): T | undefined {
  return change === undefined ? before : (change ?? undefined);
}

/** New data: what is stored never changes, because a reader may hold it. */
function changedData(
  data: SessionRecord['data'],
  set: SessionChange['set'] = {},
  remove: SessionChange['remove'] = [],
): SessionRecord['data'] {
  const result: Record<string, string> = new RecordData();
  const removed = remove.length > 0 ? new Set(remove) : undefined;
  for (const key of Object.keys(data)) if (!removed?.has(key)) result[key] = data[key];
  for (const key of Object.keys(set)) result[key] = set[key];
  return result;
}

const OPTIONS: StorageOptionRules<MemoryStorageOptions> = {
  maxSessions: {
    takes: 'a whole number of at least 1',
    accepts: (value) => Number.isSafeInteger(value) && Number(value) >= 1,
  },
  whenFull: { takes: "'evict' or 'reject'", accepts: (value) => value === 'evict' || value === 'reject' },
  now: {
    takes: 'a function that returns milliseconds since the Unix epoch',
    accepts: (value) => typeof value === 'function',
  },
};
