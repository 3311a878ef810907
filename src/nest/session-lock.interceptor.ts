import {
  type CallHandler,
  type ExecutionContext,
  Inject,
  Injectable,
  type NestInterceptor,
  Optional,
} from '@nestjs/common';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { SessionError } from '../errors.js';
import { Exchanges } from '../http/exchanges.js';
import { demandRequest, openIn } from './contexts.js';
import { demandModule } from './session.loader.js';

/** Runs the requests of one session that meet `@SessionLock()` one after another. */
@Injectable()
export class SessionLockInterceptor implements NestInterceptor {
  private readonly exchanges: Exchanges;

  constructor(@Optional() @Inject(Exchanges) exchanges?: Exchanges) {
    this.exchanges = demandModule(exchanges);
  }

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (Reflect.hasMetadata('__sse__', context.getHandler())) {
      throw new SessionError(
        `${context.getClass().name}.${context.getHandler().name}: @SessionLock() is not for @Sse(), whose stream would hold the session; use session.tap().`,
      );
    }
    const exchange = await openIn(context, demandRequest(context), this.exchanges);
    return from(exchange.locked(() => lastValueFrom(next.handle(), { defaultValue: undefined })));
  }
}
