import { Body, Controller, HttpCode, Post, UnauthorizedException } from '@nestjs/common';
import { Session, SessionStore } from 'nest-sessions';
import { Users } from '../users.js';

interface Credentials {
  name: string;
  password: string;
  /** Sent by a second form, "log out elsewhere and log in here", after a 409. */
  endOthers?: boolean;
}

@Controller()
export class LimitController {
  constructor(
    private readonly users: Users,
    private readonly store: SessionStore,
  ) {}

  @Post('login')
  @HttpCode(204)
  async login(@Session() session: Session, @Body() { name, password, endOthers }: Credentials) {
    const user = await this.users.verify(name, password);
    if (!user) throw new UnauthorizedException();
    if (endOthers) await this.store.destroyByUser(user.id);
    await session.login(user.id); // SessionLimitError, 409: the visitor stays as they were
  }
}
