import { after, isThenable } from '../awaitable.js';
import { SessionError, SessionExistsError, SessionTooLargeError } from '../errors.js';
import { SessionGoneError, SessionLockError, SessionStorageError } from '../errors.http.js';
import type { SessionEvents } from './events.js';
import { newHandle, newSecret, parseId, proofOf, proves } from './id.js';
import type { SessionSettings } from '../nest/session.options.js';
import { absoluteDeadline, SessionState } from './state.js';
import { SessionValues, type ValueChange } from './values.js';
import type { SessionChange, UpdateResult } from '../storage/session-storage.js';
import type { Awaitable } from '../awaitable.js';
import type { SessionRecord } from '../storage/record.js';

/** How often a write that must not meet another one is tried again. */
export const MAX_TRIES = 20;

/**
 * What a session goes through: begun, found, committed, rotated, ended. What can be done without waiting
 * is done without a promise.
 */
export class SessionLifecycle {
  constructor(
    readonly settings: SessionSettings,
    readonly events: SessionEvents,
  ) {}

  /** A new visitor's session: nothing is stored until something is written. */
  begin(): SessionState {
    return new SessionState(this.initialValues(), Date.now(), this.settings.ttl);
  }

  /** The session of an id; undefined if the id is malformed, unknown or forged, or the session has ended. */
  find(id: string): Awaitable<SessionState | undefined> {
    const parts = parseId(id);
    if (!parts) {
      this.events.emit('rejected');
      return undefined;
    }
    return after(
      this.call(() => this.settings.storage.read(parts.handle)),
      (record) => {
        if (
          !record ||
          !this.isSound(record, parts.handle) ||
          !proves(parts.secret, record.proof) ||
          !this.isLive(record)
        ) {
          this.events.emit('rejected', record ? parts.handle : undefined);
          return undefined;
        }
        const state = new SessionState(this.valuesOf(record), record.createdAt, this.settings.ttl);
        state.startedHere = false;
        state.id = id;
        state.take(record);
        return state;
      },
    );
  }

  /** Gives a new session its id, once. */
  name(state: SessionState): void {
    if (state.id !== undefined) return;
    const secret = newSecret(this.settings.generateId);
    state.handle = newHandle();
    state.id = `${state.handle}.${secret}`;
    state.proof = proofOf(secret);
  }

  // ── commit ─────────────────────────────────────────────────────────────────────────────────────────

  /**
   * Saves what changed, and the touch if it is due, in one call; where nothing is to be saved, no call.
   */
  commit(state: SessionState): Awaitable<void> {
    if (state.writing) return state.writing.then(() => this.commit(state));
    if (state.status === 'gone') return;
    const change = state.values.mayDiffer ? state.values.collect(state.carrier !== undefined) : undefined;
    if (state.status === 'new') return change && this.insert(state, change);
    if (change || state.ttlChanged) return this.write(state, change, this.isTouchDue(state));
    if (this.isTouchDue(state)) return this.touch(state);
  }

  /** @throws {SessionGoneError} if the session ended meanwhile */
  async save(state: SessionState): Promise<void> {
    const { version } = state;
    await this.commit(state);
    // Where nothing was to be written, whoever saves still wants to know that the session is there.
    if (state.status === 'stored' && state.version === version) await this.catchUp(state);
    this.refuseGone(state);
  }

  expireIn(state: SessionState, ttl: number): void {
    state.ttl = ttl;
    state.ttlChanged = true;
    state.expiresAt = state.deadline(this.settings, Date.now());
  }

  /**
   * Stores a new session.
   *
   * @param ownId the id is the caller's, so that a taken one is an error; else another one is made
   */
  insert(state: SessionState, change?: ValueChange, ownId = false): Awaitable<void> {
    if (state.carrier?.sealed) {
      this.events.warnOnce(
        'A session was written to for the first time after the headers had gone out: nothing was stored',
      );
      return;
    }
    this.checkSize(state, change);
    return this.during(state, this.tryInsert(state, change, ownId ? 1 : 3));
  }

  private tryInsert(state: SessionState, change: ValueChange | undefined, tries: number): Awaitable<void> {
    this.name(state);
    const now = Date.now();
    const record: SessionRecord = {
      handle: state.handle!,
      proof: state.proof,
      version: 1,
      createdAt: now,
      touchedAt: now,
      expiresAt: now + Math.min(state.ttl ?? this.settings.ttl, this.settings.absoluteTtl),
      authenticatedAt: state.userId === undefined ? undefined : now,
      ttl: state.ttl,
      userId: state.userId,
      data: state.values.with(change),
    };
    return after(
      this.call(() => this.settings.storage.create(record)),
      (created) => {
        if (created) {
          if (change) state.values.saved(change);
          const { ttl } = state;
          state.take(record);
          if (ttl === record.ttl) state.ttlChanged = false;
          state.useNoted = true;
          state.cookieDue = 'issue';
          this.events.emit('created', record.handle, record.userId);
          return;
        }
        if (tries <= 1) throw new SessionExistsError(record.handle);
        state.id = undefined;
        return this.tryInsert(state, change, tries - 1);
      },
    );
  }

