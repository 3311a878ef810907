import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { z } from 'zod';
import { Session } from '../../../src/index.js';
import { BasicController } from '../../support/basic.js';
import { type AnySession, logs, stacks, stackPerPlatform } from '../../support/app.js';
import { freezeTime, passTime, unfreezeTime } from '../../support/clock.js';
import { forgetGates, Gate, gate } from '../../support/gate.js';
import { clears, HOUR, Move, sets, signed } from './support.js';

let move: Move;
afterEach(async () => {
  await move.app.stop();
  unfreezeTime();
});

const ADA = { user: 'ada', cart: { items: [1, 2] }, theme: 'dark' };

describe.each(stacks)('a session of express-session (%s)', (_title, stack) => {
  it('becomes one of ours, with its data and user, once and for all (S70)', async () => {
    freezeTime();
    move = await Move.start(stack);
    const { old, app } = move;
    old.put('sid-1', ADA, { expires: new Date(Date.now() + 600_000), originalMaxAge: HOUR });
    const browser = move.browser('sid-1');
    const first = await browser.get('/all');
    expect(first.json()).toMatchObject({ isNew: false, userId: 'ada', data: ADA });
    expect([sets(first, 'sid'), clears(first, 'connect.sid')]).toEqual([true, false]);
    expect(old.texts.size).toBe(0);
    expect(app.eventTypes()).toEqual(['imported']);
    expect(app.events[0]).toMatchObject({ handle: browser.handle, userId: 'ada' });
    expect(app.probe.size).toBe(1);
    const { handle, sid } = browser;

    const second = await browser.get('/all');
    expect(second.json()).toMatchObject({ handle, userId: 'ada', data: ADA });
    expect([sets(second, 'sid'), clears(second, 'connect.sid')]).toEqual([false, true]);
    expect([browser.sid, browser.jar.has('connect.sid')]).toEqual([sid, false]);
    expect((await browser.get('/all')).setCookies).toEqual([]);
    expect(app.eventTypes()).toEqual(['imported']);
    expect(await app.store.listByUser('ada')).toMatchObject([{ handle, data: ADA }]);
  });

  it('is the same one for ten requests at once, wherever they wait for each other', async () => {
    for (const place of ['get', 'create', 'read'] as const) {
      move = await Move.start(stack);
      const { old, app } = move;
      old.put('sid-1', ADA);
      const held = place === 'get' ? app.probe.hold('read', { times: 0 }) : app.probe.hold(place);
      if (place === 'get') old.gates.get = held;
      const browsers = Array.from({ length: 10 }, () => move.browser('sid-1'));
      const asked = browsers.map((browser) => browser.get('/all'));
      await held.reached(10);
      held.open();
      const handles = (await Promise.all(asked)).map((reply) => reply.json().handle as string);
      expect(new Set(handles).size).toBe(1);
      expect(new Set(browsers.map(({ sid }) => sid)).size).toBe(1);
      expect([app.probe.size, old.texts.size]).toEqual([1, 0]);
      expect(app.eventTypes()).toEqual(['imported']);
      if (place !== 'read') await app.stop();
    }
  });

  it('is the same one for a request whose look at the other store came after the import', async () => {
    move = await Move.start(stack);
    const { old } = move;
    old.put('sid-1', ADA);
    const held = (old.gates.get = new Gate());
    const late = move.browser('sid-1').get('/all');
    await held.reached();
    delete old.gates.get;
    const { handle } = (await move.browser('sid-1').get('/all')).json();
    held.open();
    expect((await late).json()).toMatchObject({ handle, userId: 'ada' });
    expect(move.app.eventTypes()).toEqual(['imported']);
  });

  it('is found again by who did not get the first answer, and is told to it then', async () => {
    move = await Move.start(stack);
    move.old.put('sid-1', ADA);
    const { handle } = (await move.browser('sid-1').get('/set/n/1')) && {
      handle: move.app.events[0]!.handle,
    };
    const again = move.browser('sid-1');
    const reply = await again.get('/all');
    expect(reply.json()).toMatchObject({ handle, userId: 'ada', data: { n: '1', theme: 'dark' } });
    expect(sets(reply, 'sid')).toBe(true);
    expect(move.app.eventTypes()).toEqual(['imported']);
  });

  it.each<[string, (browser: ReturnType<Move['browser']>) => Promise<unknown>]>([
    ['a logout', (browser) => browser.get('/logout')],
    ['a revocation', (browser) => move.app.store.revoke(browser.handle)],
    ['the end of all of a user', () => move.app.store.destroyByUser('ada')],
    [
      'a logout that came with our cookie alone',
      (browser) => browser.get('/logout', { cookie: `sid=${browser.sid}` }),
    ],
  ])('is over for good after %s (S70)', async (_what, end) => {
    for (const keep of [false, true]) {
      move = await Move.start(stack, { keep });
      const { old } = move;
      old.put('sid-1', ADA);
      const browser = move.browser('sid-1');
      await browser.get('/all');
      // A server with express-session uses its session, or stores it again after it has ended.
      if (keep) old.put('sid-1', ADA, { expires: new Date(Date.now() + 9 * HOUR), originalMaxAge: 9 * HOUR });
      await end(browser);
      if (keep) old.put('sid-1', ADA);
      move.app.reset();
      const reply = await move.browser('sid-1').get('/all');
      expect(reply.json()).toMatchObject({ isNew: true, userId: null, data: {} });
      expect(reply.setCookies).toEqual([]);
      expect(move.app.eventTypes()).toEqual([]);
      if (!keep) await move.app.stop();
    }
  });

  it('has an end that is final: the other one brings nothing back, however long it goes on (S70)', async () => {
    freezeTime();
    move = await Move.start(stack, { keep: true });
    const { old } = move;
    old.put('sid-1', ADA);
    await move.browser('sid-1').get('/all');
    for (let hours = 0; hours < 60; hours++) {
      passTime(HOUR / 2);
      old.put('sid-1', ADA);
    }
    expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
    await move.app.store.purgeExpired();
    expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
  });

  it('is not there for who comes with the other cookie after a login or a rotation (S56)', async () => {
    for (const path of ['/login/ada', '/login/grace', '/rotate']) {
      move = await Move.start(stack);
      move.old.put('sid-1', ADA);
      const browser = move.browser('sid-1');
      await browser.get(path);
      const { handle } = browser;
      expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ isNew: true, userId: null });
      expect((await browser.get('/all')).json()).toMatchObject({ handle });
      await browser.get('/logout');
      expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ isNew: true, userId: null });
      expect(move.app.eventTypes().filter((type) => type === 'imported').length).toBe(1);
      if (path !== '/rotate') await move.app.stop();
    }
  });

  it('is not brought back by a request that was slow when it was imported and logged out (S27)', async () => {
    for (const keep of [false, true]) {
      move = await Move.start(stack, { keep });
      const { old, app } = move;
      old.put('sid-1', ADA);
      const slow = app.probe.hold('create', { times: 1 });
      const late = move.browser('sid-1').get('/all');
      await slow.reached();
      const browser = move.browser('sid-1');
      await browser.get('/all');
      await browser.get('/logout', { cookie: `sid=${browser.sid}` });
      slow.open();
      expect((await late).json()).toMatchObject({ isNew: true, userId: null });
      expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
      expect(app.eventTypes().filter((type) => type === 'imported').length).toBe(1);
      expect(await app.store.listByUser('ada')).toEqual([]);
      if (!keep) await app.stop();
    }
  });
});

