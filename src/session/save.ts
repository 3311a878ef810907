import { type Awaitable, isThenable } from '../awaitable.js';
import { SessionStorageError } from '../errors.http.js';
import { isTouchDue } from './deadlines.js';
import type { SessionState } from './state.js';
import type { ValueChange } from './values.js';
import { collect, insert, look, refuseOutside, refuseSent, write, type Written } from './write.js';

/*
 * When what a holder changed is saved: as its answer goes out, or because the caller asked. One thing of a holder is done
 * at a time, and what somebody was told could not be saved is not tried again.
 */

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

/** A touch that fails is an event and no error: the request changed nothing. */
async function touch(state: SessionState): Promise<Written> {
  try {
    return await write(state, undefined, true, null);
  } catch (error) {
    if (!(error instanceof SessionStorageError)) throw error;
    state.emit('failed');
  }
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
