import { checkedOptions, flag, type OptionRules } from '../../rules.js';

/** What `new RedisStorage(client, options)` takes. Everything has a default. */
export interface RedisStorageOptions {
  /**
   * What all keys and channels start with: 1 to 128 visible ASCII characters other than braces, which a Cluster
   * gives a meaning. Default `'sess:'`.
   */
  readonly prefix?: string | undefined;
  /**
   * Longest time of one call to Redis in milliseconds; then the request gets its 503. Default 1,000.
   */
  readonly commandTimeout?: number | undefined;
  /**
   * Whether this node tells the others of sessions that ended and of logins, and hears of theirs: the events
   * `destroyed`, `expired` and `rotated` of {@link SessionStorage.subscribe}, each with the user. `expired` comes with
   * the purge that finds it; for it, Redis keeps expired sessions for five minutes. Costs one more command for a new
   * session, one for a login, and one for a destroyed session. To be set alike on all nodes. Default false.
   */
  readonly events?: boolean | undefined;
}

export const REDIS_OPTIONS: OptionRules<RedisStorageOptions> = {
  prefix: {
    takes: 'a string of 1 to 128 visible ASCII characters without { and }',
    accepts: (value) => typeof value === 'string' && /^[!-z|~]{1,128}$/.test(value),
  },
  commandTimeout: {
    takes: 'a number of milliseconds from 1 to 600,000',
    accepts: (value) => typeof value === 'number' && value >= 1 && value <= 600_000,
  },
  events: flag,
};

/**
 * Checks options and fills in the defaults.
 *
 * @throws {SessionOptionsError} one error that names every option that is unknown or wrong
 */
export function redisOptions(options: RedisStorageOptions) {
  const given = checkedOptions('RedisStorage', options, REDIS_OPTIONS);
  const { prefix = 'sess:', commandTimeout = 1_000, events = false } = given;
  return { prefix, commandTimeout, events };
}
