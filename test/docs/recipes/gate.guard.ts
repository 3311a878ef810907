import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { SessionStore } from 'nest-sessions';

/** Looks who is there on every request, without keeping anybody's session alive. */
@Injectable()
export class GateGuard implements CanActivate {
  constructor(private readonly store: SessionStore<{ banned: boolean }>) {}

  async canActivate(context: ExecutionContext) {
    const session = await this.store.of(context, { touch: false });
    return !session.get('banned');
  }
}
