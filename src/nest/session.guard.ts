import { type CanActivate, type ExecutionContext, Injectable, UnauthorizedException } from '@nestjs/common';
import { SessionStore } from './session.store.js';

/** Lets a request through if somebody is logged in; else 401. */
@Injectable()
export class SessionGuard implements CanActivate {
  constructor(private readonly store: SessionStore<any>) {}

  async canActivate(context: ExecutionContext): Promise<boolean> {
    const session = await this.store.of(context);
    if (session.userId === undefined) throw new UnauthorizedException();
    return true;
  }
}
