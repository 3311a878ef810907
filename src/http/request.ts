import { IncomingMessage, ServerResponse } from 'node:http';
import { types } from 'node:util';
import { SessionError } from '../errors.js';

/** A platform's request, or Node's own. */
export type CookieRequest = IncomingMessage | { readonly raw: IncomingMessage };

/** A platform's response, or Node's own. */
export type AnyResponse = ServerResponse | { readonly raw: ServerResponse };

/**
 * Node's own request. On Express whatever is looked up on a request is slow, and what is not there slowest, so its
 * class is asked first.
 */
export function rawOf(request: CookieRequest): IncomingMessage {
  if (request instanceof IncomingMessage) return request;
  return (request as { raw?: IncomingMessage }).raw ?? (request as unknown as IncomingMessage);
}

/** Whether the request became a socket, as a handshake of WebSockets does: there is no response to it. */
export const isHandshake = (raw: IncomingMessage): boolean =>
  (raw as { readonly upgrade?: unknown }).upgrade === true;

/**
 * Whether the request came over HTTPS. Express's `protocol` and Fastify's believe a proxy exactly as far as
 * the application told them to; Node's own request knows the socket alone.
 */
export function isSecure(request: CookieRequest): boolean {
  const { protocol } = request as { protocol?: unknown };
  if (typeof protocol === 'string') return protocol === 'https';
  const { socket } = rawOf(request);
  return (socket as { encrypted?: boolean } | null)?.encrypted === true;
}

/**
 * Node's own response to a request: the one that is given, or the one that the request leads to.
 *
 * @throws {SessionError} if the request leads to none, or the one that is given is not its own
 */
export function rawResponseOf(request: IncomingMessage, response: AnyResponse | undefined): ServerResponse {
  if (!response) return responseBehind(request);
  const wrapped = response instanceof ServerResponse ? response : (response as { raw?: ServerResponse }).raw;
  const raw = unwrapped(wrapped ?? (response as ServerResponse));
  if (isSame(raw.req, request)) return raw;
  throw new SessionError(
    'SessionStore.of(): the response is not that of the request; pass the two that came together.',
  );
}

function responseBehind(request: IncomingMessage): ServerResponse {
  const { res, socket, stream } = request as IncomingMessage & {
    res?: ServerResponse;
    socket: { _httpMessage?: ServerResponse } | null;
    stream?: Record<symbol, unknown>;
  };
  if (res) return unwrapped(res); // Express
  if (isSame(socket?._httpMessage?.req, request)) return socket!._httpMessage!; // HTTP/1
  for (const symbol of stream ? Object.getOwnPropertySymbols(stream) : []) {
    // HTTP/2
    const value = stream![symbol] as ServerResponse | undefined;
    if (symbol.description === 'response' && isSame(value?.req, request)) return value!;
  }
  throw new SessionError(
    'This request does not lead to its response: pass the response to SessionStore.of() as the second argument, or put ' +
      'it in the context of GraphQL as "reply".',
  );
}

/** Whether both are one request, be one of them wrapped: what wraps a request shows its lists of headers, not copies. */
function isSame(one: IncomingMessage | undefined, other: IncomingMessage): boolean {
  return one === other || (one?.rawHeaders !== undefined && one.rawHeaders === other.rawHeaders);
}

/**
 * The response that Node made, of one that is wrapped as `Object.create(response)` or in a `Proxy`: Node's own methods
 * do not reach the socket from a wrapper.
 */
export function unwrapped(response: ServerResponse): ServerResponse {
  if (types.isProxy(response)) {
    const current = (response.req?.socket as { _httpMessage?: ServerResponse } | null)?._httpMessage;
    return current && isSame(current.req, response.req) ? current : response;
  }
  for (let each: ServerResponse | null = response; each; each = Object.getPrototypeOf(each)) {
    if (Object.hasOwn(each, '_events')) return each;
  }
  return response;
}

/**
 * Host and port that the client asked for, undefined or empty if it named none. Express and Fastify believe
 * `X-Forwarded-Host` exactly as far as the application told them to trust its proxy; Node's own request knows
 * the header alone.
 */
export function hostOf(request: CookieRequest): string | undefined {
  const { host, hostname } = request as { host?: unknown; hostname?: unknown };
  if (typeof host === 'string') return host;
  const { headers } = rawOf(request);
  const named = headers.host ?? (headers[':authority'] as string | undefined);
  if (typeof hostname !== 'string' || hostname === '') return named;
  // Middleware on Fastify gets Node's request with Fastify's word on the name, which says nothing of the port.
  return named === hostname || named?.startsWith(`${hostname}:`) ? named : hostname;
}
