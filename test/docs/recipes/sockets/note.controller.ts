import { Controller, HttpCode, Post } from '@nestjs/common';
import { Session } from 'nest-sessions';

@Controller()
export class NoteController {
  @Post('login')
  @HttpCode(204)
  async login(@Session() session: Session) {
    await session.login('ada');
  }

  @Post('logout')
  @HttpCode(204)
  async logout(@Session() session: Session) {
    await session.logout();
  }
}
