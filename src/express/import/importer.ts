import { SessionOptionsError } from '../../errors.js';
import type { DerivedNames, ForeignSession, SessionImporter } from '../../http/importer.js';
import type { CookieRequest } from '../../http/request.js';
import { checkedOptions, flag, functionThat, type OptionRules } from '../../rules.js';
import { cookieNameRule } from '../../http/cookie-options.js';
import { StoreCalls } from '../connect/calls.js';
import { CONNECT_STORE, type ConnectStore, DEFAULT_TIMEOUT, TIMEOUT } from '../connect/store.js';
import type { UserIdOf } from '../user-of-data.js';
import { clearing, contentOf, type ContentOptions } from './content.js';
import { type CookieFormat, derive, type SigningSecret, verifiedIds } from './signed-cookie.js';

/** What `expressSessions()` and `fastifySessions()` take. */
export interface ImportOptions {
  /** Name of the other library's cookie. Default the one that it has itself. */
  readonly cookieName?: string | undefined;
  /** What the other library signs its cookie with; of a list all count. */
  readonly secret: SigningSecret | readonly SigningSecret[];
  /** Where its sessions are: the store that it was given. */
  readonly store: ConnectStore;
  /** The user of a session, by its data; a number counts as text. Default nobody. */
  readonly userId?: UserIdOf | undefined;
  /**
   * What becomes of the data. Default all of it, as it is. Where it is to say more, it returns
   * `{ data, userId?, authenticatedAt? }`: when somebody logged in the other library does not know.
   */
  readonly map?: ((data: any) => object) | undefined;
  /**
   * True: the sessions of the other library stay, for servers that still use it while the new ones are rolled out.
   * Default false: each is removed when it has been imported.
   */
  readonly keep?: boolean | undefined;
  /** Nothing is imported from then on: a `Date`, a text that is one, or milliseconds since 1970. Default no end. */
  readonly until?: Date | string | number | undefined;
  /** Longest time of one call of the store in milliseconds; then the request gets its 503. Default 1,000. */
  readonly timeout?: number | undefined;
}

const isTime = (value: unknown): boolean =>
  (value instanceof Date || typeof value === 'string' || typeof value === 'number') &&
  !Number.isNaN(new Date(value).getTime());

/** The rules of the options that both importers have, the secret left out. */
export const IMPORT_OPTIONS: OptionRules<Omit<ImportOptions, 'secret'>> = {
  cookieName: cookieNameRule,
  store: CONNECT_STORE,
  userId: functionThat('gets the data and returns the user'),
  map: functionThat('gets the data and returns those of ours'),
  keep: flag,
  until: { takes: "a Date, or a text that is one such as '2027-01-31'", accepts: isTime },
  timeout: TIMEOUT,
};

/**
 * Checks options.
 *
 * @throws {SessionOptionsError} one error that names what is wrong, missing or unknown
 */
export function importOptions<T extends ImportOptions>(owner: string, options: T, rules: OptionRules<T>): T {
  const given = checkedOptions(owner, options, rules);
  for (const name of ['secret', 'store'] as const) {
    if (given[name] !== undefined) continue;
    throw new SessionOptionsError(`${owner}: ${name} must be ${rules[name].takes}; got undefined`);
  }
  return given;
}

/** Sessions of a library that keeps them in a store of express-session, and their ids in signed cookies. */
export class StoreImporter implements SessionImporter {
  readonly keep: boolean;
  readonly until: number;
  // Private to the language: what is configured gets printed, and this holds the signing keys (S50).
  readonly #format: CookieFormat;
  readonly #content: ContentOptions;
  readonly #calls: StoreCalls;

  constructor(format: CookieFormat, options: Omit<ImportOptions, 'secret' | 'cookieName'>) {
    const { store, userId, map, keep = false, until, timeout = DEFAULT_TIMEOUT } = options;
    this.keep = keep;
    this.until = until === undefined ? Infinity : new Date(until).getTime();
    this.#format = format;
    this.#content = { userId, map };
    this.#calls = new StoreCalls(store, timeout);
  }

  received(request: CookieRequest): readonly ForeignSession[] {
    return verifiedIds(request, this.#format).map(({ sid, secret }) => {
      const secrets = [secret, ...this.#format.secrets.filter((other) => other !== secret)];
      let names: ForeignSession['names'] | undefined;
      return {
        // A request that has one of ours too does not need them.
        get names() {
          return (names ??= secrets.map((each) => derive(sid, each)) as [DerivedNames, ...DerivedNames[]]);
        },
        read: async () => contentOf(await this.#calls.get(sid), this.#content),
        destroy: () => this.#calls.destroy(sid),
      };
    });
  }

  get cookieName(): string {
    return this.#format.cookieName;
  }

  clear(cookie: object | undefined): string {
    return clearing(this.#format.cookieName, cookie);
  }
}
