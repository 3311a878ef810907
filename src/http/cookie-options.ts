import { flag, isOptions, oneOf, OptionCheck, type OptionRule, type OptionRules, show } from '../rules.js';

export interface SessionCookieOptions {
  /** Default `'/'`. */
  path?: string | undefined;
  /** Default none: the cookie belongs to this host alone. */
  domain?: string | undefined;
  /**
   * Default `'auto'`: Secure if the request came over HTTPS, a proxy's word included if the app trusts it, and
   * wherever a prefix of the name, SameSite=None or Partitioned demands it.
   */
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

/** {@link SessionCookieOptions} once they are checked. */
export interface ResolvedCookie {
  readonly path: string;
  readonly domain: string | undefined;
  readonly secure: boolean | 'auto';
  readonly httpOnly: boolean;
  readonly sameSite: 'strict' | 'lax' | 'none';
  readonly partitioned: boolean;
  readonly priority: 'low' | 'medium' | 'high' | undefined;
  readonly persistent: boolean;
}

const textLike = (takes: string, pattern: RegExp): OptionRule => ({
  takes,
  accepts: (value) => typeof value === 'string' && pattern.test(value),
});

/** What the option `cookieName` takes. */
// A longer name could push name and value over the 4,096 octets that browsers take (S40): an id has
// up to 279 characters, and signing adds "s%3A", a dot and a digest of up to 129.
export const cookieNameRule = textLike(
  "a token of RFC 6265bis §4.1.1, at most 3,600 characters of A–Z a–z 0–9 and !#$%&'*+-.^_`|~",
  /^[!#$%&'*+\-.^_`|~\dA-Za-z]{1,3600}$/,
);

const MEMBERS = {
  path: textLike(
    'a text that starts with "/" and has at most 1,024 printable ASCII characters without ";"',
    /^\/[\x20-\x3a\x3c-\x7e]{0,1023}$/,
  ),
  domain: textLike(
    'a host name such as "example.com"',
    /^(?=.{1,253}$)\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i,
  ),
  secure: oneOf(true, false, 'auto'),
  httpOnly: flag,
  sameSite: oneOf('lax', 'strict', 'none'),
  partitioned: flag,
  priority: oneOf('low', 'medium', 'high'),
  persistent: flag,
} satisfies OptionRules<SessionCookieOptions>;

const SOME_OF = `an object with some of ${Object.keys(MEMBERS).join(', ')}`;

/** What the option `cookie` takes. What its members demand of each other is for {@link checkTogether}. */
export const cookieRule: OptionRule = {
  takes: `${SOME_OF}, or a function that returns one`,
  accepts: (value) => isOptions(value) || typeof value === 'function',
  members: MEMBERS,
};

/**
 * Checks attributes that are given while requests come, as by an application's function.
 *
 * @param name of the cookie, whose prefix has demands of its own
 * @param where they are from, for messages
 * @throws {SessionOptionsError} one error that names every attribute that is wrong
 */
export function checkCookie(returned: unknown, name: string, where = 'cookie(request)'): ResolvedCookie {
  const check = new OptionCheck('SessionModule');
  if (!isOptions(returned)) check.fail(where, `must return ${SOME_OF}`, show(returned));
  const given = check.read<SessionCookieOptions>(isOptions(returned) ? returned : {}, MEMBERS, `${where}.`);
  checkTogether(check, given, name, `${where}.`);
  check.finish();
  return resolveCookie(given, name);
}

/**
 * Checks the cookie's options against each other and the cookie's name.
 *
 * @param path what a message puts before the name of an option
 */
export function checkTogether(
  check: OptionCheck,
  given: SessionCookieOptions,
  name: string,
  path: string,
): void {
  const prefix = prefixOf(name);
  const because = `with a "${name}" cookie name (RFC 6265bis §4.1.3)`;
  const why = prefix ? because : demandForSecure(given, path);
  if (why !== undefined && given.secure === false)
    check.fail(`${path}secure`, `must not be false ${why}`, 'false');
  if (prefix?.startsWith('host')) {
    const { domain, path: at = '/' } = given;
    if (domain !== undefined) check.fail(`${path}domain`, `must not be set ${because}`, show(domain));
    if (at !== '/') check.fail(`${path}path`, `must be "/" ${because}`, show(at));
  }
  if (prefix?.endsWith('http') && given.httpOnly === false)
    check.fail(`${path}httpOnly`, `must not be false ${because}`, 'false');
}

/** Fills in the defaults of options that are checked. */
export function resolveCookie(given: SessionCookieOptions, name: string): ResolvedCookie {
  const { path = '/', domain, secure = 'auto', httpOnly = true, sameSite = 'lax' } = given;
  const { partitioned = false, priority, persistent = true } = given;
  const mustBeSecure = prefixOf(name) !== undefined || demandForSecure(given, '') !== undefined;
  return {
    path,
    domain,
    secure: mustBeSecure || secure,
    httpOnly,
    sameSite,
    partitioned,
    priority,
    persistent,
  };
}

/** The prefix of a name, in small letters: browsers compare without regard to case, so any spelling binds (S38). */
const prefixOf = (name: string): string | undefined =>
  /^__(Host-Http|Host|Secure|Http)-/i.exec(name)?.[1]?.toLowerCase();

/** Which of its own options makes a cookie Secure, if one does. */
function demandForSecure({ sameSite, partitioned }: SessionCookieOptions, path: string): string | undefined {
  if (sameSite === 'none') return `with ${path}sameSite 'none' (RFC 6265bis §5.7)`;
  return partitioned === true ? `with ${path}partitioned (CHIPS)` : undefined;
}