@Controller()
class SlowController {
  @Get('slow')
  async slow(@Session() session: AnySession) {
    session.get('theme');
    await gate('slow').pass();
    return session.userId ?? 'nobody';
  }
}

describe.each(stackPerPlatform)('a slow request among the first (%s)', (_title, stack) => {
  afterEach(forgetGates);

  it.each(['/login/ada', '/rotate', '/logout'])(
    'does not put back the id that %s has ended (S11)',
    async (path) => {
      move = await Move.start(stack, {}, {}, { controllers: [BasicController, SlowController] });
      move.old.put('sid-1', ADA);
      const slow = [move.browser('sid-1').get('/slow'), move.browser('sid-1').get('/slow')];
      await gate('slow').reached(2);
      const browser = move.browser('sid-1');
      await browser.get(path);
      gate('slow').open();
      for (const reply of await Promise.all(slow)) {
        expect(reply.status).toBe(200);
        expect(reply.setCookies).toEqual([]);
      }
    },
  );
});

describe.each(stackPerPlatform)('while both libraries run (%s)', (_title, stack) => {
  it('both sessions stay, and the logout of ours ends both', async () => {
    move = await Move.start(stack, { keep: true });
    const { old } = move;
    old.put('sid-1', ADA);
    const browser = move.browser('sid-1');
    await browser.get('/all');
    const second = await browser.get('/all');
    expect([old.texts.size, second.setCookies]).toEqual([1, []]);
    expect(browser.jar.has('connect.sid')).toBe(true);
    const bye = await browser.get('/logout');
    expect([clears(bye, 'sid'), clears(bye, 'connect.sid'), old.texts.size]).toEqual([true, true, 0]);
  });

  it('a logout ends the session that the other library has by now, too', async () => {
    move = await Move.start(stack, { keep: true });
    const { old } = move;
    old.put('sid-1', ADA);
    old.put('sid-2', ADA);
    const browser = move.browser('sid-1');
    await browser.get('/all');
    browser.jar.set('connect.sid', signed('sid-2'));
    await browser.get('/logout');
    old.put('sid-2', ADA);
    expect((await move.browser('sid-2').get('/all')).json()).toMatchObject({ userId: null });
  });

  it('a logout that cannot end the other one is none, or is noted (503)', async () => {
    move = await Move.start(stack, { keep: true });
    const { old, app } = move;
    old.put('sid-1', ADA);
    const browser = move.browser('sid-1');
    await browser.get('/all');
    old.down = 'all';
    app.probe.fail('create');
    expect((await browser.get('/logout')).status).toBe(503);
    app.probe.reset();
    expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
    expect((await browser.get('/logout')).status).toBe(200);
    old.down = undefined;
    expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
  });

  it('it is over at the time that was given', async () => {
    freezeTime();
    move = await Move.start(stack, { keep: true, until: new Date(Date.now() + HOUR) });
    const { old } = move;
    old.put('sid-1', ADA);
    old.put('sid-2', ADA, { expires: new Date(Date.now() + 9 * HOUR) });
    const browser = move.browser('sid-1');
    await browser.get('/all');
    passTime(HOUR - 1_000);
    expect(clears(await browser.get('/all'), 'connect.sid')).toBe(false);
    passTime(1_000);
    expect(clears(await browser.get('/all'), 'connect.sid')).toBe(true);
    const late = await move.browser('sid-2').get('/all');
    expect(late.json()).toMatchObject({ isNew: true, userId: null });
    expect(late.setCookies).toEqual([]);
    expect(old.texts.has('sid-2')).toBe(true);
  });
});

