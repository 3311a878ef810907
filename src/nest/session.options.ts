import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { validateCronExpression } from 'cron';
import {
  checkCookie,
  checkTogether,
  cookieNameRule,
  cookieRule,
  resolveCookie,
  type SessionCookieOptions,
} from '../http/cookie-options.js';
import { type CrossOriginOptions, crossOriginRule, resolveCrossOrigin } from '../http/origin.js';
import { checkImport, doubtOfImport, importFromRule, type SessionImporter } from '../http/importer.js';
import type { CookieRequest } from '../http/request.js';
import type { HttpSettings } from '../http/settings.js';
import {
  doubtOf,
  type Duration,
  duration,
  durationOrZero,
  functionThat,
  isOptions,
  kindOf,
  milliseconds,
  oneOf,
  OptionCheck,
  type OptionRules,
  show,
  timerDuration,
  wholeNumber,
} from '../rules.js';
import type { InitialSessionData } from '../session/session-data.js';
import { checkSchemas, DataSchema, schemaRule, type SessionSchema } from '../session/schema.js';
import { jsonCodec, type SessionCodec } from '../session/codec.js';
import type { SessionSettings } from '../session/settings.js';
import { type EncryptionOptions, encryptionRule, keysRule, ValueCipher } from '../session/value-cipher.js';
import { MemoryStorage } from '../storage/memory/storage.js';
import type { SessionStorage } from '../storage/session-storage.js';

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
  /**
   * The cookie's attributes; or a function of the platform's request that returns them, for tenants. It is asked again
   * for the cookie that clears, and must give the same for the same client.
   */
  cookie?: SessionCookieOptions | ((request: any) => SessionCookieOptions) | undefined;
  /** Signs the cookie in cookie-parser's format; of a list the first signs, all verify. Default none. */
  secret?: string | readonly string[] | undefined;
  /** Default a `MemoryStorage`. */
  storage?: SessionStorage | undefined;
  /** What a new session starts with. Default nothing. */
  initial?: (() => InitialSessionData) | undefined;
  /** When expired sessions are removed, and how many at a time; false: never. Default every minute, 1,000. */
  purge?: PurgeOptions | false | undefined;
  /** Default JSON. */
  codec?: SessionCodec | undefined;
  /** Encrypts what sessions hold, AES-256-GCM with the first key; all keys read. Default none. */
  encryption?: EncryptionOptions | undefined;
  /** A Standard Schema (zod, valibot, arktype …) for each key whose values are to be checked. Default none. */
  schema?: SessionSchema | undefined;
  /** Largest size of one session's data in bytes, as it is stored. Default 65,536. */
  maxBytes?: number | undefined;
  /** Makes the secret part of an id: 22 to 256 characters of `A–Z a–z 0–9 . _ ~ -`. Default 32 random bytes. */
  generateId?: (() => string) | undefined;
  /** How long `tap` and `@SessionLock` wait for their turn, and hold it at most. Default `'10s'`, `'30s'`. */
  lock?: LockTimes | undefined;
  /**
   * Unsafe requests that pages of other origins send: `'refuse'` (the default), `'log'` or `'allow'` all of them, or
   * trust some origins (S61).
   */
  crossOrigin?: 'refuse' | 'log' | 'allow' | CrossOriginOptions | undefined;
  /** Whether a request counts as use; a poll should not. It gets the platform's request. Default every one does. */
  touchWhen?: ((request: any) => boolean) | undefined;
  /** How many sessions of one user may live at once. Default any number. */
  maxPerUser?: number | undefined;
  /**
   * What happens at a login that would be one too many: the session of the user that was used longest ago ends, or the
   * login is a `SessionLimitError`, a 409. Default `'end-oldest'`.
   */
  whenExceeded?: 'end-oldest' | 'refuse' | undefined;
  /**
   * What is kept of the client when a session is created and at every login, as a device list shows it: an object of at
   * most 1 KB of JSON. It gets the platform's request. Default nothing.
   */
  describeClient?: ((request: any) => ClientDescription | undefined) | undefined;
  /** How clients send their id: by cookie (the default), by `Authorization: Bearer`, or both in a list. */
  transport?: Transport | readonly Transport[] | undefined;
  /**
   * Sessions of another library, taken over without a login: what `expressSessions()` or `fastifySessions()` of
   * `nest-sessions/express` give. Default none.
   */
  importFrom?: SessionImporter | undefined;
}

