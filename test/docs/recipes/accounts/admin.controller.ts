import { Controller, Get, HttpCode, Param, Post, Query, UseGuards } from '@nestjs/common';
import { SessionStore } from 'nest-sessions';
import { AdminGuard } from '../admin.guard.js';
import { Users } from '../users.js';

@Controller('admin')
@UseGuards(AdminGuard)
export class AdminController {
  constructor(
    private readonly users: Users,
    private readonly store: SessionStore<{ role: string; notice: string }>,
  ) {}

  @Post('users/:user/role/:role')
  async setRole(@Param('user') user: string, @Param('role') role: string) {
    await this.users.setRole(user, role); // first, so that a login from now on reads the new one
    return this.store.tapByUser(user, (data) => {
      data.role = role;
    });
  }

  @Post('sessions/:handle/notice')
  @HttpCode(204)
  async warn(@Param('handle') handle: string) {
    await this.store.tapByHandle(handle, (data) => {
      data.notice = 'Support is looking at your order.';
    });
  }

  @Get('sessions')
  async sessions(@Query('cursor') cursor?: string) {
    const page = await this.store.list({ limit: 100, cursor });
    return {
      sessions: page.sessions.map(({ handle, userId, touchedAt }) => ({ handle, userId, touchedAt })),
      next: page.cursor,
    };
  }
}
