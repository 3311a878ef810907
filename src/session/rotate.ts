import { SessionConflictError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type { SessionChange, UpdateResult } from '../storage/session-storage.js';
import { describedClient } from './client.js';
import { deadline } from './deadlines.js';
import { newSecret, proofOf } from './id.js';
import { withinLimit } from './limits.js';
import { alone, asked } from './save.js';
import { difference } from './encoded.js';
import { initialValues, type SessionState } from './state.js';
import { checkUser } from './users.js';
import type { SessionValues } from './values.js';
import {
  asReckoned,
  checkSize,
  collect,
  insert,
  look,
  lose,
  loseLock,
  refuseOutside,
  refuseSent,
  valueAfter,
} from './write.js';

/*
 * New secrets for sessions: on request, and at every login. A rotation expects the proof it replaces: of two at once the
 * first wins and the other changes nothing (S14). No other write can come in its way, but for a change of the timeout
 * that its deadline is reckoned with.
 */

/** What a rotation may change besides the secret; a timeout of null: none of its own from now on. */
type Binding = Pick<SessionChange, 'userId' | 'authenticatedAt' | 'ttl' | 'client'>;

const NOBODY = { userId: null, authenticatedAt: null, ttl: null } as const;

/** A new secret for the same session; the old id is dead at once. */
export function regenerate(state: SessionState): Promise<void> {
  return alone(state, async () => {
    refuseSent(state, 'regenerate() must be called');
    refuseOutside(state);
    if (!state.record) return void (state.id = undefined);
    const result = await asked(state, () => rotate(state, {}));
    if (result === 'gone') lose(state);
    // Another rotation came first: the session has a new secret, which this holder need not know.
    if (result === 'conflict' && (await look(state))) state.emit('conflict');
    refuseOutside(state);
  });
}

/**
 * Binds the session to a user; a session that has ended by now is replaced by a new one.
 *
 * @param ttl own idle timeout from now on, in milliseconds
 */
export async function login(state: SessionState, userId: string, ttl: number | undefined): Promise<void> {
  checkUser(userId, 'login');
  await alone(state, async () => {
    refuseSent(state, 'login() must be called');
    const { record } = state;
    if (record) {
      const its = () => ({
        userId,
        authenticatedAt: Date.now(),
        ttl: ttl ?? state.ttl ?? ttlFor(record, userId),
        client: clientFor(state, record),
      });
      const result = state.outside
        ? 'conflict'
        : await withinLimit(state, userId, () => asked(state, () => rotate(state, its())));
      if (result === 'ok') return;
      const found = result === 'conflict' ? await state.storage.read(state.handle!) : undefined;
      if (found) return joinOrRefuse(state, found, userId, ttl);
      state.restart();
    }
    await withinLimit(state, userId, () => {
      state.id = undefined;
      return asked(state, async () => insert(state, state.values.collect(false), { userId, ttl }));
    });
  });
}

/**
 * A new secret for a session that has neither data nor user any more, as `req.session.regenerate()` has it. Where the
 * session has ended, or its id is dead already, this becomes a new visitor's.
 *
 * @throws {SessionStorageError} if the storage failed: the session is as it was (503)
 */
export function renew(state: SessionState): Promise<void> {
  return alone(state, async () => {
    refuseSent(state, 'regenerate() must be called');
    if (state.record?.userId !== undefined) await state.exchange?.ending?.();
    // What other requests wrote meanwhile goes too.
    if (state.record && !state.outside && (await look(state)) && state.isOwner) {
      const fresh = initialValues(state.storage, state.values);
      if ((await rotate(state, NOBODY, state.proof, fresh)) === 'ok') return;
    }
    state.restart();
  });
}

/**
 * Takes the user from the session, as its data name none any more, and rotates it. A rotation of another request is no
 * hindrance: nobody stays logged in under either id. Of a session that has ended, this becomes a new visitor's.
 *
 * @throws {SessionConflictError} if the storage refuses though nothing has changed: the user is still logged in (409)
 */
export function unbind(state: SessionState): Promise<void> {
  return alone(state, async () => {
    if (!state.record) return;
    refuseSent(state, 'The user must be logged out');
    await state.exchange?.ending?.();
    let tried: string | undefined;
    while (!state.outside && (await look(state))) {
      const { proof } = state.record;
      // Secrets do not come back: a storage that refuses the same one again would do so for ever.
      if (proof === tried) throw new SessionConflictError(state.handle);
      tried = proof;
      if ((await asked(state, () => rotate(state, NOBODY, proof))) === 'ok') return;
    }
    state.restart();
  });
}

/**
 * Another login came first. If it was this user's, as after a double click, that one counts; this holder's id is dead.
 * Its timeout goes with this holder's next write: who unticked "remember me" for the second click is not remembered.
 */
function joinOrRefuse(
  state: SessionState,
  found: SessionRecord,
  userId: string,
  ttl: number | undefined,
): void {
  if (found.userId === userId) {
    state.record = found;
    state.outside = false;
    if (ttl !== undefined) state.ttl = ttl;
    return;
  }
  state.emit('conflict');
  if (found.userId === state.record?.userId) state.record = found;
  else state.outside = true;
  throw new SessionConflictError(state.handle);
}

/** "Remember me" is one user's wish: it does not pass to another who logs in on the same session. */
function ttlFor({ userId, ttl }: SessionRecord, newUserId: string): null | undefined {
  return userId !== undefined && userId !== newUserId && ttl !== undefined ? null : undefined;
}

/** Who logs in is described anew: what was said before may be of another client. */
function clientFor(state: SessionState, { client }: SessionRecord): string | null | undefined {
  if (!state.exchange) return undefined;
  return describedClient(state) ?? (client === undefined ? undefined : null);
}

/**
 * One atomic update of the proof and whatever else changed.
 *
 * @param proof the one that is replaced
 * @param fresh what takes the place of all data that the record has
 */
async function rotate(
  state: SessionState,
  { ttl: given, ...its }: Binding,
  proof = state.proof,
  fresh?: SessionValues,
): Promise<UpdateResult> {
  const { storage, handle, ttl: wished } = state;
  const ttl = given === undefined ? wished : given;
  const values = fresh ? difference(storage.dataOf(state.record!), fresh.with(undefined)) : collect(state);
  if (!fresh) checkSize(state, values);
  const secret = newSecret(storage.settings.generateId);
  const now = Date.now();
  const record = state.record!;
  const next = {
    ...record,
    userId: valueAfter(its.userId, record.userId),
    authenticatedAt: valueAfter(its.authenticatedAt, record.authenticatedAt),
    ttl: valueAfter(ttl, record.ttl),
    client: valueAfter(its.client, record.client),
    proof: proofOf(secret),
    touchedAt: now,
  };
  const expiresAt = deadline(now, next, storage.settings);
  const result = await updateOrLearn(state, {
    set: values?.set,
    remove: values?.remove,
    ...its,
    ttl,
    proof: next.proof,
    touchedAt: now,
    expiresAt,
    expected: { ...asReckoned(record, ttl), proof },
    lease: state.lease,
  });
  if (result === 'lost') return loseLock(state);
  if (result === 'conflict' && ttl === undefined) {
    const found = await storage.read(handle!);
    if (found?.proof !== state.proof) return result;
    // Another request's timeout came in between.
    state.record = found;
    return rotate(state, { ...its, ttl: found.ttl ?? null });
  }
  if (result !== 'ok') return result;
  if (fresh) state.values = fresh;
  else if (values) state.values.saved(values);
  if (state.ttl === wished) state.ttl = undefined;
  state.record = { ...next, expiresAt };
  state.rename(handle!, secret);
  state.emit('rotated');
  return 'ok';
}

/** A failure may come after the work was done: then the new secret is the one that works, and must be handed out (S18). */
async function updateOrLearn(
  { storage, handle }: SessionState,
  change: SessionChange,
): Promise<UpdateResult> {
  try {
    return await storage.update(handle!, change);
  } catch (error) {
    const found = await storage.read(handle!);
    if (!found) return 'gone';
    if (found.proof !== change.proof) throw error;
    return 'ok';
  }
}
