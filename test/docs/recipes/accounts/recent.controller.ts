import { Body, Controller, Delete, HttpCode, Post, UnauthorizedException, UseGuards } from '@nestjs/common';
import { RecentLogin, Session, SessionGuard } from 'nest-sessions';
import { Users } from '../users.js';

@Controller()
export class RecentController {
  constructor(private readonly users: Users) {}

  @Delete('account')
  @RecentLogin('10m')
  @HttpCode(204)
  async deleteAccount(@Session() session: Session) {
    await this.users.remove(session.userId!);
    await session.logout();
  }

  @Post('confirm')
  @UseGuards(SessionGuard)
  @HttpCode(204)
  async confirm(@Session() session: Session, @Body('password') password: string) {
    const user = await this.users.verify(session.userId!, password);
    if (!user) throw new UnauthorizedException();
    await session.login(user.id); // a new id and a recent login; data and timeout stay
  }
}
