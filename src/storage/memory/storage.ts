import { setImmediate } from 'node:timers';
import { SessionError } from '../../errors.js';
import { ExpiryBuckets } from './expiry-buckets.js';
import { SessionBodies } from './session-bodies.js';
import { SlotIndex } from './slot-index.js';
import { Float64Column, Int32Column, NONE, Slots } from './slots.js';
import { UserIndex } from './user-index.js';
import { RecordData } from '../record.js';
import {
  type SessionChange,
  SessionStorage,
  type StorageEvent,
  type UpdateResult,
} from '../session-storage.js';
import { type SessionRecord } from '../record.js';
import { checkedOptions, functionThat, oneOf, type OptionRules, wholeNumber } from '../../rules.js';

export interface MemoryStorageOptions {
  /** The most sessions there are at a time. Default 1,000,000. */
  readonly maxSessions?: number | undefined;
  /**
   * What {@link MemoryStorage.create} does when there are as many: `'evict'` (the default) ends the session
   * that would expire first, `'reject'` throws.
   */
  readonly whenFull?: 'evict' | 'reject' | undefined;
  /** The clock, in milliseconds since the Unix epoch. Default `Date.now`. */
  readonly now?: (() => number) | undefined;
}

/** The numbers of a session. */
const EXPIRES_AT = 0;
const CREATED_AT = 1;
const TOUCHED_AT = 2;
const VERSION = 3;

/** How many records a purge looks at before it lets the event loop go on: less than a millisecond's worth. */
const PURGE_SLICE = 500;

/** How many records `create` looks at to find the one that expires first; of more, it takes the best so far. */
const MAX_EVICTION_STEPS = 2_000;

/**
 * Sessions in this process's memory, and the reference of the contract. They end with the process and are
 * not shared with others: for one process, for development and for tests.
 *
 * It answers at once, without promises; only a long purge gives the event loop turns in between. It holds at
 * most `maxSessions` and says so, with the event `evicted`, when it has to end one for that.
 *
 * @example
 * SessionModule.forRoot({ storage: new MemoryStorage({ maxSessions: 50_000 }) })
 */
export class MemoryStorage extends SessionStorage {
  private readonly maxSessions: number;
  private readonly whenFull: 'evict' | 'reject';
  private readonly now: () => number;

  private readonly numbers = new Float64Column(4);
  private readonly bodies = new SessionBodies();
  private readonly byHandle = new SlotIndex((slot, handle) => this.bodies.hasHandle(slot, handle));
  private readonly users = new UserIndex((slot) => this.bodies.userIdOf(slot));
  private readonly slots: Slots;
  private readonly buckets: ExpiryBuckets;
  private size = 0;

  /** @throws {SessionOptionsError} when an option is unknown or wrong */
  constructor(options: MemoryStorageOptions = {}) {
    super();
    const given = checkedOptions('MemoryStorage', options, OPTIONS);
    const { maxSessions = 1_000_000, whenFull = 'evict', now = () => Date.now() } = given;
    this.maxSessions = maxSessions;
    this.whenFull = whenFull;
    this.now = now;
    const links = new Int32Column(2);
    this.slots = new Slots([this.numbers, this.bodies, links], [this.byHandle.column, ...this.users.columns]);
    this.buckets = new ExpiryBuckets(this.slots, links);
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
    this.numbers.set(slot, VERSION, record.version);
    this.byHandle.add(record.handle, slot);
    this.users.add(slot);
    this.buckets.file(slot, record.expiresAt, now);
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
    const version = this.numbers.get(slot, VERSION);
    const { expectedVersion, lease, touchedAt, expiresAt } = change;
    if (expectedVersion !== undefined && expectedVersion !== version) return 'conflict';
    if (lease !== undefined && !this.holds(handle, lease)) return 'conflict';
    this.changeBody(slot, change);
    if (touchedAt !== undefined) this.numbers.set(slot, TOUCHED_AT, touchedAt);
    if (expiresAt !== undefined) this.moveDeadline(slot, expiresAt, now);
    this.numbers.set(slot, VERSION, version + 1);
    return 'ok';
  }

  destroy(handle: string): boolean {
    const slot = this.byHandle.find(handle);
    if (slot === NONE) return false;
    const alive = this.isAlive(slot, this.now());
    this.remove(slot, alive ? undefined : 'expired');
    return alive;
  }

  /**
   * Looks only at what is due, and for less than a millisecond at a time. The answer is a promise if more is due:
   * who purges batch after batch lets the event loop have its turns even so.
   */
  purgeExpired(limit: number): number | Promise<number> {
    const { removed, more } = this.purgeSlice(limit);
    return more ? this.purgeOn(limit, removed) : removed;
  }

  count(): number {
    return this.size;
  }

