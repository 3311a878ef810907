import { randomBytes } from 'node:crypto';
import { SessionExistsError } from '../errors.js';
import { SessionLimitError } from '../errors.http.js';
import { isOptions } from '../rules.js';
import type { SessionRecord } from '../storage/record.js';
import type { CheckedStorage } from './checked-storage.js';
import { absoluteDeadline } from './deadlines.js';
import { parseId, proofOf } from './id.js';
import { withinLimit } from './limits.js';
import type { SessionState } from './state.js';
import { checkUser } from './users.js';
import { create } from './write.js';

/** What a session of another library was. Times are milliseconds since the Unix epoch. */
export interface ForeignContent {
  readonly data: object;
  readonly userId: string | undefined;
  /** When the user logged in, if that is known. */
  readonly authenticatedAt: number | undefined;
  /** No later than this it began. */
  readonly createdAt: number | undefined;
  /** Undefined: nobody knows. */
  readonly expiresAt: number | undefined;
  /** Attributes of its cookie, by which that is cleared one day; undefined: the usual ones. */
  readonly cookie: object | undefined;
}

/**
 * Stores a session of ours under an id that was derived for it, with what a session of another library was and the life
 * that it had left (S70). The state becomes that session's.
 *
 * @returns false if the handle is taken: what is there stays as it was; and if the session is over, or its user has no
 *   room for it
 * @throws {SessionError} if the data or the user cannot be stored
 */
export async function adopt(state: SessionState, id: string, content: ForeignContent): Promise<boolean> {
  const { storage, values } = state;
  const { settings } = storage;
  const { data, userId, authenticatedAt, cookie } = content;
  if (userId !== undefined) checkUser(userId, 'importFrom');
  state.identify(parseId(id)!);
  values.assign(fitting(state, data, userId), 'importFrom: the data');
  if (cookie !== undefined) values.foreignCookie = cookie;
  const now = Date.now();
  const { createdAt = now, expiresAt = Infinity } = content;
  const start = { createdAt, authenticatedAt };
  if (Math.min(expiresAt, absoluteDeadline(start, settings)) <= now) return false;
  // What lasts longer than an idle timeout would be cut short by its first use.
  const ttl = expiresAt - now > settings.ttl && expiresAt < Infinity ? expiresAt - now : undefined;
  try {
    const its = { ...start, userId, expiresAt, ttl };
    const store = () => create(state, values.collect(false), its, 'quietly');
    if (!(await withinLimit(state, userId, store))) return false;
  } catch (error) {
    if (error instanceof SessionExistsError) return false;
    // A visitor who is not logged in, rather than one who can open no page.
    if (!(error instanceof SessionLimitError)) throw error;
    storage.events.warn(`A session of another library was not imported: ${error.message}`);
    return false;
  }
  state.startedAt = undefined;
  return true;
}

/** What fits the application's schema: what does not is absent, as in whatever else lies in a storage (S69). */
function fitting({ storage, handle }: SessionState, data: object, userId: string | undefined): object {
  const { schema } = storage.settings;
  if (!schema || !isOptions(data)) return data;
  const fits = ([key, value]: [string, unknown]): boolean => {
    const checked = schema.has(key) && value !== undefined ? schema.checkWritten(key, value) : undefined;
    if (!checked || 'value' in checked) return true;
    storage.events.emit('corrupt', handle, userId, { key, issues: checked.issues });
    return false;
  };
  return Object.fromEntries(Object.entries(data).filter(fits));
}

/**
 * Stores a record without data and of no id, which says that something was done and must not be done again.
 *
 * @returns false if it is there already
 */
export async function mark(storage: CheckedStorage, handle: string, expiresAt: number): Promise<boolean> {
  const now = Date.now();
  // That it begins when it ends tells it from sessions, and keeps an absolute timeout from ending it before. The proof is
  // of no secret that anybody has.
  const proof = proofOf(randomBytes(32).toString('base64url'));
  return storage.create(
    { handle, proof, createdAt: expiresAt, touchedAt: now, expiresAt, data: {} },
    'quietly',
  );
}

/** Whether a record is what {@link mark} stored, and no session. */
export const isMark = ({ createdAt, expiresAt }: SessionRecord): boolean => createdAt >= expiresAt;
