import { randomBytes } from 'node:crypto';
import { SessionExistsError } from '../errors.js';
import { SessionLimitError } from '../errors.http.js';
import { isOptions } from '../rules.js';
import type { SessionRecord } from '../storage/record.js';
import type { CheckedStorage } from './checked-storage.js';
import { describedClient } from './client.js';
import { deadline } from './deadlines.js';
import { parseId, proofOf } from './id.js';
import { withinLimit } from './limits.js';
import { checkSize } from './save.js';
import type { SessionState } from './state.js';
import { checkUser } from './users.js';

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
  const parsed = parseId(id)!;
  const { data, userId, authenticatedAt, cookie } = content;
  if (userId !== undefined) checkUser(userId, 'importFrom');
  state.identify(parsed);
  values.assign(fitting(state, data, userId), 'importFrom: the data');
  if (cookie !== undefined) values.foreignCookie = cookie;
  const change = values.collect(false);
  checkSize(state, change);
  const now = Date.now();
  const { createdAt = now, expiresAt = Infinity } = content;
  // What lasts longer than an idle timeout would be cut short by its first use.
  const ttl = expiresAt - now > settings.ttl && expiresAt < Infinity ? expiresAt - now : undefined;
  const life = { createdAt, authenticatedAt, ttl };
  const record: SessionRecord = {
    handle: parsed.handle,
    proof: state.proof,
    ...life,
    touchedAt: now,
    expiresAt: Math.min(expiresAt, deadline(now, life, settings)),
    userId,
    client: describedClient(state),
    // Of a session that is not stored nothing is sealed.
    data: values.with(change) as Record<string, string>,
  };
  if (record.expiresAt <= now || !(await create(state, record))) return false;
  if (change) values.saved(change);
  state.record = record;
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

async function create(state: SessionState, record: SessionRecord): Promise<boolean> {
  const { storage } = state;
  const store = () => storage.create(record, 'quietly');
  if (record.userId === undefined) return store();
  try {
    return await withinLimit(state, record.userId, store);
  } catch (error) {
    if (error instanceof SessionExistsError) return false;
    // A visitor who is not logged in, rather than one who can open no page.
    if (!(error instanceof SessionLimitError)) throw error;
    storage.events.warn(`A session of another library was not imported: ${error.message}`);
    return false;
  }
}

/**
 * Stores a record without data and of no id, which says that something was done and must not be done again.
 *
 * @returns false if it is there already
 */
export async function mark(storage: CheckedStorage, handle: string, expiresAt: number): Promise<boolean> {
  const now = Date.now();
  // What begins when it ends is no session, and no absolute timeout ends it before. The proof is of no secret that anybody
  // has.
  const proof = proofOf(randomBytes(32).toString('base64url'));
  return storage.create(
    { handle, proof, createdAt: expiresAt, touchedAt: now, expiresAt, data: {} },
    'quietly',
  );
}

/** Whether a record is what {@link mark} stored, and no session. */
export const isMark = ({ createdAt, expiresAt }: SessionRecord): boolean => createdAt >= expiresAt;
