import { Controller, Post, Redirect, UseGuards } from '@nestjs/common';
import { Session, SessionGuard } from 'nest-sessions';

import { Field } from '../web/field.decorator.js';
import { Page } from '../web/page.decorator.js';
import { Views } from '../web/views.js';
import { Users } from './users.js';

/** How long a login may be idle, in seconds, as the profile page offers it. */
const DURATIONS = new Map([
  [600, '10 minutes'],
  [3_600, 'an hour'],
  [2_592_000, '30 days'],
]);

@Controller()
export class AccountController {
  constructor(
    private readonly users: Users,
    private readonly views: Views,
  ) {}

  @Page('login')
  loginForm(@Session() session: Session) {
    return this.views.page(session, 'login', { form: session.flashed('login') ?? {} });
  }

  @Post('login')
  @Redirect('/profile', 303)
  async login(
    @Session() session: Session,
    @Field('user') name: string,
    @Field('password') password: string,
    @Field('remember') remember: string,
  ) {
    const user = await this.users.verify(name.trim().toLowerCase(), password);
    if (!user) {
      session.flash('login', { user: name, remember, error: 'That user and password do not match.' });
      return { url: '/login' };
    }

    // A visitor's basket goes with them into their account; another user's does not.
    if (session.userId && session.userId !== user.id) await session.logout();
    const returnTo = session.take('returnTo') ?? '/profile';

    await session.login(user.id, { ttl: remember ? '30d' : '1h' });
    session.set('name', user.name);
    session.flash('notice', `Welcome, ${user.name}.`);
    return { url: returnTo };
  }

  @Post('logout')
  @Redirect('/', 303)
  async logout(@Session() session: Session) {
    const name = session.get('name');
    await session.logout();
    session.flash('notice', name ? `Good-bye, ${name}.` : 'You were not logged in.');
  }

  @Page('profile')
  @UseGuards(SessionGuard)
  profile(@Session() session: Session) {
    return this.views.page(session, 'profile', { durations: DURATIONS });
  }

  @Post('profile/stay')
  @UseGuards(SessionGuard)
  @Redirect('/profile', 303)
  stay(@Session() session: Session, @Field('seconds') field: string) {
    const seconds = Number(field);
    const text = DURATIONS.get(seconds);
    if (!text) return;
    session.expireIn(seconds);
    session.flash('notice', `You stay logged in until nothing happens for ${text}.`);
  }
}
