import type { OutgoingHttpHeaders, ServerResponse } from 'node:http';

/** What a session adds to the headers of a response. Frozen and shared where it is the same for many. */
export interface SessionHeaders {
  /** Request headers that the answer depends on, joined to `Vary`: 'Cookie', 'Authorization' or 'Cookie, Authorization'. */
  readonly vary: string;
  /** `Set-Cookie` text, if the browser is to be told something. Makes the response private to shared caches. */
  readonly cookie: string | undefined;
  /** `Set-Cookie` text that has the browser forget another library's cookie. Absent where there is none to forget. */
  readonly clears?: string | undefined;
  /**
   * Value for `X-Session-Token` if a bearer client is to be told its id ('' = ended). Adds
   * `Access-Control-Expose-Headers: X-Session-Token` (merged) and `Cache-Control: no-store`.
   */
  readonly token: string | undefined;
}

/** Headers as `writeHead` takes them: an object, a flat list of names and values, or a list of pairs. */
export type GivenHeaders = OutgoingHttpHeaders | readonly unknown[] | undefined;

type HeaderValue = number | string | string[];

/** The platform's own methods for the headers of a response. */
export type HeaderMethods = Pick<ServerResponse, 'getHeader' | 'setHeader'>;

/** `writeHead` takes headers second, or third after a reason. */
export function headersAt([, second, third]: unknown[]): 1 | 2 {
  return typeof second === 'string' || third !== undefined ? 2 : 1;
}

export function headersIn(writeHeadArgs: unknown[]): GivenHeaders {
  return writeHeadArgs[headersAt(writeHeadArgs)] as GivenHeaders;
}

const TOKEN = 'X-Session-Token';

/**
 * Adds a session's headers to what goes out, whether it was set on the response or comes as an argument of
 * `writeHead`, which would overwrite it. Doing it twice changes nothing.
 *
 * @param methods where those of the response come from: on Express, where looking them up is slow, `Vary`, which every
 *   response gets, takes them from here
 * @returns the headers for `writeHead`; what was given is not changed, as it may be shared by many responses
 */
export function addSessionHeaders(
  response: ServerResponse,
  given: GivenHeaders,
  { vary, cookie, token, clears }: SessionHeaders,
  methods: HeaderMethods,
): GivenHeaders {
  // Node refuses such a list, and is to do so.
  if (isMalformed(given)) return given;
  let headers = change(response, asObject(given), 'Vary', withVary, vary, methods);
  if (cookie !== undefined) {
    headers = change(response, headers, 'Set-Cookie', withCookie, cookie);
    headers = change(response, headers, 'Cache-Control', uncached, 'private');
  }
  if (clears !== undefined) {
    headers = change(response, headers, 'Set-Cookie', withCookie, clears);
    headers = change(response, headers, 'Cache-Control', uncached, 'private');
  }
  if (token !== undefined) {
    headers = change(response, headers, TOKEN, replaced, token);
    headers = change(response, headers, 'Access-Control-Expose-Headers', withNames, TOKEN);
    headers = change(response, headers, 'Cache-Control', uncached, 'no-store');
  }
  return headers;
}

/** Takes off again what the browser or client was to be told, from a response whose head did not go out. */
export function takeOffSessionHeaders(response: ServerResponse, headers: SessionHeaders): void {
  const { cookie, token, clears } = headers;
  if (token !== undefined) response.removeHeader(TOKEN);
  const cookies = response.getHeader('Set-Cookie');
  if (cookie === undefined || !Array.isArray(cookies)) return;
  const others = cookies.filter((each) => each !== cookie && each !== clears);
  if (others.length > 0) response.setHeader('Set-Cookie', others);
  else response.removeHeader('Set-Cookie');
}

/** One header changed, where it is: among those given, or on the response if none are given. */
function change(
  response: ServerResponse,
  headers: OutgoingHttpHeaders | undefined,
  name: string,
  merge: (value: HeaderValue | undefined, addition: string) => HeaderValue,
  addition: string,
  { getHeader, setHeader }: HeaderMethods = response,
): OutgoingHttpHeaders | undefined {
  const key = headers && keyOf(headers, name);
  const before = (key && headers[key]) ?? getHeader.call(response, name);
  const after = merge(before, addition);
  if (after === before) return headers;
  if (headers) {
    const copy = { ...headers };
    copy[key ?? name] = after;
    return copy;
  }
  setHeader.call(response, name, after);
  return undefined;
}

