import { IncomingMessage, ServerResponse } from 'node:http';
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
  return 'raw' in request ? request.raw : request;
}

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

/** The response of a raw request, where the request leads to it. */
export function responseOf(raw: IncomingMessage): ServerResponse {
  const { res, socket, stream } = raw as IncomingMessage & {
    res?: ServerResponse;
    socket: { _httpMessage?: ServerResponse } | null;
    stream?: Record<symbol, unknown>;
  };
  if (res) return res; // Express
  if (socket?._httpMessage?.req === raw) return socket._httpMessage; // HTTP/1
  for (const symbol of stream ? Object.getOwnPropertySymbols(stream) : []) {
    // HTTP/2
    const value = stream![symbol] as ServerResponse | undefined;
    if (symbol.description === 'response' && value?.req === raw) return value;
  }
  throw new SessionError(
    'SessionStore.of(): this request does not lead to its response; pass the response as the second argument.',
  );
}

export function rawResponseOf(response: AnyResponse): ServerResponse {
  if (response instanceof ServerResponse) return response;
  return 'raw' in response ? response.raw : response;
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
