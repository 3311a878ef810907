import { SessionExistsError } from '../errors.js';
import { SessionLimitError, SessionLockError } from '../errors.http.js';
import type { Awaitable } from '../awaitable.js';
import type { SessionRecord } from '../storage/record.js';
import { lockOfUser } from './id.js';
import type { SessionState } from './state.js';
import { endAll } from './users.js';

/**
 * Runs what binds a session to a user, and before it makes room for it. As long as it runs nobody else binds a session to
 * that user, on any node (S66). Without a limit, or a user, it just runs.
 *
 * @throws {SessionLimitError} if there is no room, and none is to be made: `bind` does not run, and nothing has changed
 * @throws {SessionLockError} if the turn does not come in time, or has ended before `bind` could run
 */
export async function withinLimit<R>(
  state: SessionState,
  userId: string | undefined,
  bind: () => Awaitable<R>,
): Promise<R> {
  const { settings } = state.storage;
  if (userId === undefined || settings.maxPerUser === Infinity) return bind();
  const lease = await state.storage.lock(lockOfUser(userId));
  const end = performance.now() + settings.lock.hold;
  try {
    await makeRoom(state, userId);
    if (performance.now() < end) return await bind();
    throw new SessionLockError(
      `A login was given up, as counting the sessions of its user took longer than lock.hold (${settings.lock.hold} ms).`,
    );
  } finally {
    await state.storage.release(lease);
  }
}

/** Leaves room for one more session of the user besides this holder's own, which counts once however often it is bound. */
async function makeRoom({ handle, proof, record, storage }: SessionState, userId: string): Promise<void> {
  const { maxPerUser, whenExceeded } = storage.settings;
  const others = (await storage.byUser(userId)).filter((other) => other.handle !== handle);
  const excess = others.length + 1 - maxPerUser;
  if (excess <= 0) return;
  const found = handle === undefined ? undefined : await storage.read(handle);
  if (found && !record) throw new SessionExistsError(found.handle);
  // Rotated by another request: this login will fail, so that no other session has to end for it.
  if (found && found.proof !== proof) return;
  if (whenExceeded === 'refuse') {
    // It is the user's already, so that there is not one more: a limit that was lowered refuses no password asked again.
    if (found?.userId === userId) return;
    throw new SessionLimitError(handle, maxPerUser);
  }
  await endAll(storage, userId, others.sort(byLastUse).slice(0, excess));
}

function byLastUse(a: SessionRecord, b: SessionRecord): number {
  return a.touchedAt - b.touchedAt || a.createdAt - b.createdAt || (a.handle < b.handle ? -1 : 1);
}
