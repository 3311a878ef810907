import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { from, lastValueFrom, type Observable } from 'rxjs';
import { after } from '../awaitable.js';
import { SessionError } from '../errors.js';
import type { Awaitable } from '../awaitable.js';
import { refuseContext, type RequestSession, RequestSessions } from '../http/exchange.js';

/**
 * Loads the session before the handler runs, and has it saved and its cookie set when the response goes out.
 * To be bound where the routes that use sessions are not told one by one: to a controller, or globally.
 */
@Injectable()
export class SessionInterceptor implements NestInterceptor {
  constructor(private readonly requests: RequestSessions) {}

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    return after(open(this.requests, context), () => next.handle()) as Promise<Observable<unknown>>;
  }
}

/**
 * The same as a guard, which is what `@Session()` and `@UseSession()` attach to a method. Nest spends ten times
 * as much on an interceptor, and with any interceptor it sends the headers of an SSE stream before the handler
 * has returned, so that no cookie could be set any more, and no error become a status.
 */
@Injectable()
export class SessionLoader implements CanActivate {
  constructor(private readonly requests: RequestSessions) {}

  canActivate(context: ExecutionContext): boolean | Promise<boolean> {
    return after(open(this.requests, context), () => true) as boolean | Promise<boolean>;
  }
}

/** Runs the requests of one session that meet `@SessionLock()` one after another. */
@Injectable()
export class SessionLockInterceptor implements NestInterceptor {
  constructor(private readonly requests: RequestSessions) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    if (Reflect.hasMetadata('__sse__', context.getHandler())) {
      throw new SessionError(
        `${context.getClass().name}.${context.getHandler().name}: @SessionLock() is not for @Sse(), whose stream would hold the session; use session.tap().`,
      );
    }
    const carried = await open(this.requests, context);
    return from(
      carried.engine.exclusive.locked(carried.state!, async () => {
        try {
          const value: unknown = await lastValueFrom(next.handle(), { defaultValue: undefined });
          await carried.saveLocked(value === undefined || carried.isResponse(value));
          return value;
        } catch (error) {
          // What a handler wrote before it threw is saved too, and before anybody else has the session.
          await carried.saveLocked(false).catch(() => undefined);
          throw error;
        }
      }),
    );
  }
}

function open(requests: RequestSessions, context: ExecutionContext): Awaitable<RequestSession> {
  if (context.getType() !== 'http') refuseContext(context);
  return requests.open(context.getArgByIndex(0), context.getArgByIndex(1));
}