describe.each(stackPerPlatform)('the life that was left (%s)', (_title, stack) => {
  const imported = async (cookie: object, session: object = {}, options: object = {}) => {
    freezeTime();
    move = await Move.start(stack, options, session);
    move.old.put('sid-1', ADA, cookie);
    const browser = move.browser('sid-1');
    const reply = await browser.get('/all');
    return {
      browser,
      reply,
      ...reply.json<{ userId: string | null; expiresAt: string; createdAt: string }>(),
    };
  };
  const left = (at: string) => new Date(at).getTime() - Date.now();

  it('is what ours has, and its cookie', async () => {
    const { browser, reply, expiresAt } = await imported({ expires: new Date('2026-01-01T12:10:00Z') });
    expect(left(expiresAt)).toBe(600_000);
    expect(reply.setCookies[0]!.attributes.get('max-age')).toBe('600');
    passTime(600_000);
    expect((await browser.get('/all')).json()).toMatchObject({ userId: null });
  });

  it('goes on with use, as with any session', async () => {
    const { browser } = await imported({ expires: new Date('2026-01-01T12:10:00Z') });
    passTime(540_000);
    await browser.get('/all');
    passTime(HOUR - 1);
    expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
  });

  it('is not cut short by the first use, where it is longer than the idle timeout', async () => {
    const { browser, expiresAt } = await imported({ expires: new Date('2026-01-31T12:00:00Z') });
    expect(left(expiresAt)).toBe(30 * 24 * HOUR);
    passTime(2 * HOUR);
    await browser.get('/all');
    passTime(24 * HOUR);
    expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
  });

  it('is the idle timeout, where nobody knows', async () => {
    const { expiresAt } = await imported({ expires: null });
    expect(left(expiresAt)).toBe(HOUR);
  });

  it('is no more than the absolute timeout, counted from before', async () => {
    const cookie = { expires: new Date('2026-01-01T16:00:00Z'), originalMaxAge: 5 * HOUR };
    const { expiresAt, createdAt } = await imported(cookie, { absoluteTtl: '2h' });
    expect([left(createdAt), left(expiresAt)]).toEqual([-HOUR, HOUR]);
  });

  it('is none, where the user logged in too long ago, or the session has expired', async () => {
    const map = (data: object) => ({ data, authenticatedAt: new Date('2026-01-01T09:00:00Z') });
    const { userId, browser } = await imported({ expires: null }, { absoluteTtl: '2h' }, { map });
    expect(userId).toBe(null);
    move.old.put('sid-1', ADA, { expires: new Date(Date.now()) });
    expect((await browser.get('/all')).json()).toMatchObject({ isNew: true, userId: null });
    expect(move.app.eventTypes()).toEqual([]);
  });

  it('is no matter for a marker: it lasts under an absolute timeout as well', async () => {
    const cookie = { expires: new Date('2026-01-03T12:00:00Z') };
    const { browser } = await imported(cookie, { absoluteTtl: '2h' }, { keep: true });
    await move.app.store.revoke(browser.handle);
    passTime(3 * HOUR);
    move.app.reset();
    expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
    expect([move.app.eventTypes(), move.app.probe.of('create')]).toEqual([[], []]);
  });
});

