import type { IncomingMessage } from 'node:http';
import type { Awaitable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { SessionCrossOriginError } from '../errors.http.js';
import type { Sessions } from '../session/sessions.js';
import { refusalOfRequest } from './cross-origin.js';
import { Exchange, type ExchangeParts } from './exchange.js';
import { Imports } from './imports.js';
import { type AnyResponse, type CookieRequest, isHandshake, rawOf, rawResponseOf } from './request.js';
import { attachExchange, exchangeOf } from './response-patch.js';
import type { HttpSettings } from './settings.js';
import type { SessionTransport } from './transport.js';

/** How a session is asked for. */
export interface Ask {
  /**
   * False: this does not count as use. Undefined: it does, unless the route said otherwise. `'later'`: whoever asks later
   * decides, and if nobody does, it counts.
   */
  readonly touch?: boolean | 'later' | undefined;
  /** `'allow'`: from whatever origin the request comes. */
  readonly crossOrigin?: 'allow' | undefined;
  /** What lets a request of another origin in here, for the log: the end of "Let it in with …". */
  readonly remedy?: string | undefined;
}

/**
 * Exchanges of the handshakes of sockets, by the operation that asked. There is no response: the client can be told no
 * id, nothing is saved unless it is asked for, and it is no use of the session. Each operation reads it anew, as sockets
 * live long.
 */
const handshakes = new WeakMap<object, Exchange<Exchanges>>();

/** The exchanges of one module: each request's is made when its session is first asked for. */
export class Exchanges implements ExchangeParts {
  readonly imports: Imports | undefined;
  private readonly refused = new WeakSet<IncomingMessage>();

  constructor(
    readonly sessions: Sessions,
    readonly transport: SessionTransport,
    readonly settings: HttpSettings,
  ) {
    this.imports = settings.importFrom && new Imports(settings.importFrom, sessions);
  }

  /**
   * @param operation of several that come over one socket, the one that asks
   * @throws {SessionCrossOriginError} if the request may not open a session, before anything is read (S61)
   * @throws {SessionError} if the request has a session of another module, or leads to no response
   */
  open(
    request: CookieRequest,
    response?: AnyResponse,
    ask: Ask = {},
    operation?: object,
  ): Awaitable<Exchange<Exchanges>> {
    const raw = rawOf(request);
    const isSocket = isHandshake(raw);
    const known = exchangeOfRequest(request, operation);
    const rawResponse = known || isSocket ? undefined : rawResponseOf(raw, response);
    // A request that is wrapped may not show what belongs to it, but its response does.
    const its = rawResponse?.req;
    const found = known ?? (its && its !== raw ? (exchangeOf(its) as typeof known) : undefined);
    if (found && found.module !== this) {
      throw new SessionError(
        'This request has a session of another SessionModule already: one request, one module.',
      );
    }
    const exchange = found ?? new Exchange(this, request);
    if (ask.crossOrigin !== 'allow') this.checkOrigin(exchange, ask.remedy);
    if (!found && rawResponse) exchange.out = attachExchange(rawResponse, exchange);
    if (!found && !rawResponse && operation) handshakes.set(operation, exchange);
    if (isSocket) exchange.count(false);
    else if (ask.touch !== 'later') exchange.count(ask.touch);
    return exchange.load();
  }

  /** @throws {SessionCrossOriginError} unless mode is `'log'`, if the request comes from another origin (S61) */
  refuseCrossOrigin(request: CookieRequest, remedy?: string): void {
    const { sessions, settings } = this;
    const refusal = refusalOfRequest(request, settings.crossOrigin);
    if (!refusal) return;
    const error = new SessionCrossOriginError(refusal, remedy);
    const raw = rawOf(request);
    // However many ask for the session of a request, it is refused once.
    if (!this.refused.has(raw)) {
      this.refused.add(raw);
      sessions.events.emit('refused');
      sessions.events.warn(error.message);
    }
    if (settings.crossOrigin.mode !== 'log') throw error;
  }

  /** A foreign page cannot send a bearer's header unasked, so bearers are not checked. */
  private checkOrigin(exchange: Exchange, remedy: string | undefined): void {
    if (exchange.originPassed) return;
    const { mode } = this.settings.crossOrigin;
    if (mode !== 'allow' && exchange.via !== 'bearer') this.refuseCrossOrigin(exchange.request, remedy);
    exchange.originPassed = true;
  }
}

/** The exchange that a request carries already, or of a handshake the operation. */
export function exchangeOfRequest(
  request: CookieRequest,
  operation?: object,
): Exchange<Exchanges> | undefined {
  const exchange = exchangeOf(rawOf(request)) as Exchange<Exchanges> | undefined;
  return exchange ?? (operation && handshakes.get(operation));
}
