import type { IncomingMessage } from 'node:http';
import type { IssuedId, OwnAttributes, ReceivedIds, SessionCookie } from './cookie.js';
import { type CookieRequest, rawOf } from './request.js';
import type { SessionHeaders } from './response-headers.js';
import type { TransportName } from './settings.js';
import { type ParsedId, parseId } from '../session/id.js';

const NO_BEARER: ReceivedIds = Object.freeze({ via: 'bearer', ids: Object.freeze([]), rejected: false });

const WITHHELD =
  'The session cookie is Secure and the request came in plain HTTP: the cookie was withheld. ' +
  'Behind a proxy that ends TLS, let the platform trust it ("trust proxy" on Express, trustProxy on Fastify)';

/** Where a request's id comes from, and how the client is told one. It counts in no other place (S6). */
export class SessionTransport {
  readonly #cookie: SessionCookie;
  readonly #takesCookies: boolean;
  readonly #takesBearers: boolean;
  readonly #warnOnce: (text: string) => void;
  /** Most answers tell the client nothing, and share this. */
  readonly #nothing: SessionHeaders;

  /**
   * @param transports what the application allows; `['bearer']` alone means that there is no cookie at all
   * @param warnOnce logs a text the first time that it is given it
   */
  constructor(cookie: SessionCookie, transports: readonly TransportName[], warnOnce: (text: string) => void) {
    this.#cookie = cookie;
    this.#takesCookies = transports.includes('cookie');
    this.#takesBearers = transports.includes('bearer');
    this.#warnOnce = warnOnce;
    const vary = [this.#takesCookies && 'Cookie', this.#takesBearers && 'Authorization'];
    this.#nothing = Object.freeze({
      vary: vary.filter(Boolean).join(', '),
      cookie: undefined,
      token: undefined,
    });
  }

  /** The ids of a request. Where a cookie and a bearer come together, the bearer counts, alone (S63). */
  receive(request: CookieRequest): ReceivedIds {
    if (this.#takesBearers) {
      const { headers } = rawOf(request);
      const id = bearerIn(headers);
      if (id !== undefined) return { via: 'bearer', ids: [id], rejected: false };
      if (!this.#takesCookies || asksForBearer(headers)) return NO_BEARER;
    }
    return this.#cookie.received(request);
  }

  /**
   * The headers for an answer.
   *
   * @param via how the request's id came
   * @param told nothing, this id, or that the session has ended
   * @param own attributes that this session's cookie has of its own
   * @throws {SessionOptionsError} if the option `cookie` is a function, and what it gave is wrong
   */
  headers(
    via: TransportName,
    told: IssuedId | 'ended' | undefined,
    request: CookieRequest,
    own?: OwnAttributes,
  ): SessionHeaders {
    const nothing = this.#nothing;
    if (told === undefined) return nothing;
    if (via === 'bearer') {
      return { vary: nothing.vary, cookie: undefined, token: told === 'ended' ? '' : told.id };
    }
    const cookie = this.#cookie.answer(told, request, own);
    if (cookie !== undefined) return { vary: nothing.vary, cookie, token: undefined };
    this.#warnOnce(WITHHELD);
    return nothing;
  }

  /**
   * Whether a client that has the id is told of a deadline that moved: only a cookie with a Max-Age must be.
   *
   * @throws {SessionOptionsError} as {@link headers}
   */
  renews(via: TransportName, request: CookieRequest, own?: OwnAttributes): boolean {
    return via === 'cookie' && this.#cookie.isPersistent(request, own);
  }
}

/**
 * The id in `Authorization: Bearer …`. Only an issued one (`handle.secret`) counts: an OAuth token, a JWT or an
 * id of one's own cannot be told from other people's tokens, so they are none of ours.
 */
function bearerIn({ authorization }: IncomingMessage['headers']): ParsedId | undefined {
  const id = typeof authorization === 'string' ? /^bearer +([\w.~-]+)$/i.exec(authorization)?.[1] : undefined;
  if (id === undefined || SHORT_JWT.test(id)) return undefined;
  const parsed = parseId(id);
  // All of an id of one's own is secret.
  return parsed && parsed.secret !== id ? parsed : undefined;
}

/** A JWT whose header is 16 bytes long, as `{"alg":"ES256K"}` is: its first part looks like a handle. */
const SHORT_JWT = /^ey[AJ][\w-]{17}fQ\.[\w-]+\.[\w-]*$/;

function asksForBearer(headers: IncomingMessage['headers']): boolean {
  const transport = headers['x-session-transport'];
  return typeof transport === 'string' && transport.toLowerCase() === 'bearer';
}