  /**
   * Updates a stored session.
   *
   * @param touches whether its use now is written as well
   * @param lease token of the lease that the write depends on
   */
  write(
    state: SessionState,
    values: ValueChange | undefined,
    touches: boolean,
    lease = state.lease,
  ): Awaitable<void> {
    this.checkSize(state, values);
    // The absolute deadline may have come while this object was held; who knows, unless somebody logged in again (S20).
    if (Date.now() >= absoluteDeadline(state, this.settings)) {
      return after(this.catchUp(state), (record) => record && this.write(state, values, touches, lease));
    }
    if (touches) state.useNoted = true;
    return this.during(state, this.tryWrite(state, values, touches, lease, MAX_TRIES));
  }

  private tryWrite(
    state: SessionState,
    values: ValueChange | undefined,
    touches: boolean,
    lease: string | undefined,
    tries: number,
  ): Awaitable<void> {
    const now = Date.now();
    const change: SessionChange = {
      set: values?.set,
      remove: values?.remove,
      proof: undefined,
      userId: undefined,
      authenticatedAt: undefined,
      touchedAt: touches ? now : undefined,
      expiresAt: touches ? state.deadline(this.settings, now) : undefined,
      ttl: touches && state.ttlChanged ? state.ttl : undefined,
      // A deadline follows from what is known of the session, and the cookie goes out again only with an id that
      // is alive: where another request has changed either meanwhile, this one looks again.
      expectedVersion: touches ? state.version : undefined,
      lease,
    };
    return after(this.update(state, change), (result): Awaitable<void> => {
      if (result === 'gone') return this.lose(state);
      if (result === 'ok') return this.noteWritten(state, values, change);
      return after(this.catchUp(state), (record) => {
        if (!record) return;
        if (lease !== undefined && (!touches || record.version === change.expectedVersion))
          this.loseLock(state);
        const touchesAgain = touches && tries > 0;
        if (values || touchesAgain) return this.tryWrite(state, values, touchesAgain, lease, tries - 1);
      });
    });
  }

  private noteWritten(state: SessionState, values: ValueChange | undefined, change: SessionChange): void {
    if (values) state.values.saved(values);
    state.version++;
    if (change.touchedAt === undefined) return;
    state.touchedAt = change.touchedAt;
    state.expiresAt = change.expiresAt!;
    if (change.ttl === state.ttl) state.ttlChanged = false;
    const renews = state.carrier && this.settings.cookie.persistent && !state.rotatedElsewhere;
    if (renews && state.cookieDue === 'none') state.cookieDue = 'renew';
  }

  /** A touch that fails is no reason to fail a request that changed nothing. */
  private touch(state: SessionState): Awaitable<void> {
    const failed = (error: unknown) => {
      if (!(error instanceof SessionStorageError || error instanceof SessionLockError)) throw error;
      this.events.emit('failed', state.handle, state.userId);
    };
    try {
      const written = this.write(state, undefined, true);
      return isThenable(written) ? written.then(undefined, failed) : written;
    } catch (error) {
      failed(error);
    }
  }

  /** Whether the use of the session is to be written now. */
  isTouchDue(state: SessionState): boolean {
    if (state.ttlChanged) return true;
    return !(state.carrier && state.useNoted) && state.touchDue(this.settings, Date.now());
  }

  // ── end ────────────────────────────────────────────────────────────────────────────────────────────

  /** Ends the session and goes on as a new visitor's. */
  async end(state: SessionState): Promise<void> {
    if (state.writing) await this.idle(state);
    if (state.status === 'stored') await this.during(state, this.remove(state.handle!, state.userId));
    // A cookie that never went out needs no clearing, and one that this request did not bring is left alone.
    if (state.status !== 'new') state.cookieDue = state.cameByCookie ? 'clear' : 'none';
    this.restart(state);
  }

  /** Removes a record; false if there was none. */
  remove(handle: string, userId?: string): Awaitable<boolean> {
    return after(
      this.call(() => this.settings.storage.destroy(handle)),
      (destroyed) => {
        if (destroyed) this.events.emit('destroyed', handle, userId);
        return destroyed;
      },
    );
  }

  private restart(state: SessionState): void {
    Object.assign(state, {
      ...this.begin(),
      cookieDue: state.cookieDue,
      carrier: state.carrier,
      cameByCookie: state.cameByCookie,
    });
  }

