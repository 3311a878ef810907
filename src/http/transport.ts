import type { Session } from '../session/session.js';
import type { SessionCookie } from './cookie.js';
import type { CookieRequest } from './request.js';
import type { SessionHeaders } from './save-before-send.js';
export interface ReceivedIds {
  readonly via: 'cookie' | 'bearer';
  readonly ids: readonly string[];
  readonly rejected: boolean;
}
export type Told = 'nothing' | 'new id' | 'id again' | 'ended';
export class SessionTransport {
  constructor(
    private readonly cookie: SessionCookie,
    private readonly warnOnce: (t: string) => void,
    private readonly persistent: boolean,
  ) {}
  receive(request: CookieRequest): ReceivedIds {
    return { via: 'cookie', ids: this.cookie.candidates(request), rejected: false };
  }
  headers(
    _via: string,
    told: Told,
    session: Session<any> | undefined,
    request: CookieRequest,
  ): SessionHeaders {
    if (told === 'nothing' || (told === 'id again' && !this.persistent))
      return { vary: 'Cookie', cookie: undefined, token: undefined };
    if (this.cookie.isWithheld(request)) {
      this.warnOnce(
        'The session cookie is Secure and the request came in plain HTTP: the cookie was withheld. Behind a proxy that ends TLS, let the platform trust it ("trust proxy" on Express, trustProxy on Fastify)',
      );
      return { vary: 'Cookie', cookie: undefined, token: undefined };
    }
    return {
      vary: 'Cookie',
      cookie: told === 'ended' ? this.cookie.clear(request) : this.cookie.issue(session!, request),
      token: undefined,
    };
  }
}
