import { Controller, Post, Redirect } from '@nestjs/common';
import { Session } from 'nest-sessions';

import { Page } from '../web/page.decorator.js';
import { Views } from '../web/views.js';

@Controller()
export class HomeController {
  constructor(private readonly views: Views) {}

  @Page()
  home(@Session() session: Session) {
    const visits = (session.get('visits') ?? 0) + 1;
    session.set('visits', visits);
    return this.views.page(session, 'home', { visits });
  }

  /** The record and the cookie go; the next request is a stranger's. */
  @Post('forget')
  @Redirect('/', 303)
  async forget(@Session() session: Session) {
    await session.destroy();
  }
}
