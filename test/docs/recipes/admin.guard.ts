import { type CanActivate, type ExecutionContext, Injectable } from '@nestjs/common';
import { SessionStore } from 'nest-sessions';

@Injectable()
export class AdminGuard implements CanActivate {
  constructor(private readonly store: SessionStore<{ role: string }>) {}

  async canActivate(context: ExecutionContext) {
    const session = await this.store.of(context);
    return session.get('role') === 'admin';
  }
}
