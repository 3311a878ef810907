import { Controller, Get } from '@nestjs/common';
import { Session, UseSession } from 'nest-sessions';

@Controller()
export class PollController {
  @Get('unread')
  @UseSession({ touch: false }) // a page asks this every minute, whether or not anybody is looking at it
  unread(@Session() session: Session<{ unread: number }>) {
    return { unread: session.get('unread') ?? 0, endsAt: session.expiresAt };
  }

  @Get('mail')
  mail(@Session() session: Session<{ unread: number }>) {
    session.set('unread', 0);
    return 'No mail';
  }
}
