import { after, type Awaitable } from '../awaitable.js';
import { SessionError, SessionExistsError, SessionTooLargeError } from '../errors.js';
import { SessionGoneError, SessionLockError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type { Expectation, SessionChange } from '../storage/session-storage.js';
import { describedClient } from './client.js';
import { deadline } from './deadlines.js';
import type { SessionState } from './state.js';
import type { ValueChange } from './values.js';

/*
 * Records as one holder of a session writes them. Every write expects the user that the holder knows. A write that moves
 * the deadline also expects the proof and the timeout that the deadline was reckoned with. So a conflict has two causes:
 * the session is another user's by now, or another request moved the deadline. No write is tried again and again.
 */

/** What was written: the use of the session (values or not), values alone, or nothing. */
export type Written = 'touch' | 'values' | undefined;

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
