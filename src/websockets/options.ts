import { originsOf, trustedOriginsRule } from '../http/origin.js';
import {
  checkedOptions,
  type Duration,
  flag,
  milliseconds,
  oneOf,
  type OptionRules,
  timerDuration,
} from '../rules.js';

/** What `withSessions()` takes. Everything has a default. */
export interface SessionSocketsOptions {
  /**
   * Who may open a socket: `'user'` somebody who is logged in, `'session'` whoever has a session, false anybody. Others
   * get a 401 instead of a socket. Default false.
   */
  readonly require?: false | 'session' | 'user' | undefined;
  /** Other origins whose pages may open sockets, besides those of the module's `crossOrigin`. Default none. */
  readonly trustedOrigins?: readonly string[] | undefined;
  /** Whether a message whose handler asks for the session counts as use of it. Default true. */
  readonly touch?: boolean | undefined;
  /**
   * How often the storage is asked whether the sessions of the open sockets still live, for ends on other nodes that it
   * does not tell of. Default `'30s'`.
   */
  readonly checkEvery?: Duration | undefined;
}

/** {@link SessionSocketsOptions} once they are checked. */
export interface SocketSettings {
  readonly require: false | 'session' | 'user';
  readonly trustedOrigins: ReadonlySet<string>;
  readonly touch: boolean;
  /** Milliseconds. */
  readonly checkEvery: number;
}

export const SOCKET_OPTIONS: OptionRules<SessionSocketsOptions> = {
  require: oneOf(false, 'session', 'user'),
  trustedOrigins: trustedOriginsRule,
  touch: flag,
  checkEvery: timerDuration,
};

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SessionOptionsError} one error that names every option that is unknown or wrong
 */
export function socketSettings(options: SessionSocketsOptions = {}): SocketSettings {
  const given = checkedOptions('withSessions', options, SOCKET_OPTIONS);
  const { require = false, trustedOrigins = [], touch = true, checkEvery = '30s' } = given;
  return { require, trustedOrigins: originsOf(trustedOrigins), touch, checkEvery: milliseconds(checkEvery) };
}