/** The length of the body, if the headers tell it; else infinite. */
export function contentLength(response: ServerResponse, given: GivenHeaders): number {
  const headers = isMalformed(given) ? undefined : asObject(given);
  const key = headers && keyOf(headers, 'Content-Length');
  const length = (key && headers[key]) ?? response.getHeader('Content-Length');
  return length === undefined ? Infinity : Number(length);
}

const OF_THE_BODY =
  /^(content-(?!security-policy).*|etag|last-modified|location|expires|accept-ranges|transfer-encoding|trailer|cache-control)$/i;

/** Leaves of the headers what holds for another answer too, such as CORS and other cookies. */
export function dropBodyHeaders(response: ServerResponse, given: GivenHeaders): void {
  const headers = isMalformed(given) ? undefined : asObject(given);
  for (const [name, value] of Object.entries(headers ?? {})) {
    if (value !== undefined && !response.hasHeader(name)) response.setHeader(name, value);
  }
  for (const name of response.getHeaderNames()) if (OF_THE_BODY.test(name)) response.removeHeader(name);
}

const replaced = (_value: HeaderValue | undefined, addition: string): HeaderValue => addition;

function withCookie(value: HeaderValue | undefined, cookie: string): HeaderValue {
  if (value === undefined) return [cookie];
  const cookies = Array.isArray(value) ? value : [String(value)];
  return cookies.includes(cookie) ? value : [...cookies, cookie];
}

/** The response depends on the cookie, or on another header (S46). */
function withVary(value: HeaderValue | undefined, names: string): HeaderValue {
  return value !== undefined && namesIn(value).includes('*') ? value : withNames(value, names);
}

function withNames(value: HeaderValue | undefined, names: string): HeaderValue {
  if (value === undefined) return names;
  const there = namesIn(value);
  const missing = names.split(', ').filter((name) => !there.includes(name.toLowerCase()));
  if (missing.length === 0) return value;
  return [...[value].flat().map(String), ...missing].filter((text) => text.trim() !== '').join(', ');
}

function namesIn(value: HeaderValue): string[] {
  return String(value)
    .split(',')
    .map((name) => name.trim().toLowerCase());
}

/** One directive of `Cache-Control`: a comma inside quotes parts nothing. */
const DIRECTIVE = /(?:[^,"]|"(?:\\.|[^"\\])*(?:"|$))+/gs;

/** No cache between server and browser may hand a session's cookie to somebody else (S46). */
function uncached(value: HeaderValue | undefined, directive: string): HeaderValue {
  const directives = String(value ?? '').match(DIRECTIVE) ?? [];
  const kept = directives.map((each) => each.trim()).filter((each) => each !== '');
  const names = kept.map((each) => each.toLowerCase());
  if (names.includes('no-store') || names.includes(directive)) return value!;
  const shared = /^(public|s-maxage|proxy-revalidate)\s*(=|$)/i;
  return [directive, ...kept.filter((each) => !shared.test(each))].join(', ');
}

function keyOf(headers: OutgoingHttpHeaders, name: string): string | undefined {
  // Own keys alone, as Node reads them. Their length is compared first, as that costs nothing.
  for (const key of Object.keys(headers)) {
    if (key.length === name.length && (key === name || key.toLowerCase() === name.toLowerCase())) return key;
  }
  return undefined;
}

function isMalformed(given: GivenHeaders): boolean {
  return Array.isArray(given) && !Array.isArray(given[0]) && given.length % 2 !== 0;
}

/** Headers by name. Of a list, a name that comes more than once keeps all its values, which Node itself does not always. */
function asObject(given: GivenHeaders): OutgoingHttpHeaders | undefined {
  if (!Array.isArray(given)) return (given as OutgoingHttpHeaders | undefined) ?? undefined;
  const headers: OutgoingHttpHeaders = Object.create(null);
  const flat: unknown[] = Array.isArray(given[0]) ? given.flat(1) : given;
  for (let i = 0; i + 1 < flat.length; i += 2) {
    const name = String(flat[i]);
    const value = flat[i + 1] as HeaderValue;
    const key = keyOf(headers, name) ?? name;
    headers[key] = headers[key] === undefined ? value : [headers[key], value].flat().map(String);
  }
  return headers;
}
