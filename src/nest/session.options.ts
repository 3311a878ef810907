import { randomBytes } from 'node:crypto';
import type { CrossOriginRule } from '../http/cross-origin.js';
import type { HttpSettings } from '../http/settings.js';
import type { SessionCodec, SessionSettings } from '../session/settings.js';
import type { Duration } from '../rules.js';
import { Check, isCodec, isCount, isCron, isFunction, isObject, kindOf, orDefault } from '../rules.js';
import { COOKIE_NAME_RULE, isCookieName, resolveCookie } from '../http/cookie-options.js';
import { MemoryStorage } from '../storage/memory/storage.js';
import type { SessionStorage } from '../storage/session-storage.js';

export interface SessionCookieOptions {
  /** Default `'/'`. */
  path?: string | undefined;
  /** Default none: the cookie belongs to this host alone. */
  domain?: string | undefined;
  /** Default `'auto'`: Secure if the request came over HTTPS, a proxy's word included if the app trusts it. */
  secure?: boolean | 'auto' | undefined;
  /** Default true. */
  httpOnly?: boolean | undefined;
  /** Default `'lax'`. */
  sameSite?: 'strict' | 'lax' | 'none' | undefined;
  /** Default false. */
  partitioned?: boolean | undefined;
  /** Default none. */
  priority?: 'low' | 'medium' | 'high' | undefined;
  /** Default true; false: a cookie without Max-Age, which ends with the browser. */
  persistent?: boolean | undefined;
}

/** What `SessionModule.forRoot()` takes. Everything has a default. */
export interface SessionModuleOptions {
  /** Idle timeout: the session ends this long after its last use. Default `'1h'`. */
  ttl?: Duration | undefined;
  /** Absolute timeout: the session ends this long after its start or login, whatever happens. Default false. */
  absoluteTtl?: Duration | false | undefined;
  /** A session used again sooner than this is not written for the touch alone. Default `ttl / 60`, at most 1 minute. */
  touchAfter?: Duration | undefined;
  /** Default `'sid'`. */
  cookieName?: string | undefined;
  cookie?: SessionCookieOptions | undefined;
  /** Signs the cookie in cookie-parser's format; of a list the first signs, all verify. Default none. */
  secret?: string | readonly string[] | undefined;
  /** Where sessions rest. Default `new MemoryStorage()`. */
  storage?: SessionStorage | undefined;
  /** What a new session starts with. Default `{}`. */
  initial?: (() => object) | undefined;
  /** When expired sessions are removed, and how many at a time; false: never. Default every minute, 1,000. */
  purge?: { cron?: string | undefined; batch?: number | undefined } | false | undefined;
  /** Default JSON. */
  codec?: SessionCodec | undefined;
  /** Largest encoded size of one session's data in bytes. Default 65,536. */
  maxBytes?: number | undefined;
  /** Makes the secret part of an id: 22 to 256 characters of `A–Z a–z 0–9 . _ ~ -`. Default 32 random bytes. */
  generateId?: (() => string) | undefined;
  /** How long `tap` and `@SessionLock` wait for their turn, and hold it at most. Default `'10s'`, `'30s'`. */
  lock?: { wait?: Duration | undefined; hold?: Duration | undefined } | undefined;
}

/** The options once checked: defaults filled in, times in milliseconds. */
export interface ResolvedOptions extends SessionSettings, HttpSettings {
  readonly storage: SessionStorage;
  readonly purge: { readonly cron: string | false; readonly batch: number };
  readonly crossOrigin: CrossOriginRule;
  readonly touchWhen: ((request: any) => boolean) | undefined;
}

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SessionOptionsError} one error that names every wrong option, what it got and what it takes
 */
