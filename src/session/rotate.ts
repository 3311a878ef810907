import { SessionConflictError, SessionGoneError } from '../errors.http.js';
import type { SessionRecord } from '../storage/record.js';
import type { SessionChange, UpdateResult } from '../storage/session-storage.js';
import type { CheckedStorage } from './checked-storage.js';
import { deadline } from './deadlines.js';
import { newSecret, proofOf } from './id.js';
import {
  asked,
  checkSize,
  collect,
  during,
  idle,
  insertNow,
  look,
  loseLock,
  refuseOutside,
  refuseSent,
} from './save.js';
import type { SessionState } from './state.js';
import { checkUser } from './users.js';

/*
 * New secrets for sessions: on request, and at every login. A rotation expects the proof it replaces, and nothing else:
 * of two at once the first wins and the other changes nothing (S14), and no other write can come in its way.
 */

/** What a rotation may change besides the secret; null: none from now on. */
interface Binding {
  readonly userId?: string | undefined;
  readonly authenticatedAt?: number | undefined;
  readonly ttl?: number | null | undefined;
}

/** A new secret for the same session; the old id is dead at once. */
export function regenerate(storage: CheckedStorage, state: SessionState): Promise<void> {
  return asked(state, async () => {
    if (state.writing) await idle(state);
    refuseSent(state, 'regenerate() must be called');
    refuseOutside(state);
    if (!state.record) {
      state.id = undefined;
      return;
    }
    const result = await rotate(storage, state, {});
    // Another rotation came first: the session has a new secret, which this holder need not know.
    if (result === 'conflict' && (await look(storage, state))) {
      storage.events.emit('conflict', state.handle, state.record.userId);
    }
    if (result === 'gone' || state.outside) throw new SessionGoneError(state.handle);
  });
}

/**
 * Binds the session to a user; a session that has ended by now is replaced by a new one.
 *
 * @param ttl own idle timeout from now on, in milliseconds
 * @param restart makes the session a new visitor's
 */
export function login(
  storage: CheckedStorage,
  state: SessionState,
  userId: string,
  ttl: number | undefined,
  restart: () => void,
): Promise<void> {
  return asked(state, async () => {
    checkUser(userId, 'login');
    if (state.writing) await idle(state);
    refuseSent(state, 'login() must be called');
    if (state.record) {
      const binding = {
        userId,
        authenticatedAt: Date.now(),
        ttl: ttl ?? state.ttl ?? ttlFor(state.record, userId),
      };
      const result = state.outside ? 'conflict' : await rotate(storage, state, binding);
      if (result === 'ok') return;
      const record = result === 'conflict' ? await storage.read(state.handle!) : undefined;
      if (record) return joinOrRefuse(storage, state, record, userId);
      restart();
    }
    const before = state.ttl;
    if (ttl !== undefined) state.ttl = ttl;
    state.id = undefined;
    try {
      await insertNow(storage, state, state.values.collect(false), { userId });
    } catch (error) {
      state.ttl = before;
      throw error;
    }
  });
}

/** Another login came first. If it was this user's, as after a double click, that one counts. */
function joinOrRefuse(
  storage: CheckedStorage,
  state: SessionState,
  record: SessionRecord,
  userId: string,
): void {
  if (record.userId === userId) {
    state.record = record;
    state.outside = false;
    return;
  }
  storage.events.emit('conflict', state.handle, state.record?.userId);
  throw new SessionConflictError(state.handle);
}

/** "Remember me" is one user's wish: it does not pass to another who logs in on the same session. */
function ttlFor({ userId, ttl }: SessionRecord, newUserId: string): null | undefined {
  return userId !== undefined && userId !== newUserId && ttl !== undefined ? null : undefined;
}

function rotate(storage: CheckedStorage, state: SessionState, binding: Binding): PromiseLike<UpdateResult> {
  return during(state, tryRotate(storage, state, binding)) as PromiseLike<UpdateResult>;
}

/** One atomic update of the proof and whatever else changed. */
async function tryRotate(
  storage: CheckedStorage,
  state: SessionState,
  { userId, authenticatedAt, ttl = state.ttl }: Binding,
): Promise<UpdateResult> {
  const values = collect(state);
  checkSize(storage, state, values);
  const record = state.record!;
  const secret = newSecret(storage.settings.generateId);
  const now = Date.now();
  const bound = {
    createdAt: record.createdAt,
    authenticatedAt: authenticatedAt ?? record.authenticatedAt,
    userId: userId ?? record.userId,
    ttl: ttl === undefined ? record.ttl : (ttl ?? undefined),
  };
  const moved = { proof: proofOf(secret), touchedAt: now, expiresAt: deadline(now, bound, storage.settings) };
  const change: SessionChange = {
    set: values?.set,
    remove: values?.remove,
    ...moved,
    userId,
    authenticatedAt,
    ttl,
    expected: { proof: state.proof },
    lease: state.lease,
  };
  const result = await updateOrLearn(storage, state, change);
  if (result === 'lost') return loseLock(storage, state);
  if (result !== 'ok') return result;
  if (values) state.values.saved(values);
  if (state.ttl === ttl) state.ttl = undefined;
  state.record = { ...record, ...bound, ...moved };
  state.identify(record.handle, secret);
  storage.events.emit('rotated', record.handle, bound.userId);
  return 'ok';
}

/** A failure may come after the work was done: then the new secret is the one that works, and must be handed out (S18). */
async function updateOrLearn(
  storage: CheckedStorage,
  { handle }: SessionState,
  change: SessionChange,
): Promise<UpdateResult> {
  try {
    return await storage.update(handle!, change);
  } catch (error) {
    const record = await storage.read(handle!);
    if (record?.proof !== change.proof) throw error;
    return 'ok';
  }
}
