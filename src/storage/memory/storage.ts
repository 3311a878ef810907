// A session is a slot: a number under which everything about it is in columns. One object for each session would be
// several times as big, and the garbage collector would have to go through a million of them. The parts:
//
//   storage         the contract, and what happens when there are too many
//   options         what it takes
//   in-slices       long work with turns of the event loop in between
//   slots           which slots there are, in pages of 1,024, and columns of times
//   session-bodies  the column of what a session consists of: one text, or an object if it is big
//   packed-text     that text
//   layouts         the keys that belong to such texts, shared by all sessions that have the same
//   slot-index      finds slots by a text that they hold: sessions by handle
//   user-index      finds the slots of a user
//   deadlines       finds the slots that have expired, or have to go
//   expiry-buckets  the same, without knowing what is in the slots
import type { Awaitable } from '../../awaitable.js';
import { SessionError } from '../../errors.js';
import type { SessionRecord } from '../record.js';
import {
  type Expectation,
  type RecordPage,
  type SessionChange,
  SessionStorage,
  type StorageEvent,
  type UpdateResult,
} from '../session-storage.js';
import { Deadlines, EXPIRES_AT } from './deadlines.js';
import { inSlices, SLICE } from './in-slices.js';
import { type MemoryStorageOptions, resolveOptions } from './options.js';
import { SessionBodies } from './session-bodies.js';
import { SlotIndex } from './slot-index.js';
import { Float64Column, Int32Column, NONE, Slots } from './slots.js';
import { UserIndex } from './user-index.js';

/** Times of a session, beside {@link EXPIRES_AT}. */
const CREATED_AT = 1;
const TOUCHED_AT = 2;

/** How many records `create` looks at to find an expired one, before it ends a live one. */
const MAX_LOOKS = 2_000;

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

  private readonly times = new Float64Column(3);
  private readonly bodies = new SessionBodies();
  private readonly byHandle = new SlotIndex((slot, handle) => this.bodies.hasHandle(slot, handle));
  private readonly users = new UserIndex((slot) => this.bodies.userIdOf(slot));
  private readonly slots: Slots;
  private readonly deadlines: Deadlines;
  private size = 0;

  /** @throws {SessionOptionsError} when an option is unknown or wrong */
  constructor(options: MemoryStorageOptions = {}) {
    super();
    const { maxSessions, whenFull, now } = resolveOptions(options);
    this.maxSessions = maxSessions;
    this.whenFull = whenFull;
    this.now = now;
    const links = new Int32Column(2);
    this.slots = new Slots([this.times, this.bodies, links], [this.byHandle.column, ...this.users.columns]);
    this.deadlines = new Deadlines(this.slots, links, this.times);
  }

  /** @throws {SessionError} when the storage is full and may not evict */
  create(record: SessionRecord): boolean {
    const now = this.now();
    const taken = this.byHandle.find(record.handle);
    if (taken !== NONE) {
      if (this.deadlines.isAlive(taken, now)) return false;
      this.remove(taken, 'expired');
    }
    while (this.size >= this.maxSessions) this.makeRoom(now);
    const slot = this.slots.take();
    this.bodies.write(slot, record);
    this.times.set(slot, EXPIRES_AT, record.expiresAt);
    this.times.set(slot, CREATED_AT, record.createdAt);
    this.times.set(slot, TOUCHED_AT, record.touchedAt);
    this.byHandle.add(record.handle, slot);
    this.file(slot, record.userId, now);
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
    if (touchedAt !== undefined) this.times.set(slot, TOUCHED_AT, touchedAt);
    if (expiresAt !== undefined) this.moveDeadline(slot, expiresAt, now);
    return 'ok';
  }

  destroy(handle: string, expected?: Expectation): boolean {
    const slot = this.byHandle.find(handle);
    if (slot === NONE) return false;
    const alive = this.deadlines.isAlive(slot, this.now());
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
        const now = this.now();
        const looks = { left: SLICE };
        while (removed < limit) {
          const slot = this.deadlines.nextExpired(now, looks);
          if (slot === NONE) return looks.left === 0;
          this.remove(slot, 'expired');
          removed++;
        }
        return true;
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
  override list(page: {
    readonly limit: number;
    readonly cursor?: string | undefined;
  }): Awaitable<RecordPage> {
    const { limit, cursor = '0' } = page;
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
    return slot !== NONE && this.deadlines.isAlive(slot, now) ? slot : NONE;
  }

  /** Of a slot that may hold no session, or not any more. */
  private holdsAlive(slot: number, now: number): boolean {
    return this.bodies.isUsed(slot) && this.deadlines.isAlive(slot, now);
  }

  private recordOf(slot: number): SessionRecord {
    const { handle, proof, authenticatedAt, ttl, userId, client, data } = this.bodies.read(slot);
    return {
      handle,
      proof,
      createdAt: this.times.get(slot, CREATED_AT),
      touchedAt: this.times.get(slot, TOUCHED_AT),
      expiresAt: this.times.get(slot, EXPIRES_AT),
      authenticatedAt,
      ttl,
      userId,
      client,
      data,
    };
  }

  private changeBody(slot: number, change: SessionChange, now: number): void {
    if (change.userId === undefined) return this.bodies.change(slot, change);
    const before = this.bodies.userIdOf(slot);
    const userId = change.userId ?? undefined;
    if (userId === before) return this.bodies.change(slot, change);
    this.unfile(slot, before);
    this.bodies.change(slot, change);
    this.file(slot, userId, now);
  }

  /** A later deadline is only written down. */
  private moveDeadline(slot: number, expiresAt: number, now: number): void {
    const earlier = expiresAt < this.times.get(slot, EXPIRES_AT);
    this.times.set(slot, EXPIRES_AT, expiresAt);
    if (!earlier) return;
    const hasUser = this.bodies.hasUser(slot);
    this.deadlines.remove(slot, hasUser);
    this.deadlines.file(slot, hasUser, now);
  }

  /** The slot holds its body and its times by now. */
  private file(slot: number, userId: string | undefined, now: number): void {
    if (userId !== undefined) this.users.add(slot, userId);
    this.deadlines.file(slot, userId !== undefined, now);
  }

  /** The slot still holds the body that it was filed with. */
  private unfile(slot: number, userId: string | undefined): void {
    if (userId !== undefined) this.users.remove(slot, userId);
    this.deadlines.remove(slot, userId !== undefined);
  }

  /** Removes one record: an expired one if there is one, else the one that has to go. */
  private makeRoom(now: number): void {
    const expired = this.deadlines.nextExpired(now, { left: MAX_LOOKS });
    if (expired !== NONE) return this.remove(expired, 'expired');
    if (this.whenFull === 'evict') return this.remove(this.deadlines.firstToGo(now), 'evicted');
    throw new SessionError(
      `MemoryStorage: full with ${this.maxSessions} sessions, and whenFull is 'reject'; nothing was stored. ` +
        'Raise maxSessions, shorten ttl, or keep sessions in a storage outside this process.',
    );
  }

  private remove(slot: number, reason: StorageEvent['type'] | undefined): void {
    const userId = this.bodies.userIdOf(slot);
    const event = reason && { type: reason, handle: this.bodies.handleOf(slot), userId };
    this.byHandle.remove(slot);
    this.unfile(slot, userId);
    this.bodies.clear(slot);
    this.slots.give(slot);
    this.size--;
    if (event) this.notify(event);
  }
}