/** Nobody waits for a promise. */
type ClientDescription = object & { readonly then?: never };

type Transport = HttpSettings['transport'][number];

interface PurgeOptions {
  cron?: string | undefined;
  batch?: number | undefined;
}

interface LockTimes {
  wait?: Duration | undefined;
  hold?: Duration | undefined;
}

/** The options once they are checked, for everybody: defaults filled in, times in milliseconds. */
export interface ModuleSettings extends SessionSettings, HttpSettings {
  readonly storage: SessionStorage;
  /** `cron` false: never by itself. */
  readonly purge: { readonly cron: string | false; readonly batch: number };
  /** What is sound but hardly meant, for the log. */
  readonly warnings: readonly string[];
}

const MUST_HAVE = ['create', 'read', 'update', 'destroy', 'lock', 'open', 'close', 'subscribe'] as const;
const MAY_HAVE = ['purgeExpired', 'count', 'byUser', 'alive', 'list', 'ping'] as const;
const TRANSPORTS: readonly unknown[] = ['cookie', 'bearer'] satisfies Transport[];
const isText = (value: unknown): boolean => typeof value === 'string' && value !== '';
const listOf = <T>(value: T | readonly T[]): readonly T[] => (Array.isArray(value) ? value : [value as T]);

/** Every option, and what it takes. */
export const OPTIONS = {
  ttl: duration,
  absoluteTtl: {
    takes: `${duration.takes}, or false`,
    accepts: (value) => value === false || duration.accepts(value),
  },
  touchAfter: durationOrZero,
  cookieName: cookieNameRule,
  cookie: cookieRule,
  secret: {
    takes: 'a non-empty string or a list of them',
    accepts: (value) => listOf(value).length > 0 && listOf(value).every(isText),
    shows: kindOf,
  },
  storage: {
    takes:
      'an object of a class that extends SessionStorage, such as new RedisStorage(client), new SqlStorage(pool) or ' +
      'new ConnectStorage(store)',
    accepts: (value) => {
      const its = Object(value) as Record<string, unknown>;
      const has = (name: string) => typeof its[name] === 'function';
      return MUST_HAVE.every(has) && MAY_HAVE.every((name) => its[name] === undefined || has(name));
    },
    // A URL may hold a password.
    shows: (value) =>
      value instanceof Promise ? 'a Promise: await it in the useFactory of forRootAsync' : kindOf(value),
  },
  initial: functionThat('returns an object'),
  purge: {
    takes: 'an object with cron and batch, or false',
    accepts: (value) => value === false || isOptions(value),
    members: {
      cron: {
        takes: 'a cron expression such as "* * * * *"',
        accepts: (value) => typeof value === 'string' && validateCronExpression(value).valid,
      },
      batch: wholeNumber(),
    } satisfies OptionRules<PurgeOptions>,
  },
  codec: {
    takes: 'an object with encode(value) and decode(text)',
    accepts: (value) => {
      const { encode, decode } = Object(value) as Partial<SessionCodec>;
      return typeof encode === 'function' && typeof decode === 'function';
    },
  },
  encryption: encryptionRule,
  schema: schemaRule,
  maxBytes: wholeNumber('bytes'),
  generateId: functionThat('returns a string'),
  lock: {
    takes: 'an object with wait and hold',
    accepts: isOptions,
    members: { wait: timerDuration, hold: timerDuration } satisfies OptionRules<LockTimes>,
  },
  crossOrigin: crossOriginRule,
  touchWhen: functionThat('gets a request and returns true or false'),
  maxPerUser: wholeNumber('sessions'),
  whenExceeded: oneOf('end-oldest', 'refuse'),
  describeClient: functionThat('gets a request and returns an object'),
  transport: {
    takes: '"cookie", "bearer" or a list of both',
    accepts: (value) => listOf(value).length > 0 && listOf(value).every((one) => TRANSPORTS.includes(one)),
  },
  importFrom: importFromRule,
} satisfies OptionRules<SessionModuleOptions>;

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SessionOptionsError} one error that names every wrong option, what it got and what it takes
 */