describe.each(stackPerPlatform)('encryption (%s)', (_title, stack) => {
  it('hides what is imported, and how the other cookie is cleared, from the storage', async () => {
    move = await Move.start(stack, {}, { encryption: { keys: ['a key that is a text of some length'] } });
    const { old, app } = move;
    old.put('sid-1', ADA, { expires: null, path: '/shop', sameSite: 'strict' });
    const browser = move.browser('sid-1');
    await browser.get('/all');
    expect(JSON.stringify(app.probe.peek(browser.handle)!.data)).not.toMatch(/dark|shop/);
    const second = await browser.get('/all');
    expect(second.json()).toMatchObject({ userId: 'ada', data: ADA });
    const { attributes } = second.setCookies.find(({ name }) => name === 'connect.sid')!;
    expect([attributes.get('path'), attributes.get('samesite')]).toEqual(['/shop', 'Strict']);
  });
});

describe.each(stackPerPlatform)('a schema (%s)', (_title, stack) => {
  it('leaves out of what is imported what does not fit (S69)', async () => {
    const schema = { theme: z.enum(['light', 'dark']), cart: z.object({ items: z.array(z.string()) }) };
    move = await Move.start(stack, {}, { schema });
    move.old.put('sid-1', ADA);
    const reply = await move.browser('sid-1').get('/all');
    expect(reply.json()).toMatchObject({ userId: 'ada', data: { user: 'ada', theme: 'dark' } });
    expect(Object.keys(reply.json().data)).not.toContain('cart');
    expect(move.app.eventTypes()).toEqual(['corrupt', 'imported']);
    expect(move.app.events[0]).toMatchObject({ key: 'cart' });
  });
});

