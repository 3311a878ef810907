import { Controller, Post, Redirect, UseGuards } from '@nestjs/common';
import { RecentLogin, Session, SessionGuard } from 'nest-sessions';

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
    const email = this.users.emailOf(session.userId!);
    return this.views.page(session, 'profile', { durations: DURATIONS, email });
  }

  @Page('profile/email')
  @RecentLogin('10m')
  emailForm(@Session() session: Session) {
    const email = this.users.emailOf(session.userId!);
    return this.views.page(session, 'email', { email, form: session.flashed('email') ?? {} });
  }

  @Post('profile/email')
  @RecentLogin('10m')
  @Redirect('/profile', 303)
  changeEmail(@Session() session: Session, @Field('email') email: string) {
    if (!/^[^\s@]{1,64}@[^\s@]{1,64}$/.test(email)) {
      session.flash('email', { email, error: 'That is no e-mail address.' });
      return { url: '/profile/email' };
    }
    this.users.setEmail(session.userId!, email);
    session.flash('notice', `We write to ${email} from now on.`);
  }

  /** Where those are sent whose login is too long ago for what they want to do. */
  @Page('confirm')
  @UseGuards(SessionGuard)
  confirmForm(@Session() session: Session) {
    return this.views.page(session, 'confirm', { error: session.flashed('confirm') });
  }

  /** Logging in again makes the login recent; data and timeout stay. */
  @Post('confirm')
  @UseGuards(SessionGuard)
  @Redirect('/profile', 303)
  async confirm(@Session() session: Session, @Field('password') password: string) {
    const user = await this.users.verify(session.userId!, password);
    if (!user) {
      session.flash('confirm', 'That is not your password.');
      return { url: '/confirm' };
    }
    await session.login(user.id);
    return { url: session.take('returnTo') ?? '/profile' };
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