  /** The session ended elsewhere: it stays dead, and no cookie goes out for it (S27). */
  lose(state: SessionState): void {
    state.status = 'gone';
    state.cookieDue = 'none';
    this.events.emit('gone', state.handle, state.userId);
  }

  loseLock(state: SessionState): never {
    this.events.emit('conflict', state.handle, state.userId);
    throw new SessionLockError(
      `Session ${state.handle}: its lock was lost, held for longer than lock.hold (${this.settings.lock.hold} ms); nothing was saved.`,
    );
  }

  // ── read again ─────────────────────────────────────────────────────────────────────────────────────

  /** What is stored now, and what it means for this holder; undefined, and `gone`, if the session ended. */
  catchUp(state: SessionState): Awaitable<SessionRecord | undefined> {
    return after(
      this.call(() => this.settings.storage.read(state.handle!)),
      (record) => {
        if (!record || !this.isSound(record, state.handle!) || !this.isLive(record)) {
          this.lose(state);
          return undefined;
        }
        if (record.proof !== state.proof) state.rotatedElsewhere = true;
        state.take(record);
        return record;
      },
    );
  }

  /** Goes on from what is stored now; what was not saved yet stays to be saved. */
  async refresh(state: SessionState): Promise<void> {
    if (state.status === 'new') return;
    const record = state.status === 'gone' ? undefined : await this.catchUp(state);
    if (!record) throw new SessionGoneError(state.handle);
    state.values.rebase(record.data);
  }

  /** Neither deadline has come (S20, S21). */
  isLive(record: SessionRecord): boolean {
    const now = Date.now();
    return now < record.expiresAt && now < absoluteDeadline(record, this.settings);
  }

  valuesOf(record: SessionRecord): SessionValues {
    return new SessionValues(this.settings.codec, record.data, () =>
      this.events.emit('corrupt', record.handle, record.userId),
    );
  }

  private initialValues(): SessionValues {
    const { codec, initial } = this.settings;
    if (!initial) return new SessionValues(codec);
    const values = new SessionValues(codec);
    values.assign(initial(), 'SessionModule: what initial() returns');
    return new SessionValues(codec, values.with(values.collect(false)));
  }

  /** A record that is not of the contract's shape counts as absent (S49). */
  private isSound(record: SessionRecord, handle: string): boolean {
    const sound =
      typeof record.proof === 'string' &&
      typeof record.expiresAt === 'number' &&
      typeof record.createdAt === 'number' &&
      typeof record.data === 'object' &&
      record.data !== null;
    if (!sound) this.events.emit('corrupt', handle);
    return sound;
  }

  checkSize(state: SessionState, change: ValueChange | undefined): void {
    const { maxBytes } = this.settings;
    if (!change) return;
    const bytes = state.values.bytesWith(change, maxBytes);
    if (bytes > maxBytes) throw new SessionTooLargeError(state.handle, bytes, maxBytes);
  }

  refuseGone(state: SessionState): void {
    if (state.status === 'gone') throw new SessionGoneError(state.handle);
  }

  // ── storage ────────────────────────────────────────────────────────────────────────────────────────

  update(state: SessionState, change: SessionChange): Awaitable<UpdateResult> {
    return this.call(() => this.settings.storage.update(state.handle!, change));
  }

  /** Waits until nothing of this holder is being written. To be called only if something is: it takes its time. */
  async idle(state: SessionState): Promise<void> {
    while (state.writing) await state.writing;
  }

  /** Makes the next write of this holder wait for this one. */
  during<T>(state: SessionState, work: Awaitable<T>): Awaitable<T> {
    if (!isThenable(work)) return work;
    const done = () => {
      if (state.writing === waiting) state.writing = undefined;
    };
    const settled = work.then(
      (value) => (done(), value),
      (error: unknown) => {
        done();
        throw error;
      },
    );
    const waiting: PromiseLike<unknown> = settled.then(undefined, () => undefined);
    state.writing = waiting;
    return settled;
  }

  /** Calls the storage; what it fails with becomes a `SessionStorageError`, a 503 (S51). */
  call<T>(work: () => Awaitable<T>): Awaitable<T> {
    try {
      const answer = work();
      return isThenable(answer) ? answer.then(undefined, (error: unknown) => this.refuse(error)) : answer;
    } catch (error) {
      return this.refuse(error);
    }
  }

  /** The client learns nothing of the reason, so the log must. */
  private refuse(error: unknown): never {
    if (error instanceof SessionLockError) throw error;
    this.events.error('The session storage failed', error);
    throw new SessionStorageError(error);
  }
}

/** @throws {SessionError} unless a user is named as the library names them */
export function checkUser(userId: unknown, where: string): void {
  if (typeof userId === 'string' && userId !== '') return;
  throw new SessionError(
    `${where}: a user is a non-empty string; got ${userId === '' ? '""' : `a ${typeof userId}`}.`,
  );
}
