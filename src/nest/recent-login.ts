import {
  applyDecorators,
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  Optional,
  SetMetadata,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { SessionNotRecentError } from '../errors.http.js';
import { type Duration, parseDuration } from '../rules.js';
import { errorIn } from './contexts.js';
import { demandModule } from './session.loader.js';
import { SessionStore } from './session.store.js';

/** Metadata of a method or a controller. */
const RECENT = Symbol('nest-sessions.recent-login');

interface Recent {
  readonly milliseconds: number;
  /** As it was given, for people. */
  readonly text: string;
}

/** Lets a request through if its user has logged in not longer ago than the route says; else 401 or 403. */
@Injectable()
export class RecentLoginGuard implements CanActivate {
  private readonly store: SessionStore<any>;

  constructor(@Optional() @Inject(SessionStore) store?: SessionStore<any>) {
    this.store = demandModule(store);
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const { milliseconds, text } = recentIn(context);
    const { userId, authenticatedAt } = await this.store.of(context);
    if (userId === undefined) throw errorIn(context, new UnauthorizedException());
    if (authenticatedAt && Date.now() - authenticatedAt.getTime() < milliseconds) return true;
    throw errorIn(context, new SessionNotRecentError(text));
  }
}

/** The method's word before the controller's. */
function recentIn(context: ExecutionContext): Recent {
  const of = (target: object) => Reflect.getMetadata(RECENT, target) as Recent | undefined;
  return of(context.getHandler()) ?? of(context.getClass())!;
}

/**
 * A route, or a controller's routes, for those who have logged in lately: before something that cannot be undone the
 * password is asked for again, and `session.login()` of the same user then makes the login recent. Nothing else does: no
 * use of the session and no `regenerate()` (S67).
 *
 * 401 if nobody is logged in; else `SessionNotRecentError`, a 403 with the code `ERR_SESSION_NOT_RECENT`. For a message of a
 * socket a `WsException` with that code.
 *
 * @param within how long ago the login may be, in seconds or as `'10m'`; at this very time it is too long ago
 * @throws {SessionOptionsError} if it is no duration, or 0: when the class is defined
 *
 * @example
 * @Delete('account')
 * @RecentLogin('10m')
 * async deleteAccount(@Session() session: Session) {}
 */
export function RecentLogin(within: Duration): MethodDecorator & ClassDecorator {
  const milliseconds = parseDuration('@RecentLogin()', within);
  const recent: Recent = { milliseconds, text: typeof within === 'number' ? `${within} s` : within };
  return applyDecorators(SetMetadata(RECENT, recent), UseGuards(RecentLoginGuard));
}
