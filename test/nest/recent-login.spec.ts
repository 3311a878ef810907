import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, UseGuards } from '@nestjs/common';
import { RecentLogin, Session, SessionGuard, SessionOptionsError, UseSession } from '../../src/index.js';
import { type AnySession, type RunningApp, stackPerPlatform, start } from '../support/app.js';
import { BasicController } from '../support/basic.js';
import type { Client } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';

const MINUTE = 60_000;

@Controller('method')
class OnMethods {
  @Get('session')
  @RecentLogin('10m')
  withSession(@Session() session: AnySession) {
    return session.userId;
  }

  @Get('seconds')
  @RecentLogin(600)
  withoutSession() {
    return 'ada';
  }

  @Get('guarded')
  @UseGuards(SessionGuard)
  @RecentLogin('10m')
  guarded() {
    return 'ada';
  }

  @Get('poll')
  @UseSession({ touch: false })
  @RecentLogin('10m')
  poll() {
    return 'ada';
  }

  @Get('free')
  free() {
    return 'anybody';
  }
}

@Controller('class')
@RecentLogin('10m')
class OnClass {
  @Get('plain')
  plain() {
    return 'ada';
  }

  @Get('session')
  withSession(@Session() session: AnySession) {
    return session.userId;
  }

  @Get('stricter')
  @RecentLogin('1m')
  stricter() {
    return 'ada';
  }

  @Get('laxer')
  @RecentLogin('1h')
  laxer() {
    return 'ada';
  }
}

@Controller('inherited')
class Inherited extends OnClass {}

const ROUTES = [
  '/method/session',
  '/method/seconds',
  '/method/guarded',
  '/method/poll',
  '/class/plain',
  '/class/session',
  '/inherited/plain',
];

describe.each(stackPerPlatform)('a recent login: %s', (_title, stack) => {
  let app: RunningApp;
  let client: Client;

  beforeAll(async () => {
    const controllers = [OnMethods, OnClass, Inherited, BasicController];
    app = await start(stack, { session: { ttl: '1d', touchAfter: 0 }, controllers });
  });
  afterAll(() => app.stop());
  beforeEach(async () => {
    freezeTime();
    await app.store.destroyByUser('ada');
    client = app.client();
  });
  afterEach(() => {
    unfreezeTime();
    app.reset();
  });

  const statuses = async (paths = ROUTES) => {
    const found = new Set<number>();
    for (const path of paths) found.add((await client.get(path)).status);
    return [...found];
  };

  it('lets in whoever logged in a moment ago, and for as long as it says, to the millisecond (S67)', async () => {
    await client.get('/login/ada');
    expect(await statuses()).toEqual([200]);
    passTime(10 * MINUTE - 1);
    expect(await statuses()).toEqual([200]);
    passTime(1);
    expect(await statuses()).toEqual([403]);
    expect((await client.get('/method/free')).text).toBe('anybody');
  });

  it('is a 401 for nobody, with or without a session', async () => {
    expect(await statuses()).toEqual([401]);
    await client.get('/set/n/1');
    expect(await statuses()).toEqual([401]);
    await client.get('/login/ada');
    await client.get('/logout');
    expect(await statuses()).toEqual([401]);
  });

  it('the answer has a code that a front end can go by', async () => {
    await client.get('/login/ada');
    passTime(11 * MINUTE);
    const { status, text } = await client.get('/method/session');
    expect([status, JSON.parse(text)]).toEqual([
      403,
      { statusCode: 403, message: 'Forbidden', code: 'ERR_SESSION_NOT_RECENT' },
    ]);
  });

  it('neither use nor a rotation make a login recent, only logging in does, and it keeps the data (S67)', async () => {
    await client.get('/login/ada');
    await client.get('/set/n/1');
    for (let i = 0; i < 5; i++) {
      passTime(3 * MINUTE);
      await client.get('/read');
      await client.get('/rotate');
    }
    expect(await statuses()).toEqual([403]);
    await client.get('/login/ada');
    expect(await statuses()).toEqual([200]);
    expect((await client.get('/all')).json()).toMatchObject({ userId: 'ada', data: { n: '1' } });
  });

  it('a session that a service created for a user counts as a login', async () => {
    const { id } = await app.store.create({ userId: 'ada' });
    client.jar.set('sid', id);
    expect(await statuses()).toEqual([200]);
  });

  it('the method’s word comes before the controller’s', async () => {
    await client.get('/login/ada');
    passTime(2 * MINUTE);
    expect(await statuses(['/class/stricter'])).toEqual([403]);
    passTime(20 * MINUTE);
    expect([await statuses(['/class/plain']), await statuses(['/class/laxer'])]).toEqual([[403], [200]]);
  });

  it('is a use of the session, unless the route says that it is none', async () => {
    await client.get('/login/ada');
    const touched = async () => (await app.store.listByUser('ada')).at(0)!.touchedAt.getTime() - Date.now();
    passTime(MINUTE);
    await client.get('/method/poll');
    expect(await touched()).toBe(-MINUTE);
    await client.get('/method/seconds');
    expect(await touched()).toBe(0);
  });

  it('a storage that fails is a 503, and nobody is let in', async () => {
    await client.get('/login/ada');
    app.probe.fail('read');
    expect(await statuses()).toEqual([503]);
  });
});

describe('what is no time', () => {
  it.each([0, -1, NaN, Infinity, '', 'soon', '0', '-5m', undefined, null, {}])(
    '%p is an error when the class is defined (S67)',
    (within) => {
      const define = () => RecentLogin(within as never);
      expect(define).toThrow(SessionOptionsError);
      expect(define).toThrow(
        /^@RecentLogin\(\) must be a number of seconds > 0 or a duration such as '30m'; got /,
      );
    },
  );
});
