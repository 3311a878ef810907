import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** Headers as `writeHead` takes them: an object, a flat list of names and values, or a list of pairs. */
export type GivenHeaders = OutgoingHttpHeaders | readonly unknown[] | undefined;

type HeaderValue = number | string | string[];

/** The platform's own methods for the headers of a response. */
export type HeaderMethods = Pick<ServerResponse, 'getHeader' | 'setHeader'>;

/**
 * Adds a session's headers to what goes out, whether it was set on the response or comes as an argument of
 * `writeHead`, which would overwrite it. Doing it twice changes nothing.
 *
 * @param cookie `Set-Cookie` text, if the browser is to be told something
 * @param methods where those of the response come from: on Express, where looking them up is slow, `Vary`, which every
 *   response gets, takes them from here
 * @returns the headers for `writeHead`; what was given is not changed, as it may be shared by many responses
 */
export function addSessionHeaders(
  response: ServerResponse,
  given: GivenHeaders,
  cookie: string | undefined,
  methods: HeaderMethods,
): GivenHeaders {
  const headers = withSessionHeader(response, asObject(given), 'Vary', withCookie, methods);
  if (cookie === undefined) return headers;
  const withCookies = withSessionHeader(response, headers, 'Set-Cookie', (value) => {
    const cookies = value === undefined ? [] : Array.isArray(value) ? value : [String(value)];
    return cookies.includes(cookie) ? value! : [...cookies, cookie];
  });
  return withSessionHeader(response, withCookies, 'Cache-Control', unshared);
}

/** One header changed, where it is: among those given, or on the response if none are given. */
function withSessionHeader(
  response: ServerResponse,
  headers: OutgoingHttpHeaders | undefined,
  name: 'Vary' | 'Set-Cookie' | 'Cache-Control',
  change: (value: HeaderValue | undefined) => HeaderValue,
  { getHeader, setHeader }: HeaderMethods = response,
): OutgoingHttpHeaders | undefined {
  const key = headers && keyOf(headers, name);
  const before = (key && headers[key]) ?? getHeader.call(response, name);
  const after = change(before);
  if (after === before) return headers;
  if (headers) {
    const copy = { ...headers };
    copy[key ?? name] = after;
    return copy;
  }
  setHeader.call(response, name, after);
  return undefined;
}

/** The length of the body, if the headers tell it. */
export function contentLength(response: ServerResponse, given: GivenHeaders): number {
  const headers = asObject(given);
  const key = headers && keyOf(headers, 'Content-Length');
  const length = (key && headers[key]) ?? response.getHeader('Content-Length');
  return length === undefined ? Infinity : Number(length);
}

const OF_THE_BODY =
  /^(content-(?!security-policy).*|etag|last-modified|location|expires|accept-ranges|transfer-encoding|trailer|cache-control)$/i;

/** Leaves of the headers what holds for another answer too, such as CORS and other cookies. */
export function dropBodyHeaders(response: ServerResponse, given: GivenHeaders): void {
  for (const [name, value] of Object.entries(asObject(given) ?? {})) {
    if (value !== undefined && !response.hasHeader(name)) response.setHeader(name, value);
  }
  for (const name of response.getHeaderNames()) if (OF_THE_BODY.test(name)) response.removeHeader(name);
}

/** The response depends on the cookie (S46). */
function withCookie(vary: HeaderValue | undefined): HeaderValue {
  const names = vary === undefined ? '' : Array.isArray(vary) ? vary.join(', ') : String(vary);
  if (names === '') return 'Cookie';
  return /(^|,)\s*(\*|cookie)\s*(,|$)/i.test(names) ? vary! : `${names}, Cookie`;
}

/** No cache between server and browser may hand a session's cookie to somebody else (S46). */
function unshared(cacheControl: HeaderValue | undefined): HeaderValue {
  const directives = cacheControl === undefined ? '' : String(cacheControl);
  if (/(^|,)\s*(private|no-store)\s*(,|$)/i.test(directives)) return cacheControl!;
  const kept = directives
    .split(',')
    .map((directive) => directive.trim())
    .filter((directive) => directive !== '' && !/^(public|s-maxage\b.*|proxy-revalidate)$/i.test(directive));
  return ['private', ...kept].join(', ');
}

function keyOf(headers: OutgoingHttpHeaders, name: string): string | undefined {
  for (const key in headers) {
    if (key.length === name.length && (key === name || key.toLowerCase() === name.toLowerCase())) return key;
  }
  return undefined;
}

/** Headers by name. Of a list, a name that comes more than once keeps all its values, which Node itself does not always. */
function asObject(given: GivenHeaders): OutgoingHttpHeaders | undefined {
  if (!Array.isArray(given)) return (given as OutgoingHttpHeaders | undefined) ?? undefined;
  const headers: OutgoingHttpHeaders = {};
  const flat: unknown[] = Array.isArray(given[0]) ? given.flat(1) : given;
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = String(flat[i]);
    const value = flat[i + 1] as HeaderValue;
    const key = keyOf(headers, name) ?? name;
    headers[key] = headers[key] === undefined ? value : [headers[key], value].flat().map(String);
  }
  return headers;
}
