import { type ArgumentsHost, Catch, Controller, type ExceptionFilter, Get } from '@nestjs/common';
import { UnauthorizedException, UseFilters, UseGuards } from '@nestjs/common';
import { HttpAdapterHost } from '@nestjs/core';
import { Session, SessionGuard, SessionStore } from 'nest-sessions';

/** A 401 that says whether somebody was logged in before. */
@Catch(UnauthorizedException)
export class UnauthorizedFilter implements ExceptionFilter {
  constructor(
    private readonly store: SessionStore,
    private readonly adapterHost: HttpAdapterHost,
  ) {}

  async catch(_error: UnauthorizedException, host: ArgumentsHost) {
    const { hadSession } = await this.store.of(host);
    const message = hadSession ? 'You have been logged out.' : 'Please log in.';
    this.adapterHost.httpAdapter.reply(host.switchToHttp().getResponse(), { message }, 401);
  }
}

@Controller()
@UseFilters(UnauthorizedFilter)
export class SignedOutController {
  @Get('login')
  loginPage(@Session() session: Session) {
    return session.hadSession ? 'You have been logged out. Please log in again.' : 'Please log in.';
  }

  @Get('mail')
  @UseGuards(SessionGuard)
  mail(@Session() session: Session) {
    return `Mail of ${session.userId}`;
  }
}
