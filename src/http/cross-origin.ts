import type { IncomingMessage } from 'node:http';
import { type CrossOriginSettings, normalOrigin } from './origin.js';
import { type CookieRequest, hostOf, isHandshake, rawOf } from './request.js';

/** Why a request is refused, for the log: the client is told nothing of it. */
export interface CrossOriginRefusal {
  /** The header that decided. */
  readonly header: 'Sec-Fetch-Site' | 'Origin';
  /** Its value: in quotes, printable and shortened. */
  readonly value: string;
  /** What would have passed, and with which option. */
  readonly expected: string;
}

/** What the check looks at. Several values of one header come joined by `', '`, as Node joins them. */
export interface RequestOrigin {
  readonly method: string | undefined;
  readonly secFetchSite: string | undefined;
  readonly origin: string | undefined;
  /** Host and port that were asked for, as the platform tells them. */
  readonly host: string | undefined;
}

/**
 * Whether a page of another origin sent this request, after Go's `http.CrossOriginProtection` (S61, S62).
 * Nothing else is looked at: no path, no method override, no content type, no cookie. An empty header is none.
 *
 * @returns why the request is refused; undefined: it passes. What follows from it, the mode says to the caller
 */
export function refusalOf(
  { method, secFetchSite, origin, host }: RequestOrigin,
  { trustedOrigins }: Pick<CrossOriginSettings, 'trustedOrigins'>,
): CrossOriginRefusal | undefined {
  if (isSafe(method)) return undefined;
  if (secFetchSite) {
    // Before Origin, as honest forms of a page with `Referrer-Policy: no-referrer` send `Origin: null`.
    if (secFetchSite === 'same-origin' || secFetchSite === 'none') return undefined;
    if (origin && trustedOrigins.has(normalised(origin)!)) return undefined;
    const sent = origin ? `and its Origin is ${printable(origin)}` : 'and it has no Origin';
    return {
      header: 'Sec-Fetch-Site',
      value: printable(secFetchSite),
      expected: `"same-origin" or "none", or an Origin of crossOrigin.trustedOrigins, ${sent}`,
    };
  }
  // No browser, or one from before 2020.
  if (!origin) return undefined;
  const from = normalised(origin);
  if (from !== undefined && (isHostOf(from, host) || trustedOrigins.has(from))) return undefined;
  const asked = host
    ? `the host that was asked for, ${printable(host)},`
    : 'a host that was asked for (none was)';
  return {
    header: 'Origin',
    value: printable(origin),
    expected: `${asked} or one of crossOrigin.trustedOrigins`,
  };
}

/** {@link refusalOf} for a request: a platform's, or Node's own. */
export function refusalOfRequest(
  request: CookieRequest,
  settings: Pick<CrossOriginSettings, 'trustedOrigins'>,
): CrossOriginRefusal | undefined {
  const raw: IncomingMessage & { originalMethod?: string } = rawOf(request);
  // Whatever comes over a socket comes as what its handshake was.
  if (isHandshake(raw)) return refusalOfHandshake(raw, hostOf(request), settings);
  const { method: shown } = raw;
  // Middleware that overrides methods leaves the one of the wire there; on Fastify it comes after the routing.
  const method = isSafe(shown) ? (raw.originalMethod ?? shown) : shown;
  // Most requests are safe, and the platform reckons the host anew each time.
  return isSafe(method)
    ? undefined
    : refusalOf({ method, host: hostOf(request), ...originIn(raw) }, settings);
}

/**
 * {@link refusalOf} for what opens a socket, however it comes: that is never safe.
 *
 * @param host that was asked for, as the platform would tell it: upgrades pass it by
 */
export function refusalOfHandshake(
  request: IncomingMessage,
  host: string | undefined,
  settings: Pick<CrossOriginSettings, 'trustedOrigins'>,
): CrossOriginRefusal | undefined {
  return refusalOf({ method: 'CONNECT', host, ...originIn(request) }, settings);
}

function originIn({ headers }: IncomingMessage): Pick<RequestOrigin, 'secFetchSite' | 'origin'> {
  return { secFetchSite: joined(headers['sec-fetch-site']), origin: joined(headers.origin) };
}

const isSafe = (method: string | undefined): boolean =>
  method === 'GET' || method === 'HEAD' || method === 'OPTIONS';

/**
 * Whether this is the origin of a page of the host that was asked for. The scheme is not compared, as a proxy may
 * have ended TLS; for the same reason the default port of either scheme is as good as none.
 */
function isHostOf(origin: string, host: string | undefined): boolean {
  if (!host || !/^https?:/.test(origin)) return false;
  const own = origin.slice(origin.indexOf(':'));
  return ['http', 'https'].some((scheme) => normalised(`${scheme}://${host}`)?.slice(scheme.length) === own);
}

/** An origin from the wire. Browsers write names in ASCII, and none has more than 253 characters. */
function normalised(origin: string): string | undefined {
  return /^[\x21-\x7e]{1,300}$/.test(origin) ? normalOrigin(origin) : undefined;
}

const joined = (value: string | string[] | undefined): string | undefined =>
  Array.isArray(value) ? value.join(', ') : value;

/** What a client sent, as a log line may hold it: at most 100 characters, and none that is not of printable ASCII. */
function printable(text: string): string {
  const quoted = JSON.stringify(text.slice(0, 100)).replace(
    /[\x7f-\uffff]/g,
    (char) => `\\u${char.charCodeAt(0).toString(16).padStart(4, '0')}`,
  );
  return text.length > 100 ? `${quoted.slice(0, -1)}…"` : quoted;
}