describe.each(stackPerPlatform)('a limit of sessions (%s)', (_title, stack) => {
  it('holds for those that are imported, all at once too: the oldest goes (S66)', async () => {
    move = await Move.start(stack, {}, { maxPerUser: 2 });
    const { old, app } = move;
    const sids = ['sid-1', 'sid-2', 'sid-3'];
    for (const sid of sids) old.put(sid, ADA);
    const browsers = sids.flatMap((sid) => [move.browser(sid), move.browser(sid)]);
    const replies = await Promise.all(browsers.map((browser) => browser.get('/all')));
    expect(replies.map(({ status }) => status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(await app.store.listByUser('ada')).toHaveLength(2);
  });

  it('that refuses leaves a visitor who is not logged in, and the other session', async () => {
    move = await Move.start(stack, {}, { maxPerUser: 1, whenExceeded: 'refuse' });
    const { old, app } = move;
    old.put('sid-1', ADA);
    old.put('sid-2', ADA);
    await move.browser('sid-1').get('/all');
    const reply = await move.browser('sid-2').get('/all');
    expect([reply.status, reply.json().userId, old.texts.size]).toEqual([200, null, 1]);
    await app.store.destroyByUser('ada');
    expect((await move.browser('sid-2').get('/all')).json()).toMatchObject({ userId: 'ada' });
  });
});

describe.each(stackPerPlatform)('what the application says of it (%s)', (_title, stack) => {
  const imported = async (options: object, data: object = ADA) => {
    move = await Move.start(stack, options);
    move.old.put('sid-1', data);
    return move.browser('sid-1').get('/all');
  };

  it('map gives the data, and the user is read from what was there before', async () => {
    const reply = await imported({ map: ({ cart }: typeof ADA) => ({ basket: cart }) });
    expect(reply.json()).toMatchObject({ userId: 'ada', data: { basket: ADA.cart }, authenticatedAt: null });
  });

  it('map may say more', async () => {
    const authenticatedAt = new Date(Date.now() - 60_000);
    const map = ({ theme }: typeof ADA) => ({ data: { theme }, userId: 7, authenticatedAt });
    const reply = await imported({ map });
    expect(reply.json()).toMatchObject({
      userId: '7',
      data: { theme: 'dark' },
      authenticatedAt: authenticatedAt.toISOString(),
    });
    expect(await move.app.store.listByUser('7')).toHaveLength(1);
  });

  it('a user that is a number is a text, and none is nobody', async () => {
    expect((await imported({}, { user: 42 })).json()).toMatchObject({ userId: '42' });
    await move.app.stop();
    for (const user of [undefined, null, false, '']) {
      expect((await imported({}, { user, cart: [] })).json()).toMatchObject({
        userId: null,
        data: { cart: [] },
      });
      if (user !== '') await move.app.stop();
    }
  });

  it.each<[string, object, object]>([
    [
      'throws',
      {
        map: () => {
          throw new Error('no such cart');
        },
      },
      ADA,
    ],
    ['is no user', { userId: () => ({ id: 1 }) }, ADA],
    ['is half a character', { userId: () => '\ud800' }, ADA],
    ['is too large', {}, { user: 'ada', big: 'x'.repeat(70_000) }],
  ])('what %s is a 503 that says nothing, and all is as it was', async (_what, options, data) => {
    const reply = await imported(options, data);
    expect([reply.status, reply.json()]).toEqual([503, { statusCode: 503, message: 'Service Unavailable' }]);
    expect([move.old.texts.size, move.app.probe.size]).toEqual([1, 0]);
    expect(logs.some((line) => /session of another library could not be imported/.test(line))).toBe(true);
    expect(logs.join('\n')).not.toMatch(/sid-1/);
  });

  it('what stores and libraries add for themselves is no data', async () => {
    const reply = await imported({}, { __lastAccess: 1, sessionId: 'x', encryptedSessionId: 'y', n: 1 });
    expect(reply.json()).toMatchObject({ data: { n: 1 } });
    expect(Object.keys(reply.json().data)).toEqual(['n']);
  });
});
