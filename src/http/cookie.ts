import { serialize } from 'cookie';
import { sign, unsign } from 'cookie-signature';
import type { ResolvedCookie } from './cookie-options.js';
import { SessionError } from '../errors.js';
import { type CookieRequest, isSecure, rawOf } from './request.js';
import type { HttpSettings, TransportName } from './settings.js';
import { type ParsedId, parseId } from '../session/id.js';
import { Session, stateOf } from '../session/session.js';

/** What the session cookie is made and verified with. */
export type CookieSettings = Pick<HttpSettings, 'cookieName' | 'cookie' | 'secrets'>;

/** An id that goes out. */
export interface IssuedId {
  readonly id: string;
  /** Milliseconds since 1970. */
  readonly expiresAt: number;
}

/** Attributes of one session's cookie that are not as the application has them for all. */
export type OwnAttributes = Partial<ResolvedCookie>;

/** The ids that a request brings. */
export interface ReceivedIds {
  readonly via: TransportName;
  /** Of an id's form, which may or may not open a session. */
  readonly ids: readonly ParsedId[];
  /** Whether something of the cookie's name was there that is no id of ours, or more ids than are ever read (S5, S55). */
  readonly rejected: boolean;
}

/** More ids than this in one request count as none (S55). */
const MAX_IDS = 8;
/** RFC 6265bis §5.5: browsers cap Max-Age at 400 days (S41). */
const MAX_AGE_LIMIT = 34_560_000;

const NOTHING: ReceivedIds = Object.freeze({ via: 'cookie', ids: Object.freeze([]), rejected: false });
const REJECTED: ReceivedIds = Object.freeze({ via: 'cookie', ids: Object.freeze([]), rejected: true });

/** What cookie-parser leaves on a request. */
interface ParsedCookies {
  readonly secret?: unknown;
  readonly cookies?: Readonly<Record<string, unknown>>;
  readonly signedCookies?: Readonly<Record<string, unknown>>;
}

/** The session cookie as text: for responses that are made by hand. */
export class SessionCookie {
  // Private to the language: what is injected gets printed, and the settings hold the signing keys (S50).
  readonly #settings: CookieSettings;

  constructor(settings: CookieSettings) {
    this.#settings = settings;
  }

  /**
   * The id that this request brings in the cookie, verified if cookies are signed. Undefined if there is none
   * that is sound, or more than one: which of them is live only the storage could tell (S43).
   */
  read(request: CookieRequest): string | undefined {
    const { ids } = this.received(request);
    return ids.length === 1 ? ids[0]!.id : undefined;
  }

  /**
   * The `Set-Cookie` text that hands out the session's id.
   *
   * @param request tells `secure: 'auto'` whether the request came over HTTPS; without it the cookie is not
   *   Secure. Where the option `cookie` is a function, it is what the function is given, and required
   * @throws {SessionOptionsError} if the option `cookie` is a function, and what it gave is wrong
   */
  issue(session: Session<any>, request?: CookieRequest): string {
    const issued = { id: session.id, expiresAt: session.expiresAt.getTime() };
    // Whoever makes a response by hand may have no more of a session than this.
    const own = session instanceof Session ? stateOf(session).values.cookie : undefined;
    return this.#issue(issued, this.#cookieFor(request, own), request);
  }

  /**
   * The `Set-Cookie` text that makes the browser forget the session, with every attribute it was set with (S28).
   *
   * @param request as for {@link issue}
   * @throws {SessionOptionsError} as {@link issue}
   */
  clear(request?: CookieRequest): string {
    return this.#clear(this.#cookieFor(request), request);
  }