  byUser(userId: string): SessionRecord[] {
    const now = this.now();
    const records: SessionRecord[] = [];
    for (const slot of this.users.slotsOf(userId)) {
      if (this.isAlive(slot, now)) records.push(this.recordOf(slot));
    }
    return records;
  }

  private findAlive(handle: string, now: number): number {
    const slot = this.byHandle.find(handle);
    return slot !== NONE && this.isAlive(slot, now) ? slot : NONE;
  }

  private isAlive(slot: number, now: number): boolean {
    return now < this.numbers.get(slot, EXPIRES_AT);
  }

  private recordOf(slot: number): SessionRecord {
    const { handle, proof, authenticatedAt, ttl, userId, data } = this.bodies.read(slot);
    return {
      handle,
      proof,
      version: this.numbers.get(slot, VERSION),
      createdAt: this.numbers.get(slot, CREATED_AT),
      touchedAt: this.numbers.get(slot, TOUCHED_AT),
      expiresAt: this.numbers.get(slot, EXPIRES_AT),
      authenticatedAt,
      ttl,
      userId,
      data,
    };
  }

  private changeBody(slot: number, change: SessionChange): void {
    const { set, remove, proof, userId, authenticatedAt, ttl } = change;
    const onlyData =
      proof === undefined && userId === undefined && authenticatedAt === undefined && ttl === undefined;
    if (onlyData && !remove?.length && (!set || this.bodies.patch(slot, set))) return;
    const body = this.bodies.read(slot);
    const rebound = userId !== undefined && userId !== body.userId;
    if (rebound) this.users.remove(slot);
    this.bodies.write(slot, {
      handle: body.handle,
      proof: proof ?? body.proof,
      userId: userId ?? body.userId,
      authenticatedAt: authenticatedAt ?? body.authenticatedAt,
      ttl: ttl ?? body.ttl,
      data: set || remove ? changed(body.data, set, remove) : body.data,
    });
    if (rebound) this.users.add(slot);
  }

  /** A later deadline is only written down: the buckets find out when they come to look. */
  private moveDeadline(slot: number, expiresAt: number, now: number): void {
    const earlier = expiresAt < this.numbers.get(slot, EXPIRES_AT);
    this.numbers.set(slot, EXPIRES_AT, expiresAt);
    if (!earlier) return;
    this.buckets.remove(slot);
    this.buckets.file(slot, expiresAt, now);
  }

  /** Removes the record that expires first, which may have expired already. */
  private makeRoom(now: number): void {
    let best = NONE;
    for (let step = 0; step < MAX_EVICTION_STEPS; step++) {
      const slot = this.whenFull === 'evict' ? this.buckets.first() : this.buckets.firstDue(now);
      if (slot === NONE) break;
      if (!this.isAlive(slot, now)) return this.remove(slot, 'expired');
      const expiresAt = this.numbers.get(slot, EXPIRES_AT);
      if (best === NONE || expiresAt < this.numbers.get(best, EXPIRES_AT)) best = slot;
      if (this.buckets.isEarliest(expiresAt)) {
        best = slot;
        break;
      }
      this.buckets.refileFirst(expiresAt, now);
    }
    if (this.whenFull === 'evict') return this.remove(best, 'evicted');
    throw new SessionError(
      `MemoryStorage: full with ${this.maxSessions} sessions, and whenFull is 'reject'; nothing was stored. ` +
        'Raise maxSessions, shorten ttl, or keep sessions in a storage outside this process.',
    );
  }

  private async purgeOn(limit: number, alreadyRemoved: number): Promise<number> {
    let removed = alreadyRemoved;
    for (;;) {
      await new Promise<void>((resolve) => void setImmediate(resolve));
      if (!(removed < limit)) return removed;
      const slice = this.purgeSlice(limit - removed);
      removed += slice.removed;
      if (!slice.more) return removed;
    }
  }

  private purgeSlice(limit: number): { removed: number; more: boolean } {
    const now = this.now();
    let removed = 0;
    for (let step = 0; step < PURGE_SLICE && removed < limit; step++) {
      const slot = this.buckets.firstDue(now);
      if (slot === NONE) return { removed, more: false };
      if (this.isAlive(slot, now)) {
        this.buckets.refileFirst(this.numbers.get(slot, EXPIRES_AT), now);
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
    this.buckets.remove(slot);
    this.bodies.clear(slot);
    this.slots.give(slot);
    this.size--;
    if (event) this.notify(event);
  }
}

/** New data: what is stored never changes, because a reader may hold it. */
function changed(
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

const OPTIONS: OptionRules<MemoryStorageOptions> = {
  maxSessions: wholeNumber(),
  whenFull: oneOf('evict', 'reject'),
  now: functionThat('returns milliseconds since the Unix epoch'),
};
