import { Controller, Get } from '@nestjs/common';
import { Session } from 'nest-sessions';

@Controller()
export class VisitorController {
  @Get('try-it')
  async demo(@Session() session: Session) {
    await session.start(); // from now on this visitor has a record and a cookie
    return { handle: session.handle, minutes: session.ttl / 60 };
  }
}
