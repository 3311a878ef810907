import type { IncomingMessage } from 'node:http';
import { type HttpServer, HttpException } from '@nestjs/common';
import { SessionCrossOriginError } from '../errors.http.js';
import { refusalOfHandshake } from '../http/cross-origin.js';
import { Exchange } from '../http/exchange.js';
import type { Exchanges } from '../http/exchanges.js';
import { hostOf } from '../http/request.js';
import { stateOf } from '../session/session.js';
import type { SocketSettings } from './options.js';
import type { SocketRegistry } from './registry.js';
import type { Bound } from './sockets.js';

/** The status of a handshake that is refused; undefined: it is accepted. */
export type Refused = number | undefined;

const REMEDY = 'the option trustedOrigins of withSessions(), or crossOrigin.trustedOrigins of SessionModule';

/** Decides about sockets before they are accepted (S64). */
export class Handshakes {
  private readonly origins: { readonly trustedOrigins: ReadonlySet<string> };

  constructor(
    private readonly exchanges: Exchanges,
    private readonly registry: SocketRegistry,
    private readonly settings: SocketSettings,
    private readonly platform: HttpServer,
  ) {
    const { trustedOrigins } = exchanges.settings.crossOrigin;
    this.origins = { trustedOrigins: new Set([...trustedOrigins, ...settings.trustedOrigins]) };
  }

  /**
   * Checks origin and session of a request that opens a socket, and remembers what it is opened for.
   *
   * @param first the request that opened the connection which this one upgrades: it must be for the same session
   */
  async open(request: IncomingMessage, first?: IncomingMessage): Promise<Refused> {
    try {
      const exchange = new Exchange(this.exchanges, request);
      this.checkOrigin(exchange, request);
      const bound = await this.boundFor(exchange);
      const before = first && this.registry.boundOf(first);
      if (before?.handle !== undefined) return isSame(before, bound) ? undefined : 401;
      if (!this.mayOpen(bound)) return 401;
      this.registry.bind(request, bound);
      return undefined;
    } catch (error) {
      return this.statusOf(error);
    }
  }

  /** Checks the origin alone, of a request within a connection that is open already. */
  goOn(request: IncomingMessage): Refused {
    try {
      this.checkOrigin(new Exchange(this.exchanges, request), request);
      return undefined;
    } catch (error) {
      return this.statusOf(error);
    }
  }

  /** @throws {SessionCrossOriginError} unless the module only logs */
  private checkOrigin({ via }: Exchange, request: IncomingMessage): void {
    const { sessions, settings } = this.exchanges;
    const { mode } = settings.crossOrigin;
    // A foreign page cannot send a bearer's header unasked.
    if (mode === 'allow' || via === 'bearer') return;
    const refusal = refusalOfHandshake(request, this.hostOf(request), this.origins);
    if (!refusal) return;
    const error = new SessionCrossOriginError(refusal, REMEDY);
    sessions.events.emit('refused');
    sessions.events.warn(error.message);
    if (mode !== 'log') throw error;
  }

  private async boundFor(exchange: Exchange): Promise<Bound> {
    const { seen } = this.registry;
    const { session } = await exchange.load();
    exchange.count(this.settings.touch ? undefined : false);
    const { record } = stateOf(session!);
    return {
      handle: record?.handle,
      userId: record?.userId,
      data: record?.data ?? {},
      expiresAt: record?.expiresAt ?? 0,
      counts: exchange.counts,
      seen,
      hasEnded: false,
      running: undefined,
    };
  }

  private mayOpen({ handle, userId }: Bound): boolean {
    const { require } = this.settings;
    if (require === 'user') return userId !== undefined;
    return require === false || handle !== undefined;
  }

  /** What the platform would say: upgrades pass it by. Of Fastify's trust in a proxy nothing can be known. */
  private hostOf(request: IncomingMessage): string | undefined {
    const forwarded = request.headers['x-forwarded-host'];
    if (typeof forwarded === 'string' && this.platform.getType?.() === 'express') {
      const trusts = this.platform.getInstance().get('trust proxy fn') as (
        address?: string,
        hop?: number,
      ) => boolean;
      if (trusts(request.socket.remoteAddress, 0)) return forwarded.split(',', 1)[0]!.trim();
    }
    return hostOf(request);
  }

  private statusOf(error: unknown): number {
    // What failed in the storage, and what was refused, is in the log already.
    if (error instanceof HttpException) return error.getStatus();
    this.exchanges.sessions.events.error(
      'A socket was refused, as its handshake could not be checked',
      error,
    );
    return 500;
  }
}

const isSame = (one: Bound, other: Bound): boolean =>
  one.handle === other.handle && one.userId === other.userId && !one.hasEnded;