export function resolveOptions(options: SessionModuleOptions = {}): ResolvedOptions {
  const check = new Check();
  if (!isObject(options)) check.fail('the options', 'must be an object', options);
  const given = check.known(options, '', OPTIONS);
  const ttl = check.duration('ttl', orDefault(given.ttl, '1h'));
  const cookieName = check.value(
    'cookieName',
    orDefault(given.cookieName, 'sid'),
    isCookieName,
    COOKIE_NAME_RULE,
  );
  const settings: ResolvedOptions = {
    crossOrigin: { mode: 'refuse', trustedOrigins: new Set() },
    touchWhen: undefined,
    ttl,
    absoluteTtl:
      given.absoluteTtl === undefined || given.absoluteTtl === false
        ? Infinity
        : check.duration('absoluteTtl', given.absoluteTtl),
    touchAfter:
      given.touchAfter === undefined
        ? Math.min(ttl / 60, 60_000)
        : check.duration('touchAfter', given.touchAfter, { zero: true }),
    cookieName,
    cookie: resolveCookie(check, given.cookie, String(cookieName)),
    secrets: resolveSecrets(check, given.secret),
    storage: orDefault(given.storage, new MemoryStorage()),
    initial: check.optional(
      'initial',
      given.initial,
      isFunction,
      'must be a function that returns an object',
    ),
    purge: resolvePurge(check, given.purge),
    codec: check.value(
      'codec',
      orDefault(given.codec, jsonCodec),
      isCodec,
      'must have encode(value) and decode(text)',
    ),
    maxBytes: check.value(
      'maxBytes',
      orDefault(given.maxBytes, 65_536),
      isCount,
      'must be a whole number of bytes > 0',
    ),
    generateId: check.value(
      'generateId',
      orDefault(given.generateId, randomSecret),
      isFunction<() => string>,
      'must be a function that returns a string',
    ),
    lock: resolveLock(check, given.lock),
  };
  if (settings.touchAfter >= ttl) {
    check.fail('touchAfter', 'must be shorter than ttl, or sessions in use would expire', given.touchAfter);
  }
  for (const method of STORAGE_METHODS) {
    if (isFunction((settings.storage as unknown as Record<string, unknown> | null)?.[method])) continue;
    check.fail('storage', 'must be an object of a class that extends SessionStorage', given.storage);
    break;
  }
  check.finish();
  return settings;
}

const OPTIONS = [
  'ttl',
  'absoluteTtl',
  'touchAfter',
  'cookieName',
  'cookie',
  'secret',
  'storage',
  'initial',
  'purge',
  'codec',
  'maxBytes',
  'generateId',
  'lock',
] as const satisfies (keyof SessionModuleOptions)[];

const STORAGE_METHODS = [
  'create',
  'read',
  'update',
  'destroy',
  'lock',
  'open',
  'close',
  'subscribe',
] as const satisfies (keyof SessionStorage)[];

const jsonCodec: SessionCodec = { encode: JSON.stringify, decode: JSON.parse };
const randomSecret = (): string => randomBytes(32).toString('base64url');

function resolveSecrets(check: Check, value: unknown): readonly string[] {
  if (value === undefined) return [];
  const secrets = Array.isArray(value) ? (value as unknown[]) : [value];
  const valid = secrets.length > 0 && secrets.every((one) => typeof one === 'string' && one.length > 0);
  // What was got is told by its kind alone: it may be a secret.
  if (!valid) check.fail('secret', 'must be a non-empty string or a list of them', undefined, kindOf(value));
  return secrets as string[];
}

function resolvePurge(check: Check, value: unknown): ResolvedOptions['purge'] {
  if (value === false) return { cron: false, batch: 1_000 };
  if (value !== undefined && !isObject(value)) check.fail('purge', 'must be { cron, batch } or false', value);
  const given = check.known(value, 'purge.', ['cron', 'batch'] as const);
  return {
    cron: check.value(
      'purge.cron',
      orDefault(given.cron, '* * * * *'),
      isCron,
      'must be a cron expression such as "* * * * *"',
    ),
    batch: check.value('purge.batch', orDefault(given.batch, 1_000), isCount, 'must be a whole number > 0'),
  };
}

function resolveLock(check: Check, value: unknown): SessionSettings['lock'] {
  if (value !== undefined && !isObject(value)) check.fail('lock', 'must be { wait, hold }', value);
  const given = check.known(value, 'lock.', ['wait', 'hold'] as const);
  return {
    wait: check.timer('lock.wait', orDefault(given.wait, '10s')),
    hold: check.timer('lock.hold', orDefault(given.hold, '30s')),
  };
}
