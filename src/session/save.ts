import { after, type Awaitable, isThenable } from '../awaitable.js';
import { SessionError, SessionExistsError, SessionTooLargeError } from '../errors.js';
import { SessionGoneError, SessionLockError, SessionStorageError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type { SessionChange } from '../storage/session-storage.js';
import { describedClient } from './client.js';
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
export function touchIsDue(state: SessionState): boolean {
  return state.isOwner && isTouchDue(Date.now(), state.record!, state.storage.settings);
}

/**
 * Saves what changed, and the use if it is to be written, in one call; where nothing is to be saved, no call. What the
 * caller was told already could not be saved is not tried again.
 */
export function commit(state: SessionState, touches: boolean): Awaitable<Written> {
  if (state.writing) return state.writing.then(() => commit(state, touches));
  if (state.outside) return undefined;
  const change = newChange(state);
  if (!state.record) {
    if (!change || !state.exchange?.headersSent) return change && during(state, insert(state, change));
    if (state.exchange.isMessage) refuseSent(state, 'A new session must be stored');
    state.storage.events.warnOnce(
      'A session was written to for the first time after the headers had gone out: nothing was stored',
    );
    return undefined;
  }
  if (change || (state.ttl !== undefined && state.ttl !== state.refused?.ttl))
    return during(state, write(state, change, touches));
  return touches ? during(state, touch(state)) : undefined;
}

/**
 * Saves now, because the caller asked.
 *
 * @throws {SessionGoneError} if the session ended, or went to another user, meanwhile
 */
export function save(state: SessionState): Promise<void> {
  return alone(state, () =>
    asked(state, async () => {
      refuseOutside(state);
      const change = collect(state);
      if (!state.record) return change && void (await insertNow(state, change));
      // Within an exchange the use is written when the answer goes out, as is what the client is told of it.
      const touches = !state.exchange && touchIsDue(state);
      const written =
        change || touches || state.ttl !== undefined ? await write(state, change, touches) : undefined;
      // Where nothing was written, the caller still wants to know that the session is there.
      if (!written && !state.outside) await look(state);
      refuseOutside(state);
    }),
  );
}

/** Stores a new session now, though nothing was written; of one that is stored nothing changes. */
export function start(state: SessionState): Promise<void> {
  return alone(state, async () => {
    refuseOutside(state);
    if (!state.record) await asked(state, async () => insertNow(state, collect(state)));
  });
}

/** Stores a new session, because the caller asked. */
export function insertNow(...[state, ...rest]: Parameters<typeof insert>): Awaitable<Written> {
  refuseSent(state, 'A new session must be stored');
  return insert(state, ...rest);
}

/** @param tries how many ids may be taken: another one is made, unless it is the application's own (S7) */
function insert(state: SessionState, change?: ValueChange, userId?: string, tries = 3): Awaitable<Written> {
  const { storage, values } = state;
  checkSize(state, change);
  state.name();
  const now = Date.now();
  const ttl = state.ttl ?? undefined;
  const life = { createdAt: now, authenticatedAt: userId === undefined ? undefined : now, ttl };
  const record: SessionRecord = {
    handle: state.handle!,
    proof: state.proof,
    ...life,
    touchedAt: now,
    expiresAt: deadline(now, life, storage.settings),
    userId,
    client: describedClient(state),
    // Of a session that is not stored nothing is sealed.
    data: values.with(change) as Record<string, string>,
  };
  return after(storage.create(record), (created): Awaitable<Written> => {
    if (!created) {
      if (tries === 1) throw new SessionExistsError(record.handle);
      state.id = state.handle = undefined;
      return insert(state, change, userId, tries - 1);
    }
    if (change) values.saved(change);
    if ((state.ttl ?? undefined) === ttl) state.ttl = undefined;
    state.record = record;
    return 'touch';
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
  state: SessionState,
  values: ValueChange | undefined,
  touches: boolean,
  lease = state.lease,
): Awaitable<Written> {
  checkSize(state, values);
  return apply(state, values, touches, lease);
}

function apply(
  state: SessionState,
  values: ValueChange | undefined,
  touches: boolean,
  lease: string | undefined,
): Awaitable<Written> {
  const { storage, ttl } = state;
  const record = state.record!;
  const now = Date.now();
  const newTtl = ttl === undefined ? record.ttl : (ttl ?? undefined);
  const moved = (touches || ttl !== undefined) && {
    touchedAt: now,
    expiresAt: deadline(now, { ...record, ttl: newTtl }, storage.settings),
  };
  const userId = record.userId ?? null;
  // A timeout that is set is the one that the deadline is reckoned with, whatever was stored.
  const asReckoned =
    ttl === undefined ? { proof: record.proof, ttl: record.ttl ?? null } : { proof: record.proof };
  const change: SessionChange = {
    set: values?.set,
    remove: values?.remove,
    ...moved,
    ttl,
    expected: moved ? { userId, ...asReckoned } : { userId },
    lease,
  };
  return after(storage.update(state.handle!, change), (result): Awaitable<Written> => {
    if (result === 'ok') {
      if (values) state.values.saved(values);
      if (!moved) return 'values';
      state.record = { ...record, ...moved, ttl: newTtl };
      state.hasMoved = true;
      if (state.ttl === ttl) state.ttl = undefined;
      return 'touch';
    }
    if (result === 'lost') return loseLock(state);
    if (result === 'gone' || !moved) return lose(state);
    // Another request used the session, and moved its deadline, already; the timeout still is this one's to set.
    if (ttl === undefined) return values && apply(state, values, false, lease);
    return after(look(state), (found): Awaitable<Written> => {
      if (!found) return undefined;
      // Secrets do not come back: a storage that says so of the same one would say so for ever.
      return found.proof === record.proof ? lose(state) : apply(state, values, touches, lease);
    });
  });
}

/** A use that cannot be written is no reason to fail a request that changed nothing. */
async function touch(state: SessionState): Promise<Written> {
  try {
    return await apply(state, undefined, true, undefined);
  } catch (error) {
    if (!(error instanceof SessionStorageError)) throw error;
    state.storage.events.emit('failed', state.handle, state.record?.userId);
  }
}

/** What is stored now; undefined, and this holder is outside, if the session ended or went to another user (S56). */
export function look(state: SessionState): Awaitable<SessionRecord | undefined> {
  return after(state.storage.read(state.handle!), (record) => {
    if (!record || record.userId !== state.record?.userId) return lose(state);
    return (state.record = record);
  });
}

export function lose(state: SessionState): undefined {
  state.outside = true;
  state.storage.events.emit('gone', state.handle, state.record?.userId);
}

/** What a locked route wrote after it had lost its lock must not land later either. */
export function loseLock(state: SessionState): never {
  const { handle, record, storage } = state;
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

/** Stores what a caller asked to be stored, and remembers what was refused: the caller answers for it. */
export async function asked<T>(state: SessionState, work: () => Promise<T>): Promise<T> {
  try {
    const result = await work();
    state.refused = undefined;
    return result;
  } catch (error) {
    return refuse(state, error);
  }
}

/** Remembers what somebody is told now could not be stored: it is not tried again. */
export function refuse(state: SessionState, error: unknown): never {
  const change = quietly(() => collect(state));
  state.refused = { error: error as Error, change, ttl: state.ttl };
  throw error;
}

/** What changed, unless it is what was refused. */
function newChange(state: SessionState): ValueChange | undefined {
  const { refused, values } = state;
  if (!values.mayDiffer) return undefined;
  if (!refused) return collect(state);
  try {
    const change = collect(state);
    return JSON.stringify(change) === JSON.stringify(refused.change) ? undefined : change;
  } catch (error) {
    if ((error as Error).message !== refused.error.message) throw error;
  }
}

export function collect(state: SessionState): ValueChange | undefined {
  return state.values.collect(state.exchange?.counts ?? false);
}

function quietly<T>(work: () => T): T | undefined {
  try {
    return work();
  } catch {
    return undefined; // The same error, which the caller has.
  }
}

/**
 * Over the limit only a change that makes the data smaller passes (S55).
 *
 * @throws {SessionTooLargeError}
 */
export function checkSize({ handle, values, record, storage }: SessionState, change?: ValueChange): void {
  if (!change && record) return;
  const { maxBytes } = storage.settings;
  const bytes = values.bytesWith(change ?? { set: {}, remove: [] }, maxBytes);
  if (bytes <= maxBytes || (record && bytes < values.bytes())) return;
  throw new SessionTooLargeError(handle, bytes, maxBytes);
}

/** Runs work of this holder when nothing else of it is under way. */
export async function alone<T>(state: SessionState, work: () => Promise<T>): Promise<T> {
  // Whoever else waited may have begun meanwhile.
  while (state.writing) await state.writing;
  return during(state, work());
}

/** Makes what comes next of this holder wait for this. */
function during<T>(state: SessionState, work: Awaitable<T>): Awaitable<T> {
  if (!isThenable(work)) return work;
  const done = () => {
    if (state.writing === writing) state.writing = undefined;
  };
  const writing: PromiseLike<void> = work.then(done, done);
  state.writing = writing;
  return work;
}
