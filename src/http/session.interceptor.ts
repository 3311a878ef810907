import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { concatMap, from, lastValueFrom, type Observable, of } from 'rxjs';
import { after, isThenable } from '../awaitable.js';
import { type RequestSession, RequestSessions } from './request-sessions.js';

/**
 * Loads the session before the handler runs and saves it afterwards, while a storage that fails can still
 * become an error of this request. `@Session()` and `@UseSession()` attach it to the methods that ask.
 */
@Injectable()
export class SessionInterceptor implements NestInterceptor {
  constructor(private readonly requests: RequestSessions) {}

  intercept(
    context: ExecutionContext,
    next: CallHandler,
  ): Observable<unknown> | Promise<Observable<unknown>> {
    const http = context.switchToHttp();
    const opened = this.requests.open(http.getRequest(), http.getResponse());
    return after(opened, (carried) => next.handle().pipe(saveChanges(carried))) as Promise<
      Observable<unknown>
    >;
  }
}

/** Loads the session, and leaves saving to the net: what SSE routes have instead of the interceptor. */
@Injectable()
export class SessionLoader implements CanActivate {
  constructor(private readonly requests: RequestSessions) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const http = context.switchToHttp();
    await this.requests.open(http.getRequest(), http.getResponse());
    return true;
  }
}

/** Runs the requests of one session that meet `@SessionLock()` one after another. */
@Injectable()
export class SessionLockInterceptor implements NestInterceptor {
  constructor(private readonly requests: RequestSessions) {}

  async intercept(context: ExecutionContext, next: CallHandler): Promise<Observable<unknown>> {
    const http = context.switchToHttp();
    const carried = await this.requests.open(http.getRequest(), http.getResponse());
    return from(
      carried.engine.exclusive.locked(carried.state!, async () => {
        const value: unknown = await lastValueFrom(next.handle(), { defaultValue: undefined });
        try {
          await carried.saveChanges();
        } catch (error) {
          if (answersItself(carried, value)) carried.replaceAnswer(error);
          throw error;
        }
        return value;
      }),
    );
  }
}

const saveChanges = (carried: RequestSession) =>
  concatMap((value: unknown) => {
    // The net saves before such an answer goes out: an error from here would be a second answer beside it.
    if (answersItself(carried, value)) return of(value);
    const saved = carried.saveChanges();
    return isThenable(saved) ? saved.then(() => value) : of(value);
  });

/** Whether the handler sends, or has sent, its answer through `@Res()`. */
const answersItself = (carried: RequestSession, value: unknown): boolean =>
  value === undefined || carried.isResponse(value);
