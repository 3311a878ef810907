import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Req } from '@nestjs/common';
import { useReqSession } from '../../../src/express/index.js';
import { stackPerPlatform } from '../../support/app.js';
import { BasicController } from '../../support/basic.js';
import { freezeTime, passTime, unfreezeTime } from '../../support/clock.js';
import { clears, HOUR, Move } from './support.js';

/** Imported sessions under `req.session`, as Passport uses it. */

const userId = (data: any) => data.passport?.user;

@Controller('passport')
class PassportController {
  /** What `req.logIn()` does. */
  @Get('login')
  async logIn(@Req() request: any) {
    const raw = request.raw ?? request;
    await new Promise((done) => raw.session.regenerate(done));
    raw.session.passport = { user: 'ada' };
    await new Promise((done) => raw.session.save(done));
  }

  /** What `req.logOut()` does. */
  @Get('logout')
  async logOut(@Req() request: any) {
    const raw = request.raw ?? request;
    delete raw.session.passport.user;
    await new Promise((done) => raw.session.save(done));
    await new Promise((done) => raw.session.regenerate(done));
  }

  @Get('user')
  user(@Req() request: any) {
    const raw = request.raw ?? request;
    return { user: raw.session.passport?.user ?? null };
  }
}

describe.each(stackPerPlatform)('req.session of an imported session (%s)', (_title, stack) => {
  let move: Move;
  afterEach(async () => {
    await move.app.stop();
    unfreezeTime();
  });

  const start = (options: object) =>
    Move.start(
      stack,
      { userId, ...options },
      {},
      {
        controllers: [BasicController, PassportController],
        configure: (app) => useReqSession(app, { userId }),
      },
    );
  const ADA = { passport: { user: 'ada' }, flash: {} };

  it('has what Passport left in it, and is the same session', async () => {
    move = await start({});
    move.old.put('sid-1', ADA);
    const browser = move.browser('sid-1');
    expect((await browser.get('/passport/user')).json()).toEqual({ user: 'ada' });
    expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada', data: ADA });
    expect(move.app.eventTypes()).toEqual(['imported']);
  });

  it('ends for the other library too when Passport logs out', async () => {
    move = await start({ keep: true });
    const { old } = move;
    old.put('sid-1', ADA);
    const browser = move.browser('sid-1');
    await browser.get('/passport/user');
    const bye = await browser.get('/passport/logout');
    expect([bye.status, clears(bye, 'connect.sid'), old.texts.size]).toEqual([200, true, 0]);
    old.put('sid-1', ADA);
    expect((await browser.get('/passport/user')).json()).toEqual({ user: null });
    expect((await move.browser('sid-1').get('/passport/user')).json()).toEqual({ user: null });
  });

  it('still knows how to clear the other cookie after a login', async () => {
    freezeTime();
    move = await start({ keep: true, until: new Date(Date.now() + HOUR / 2) });
    move.old.put('sid-1', { n: 1 }, { path: '/passport', domain: 'example.com' });
    const browser = move.browser('sid-1');
    await browser.get('/passport/login');
    passTime(HOUR / 2);
    const reply = await browser.get('/passport/user');
    const { attributes } = reply.setCookies.find(({ name }) => name === 'connect.sid')!;
    expect([reply.json().user, attributes.get('path'), attributes.get('domain')]).toEqual([
      'ada',
      '/passport',
      'example.com',
    ]);
  });
});
