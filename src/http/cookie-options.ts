import { type Check, isObject, orDefault, show } from '../rules.js';
import type { SessionCookieOptions } from '../nest/session.options.js';

// A longer name could push name and value over the 4,096 octets that browsers take (S40): an id has
// up to 279 characters, and signing adds "s%3A", a dot and a digest of up to 129.
export const COOKIE_NAME_RULE =
  "must be a token of RFC 6265bis §4.1.1, at most 3,600 characters of A–Z a–z 0–9 and !#$%&'*+-.^_`|~";
export const isCookieName = (value: unknown): value is string =>
  typeof value === 'string' && /^[!#$%&'*+\-.^_`|~\dA-Za-z]{1,3600}$/.test(value);
const COOKIE_PATH_RULE = 'must start with "/" and have at most 1,024 printable ASCII characters without ";"';
const isCookiePath = (value: unknown): value is string =>
  typeof value === 'string' && /^\/[\x20-\x3a\x3c-\x7e]{0,1023}$/.test(value);
const COOKIE_DOMAIN_RULE = 'must be a host name such as "example.com"';
const isCookieDomain = (value: unknown): value is string =>
  typeof value === 'string' &&
  value.length <= 253 &&
  /^\.?[a-z\d]([a-z\d-]{0,61}[a-z\d])?(\.[a-z\d]([a-z\d-]{0,61}[a-z\d])?)*$/i.test(value);

const COOKIE_OPTIONS = [
  'path',
  'domain',
  'secure',
  'httpOnly',
  'sameSite',
  'partitioned',
  'priority',
  'persistent',
] as const satisfies (keyof SessionCookieOptions)[];

/** The cookie's options, checked against each other and the cookie's name. */
export function resolveCookie(check: Check, value: unknown, name: string): any {
  if (value !== undefined && !isObject(value)) {
    check.fail('cookie', `must be an object with some of ${COOKIE_OPTIONS.join(', ')}`, value);
  }
  const given = check.known(value, 'cookie.', COOKIE_OPTIONS);
  const at = <K extends keyof SessionCookieOptions>(
    key: K,
    fallback: SessionCookieOptions[K],
    takes: readonly unknown[],
  ) =>
    check.value(
      `cookie.${key}`,
      given[key] === undefined ? fallback : given[key],
      (got): got is never => takes.includes(got),
      `must be ${takes
        .filter((one) => one !== undefined)
        .map(show)
        .join(' or ')}`,
    );
  const cookie = {
    path: check.value('cookie.path', orDefault(given.path, '/'), isCookiePath, COOKIE_PATH_RULE) as string,
    domain: check.optional('cookie.domain', given.domain, isCookieDomain, COOKIE_DOMAIN_RULE) as
      string | undefined,
    secure: at('secure', 'auto', [true, false, 'auto']) as boolean | 'auto',
    httpOnly: at('httpOnly', true, [true, false]) as boolean,
    sameSite: at('sameSite', 'lax', ['lax', 'strict', 'none']) as 'lax' | 'strict' | 'none',
    partitioned: at('partitioned', false, [true, false]) as boolean,
    priority: at('priority', undefined, [
      'low',
      'medium',
      'high',
      undefined,
    ]) as SessionCookieOptions['priority'],
    persistent: at('persistent', true, [true, false]) as boolean,
  };
  // Browsers compare the prefix without regard to case, so a wrongly cased one binds as well (S38).
  const prefix = /^__(Host-Http|Host|Secure|Http)-/i.exec(name)?.[1]?.toLowerCase();
  const because = (rule: string) => `with ${rule} (RFC 6265bis §4.1.3)`;
  const secureOnly =
    prefix !== undefined
      ? because(`a "${name}" cookie name`)
      : cookie.sameSite === 'none'
        ? "with cookie.sameSite 'none' (RFC 6265bis §5.7)"
        : cookie.partitioned
          ? 'with cookie.partitioned (CHIPS)'
          : undefined;
  if (secureOnly && cookie.secure === false)
    check.fail('cookie.secure', `must not be false ${secureOnly}`, false);
  if (prefix?.startsWith('host')) {
    if (cookie.domain !== undefined) {
      check.fail('cookie.domain', `must not be set ${because(`a "${name}" cookie name`)}`, cookie.domain);
    }
    if (cookie.path !== '/')
      check.fail('cookie.path', `must be "/" ${because(`a "${name}" cookie name`)}`, cookie.path);
  }
  if (prefix?.endsWith('http') && !cookie.httpOnly) {
    check.fail('cookie.httpOnly', `must not be false ${because(`a "${name}" cookie name`)}`, false);
  }
  return secureOnly && cookie.secure === 'auto' ? { ...cookie, secure: true } : cookie;
}
