import { serialize } from 'cookie';
import { SessionError } from '../../errors.js';
import { kindOf } from '../../rules.js';
import type { UserIdOf } from '../user-of-data.js';
import type { ForeignContent } from '../../session/adopt.js';

/** What an application says of how a session becomes one of ours. */
export interface ContentOptions {
  readonly userId?: UserIdOf | undefined;
  readonly map?: ((data: any) => object) | undefined;
}

/** Beside the data: what the libraries and their stores put there for themselves. */
const NO_DATA = ['cookie', '__lastAccess', 'sessionId', 'encryptedSessionId', '__proto__'];

/** The attributes that a cookie is cleared with. */
const ATTRIBUTES = ['path', 'domain', 'secure', 'httpOnly', 'sameSite', 'partitioned'] as const;

/**
 * What a session that lies in a store is for us; undefined if it is none, or has expired.
 *
 * @throws what `userId` or `map` of the application throw, and if they name no user as users are named
 */
export function contentOf(stored: unknown, { userId, map }: ContentOptions): ForeignContent | undefined {
  if (typeof stored !== 'object' || stored === null) return undefined;
  const { cookie } = stored as { cookie?: Record<string, unknown> };
  const expiresAt = timeOf(cookie?.['expires'] ?? cookie?.['_expires'] ?? cookie?.['originalExpires']);
  if (expiresAt !== undefined && expiresAt <= Date.now()) return undefined;
  const data = Object.fromEntries(Object.entries(stored).filter(([key]) => !NO_DATA.includes(key)));
  const mapped = map ? map(data) : data;
  const said: Envelope = map && isEnvelope(mapped) ? mapped : { data: mapped };
  const user = textOf(said.userId ?? userId?.(data));
  return {
    data: said.data,
    userId: user,
    authenticatedAt: user === undefined ? undefined : timeOf(said.authenticatedAt),
    createdAt: lastUse(cookie?.['originalMaxAge'], expiresAt),
    expiresAt,
    cookie: attributesOf(cookie),
  };
}

/** The `Set-Cookie` text that has the browser forget a cookie. */
export function clearing(name: string, attributes: object = {}): string {
  const over = { maxAge: 0, expires: new Date(0) };
  try {
    return serialize(name, '', { path: '/', httpOnly: true, ...attributes, ...over });
  } catch {
    return serialize(name, '', { path: '/', httpOnly: true, ...over });
  }
}

/** What `map` may return to say more than the data. */
interface Envelope {
  readonly data: object;
  readonly userId?: ReturnType<UserIdOf>;
  readonly authenticatedAt?: Date | number | string | undefined;
}

function isEnvelope(mapped: object): mapped is Envelope {
  const { data } = Object(mapped) as Partial<Envelope>;
  const names = Object.keys(Object(mapped));
  return (
    typeof data === 'object' &&
    data !== null &&
    names.every((name) => ['data', 'userId', 'authenticatedAt'].includes(name))
  );
}

/** @throws {SessionError} for what names nobody for certain: of objects all would be one user (S59) */
function textOf(user: unknown): string | undefined {
  if (user === undefined || user === null || user === false || user === '') return undefined;
  if (typeof user === 'string') return user;
  if (typeof user === 'number' || typeof user === 'bigint') return String(user);
  throw new SessionError(
    `importFrom: userId must return a string or a number that names the user, or undefined; got ${kindOf(user)}.`,
  );
}

/** Milliseconds since 1970 of a date, a number, or a text that is a date. */
function timeOf(value: unknown): number | undefined {
  if (value === undefined || value === null) return undefined;
  const time = new Date(value as string | number | Date).getTime();
  return Number.isNaN(time) ? undefined : time;
}

/** The libraries note no beginning. Each use sets the end anew, and the session began no later than the last one. */
function lastUse(originalMaxAge: unknown, expiresAt: number | undefined): number | undefined {
  if (typeof originalMaxAge !== 'number' || expiresAt === undefined) return undefined;
  return Math.min(Date.now(), expiresAt - originalMaxAge);
}

function attributesOf(cookie: Record<string, unknown> | undefined): object | undefined {
  const known = ATTRIBUTES.filter((name) => cookie?.[name] !== undefined && cookie[name] !== null);
  return known.length === 0 ? undefined : Object.fromEntries(known.map((name) => [name, cookie![name]]));
}
