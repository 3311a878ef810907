import { Controller, Get, Post, Redirect } from '@nestjs/common';
import { Session } from 'nest-sessions';

@Controller()
export class NoticeController {
  @Post('orders')
  @Redirect('/orders', 303)
  order(@Session() session: Session) {
    session.flash('notice', 'Thank you for your order.');
  }

  @Get('orders')
  orders(@Session() session: Session) {
    return session.flashed('notice') ?? 'Your orders';
  }
}
