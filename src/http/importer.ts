import type { ForeignContent } from '../session/adopt.js';
import { kindOf, type OptionCheck, type OptionRule, show } from '../rules.js';
import type { CookieRequest } from './request.js';

/** What is derived from the id of a session of another library, always the same. */
export interface DerivedNames {
  /** The id of the session of ours: `handle.secret`. */
  readonly id: string;
  /** The handle of the marker, which says that the session was imported. */
  readonly marker: string;
}

/** A session of another library that a request brings, by a cookie that has that library's signature. */
export interface ForeignSession {
  /** One for each secret; those of the secret that verified the cookie come first, and are the ones that are stored. */
  readonly names: readonly [DerivedNames, ...DerivedNames[]];
  /**
   * What the session is; undefined if there is none, or it has expired.
   *
   * @throws if that cannot be said
   */
  read(): Promise<ForeignContent | undefined>;
  /** @throws if it is not removed for certain */
  destroy(): Promise<void>;
}

/** Where sessions of another library are imported from: its cookie and its store. */
export interface SessionImporter {
  readonly cookieName: string;
  /** The sessions of the other library stay, as servers that use it still run. */
  readonly keep: boolean;
  /** Nothing is imported from then on: milliseconds since the Unix epoch, or `Infinity`. */
  readonly until: number;
  /** The sessions that a request brings; no store is asked. What has no sound signature is not among them (S9). */
  received(request: CookieRequest): readonly ForeignSession[];
  /**
   * The `Set-Cookie` text that has the browser forget the other library's cookie.
   *
   * @param cookie {@link ForeignContent.cookie}
   */
  clear(cookie: object | undefined): string;
}

/** What the option `importFrom` takes. */
export const importFromRule: OptionRule = {
  takes: 'what expressSessions() or fastifySessions() of nest-sessions/express gives',
  accepts: (value) => {
    const { received, clear } = Object(value) as Partial<SessionImporter>;
    return typeof received === 'function' && typeof clear === 'function';
  },
  shows: kindOf,
};

/** Notes what does not go together. */
export function checkImport(
  check: OptionCheck,
  importer: SessionImporter | undefined,
  { cookieName, transports }: { readonly cookieName: string; readonly transports: readonly string[] },
): void {
  if (!importFromRule.accepts(importer)) return;
  if (!transports.includes('cookie'))
    check.fail('importFrom', 'needs the transport "cookie": the other library has nothing else', 'none');
  if (importer!.cookieName === cookieName)
    check.fail(
      'cookieName',
      'must not be the name of the cookie that importFrom reads: ours would be cleared',
      show(cookieName),
    );
}

/** What is sound but hardly meant, for the log. */
export function doubtOfImport(importer: SessionImporter | undefined): string | undefined {
  if (!importer) return undefined;
  const { keep, until } = importer;
  if (until <= Date.now())
    return 'importFrom: its until has passed and nothing is imported any more; take it out';
  if (!keep || until < Infinity) return undefined;
  return 'importFrom: keep without until has no end, and leaves a marker for each session; give it an until';
}
