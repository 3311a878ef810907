import { serialize } from 'cookie';
import cookieParser from 'cookie-parser';
import { sign } from 'cookie-signature';
import { type CookieRequest, isSecure, rawOf } from './request.js';
import { parseId } from '../session/id.js';
import type { Session } from '../session/session.js';
import type { HttpSettings } from './settings.js';

/** What cookie-parser leaves on a request. */
interface ParsedCookies {
  readonly secret?: unknown;
  readonly cookies?: Readonly<Record<string, unknown>>;
  readonly signedCookies?: Readonly<Record<string, unknown>>;
}

/** How many cookies of the name are tried (S55). */
const MAX_CANDIDATES = 4;
/** RFC 6265bis §5.5: browsers cap Max-Age at 400 days (S41). */
const MAX_AGE_LIMIT = 34_560_000;

/** The session cookie as text: for responses that are made by hand. */
export class SessionCookie {
  constructor(private readonly settings: HttpSettings) {}

  /** The cookie's value in this request, verified if cookies are signed; undefined if there is none that is sound. */
  read(request: CookieRequest): string | undefined {
    return this.candidates(request).find((value) => parseId(value));
  }

  /**
   * The `Set-Cookie` text that hands out the session's id.
   *
   * @param request tells `secure: 'auto'` whether the request came over HTTPS; without it the cookie is not Secure
   */
  issue(session: Session<any>, request?: CookieRequest): string {
    return this.text(session.id, session.expiresAt, request);
  }

  /** The `Set-Cookie` text that makes the browser forget the session, with every attribute it was set with (S28). */
  clear(request?: CookieRequest): string {
    return serialize(this.settings.cookieName, '', {
      ...this.attributes(request),
      maxAge: 0,
      expires: new Date(0),
    });
  }

  /** @internal */
  text(id: string, expiresAt: Date, request?: CookieRequest): string {
    const { cookieName, cookie, secrets } = this.settings;
    const left = Math.ceil((expiresAt.getTime() - Date.now()) / 1_000);
    return serialize(cookieName, secrets.length > 0 ? `s:${sign(id, secrets[0]!)}` : id, {
      ...this.attributes(request),
      ...(cookie.persistent && { maxAge: Math.min(Math.max(left, 0), MAX_AGE_LIMIT) }),
    });
  }

  /** Whether the cookie may not go out: it is Secure, and the request came in plain HTTP (S47). @internal */
  isWithheld(request: CookieRequest): boolean {
    return this.settings.cookie.secure === true && !isSecure(request);
  }

  /** The different values that the request has under the cookie's name, at most four, signatures checked. @internal */
  candidates(request: CookieRequest): string[] {
    const { cookieName, secrets } = this.settings;
    const parsed = request as ParsedCookies;
    const header = rawOf(request).headers.cookie;
    if (header === undefined) {
      // No header, but cookies: an adapter handed over what it had parsed already.
      const value =
        (secrets.length > 0 ? this.verifiedByParser(parsed) && parsed.signedCookies : parsed.cookies) || {};
      return Object.hasOwn(value, cookieName) && typeof value[cookieName] === 'string'
        ? [value[cookieName]]
        : [];
    }
    const values = valuesOf(header, cookieName);
    if (secrets.length === 0) return values;
    return values.map((value) => this.verify(value)).filter((value) => value !== undefined);
  }

  /** Whether cookie-parser ran with one of our secrets, so that what it verified is verified. */
  private verifiedByParser({ secret }: ParsedCookies): boolean {
    return typeof secret === 'string' && this.settings.secrets.includes(secret);
  }

  /** The value inside a signature; undefined if it is not signed, or not by us: nothing falls back (S9). */
  private verify(text: string): string | undefined {
    let signed: string;
    try {
      signed = decodeURIComponent(text);
    } catch {
      return undefined;
    }
    if (!signed.startsWith('s:')) return undefined;
    const value = cookieParser.signedCookie(signed, [...this.settings.secrets]);
    return value === false ? undefined : value;
  }

  private attributes(request: CookieRequest | undefined) {
    const { path, domain, secure, httpOnly, sameSite, partitioned, priority } = this.settings.cookie;
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
}

/** The different values of a name in a Cookie header, in the order they came, at most {@link MAX_CANDIDATES}. */
function valuesOf(header: string, name: string): string[] {
  const values: string[] = [];
  for (let start = 0; start < header.length;) {
    let end = header.indexOf(';', start);
    if (end === -1) end = header.length;
    while (header.charCodeAt(start) === 32 || header.charCodeAt(start) === 9) start++;
    // Byte for byte (S45): a name in other letters is another cookie.
    if (header.startsWith(name, start) && header.charCodeAt(start + name.length) === 61) {
      const value = header.slice(start + name.length + 1, end).trimEnd();
      if (!values.includes(value)) values.push(value);
      if (values.length === MAX_CANDIDATES) break;
    }
    start = end + 1;
  }
  return values;
}
