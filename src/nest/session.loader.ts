import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  Optional,
} from '@nestjs/common';
import type { Observable } from 'rxjs';
import { after } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { Exchanges } from '../http/exchanges.js';
import { openIn, requestIn } from './contexts.js';

/**
 * Loads the session before the handler runs, which has it saved and its cookie set when the response goes out. To be
 * bound where the routes that use sessions are not told one by one: to a controller, or globally.
 */
@Injectable()
export class SessionInterceptor implements NestInterceptor {
  private readonly exchanges: Exchanges;

  constructor(@Optional() @Inject(Exchanges) exchanges?: Exchanges) {
    this.exchanges = demandModule(exchanges);
  }

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const found = requestIn(context);
    if (!found) return next.handle();
    const opened = openIn(context, found, this.exchanges);
    return after(opened, () => next.handle()) as Promise<Observable<unknown>>;
  }
}

/**
 * The same as a guard, which is what `@Session()` and `@UseSession()` attach to a method. Nest spends ten times
 * as much on an interceptor, and with any interceptor it sends the headers of an SSE stream before the handler
 * has returned, so that no cookie could be set any more, and no error become a status.
 */
@Injectable()
export class SessionLoader implements CanActivate {
  private readonly exchanges: Exchanges;

  constructor(@Optional() @Inject(Exchanges) exchanges?: Exchanges) {
    this.exchanges = demandModule(exchanges);
  }

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    const found = requestIn(context);
    if (!found) return true;
    const opened = openIn(context, found, this.exchanges);
    return after(opened, () => true) as boolean | Promise<boolean>;
  }
}

/** @throws {SessionError} where Nest found no module of ours to take sessions from */
export function demandModule<T>(found: T | undefined): T {
  if (found) return found;
  throw new SessionError(
    'Sessions are used here, but SessionModule is not imported: add SessionModule.forRoot() to the imports of the root ' +
      'module, or of the testing module. With isGlobal: false, each module that uses sessions imports it.',
  );
}
