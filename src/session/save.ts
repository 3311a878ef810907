import { after, type Awaitable, isThenable } from '../awaitable.js';
import { SessionError, SessionExistsError, SessionTooLargeError } from '../errors.js';
import { SessionGoneError, SessionLockError, SessionStorageError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type { SessionChange } from '../storage/session-storage.js';
import type { CheckedStorage } from './checked-storage.js';
import { deadline, isTouchDue } from './deadlines.js';
import type { SessionState } from './state.js';
import type { ValueChange } from './values.js';

/*
 * How what a holder changed gets into the storage. Every write expects the user that the holder knows, and a write that
 * moves the deadline also expects what the deadline was reckoned with. So a conflict means that the session is
 * another's by now, or was used by another request already: nothing is ever tried again and again.
 */

/** What a commit wrote: the use of the session (values or not), values alone, or nothing. */
export type Written = 'touch' | 'values' | undefined;

/** Whether the use of the session is to be written now: a holder whose id is dead writes none. */
export function touchIsDue(storage: CheckedStorage, state: SessionState): boolean {
  return state.isOwner && isTouchDue(Date.now(), state.record!, storage.settings);
}

/**
 * Saves what changed, and the use if it is to be written, in one call; where nothing is to be saved, no call. What the
 * caller was told already could not be saved is not tried again.
 */
export function commit(storage: CheckedStorage, state: SessionState, touches: boolean): Awaitable<Written> {
  if (state.writing) return state.writing.then(() => commit(storage, state, touches));
  if (state.outside) return undefined;
  const change = newChange(state);
  if (!state.record) {
    if (!change) return undefined;
    if (!state.exchange?.headersSent) return insert(storage, state, change);
    storage.events.warnOnce(
      'A session was written to for the first time after the headers had gone out: nothing was stored',
    );
    return undefined;
  }
  if (change || state.ttl !== undefined) return write(storage, state, change, touches);
  return touches ? touch(storage, state) : undefined;
}

/**
 * Saves now, because the caller asked.
 *
 * @throws {SessionGoneError} if the session ended, or went to another user, meanwhile
 */
export async function save(storage: CheckedStorage, state: SessionState): Promise<void> {
  await asked(state, async () => {
    if (state.writing) await idle(state);
    refuseOutside(state);
    const change = collect(state);
    if (!state.record) return change && insertNow(storage, state, change);
    // Within an exchange the use is written when the answer goes out, as is what the client is told of it.
    const touches = !state.exchange && touchIsDue(storage, state);
    if (change || touches || state.ttl !== undefined) await write(storage, state, change, touches);
    // Where nothing was to be written, the caller still wants to know that the session is there.
    else await look(storage, state);
    refuseOutside(state);
  });
}

/** Stores a new session, because the caller asked. */
export function insertNow(
  storage: CheckedStorage,
  state: SessionState,
  change: ValueChange | undefined,
  as: Start = {},
): Awaitable<unknown> {
  refuseSent(state, 'A new session must be stored');
  return insert(storage, state, change, as);
}

/** What a new session starts as, besides its data. */
export interface Start {
  readonly userId?: string | undefined;
  /** The id is the application's own, so that a taken one is an error; else another one is made. */
  readonly ownId?: boolean | undefined;
}

function insert(
  storage: CheckedStorage,
  state: SessionState,
  change: ValueChange | undefined,
  as: Start = {},
): Awaitable<Written> {
  checkSize(storage, state, change);
  return during(state, tryInsert(storage, state, change, as, as.ownId ? 1 : 3));
}

function tryInsert(
  storage: CheckedStorage,
  state: SessionState,
  change: ValueChange | undefined,
  as: Start,
  tries: number,
): Awaitable<Written> {
  const { settings } = storage;
  state.name(settings.generateId);
  const now = Date.now();
  const ttl = state.ttl ?? undefined;
  const life = { createdAt: now, authenticatedAt: as.userId === undefined ? undefined : now, ttl };
  const record: SessionRecord = {
    handle: state.handle!,
    proof: state.proof,
    ...life,
    touchedAt: now,
    expiresAt: deadline(now, life, settings),
    userId: as.userId,
    data: state.values.with(change),
  };
  return after(storage.create(record), (created) => {
    if (created) {
      if (change) state.values.saved(change);
      if ((state.ttl ?? undefined) === ttl) state.ttl = undefined;
      state.record = record;
      return 'touch';
    }
    if (tries <= 1) throw new SessionExistsError(record.handle);
    state.id = undefined;
    return tryInsert(storage, state, change, as, tries - 1);
  });
}

/**
 * Updates a stored session. If it ended or went to another user meanwhile, nothing is written and this holder is
 * outside.
 *
 * @param touches whether its use now is written as well
 * @param lease token of the lease that the write depends on
 */
export function write(
  storage: CheckedStorage,
  state: SessionState,
  values: ValueChange | undefined,
  touches: boolean,
  lease = state.lease,
): Awaitable<Written> {
  checkSize(storage, state, values);
  return during(state, apply(storage, state, values, { touches, lease }));
}

interface Write {
  readonly touches: boolean;
  readonly lease: string | undefined;
  /** The timeout met another request's, and what is stored was read again: now it counts whatever comes. */
  readonly insists?: boolean;
}

function apply(
  storage: CheckedStorage,
  state: SessionState,
  values: ValueChange | undefined,
  how: Write,
): Awaitable<Written> {
  const record = state.record!;
  const { ttl } = state;
  const moves = how.touches || ttl !== undefined;
  const now = Date.now();
  const userId = record.userId ?? null;
  const newTtl = ttl === undefined ? record.ttl : (ttl ?? undefined);
  const expiresAt = moves ? deadline(now, { ...record, ttl: newTtl }, storage.settings) : undefined;
  const change: SessionChange = {
    set: values?.set,
    remove: values?.remove,
    touchedAt: moves ? now : undefined,
    expiresAt,
    ttl,
    expected: moves && !how.insists ? { proof: record.proof, ttl: record.ttl ?? null, userId } : { userId },
    lease: how.lease,
  };
  return after(storage.update(state.handle!, change), (result): Awaitable<Written> => {
    switch (result) {
      case 'ok':
        if (values) state.values.saved(values);
        if (!moves) return 'values';
        state.record = { ...record, touchedAt: now, expiresAt: expiresAt!, ttl: newTtl };
        if (state.ttl === ttl) state.ttl = undefined;
        return 'touch';
      case 'lost':
        return loseLock(storage, state);
      case 'gone':
        return lose(storage, state);
      case 'conflict':
        if (!moves || how.insists) return lose(storage, state);
        // Another request used the session, and moved its deadline, already; the timeout still is this one's to set.
        if (ttl === undefined)
          return values && apply(storage, state, values, { touches: false, lease: how.lease });
        return after(
          look(storage, state),
          (found) => found && apply(storage, state, values, { ...how, insists: true }),
        );
    }
  });
}

/** A use that cannot be written is no reason to fail a request that changed nothing. */
function touch(storage: CheckedStorage, state: SessionState): Awaitable<Written> {
  const failed = (error: unknown): undefined => {
    if (!(error instanceof SessionStorageError)) throw error;
    storage.events.emit('failed', state.handle, state.record?.userId);
  };
  try {
    const written = during(state, apply(storage, state, undefined, { touches: true, lease: undefined }));
    return isThenable(written) ? written.then(undefined, failed) : written;
  } catch (error) {
    return failed(error);
  }
}

/** What is stored now; undefined, and this holder is outside, if the session ended or went to another user (S56). */
export function look(storage: CheckedStorage, state: SessionState): Awaitable<SessionRecord | undefined> {
  return after(storage.read(state.handle!), (record) => {
    if (!record || record.userId !== state.record?.userId) return lose(storage, state);
    state.record = record;
    return record;
  });
}

export function lose(storage: CheckedStorage, state: SessionState): undefined {
  state.outside = true;
  storage.events.emit('gone', state.handle, state.record?.userId);
}

/** What a locked route wrote after it had lost its lock must not land later either. */
export function loseLock(storage: CheckedStorage, state: SessionState): never {
  const { handle, record } = state;
  if (state.lease !== undefined) state.lease = 'lost';
  storage.events.emit('conflict', handle, record?.userId);
  throw new SessionLockError(
    `Session ${handle}: its lock was lost, held for longer than lock.hold (${storage.settings.lock.hold} ms); nothing was saved.`,
  );
}

export function refuseOutside({ outside, handle }: SessionState): void {
  if (outside) throw new SessionGoneError(handle);
}

/** @param what "login() must be called" */
export function refuseSent({ exchange }: SessionState, what: string): void {
  if (!exchange?.headersSent) return;
  throw new SessionError(
    `${what} before the headers go out, and not over a socket: the client could not be told its new id.`,
  );
}

/** Runs what a caller asked for, and remembers what was refused: the caller answers for it. */
export async function asked<T>(state: SessionState, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    state.refused = undefined;
    return result;
  } catch (error) {
    state.refused = { error: error as Error, change: collectQuietly(state) };
    throw error;
  }
}

