import { Controller, UseGuards } from '@nestjs/common';
import { Session, SessionGuard } from 'nest-sessions';

import { Page } from '../web/page.decorator.js';
import { Views } from '../web/views.js';

@Controller('pad')
@UseGuards(SessionGuard)
export class PadController {
  constructor(private readonly views: Views) {}

  @Page()
  pad(@Session() session: Session) {
    return this.views.page(session, 'pad', { text: session.get('pad') ?? '' });
  }
}
