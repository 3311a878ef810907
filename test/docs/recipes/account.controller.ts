import {
  Body,
  Controller,
  Delete,
  Get,
  HttpCode,
  NotFoundException,
  Param,
  Post,
  UnauthorizedException,
  UseGuards,
} from '@nestjs/common';
import { Session, SessionGuard, SessionStore } from 'nest-sessions';
import { Users } from './users.js';

interface Credentials {
  name: string;
  password: string;
  remember?: boolean;
}

@Controller()
export class AccountController {
  constructor(
    private readonly users: Users,
    private readonly store: SessionStore,
  ) {}

  @Post('login')
  @HttpCode(204)
  async login(@Session() session: Session, @Body() { name, password, remember }: Credentials) {
    const user = await this.users.verify(name, password);
    if (!user) throw new UnauthorizedException();
    await session.login(user.id, { ttl: remember ? '30d' : '1h' });
  }

  @Post('logout')
  @HttpCode(204)
  async logout(@Session() session: Session) {
    await session.logout();
  }

  @Get('devices')
  @UseGuards(SessionGuard)
  async devices(@Session() session: Session) {
    const infos = await this.store.listByUser(session.userId!);
    return infos.map(({ handle, touchedAt }) => ({
      handle,
      lastUsed: touchedAt,
      thisOne: handle === session.handle,
    }));
  }

  @Delete('devices/:handle')
  @UseGuards(SessionGuard)
  @HttpCode(204)
  async endDevice(@Session() session: Session, @Param('handle') handle: string) {
    // A handle is public, so it proves nothing: end only what is this user's own.
    const infos = await this.store.listByUser(session.userId!);
    if (!infos.some((info) => info.handle === handle)) throw new NotFoundException();
    await this.store.revoke(handle);
  }

  @Post('password')
  @UseGuards(SessionGuard)
  @HttpCode(204)
  async changePassword(@Session() session: Session, @Body('password') password: string) {
    await this.users.setPassword(session.userId!, password);
    await session.regenerate();
    await this.store.destroyByUser(session.userId!, { except: session.handle });
  }
}