/** What changed, unless it is what was refused. */
function newChange(state: SessionState): ValueChange | undefined {
  if (!state.values.mayDiffer) return undefined;
  if (!state.refused) return collect(state);
  let change: ValueChange | undefined;
  try {
    change = collect(state);
  } catch (error) {
    if ((error as Error).message === state.refused.error.message) return undefined;
    throw error;
  }
  return JSON.stringify(change) === JSON.stringify(state.refused.change) ? undefined : change;
}

export function collect(state: SessionState): ValueChange | undefined {
  return state.values.collect(state.exchange?.counts ?? false);
}

function collectQuietly(state: SessionState): ValueChange | undefined {
  try {
    return collect(state);
  } catch {
    return undefined; // The same error, which the caller has.
  }
}

/**
 * Over the limit only a change that makes the data smaller passes (S55).
 *
 * @throws {SessionTooLargeError}
 */
export function checkSize(
  storage: CheckedStorage,
  { handle, values, record }: SessionState,
  change: ValueChange | undefined,
): void {
  if (!change && record) return;
  const { maxBytes } = storage.settings;
  const bytes = values.bytesWith(change ?? { set: {}, remove: [] }, maxBytes);
  if (bytes <= maxBytes || (record && bytes < values.bytes())) return;
  throw new SessionTooLargeError(handle, bytes, maxBytes);
}

/** Waits until nothing of this holder is being written. */
export async function idle(state: SessionState): Promise<void> {
  while (state.writing) await state.writing;
}

/** Makes the next write of this holder wait for this one. */
export function during<T>(state: SessionState, work: Awaitable<T>): Awaitable<T> {
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
