import { Controller, Get, Req, Res } from '@nestjs/common';
import type { Request, Response } from 'express';
import { SessionCookie, SessionStore } from 'nest-sessions';

@Controller()
export class ImportController {
  constructor(
    private readonly store: SessionStore,
    private readonly cookie: SessionCookie,
  ) {}

  @Get('start')
  async start(@Req() request: Request, @Res() response: Response) {
    const session = await this.store.create({ data: { from: 'import' }, ttl: '10m' });
    response.setHeader('Set-Cookie', this.cookie.issue(session, request));
    response.end(`Session ${session.handle}`);
  }
}
