import {
  type CanActivate,
  type ExecutionContext,
  Inject,
  Injectable,
  Optional,
  UnauthorizedException,
} from '@nestjs/common';
import { errorIn } from './contexts.js';
import { demandModule } from './session.loader.js';
import { SessionStore } from './session.store.js';

/** Lets a request through if somebody is logged in; else 401. For a message of a socket that is a `WsException`. */
@Injectable()
export class SessionGuard implements CanActivate {
  private readonly store: SessionStore<any>;

  constructor(@Optional() @Inject(SessionStore) store?: SessionStore<any>) {
    this.store = demandModule(store);
  }

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const session = await this.store.of(context);
    if (session.userId === undefined) throw errorIn(context, new UnauthorizedException());
    return true;
  }
}
