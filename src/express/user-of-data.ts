import type { Awaitable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { SessionGoneError } from '../errors.http.js';
import type { Exchange } from '../http/exchange.js';
import { kindOf } from '../rules.js';
import { login, unbind } from '../session/rotate.js';
import { stateOf } from '../session/session.js';

/** Whom the data of a session name, as the option `userId` tells. */
export type UserIdOf = (data: any) => string | number | bigint | null | undefined | false;

/**
 * Binds a session to the user whom its data name, when that changes. Who is bound otherwise, as by `session.login()`,
 * stays.
 */
export class UserOfData {
  /** Whom the data named when they were last looked at; an error: nobody knows. */
  private known: string | undefined | Error;
  private settling: Promise<boolean> | undefined;

  constructor(
    private readonly exchange: Exchange,
    private readonly userIdOf: UserIdOf,
  ) {
    this.known = this.now();
    // Data of before, which say what no user is called by, must not keep their visitor out.
    if (this.known instanceof Error) exchange.module.sessions.events.warnOnce(this.known.message);
  }

  /** The data were replaced by others: what they say is no change. */
  lookAgain(): void {
    this.known = this.now();
  }

  /**
   * Binds or unbinds if the user changed, which rotates the session and saves what else changed; true if it did. If that
   * fails, nothing of what was changed is saved: data that name a user are not stored without their being bound.
   */
  settle(): Awaitable<boolean> {
    if (this.settling) return this.settling.then(() => this.settle());
    const user = this.now();
    if (user === this.known || (user instanceof Error && this.known instanceof Error)) return false;
    const done = () => void (this.settling = undefined);
    this.settling = this.bind(user);
    this.settling.then(done, done);
    return this.settling;
  }

  private async bind(user: string | undefined | Error): Promise<boolean> {
    const { session, module } = this.exchange;
    const state = stateOf(session!);
    const { values, handle } = state;
    try {
      if (user instanceof Error) throw user;
      if (user === undefined) await unbind(state);
      else {
        await login(state, user, undefined);
        if (state.values !== values) {
          // It had ended, and the data with it: nobody is to be logged in whom they do not name.
          await module.sessions.end(state);
          throw new SessionGoneError(handle);
        }
      }
    } catch (error) {
      values.revert();
      throw error;
    }
    this.known = user;
    return true;
  }

  private now(): string | undefined | Error {
    try {
      const user: unknown = this.userIdOf(this.exchange.session!.data);
      if (user === undefined || user === null || user === false || user === '') return undefined;
      if (typeof user === 'string') return user;
      if (typeof user === 'number' || typeof user === 'bigint') return String(user);
      return new SessionError(
        `useReqSession: userId must return a string or a number that names the user, or undefined; got ${kindOf(user)}.`,
      );
    } catch (error) {
      return error instanceof Error
        ? error
        : new SessionError('useReqSession: userId threw what is no error.');
    }
  }
}
