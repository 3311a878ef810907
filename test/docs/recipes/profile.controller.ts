import { Controller, Get, Sse, UseGuards } from '@nestjs/common';
import { Session, SessionGuard, UseSession } from 'nest-sessions';
import { of } from 'rxjs';

@Controller()
export class ProfileController {
  @Get('profile')
  @UseGuards(SessionGuard) // 401 unless somebody is logged in
  profile(@Session() session: Session) {
    return { user: session.userId, since: session.authenticatedAt };
  }

  @Get('theme')
  theme(@Session('settings.theme') theme = 'light') {
    return theme; // one value, by key or path; pipes may follow
  }

  @Get('ping')
  @UseSession() // counts as use of the session, without asking for it
  ping() {
    return 'pong';
  }

  @Sse('news')
  news(@Session() session: Session) {
    return of({ data: `Hello, ${session.userId ?? 'visitor'}` });
  }
}