export function resolveOptions(options: SessionModuleOptions = {}): ModuleSettings {
  const check = new OptionCheck('SessionModule');
  const given = check.read<SessionModuleOptions>(options, OPTIONS);
  const { ttl = '1h', absoluteTtl = false, cookieName = 'sid', cookie = {}, secret = [] } = given;
  const { codec = jsonCodec, maxBytes = 65_536, generateId = randomSecret } = given;
  const { storage = new MemoryStorage() } = given;
  const idle = milliseconds(ttl);
  const touchAfter =
    given.touchAfter === undefined ? Math.min(idle / 60, 60_000) : milliseconds(given.touchAfter);
  if (idle > 0 && touchAfter >= idle) {
    const got = show(given.touchAfter);
    check.fail('touchAfter', 'must be shorter than ttl, or sessions in use would expire', got);
  }
  checkLimit(check, given, storage);
  if (typeof cookie !== 'function' && isOptions(cookie) && typeof cookieName === 'string')
    checkTogether(check, cookie, cookieName, 'cookie.');
  if (isOptions(given.encryption) && given.encryption.keys === undefined)
    check.fail('encryption.keys', `must be ${keysRule.takes}`, 'none');
  if (schemaRule.accepts(given.schema) && OPTIONS.codec.accepts(codec))
    checkSchemas(check, given.schema!, codec);
  checkImport(check, given.importFrom, { cookieName, transports: listOf(given.transport ?? 'cookie') });
  check.finish();

  const { wait = '10s', hold = '30s' } = given.lock ?? {};
  const { cron = '* * * * *', batch = 1_000 } = given.purge || {};
  const doubts = [
    doubtOf('ttl', ttl, YEAR),
    doubtOf('absoluteTtl', absoluteTtl, YEAR),
    doubtOf('touchAfter', given.touchAfter, YEAR),
    doubtOf('lock.wait', wait, TEN_MINUTES),
    doubtOf('lock.hold', hold, TEN_MINUTES),
    doubtOfImport(given.importFrom),
  ];
  return {
    ttl: idle,
    absoluteTtl: absoluteTtl === false ? Infinity : milliseconds(absoluteTtl),
    touchAfter,
    initial: given.initial,
    codec,
    schema: given.schema && new DataSchema(given.schema, codec),
    encryption: given.encryption && new ValueCipher(given.encryption),
    maxBytes,
    generateId,
    lock: { wait: milliseconds(wait), hold: milliseconds(hold) },
    cookieName,
    cookie:
      typeof cookie === 'function'
        ? (request: CookieRequest) => checkCookie(cookie(request), cookieName)
        : resolveCookie(cookie, cookieName),
    secrets: concealed(listOf(secret)),
    crossOrigin: resolveCrossOrigin(given.crossOrigin ?? 'refuse'),
    transport: [...new Set(listOf(given.transport ?? 'cookie'))],
    touchWhen: given.touchWhen,
    importFrom: given.importFrom,
    describeClient: given.describeClient,
    maxPerUser: given.maxPerUser ?? Infinity,
    whenExceeded: given.whenExceeded ?? 'end-oldest',
    storage,
    purge: { cron: given.purge === false ? false : cron, batch },
    warnings: doubts.filter((doubt) => doubt !== undefined),
  };
}

function checkLimit(
  check: OptionCheck,
  { maxPerUser, whenExceeded }: SessionModuleOptions,
  storage: SessionStorage,
): void {
  if (maxPerUser === undefined) {
    if (whenExceeded !== undefined)
      check.fail('whenExceeded', 'is for maxPerUser, which is not given', show(whenExceeded));
  } else if (OPTIONS.storage.accepts(storage) && !storage.byUser) {
    const got = `a ${storage.constructor.name}`;
    check.fail('maxPerUser', 'needs a storage that knows the sessions of a user, by byUser()', got);
  }
}

/** In seconds. */
const YEAR = 31_536_000;
const TEN_MINUTES = 600;

const randomSecret = (): string => randomBytes(32).toString('base64url');

/** Secrets that no `inspect()` and no JSON of whatever holds them shows (S50). */
function concealed(secrets: readonly string[]): readonly string[] {
  const said = { value: () => `${secrets.length} secrets` };
  return Object.defineProperties([...secrets], { [inspect.custom]: said, toJSON: said });
}
