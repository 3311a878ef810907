import type { SessionImporter } from './importer.js';
import type { ResolvedCookie } from './cookie-options.js';
import type { CrossOriginSettings } from './origin.js';
import type { CookieRequest } from './request.js';

/** How a client holds its id: in the cookie, or in the `Authorization` header of each request. */
export type TransportName = 'cookie' | 'bearer';

/** What the HTTP side is told, once options are checked. */
export interface HttpSettings {
  readonly cookieName: string;
  /**
   * The cookie's attributes. A function gives them for one request, checked each time.
   *
   * @throws {SessionOptionsError} what the application's function returned is wrong
   */
  readonly cookie: ResolvedCookie | ((request: CookieRequest) => ResolvedCookie);
  /** The first signs, all verify; none: cookies are not signed. Shown by no `inspect()` and no JSON (S50). */
  readonly secrets: readonly string[];
  readonly crossOrigin: CrossOriginSettings;
  /** Where sessions of another library are imported from. */
  readonly importFrom: SessionImporter | undefined;
  /** How the client may send its id: one or both. */
  readonly transport: readonly TransportName[];
  /** Whether a request counts as use; absent: every one does. */
  readonly touchWhen: ((request: any) => boolean) | undefined;
  /** What is kept of the client beside a session; absent: nothing. What it gives is not checked yet. */
  readonly describeClient: ((request: any) => object | undefined) | undefined;
}
