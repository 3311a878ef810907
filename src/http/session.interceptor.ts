import {
  type CallHandler,
  type CanActivate,
  type ExecutionContext,
  Injectable,
  type NestInterceptor,
} from '@nestjs/common';
import { from, lastValueFrom, Observable, type Observer, type Subscriber } from 'rxjs';
import { after, isThenable } from '../awaitable.js';
import type { Awaitable } from '../storage/session-storage.js';
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

const saveChanges = (carried: RequestSession) => (source: Observable<unknown>) =>
  new Observable<unknown>((subscriber) => source.subscribe(new SavingObserver(subscriber, carried)));

/** Hands every value on once the session is saved: `concatMap`, but without its cost where nothing is waited for. */
class SavingObserver implements Observer<unknown> {
  /** What waits for a save; the next value waits for it in turn. */
  private tail: PromiseLike<void> | undefined;

  constructor(
    private readonly subscriber: Subscriber<unknown>,
    private readonly carried: RequestSession,
  ) {}

  next(value: unknown): void {
    this.inTurn(() => this.save(value));
  }

  error(error: unknown): void {
    this.inTurn(() => this.subscriber.error(error));
  }

  complete(): void {
    this.inTurn(() => this.subscriber.complete());
  }

  private inTurn(step: () => Awaitable<void>): void {
    if (this.tail) {
      this.tail = this.tail.then(step);
      return;
    }
    const waiting = step();
    if (isThenable(waiting)) this.tail = waiting;
  }

  private save(value: unknown): Awaitable<void> {
    // The net saves before such an answer goes out: an error from here would be a second answer beside it.
    if (answersItself(this.carried, value)) return this.subscriber.next(value);
    try {
      const saved = this.carried.saveChanges();
      if (!isThenable(saved)) return this.subscriber.next(value);
      return saved.then(
        () => this.subscriber.next(value),
        (error: unknown) => this.subscriber.error(error),
      );
    } catch (error) {
      this.subscriber.error(error);
    }
  }
}

/** Whether the handler sends, or has sent, its answer through `@Res()`. */
const answersItself = (carried: RequestSession, value: unknown): boolean =>
  value === undefined || carried.isResponse(value);
