import { Controller, Get, Header, Param, Post, Query } from '@nestjs/common';
import { Session } from '../../src/index.js';
import type { AnySession } from './app.js';
import type { Reply, SetCookie } from './client.js';

/** One route for each thing that applications do with a session. */
@Controller()
export class BasicController {
  @Get('plain')
  @Header('Cache-Control', 'public, max-age=60')
  plain() {
    return 'nobody asked for a session here';
  }

  @Get('read')
  read(@Session() session: AnySession, @Query('key') key?: string) {
    return { isNew: session.isNew, value: session.get(key ?? 'n') ?? null };
  }

  @Post('read')
  readPosted(@Session() session: AnySession) {
    return { isNew: session.isNew };
  }

  @Get('all')
  all(@Session() session: AnySession) {
    return {
      isNew: session.isNew,
      handle: session.handle,
      userId: session.userId ?? null,
      createdAt: session.createdAt,
      expiresAt: session.expiresAt,
      authenticatedAt: session.authenticatedAt ?? null,
      data: session.toJSON(),
    };
  }

  @Get('set/:key/:value')
  set(@Session() session: AnySession, @Param('key') key: string, @Param('value') value: string) {
    session.set(key, value);
    return 'set';
  }

  @Get('login/:user')
  async login(@Session() session: AnySession, @Param('user') user: string, @Query('ttl') ttl?: string) {
    await (ttl === undefined ? session.login(user) : session.login(user, { ttl }));
    return 'welcome';
  }

  @Get('logout')
  async logout(@Session() session: AnySession) {
    await session.logout();
    return 'bye';
  }

  @Get('destroy')
  async destroy(@Session() session: AnySession) {
    await session.destroy();
    return 'gone';
  }

  @Get('rotate')
  async rotate(@Session() session: AnySession) {
    await session.regenerate();
    return 'rotated';
  }
}

/** The Set-Cookie headers of the session cookie. */
export function sessionCookies(reply: Pick<Reply, 'setCookies'>, name = 'sid'): SetCookie[] {
  return reply.setCookies.filter((cookie) => cookie.name === name);
}

/** The comma-separated members of a header, in lower case. */
export function members(header: string | undefined): string[] {
  return (header ?? '').split(',').map((member) => member.trim().toLowerCase());
}
