import { after, type Awaitable, isThenable } from '../awaitable.js';
import { SessionError, SessionExistsError, SessionTooLargeError } from '../errors.js';
import { SessionGoneError, SessionLockError, SessionStorageError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type { Expectation, SessionChange } from '../storage/session-storage.js';
import { describedClient } from './client.js';
import { deadline, isTouchDue } from './deadlines.js';
import type { SessionState } from './state.js';
import type { ValueChange } from './values.js';

/*
 * How what a holder changed gets into the storage. Every write expects the user that the holder knows. A write that moves
 * the deadline also expects the proof and the timeout that the deadline was reckoned with. So a conflict has two causes:
 * the session is another user's by now, or another request moved the deadline. No write is tried again and again.
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
  try {
    const written = commitNow(state, touches);
    return isThenable(written) ? written.then(undefined, (error) => refuse(state, error)) : written;
  } catch (error) {
    return refuse(state, error);
  }
}

function commitNow(state: SessionState, touches: boolean): Awaitable<Written> {
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
      if (!state.record) return change && void (await insert(state, change));
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
    if (!state.record) await asked(state, async () => insert(state, collect(state)));
  });
}

/**
 * Stores a new session.
 *
 * @param tries how many ids may be taken: another one is made, unless it is the application's own (S7)
 */
export function insert(
  state: SessionState,
  change?: ValueChange,
  its: StartedAs = {},
  tries = 3,
): Awaitable<Written> {
  refuseSent(state, 'A new session must be stored');
  state.name();
  return after(create(state, change, its), (created): Awaitable<Written> => {
    if (created) return 'touch';
    if (tries === 1) throw new SessionExistsError(state.handle!);
    state.id = state.handle = undefined;
    return insert(state, change, its, tries - 1);
  });
}

/** What a session starts as. By default it starts now, and its user has logged in now. */
type StartedAs = Partial<
  Pick<SessionRecord, 'userId' | 'authenticatedAt' | 'createdAt' | 'expiresAt' | 'ttl'>
>;

/**
 * Stores the record of a new session that has its id.
 *
 * @returns false if the handle is taken: what is there stays as it was
 */
export function create(
  state: SessionState,
  change: ValueChange | undefined,
  its: StartedAs,
  quietly?: 'quietly',
): Awaitable<boolean> {
  const { storage, values, ttl: wished } = state;
  checkSize(state, change);
  const now = Date.now();
  const { userId, createdAt = now, expiresAt = Infinity } = its;
  const authenticatedAt = 'authenticatedAt' in its || userId === undefined ? its.authenticatedAt : now;
  const life = { createdAt, authenticatedAt, ttl: its.ttl ?? wished ?? undefined };
  const record: SessionRecord = {
    handle: state.handle!,
    proof: state.proof,
    ...life,
    touchedAt: now,
    expiresAt: Math.min(expiresAt, deadline(now, life, storage.settings)),
    userId,
    client: describedClient(state),
    // Of a session that is not stored nothing is sealed.
    data: values.with(change) as Record<string, string>,
  };
  return after(storage.create(record, quietly), (created) => {
    if (!created) return false;
    if (change) values.saved(change);
    if (state.ttl === wished) state.ttl = undefined;
    state.record = record;
    return true;
  });
}

/**
 * Updates a stored session. If it ended or went to another user meanwhile, nothing is written and this holder is
 * outside.
 *
 * @param touches whether its use now is written as well
 * @param lease token of the lease that the write depends on; null: of none
 */
export function write(
  state: SessionState,
  values: ValueChange | undefined,
  touches: boolean,
  lease: string | null | undefined = state.lease,
): Awaitable<Written> {
  checkSize(state, values);
  const { storage, ttl } = state;
  const record = state.record!;
  const now = Date.now();
  const newTtl = valueAfter(ttl, record.ttl);
  const moved = (touches || ttl !== undefined) && {
    touchedAt: now,
    expiresAt: deadline(now, { ...record, ttl: newTtl }, storage.settings),
  };
  const userId = record.userId ?? null;
  const change: SessionChange = {
    set: values?.set,
    remove: values?.remove,
    lease: lease ?? undefined,
    // Not spread where there is nothing to spread, as in most writes: that takes as long as the update itself.
    expected: moved ? { userId, ...asReckoned(record, ttl) } : { userId },
  };
  if (moved) Object.assign(change, moved, { ttl });
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
    if (ttl === undefined) return values && write(state, values, false, lease);
    return after(look(state), (found): Awaitable<Written> => {
      if (!found) return undefined;
      // Secrets do not come back: a storage that refuses the same one again would do so for ever.
      return found.proof === record.proof ? lose(state) : write(state, values, touches, lease);
    });
  });
}

/** A touch that fails is an event and no error: the request changed nothing. */
async function touch(state: SessionState): Promise<Written> {
  try {
    return await write(state, undefined, true, null);
  } catch (error) {
    if (!(error instanceof SessionStorageError)) throw error;
    state.emit('failed');
  }
}

/** What a new deadline is reckoned with, and expects. A timeout that is set is the one, whatever was stored. */
export function asReckoned({ proof, ttl }: SessionRecord, newTtl: number | null | undefined): Expectation {
  return { proof, ttl: newTtl === undefined ? (ttl ?? null) : undefined };
}

/** What a field is after a change: null takes it away. */
export const valueAfter = <T>(change: T | null | undefined, before: T | undefined): T | undefined =>
  change === undefined ? before : (change ?? undefined);

/** What is stored now; undefined, and this holder is outside, if the session ended or went to another user (S56). */
export function look(state: SessionState): Awaitable<SessionRecord | undefined> {
  return after(state.storage.read(state.handle!), (record) => {
    if (!record || record.userId !== state.record?.userId) return lose(state);
    return (state.record = record);
  });
}

export function lose(state: SessionState): undefined {
  state.outside = true;
  state.emit('gone');
}

/** What a locked route wrote after it had lost its lock must not land later either. */
export function loseLock(state: SessionState): never {
  const { handle, storage } = state;
  if (state.lease !== undefined) state.lease = 'lost';
  state.emit('conflict');
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
function refuse(state: SessionState, error: unknown): never {
  state.refused = { error: error as Error, change: changeAsText(state), ttl: state.ttl };
  throw error;
}

/** What changed, unless it is what was refused. Once it is anything else, nothing is refused any more. */
function newChange(state: SessionState): ValueChange | undefined {
  if (!state.refused) return state.values.mayDiffer ? collect(state) : undefined;
  if (changeAsText(state) === state.refused.change) return undefined;
  state.refused = undefined;
  return collect(state);
}

/** What changed, to be compared; or why it cannot be encoded. */
function changeAsText(state: SessionState): string | undefined {
  try {
    return JSON.stringify(collect(state));
  } catch (error) {
    return (error as Error).message;
  }
}

export function collect(state: SessionState): ValueChange | undefined {
  return state.values.collect(state.exchange?.counts ?? false);
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
