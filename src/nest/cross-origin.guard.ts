import { type CanActivate, type ExecutionContext, Inject, Injectable, Optional } from '@nestjs/common';
import { Exchanges } from '../http/exchanges.js';
import { askOf, refusing, requestIn } from './contexts.js';
import { demandModule } from './session.loader.js';

/**
 * Refuses unsafe requests of other origins on routes that ask for no session too. It checks whatever the option
 * `crossOrigin` says, `'allow'` included, which only switches off the check where a session is opened; with `'log'` it
 * logs.
 *
 * @example
 * providers: [{ provide: APP_GUARD, useClass: CrossOriginGuard }]
 */
@Injectable()
export class CrossOriginGuard implements CanActivate {
  private readonly exchanges: Exchanges;

  constructor(@Optional() @Inject(Exchanges) exchanges?: Exchanges) {
    this.exchanges = demandModule(exchanges);
  }

  canActivate(context: ExecutionContext): boolean {
    const found = requestIn(context);
    // What a socket's handshake was checked for, its messages need not be.
    if (!found || found.message || askOf(context).crossOrigin === 'allow') return true;
    // A foreign page cannot send a bearer's header unasked.
    if (this.exchanges.transport.receive(found.request).via === 'cookie') {
      refusing(found.operation, () => this.exchanges.refuseCrossOrigin(found.request));
    }
    return true;
  }
}
