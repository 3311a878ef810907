import { Controller, Post } from '@nestjs/common';
import { Session, SessionLock } from 'nest-sessions';
import { Mail } from './mail.js';

interface Counter {
  clicks: number;
  theme: string;
  mailed: boolean;
}

@Controller()
export class CounterController {
  constructor(private readonly mail: Mail) {}

  @Post('theme')
  plain(@Session() session: Session<Counter>) {
    session.set('theme', 'dark');
  }

  @Post('clicks')
  click(@Session() session: Session<Counter>) {
    return session.tap((data) => (data.clicks = (data.clicks ?? 0) + 1));
  }

  @Post('mail')
  @SessionLock()
  async mailOnce(@Session() session: Session<Counter>) {
    if (session.get('mailed')) return;
    await this.mail.send('Welcome');
    session.set('mailed', true);
  }
}
