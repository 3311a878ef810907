import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Param } from '@nestjs/common';
import { Session, UseSession } from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import type { AnySession, RunningApp } from '../support/app.js';
import { stacks, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';

const SECOND = 1_000;
const MINUTE = 60 * SECOND;
const DAY = 24 * 60 * MINUTE;

@Controller()
class TimeController {
  @Get('remember/:duration')
  async remember(@Session() session: AnySession, @Param('duration') duration: string) {
    await session.expireIn(/^\d+$/.test(duration) ? Number(duration) : (duration as any));
    return 'remembered';
  }

  @Get('renew')
  @UseSession()
  renew() {
    return 'renewed';
  }
}

describe.each(stacks)('timeouts: %s', (_title, stack) => {
  const running: RunningApp[] = [];
  let app: RunningApp;

  async function run(session: SessionModuleOptions): Promise<RunningApp> {
    const started = await start(stack, { controllers: [BasicController, TimeController], session });
    running.push(started);
    return started;
  }

  beforeAll(async () => {
    app = await run({ ttl: 100 });
  });
  afterAll(async () => {
    for (const each of running) await each.stop();
  });
  beforeEach(() => {
    app.reset();
    freezeTime();
  });
  afterEach(unfreezeTime);

  async function visitor(of = app) {
    const client = of.client();
    await client.get('/set/n/1');
    expect(of.probe.value(client.handle, 'n')).toBe('1');
    return client;
  }
  const isAlive = async (client: Awaited<ReturnType<typeof visitor>>) =>
    !(await client.get('/read')).json().isNew;

  it('a session is alive a millisecond before its idle deadline and dead at it (S21)', async () => {
    const [one, two] = [await visitor(), await visitor()];
    passTime(100 * SECOND - 1);
    expect(await isAlive(one)).toBe(true);
    passTime(1);
    expect(await isAlive(two)).toBe(false);
    expect(await isAlive(one)).toBe(true);
  });

  it('an expired session is not brought back by a write, and leaves nothing but the new one (S25, S27)', async () => {
    const client = await visitor();
    const { handle } = client;
    passTime(100 * SECOND);
    expect((await client.get('/set/n/2')).status).toBe(200);
    expect(client.handle).not.toBe(handle);
    expect(app.probe.peek(handle)).toBeUndefined();
    expect(app.probe.value(client.handle, 'n')).toBe('2');
  });

  it('every use moves the idle deadline (S23)', async () => {
    const client = await visitor();
    for (let i = 0; i < 5; i++) {
      passTime(60 * SECOND);
      expect(await isAlive(client)).toBe(true);
    }
  });

  it('throttling the touch shortens a session by less than touchAfter (S23)', async () => {
    // ttl 100 s, so touchAfter is a sixtieth of it.
    const client = await visitor();
    const touchAfter = (100 * SECOND) / 60;
    passTime(Math.floor(touchAfter));
    app.probe.forget();
    await client.get('/read');
    expect(app.probe.names).toEqual(['read']);
    passTime(100 * SECOND - Math.ceil(touchAfter));
    expect(await isAlive(client)).toBe(true);
  });

  it('a request to a route that asks for no session is no use of it', async () => {
    const client = await visitor();
    passTime(99 * SECOND);
    await client.get('/plain');
    passTime(SECOND);
    expect(await isAlive(client)).toBe(false);
  });

  it('UseSession renews without asking for the session', async () => {
    const client = await visitor();
    passTime(99 * SECOND);
    const reply = await client.get('/renew');
    expect(reply.text).toBe('renewed');
    expect(sessionCookies(reply)).toHaveLength(1);
    passTime(99 * SECOND);
    expect(await isAlive(client)).toBe(true);
  });

  it('UseSession gives a visitor without a session nothing (S52)', async () => {
    app.probe.forget();
    const reply = await app.client().get('/renew');
    expect(reply.text).toBe('renewed');
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.names).toEqual([]);
  });

  it('times are told as they are', async () => {
    const client = await visitor();
    const createdAt = new Date();
    passTime(30 * SECOND);
    expect((await client.get('/login/u1')).status).toBe(200);
    const all = (await client.get('/all')).json();
    expect(all).toMatchObject({
      userId: 'u1',
      createdAt: createdAt.toISOString(),
      authenticatedAt: new Date().toISOString(),
      expiresAt: new Date(Date.now() + 100 * SECOND).toISOString(),
    });
  });

  it.each([
    ['a string', '30d'],
    ['seconds', String((30 * DAY) / 1_000)],
  ])('expireIn with %s gives one session an idle timeout of its own', async (_form, duration) => {
    const [one, two] = [await visitor(), await visitor()];
    const reply = await one.get(`/remember/${duration}`);
    expect(sessionCookies(reply).map((cookie) => cookie.attributes.get('max-age'))).toEqual(['2592000']);
    passTime(20 * DAY);
    expect(await isAlive(two)).toBe(false);
    const later = await one.get('/read');
    expect(later.json()).toMatchObject({ isNew: false });
    expect(sessionCookies(later).map((cookie) => cookie.attributes.get('max-age'))).toEqual(['2592000']);
    passTime(30 * DAY - 1);
    expect(await isAlive(one)).toBe(true);
    passTime(30 * DAY);
    expect(await isAlive(one)).toBe(false);
  });

  it('expireIn can shorten a session as well', async () => {
    const client = await visitor();
    await client.get('/remember/10s');
    passTime(10 * SECOND);
    expect(await isAlive(client)).toBe(false);
  });

  it('login takes an idle timeout along: remember me', async () => {
    const client = app.client();
    const reply = await client.get('/login/u1?ttl=30d');
    expect(sessionCookies(reply).map((cookie) => cookie.attributes.get('max-age'))).toEqual(['2592000']);
    passTime(29 * DAY);
    expect((await client.get('/all')).json()).toMatchObject({ userId: 'u1', isNew: false });
  });

  describe('with an absolute timeout', () => {
    let strict: RunningApp;

    beforeAll(async () => {
      strict = await run({ ttl: '5m', absoluteTtl: '10m' });
    });

    it('it holds under constant activity (S20)', async () => {
      const client = await visitor(strict);
      for (let minute = 1; minute <= 9; minute++) {
        passTime(MINUTE);
        expect(await isAlive(client)).toBe(true);
      }
      passTime(MINUTE - 1);
      expect(await isAlive(client)).toBe(true);
      passTime(1);
      expect(await isAlive(client)).toBe(false);
    });

    it('it holds under constant writing (S20)', async () => {
      const client = await visitor(strict);
      const { handle } = client;
      for (let minute = 1; minute <= 9; minute++) {
        passTime(MINUTE);
        await client.get(`/set/n/${minute}`);
        expect(client.handle).toBe(handle);
      }
      passTime(MINUTE);
      expect(await isAlive(client)).toBe(false);
    });

    it('the idle timeout ends a session that comes first (S21)', async () => {
      const client = await visitor(strict);
      passTime(5 * MINUTE);
      expect(await isAlive(client)).toBe(false);
    });

    it('a rotation does not move it (S17)', async () => {
      const client = await visitor(strict);
      for (const path of ['/read', '/rotate', '/read', '/rotate']) {
        passTime(2 * MINUTE);
        await client.get(path);
      }
      passTime(2 * MINUTE - 1);
      expect(await isAlive(client)).toBe(true);
      passTime(1);
      expect(await isAlive(client)).toBe(false);
    });

    it('a login starts it anew (S17)', async () => {
      const client = await visitor(strict);
      passTime(4 * MINUTE);
      await client.get('/read');
      passTime(4 * MINUTE);
      await client.get('/login/u1');
      for (const minutes of [4, 4]) {
        passTime(minutes * MINUTE);
        expect(await isAlive(client)).toBe(true);
      }
      passTime(2 * MINUTE - 1);
      expect(await isAlive(client)).toBe(true);
      passTime(1);
      expect(await isAlive(client)).toBe(false);
    });

    it('expireIn does not go beyond it (S20)', async () => {
      const client = await visitor(strict);
      await client.get('/remember/30d');
      passTime(10 * MINUTE - 1);
      expect(await isAlive(client)).toBe(true);
      passTime(1);
      expect(await isAlive(client)).toBe(false);
    });
  });
});
