import type { Awaitable } from '../awaitable.js';
import { SessionError } from '../errors.js';
import { kindOf } from '../rules.js';
import { login, unbind } from '../session/rotate.js';
import { type Session, stateOf } from '../session/session.js';

/** Whom the data of a session name, as the option `userId` tells. */
export type UserIdOf = (data: any) => string | number | bigint | null | undefined | false;

/**
 * Binds a session to the user whom its data name, when that changes. Who is bound otherwise, as by `session.login()`,
 * stays.
 */
export class UserOfData {
  private known: string | undefined;

  constructor(
    private readonly session: Session<any>,
    private readonly userIdOf: UserIdOf,
  ) {
    this.known = this.now();
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
    const user = this.now();
    if (user === this.known) return false;
    const state = stateOf(this.session);
    const work = user === undefined ? unbind(state) : login(state, user, undefined);
    return work.then(
      () => {
        this.known = this.now();
        return true;
      },
      (error: unknown) => {
        state.values.revert();
        throw error;
      },
    );
  }

  private now(): string | undefined {
    const user: unknown = this.userIdOf(this.session.data);
    if (user === undefined || user === null || user === false || user === '') return undefined;
    if (typeof user === 'string') return user;
    if (typeof user === 'number' || typeof user === 'bigint') return String(user);
    throw new SessionError(
      `useReqSession: userId must return a string or a number that names the user, or undefined; got ${kindOf(user)}.`,
    );
  }
}