  /** Name and value alone, as the `Cookie` header of a request has them. @internal */
  pair(id: string): string {
    return serialize(this.#settings.cookieName, this.#value(id));
  }

  /**
   * The `Set-Cookie` text for the answer to a request; undefined where it may not go out, as it is Secure and
   * the request came in plain HTTP (S47).
   *
   * @internal
   */
  answer(
    told: IssuedId | 'ended',
    request: CookieRequest,
    own: OwnAttributes | undefined,
  ): string | undefined {
    const cookie = this.#cookieFor(request, own);
    if (cookie.secure === true && !isSecure(request)) return undefined;
    return told === 'ended' ? this.#clear(cookie, request) : this.#issue(told, cookie, request);
  }

  /** Whether the cookie has an end of its own in the browser, which every touch moves. @internal */
  isPersistent(request: CookieRequest, own: OwnAttributes | undefined): boolean {
    return this.#cookieFor(request, own).persistent;
  }

  /**
   * The different ids that the request has under the cookie's name, in the order they came. Form and signature of all of
   * it are looked at, as that costs no call of the storage: junk neither hides a sound id nor uses up the number of those
   * that are read.
   *
   * @internal
   */
  received(request: CookieRequest): ReceivedIds {
    const { cookieName } = this.#settings;
    const header = rawOf(request).headers.cookie;
    if (header === undefined) return this.#receivedParsed(request as ParsedCookies);
    let ids: ParsedId[] | undefined;
    let rejected = false;
    for (let start = 0, end = 0; start < header.length; start = end + 1) {
      end = header.indexOf(';', start);
      if (end === -1) end = header.length;
      while (header.charCodeAt(start) === 32 || header.charCodeAt(start) === 9) start++;
      // Byte for byte (S45): a name in other letters, or with more behind it, is another cookie.
      if (!header.startsWith(cookieName, start) || header[start + cookieName.length] !== '=') continue;
      const parsed = this.#idIn(header.slice(start + cookieName.length + 1, end).trimEnd());
      if (!parsed) rejected = true;
      else if (!ids) ids = [parsed];
      else if (!ids.some(({ id }) => id === parsed.id) && ids.push(parsed) > MAX_IDS) return REJECTED;
    }
    return ids ? { via: 'cookie', ids, rejected } : rejected ? REJECTED : NOTHING;
  }

  /** No Cookie header, but cookies: an adapter handed over what it had parsed already. */
  #receivedParsed({ secret, cookies, signedCookies }: ParsedCookies): ReceivedIds {
    const { cookieName, secrets } = this.#settings;
    // What cookie-parser verified is verified if it had one of our secrets.
    const signed = typeof secret === 'string' && secrets.includes(secret);
    const values = (secrets.length === 0 ? cookies : signed && signedCookies) || {};
    if (!Object.hasOwn(values, cookieName)) return NOTHING;
    const parsed = parseId(values[cookieName]);
    return parsed ? { via: 'cookie', ids: [parsed], rejected: false } : REJECTED;
  }

  /** The id in a cookie's value; undefined if that has not its form, or no signature of ours: nothing falls back (S9). */
  #idIn(value: string): ParsedId | undefined {
    const { secrets } = this.#settings;
    if (secrets.length === 0) return parseId(value);
    const signed = decoded(value);
    if (!signed?.startsWith('s:')) return undefined;
    const text = signed.slice(2);
    const parsed = parseId(text.slice(0, text.lastIndexOf('.')));
    return parsed && secrets.some((secret) => unsign(text, secret) !== false) ? parsed : undefined;
  }

  #value(id: string): string {
    const { secrets } = this.#settings;
    return secrets.length > 0 ? `s:${sign(id, secrets[0]!)}` : id;
  }

  #cookieFor(request: CookieRequest | undefined, own?: OwnAttributes): ResolvedCookie {
    const { cookie } = this.#settings;
    if (typeof cookie !== 'function') return own ? { ...cookie, ...own } : cookie;
    if (request !== undefined) return { ...cookie(request), ...own };
    throw new SessionError(
      'SessionCookie: the option cookie is a function of the request; pass the request to issue() and clear().',
    );
  }

  #issue({ id, expiresAt }: IssuedId, cookie: ResolvedCookie, request: CookieRequest | undefined): string {
    const left = Math.ceil((expiresAt - Date.now()) / 1_000);
    return serialize(this.#settings.cookieName, this.#value(id), {
      ...attributes(cookie, request),
      ...(cookie.persistent && { maxAge: Math.min(Math.max(left, 0), MAX_AGE_LIMIT) }),
    });
  }

  #clear(cookie: ResolvedCookie, request: CookieRequest | undefined): string {
    const { cookieName } = this.#settings;
    return serialize(cookieName, '', { ...attributes(cookie, request), maxAge: 0, expires: new Date(0) });
  }
}

function decoded(text: string): string | undefined {
  try {
    return decodeURIComponent(text);
  } catch {
    return undefined;
  }
}

function attributes(cookie: ResolvedCookie, request: CookieRequest | undefined) {
  const { path, domain, secure, httpOnly, sameSite, partitioned, priority } = cookie;
  return {
    path,
    domain,
    secure: secure === 'auto' ? request !== undefined && isSecure(request) : secure,
    httpOnly,
    sameSite,
    partitioned,
    priority,
  };
}
