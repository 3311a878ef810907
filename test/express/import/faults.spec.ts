import { afterEach, describe, expect, it } from '@jest/globals';
import { logs, stackPerPlatform, stacks } from '../../support/app.js';
import { Gate } from '../../support/gate.js';
import { FAULT } from '../../support/storages.js';
import { clears, Move, sets, signed } from './support.js';

let move: Move;
afterEach(() => move.app.stop());

const ADA = { user: 'ada' };
const OPAQUE = { statusCode: 503, message: 'Service Unavailable' };

describe.each(stacks)('what cannot be read or created (%s)', (_title, stack) => {
  it('is a 503 while the other store is down, and no second login', async () => {
    move = await Move.start(stack);
    const { old, app } = move;
    old.put('sid-1', ADA);
    old.down = 'all';
    const browser = move.browser('sid-1');
    const reply = await browser.get('/all');
    expect([reply.status, reply.json(), reply.setCookies]).toEqual([503, OPAQUE, []]);
    expect(logs.some((line) => /could not be imported: connect ECONNREFUSED/.test(line))).toBe(true);
    old.down = undefined;
    expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
    expect(app.eventTypes()).toEqual(['imported']);
  });

  it('is a 503 in time where the other store never answers', async () => {
    move = await Move.start(stack, { timeout: 50 });
    const { old } = move;
    old.put('sid-1', ADA);
    old.gates.get = new Gate();
    const started = performance.now();
    expect((await move.browser('sid-1').get('/all')).status).toBe(503);
    expect(performance.now() - started).toBeLessThan(1_000);
  });

  it('is a 503 while our storage fails, wherever it does, and the other session is as it was', async () => {
    for (const keep of [false, true]) {
      for (const method of ['read', 'create'] as const) {
        for (let skip = 0; skip < 3; skip++) {
          move = await Move.start(stack, { keep });
          const { old, app } = move;
          old.put('sid-1', ADA);
          app.probe.fail(method, { skip });
          const browser = move.browser('sid-1');
          const reply = await browser.get('/all');
          if (reply.status === 503) {
            expect([reply.json(), reply.setCookies]).toEqual([OPAQUE, []]);
            expect([old.texts.size, app.probe.size]).toEqual([1, 0]);
            expect(app.eventTypes()).not.toContain('imported');
          }
          app.probe.reset();
          expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
          expect(app.eventTypes().filter((type) => type === 'imported')).toHaveLength(1);
          await app.store.revoke(browser.handle);
          expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
          await app.stop();
        }
      }
    }
    move = await Move.start(stack);
  });

  it('is found again where it could not even be taken back, and is final then as well', async () => {
    for (const keep of [false, true]) {
      move = await Move.start(stack, { keep });
      const { old, app } = move;
      old.put('sid-1', ADA);
      old.down = 'destroy';
      app.probe.fail('create', { skip: 1 });
      app.probe.fail('destroy');
      const browser = move.browser('sid-1');
      expect((await browser.get('/all')).status).toBe(503);
      app.probe.reset();
      old.down = undefined;
      expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
      await app.store.revoke(browser.handle);
      expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: null });
      if (!keep) await app.stop();
    }
  });
});

describe.each(stackPerPlatform)('a session that the other store does not remove (%s)', (_title, stack) => {
  it.each(['fails', 'never answers'])('is not imported a second time: it %s (S70)', async (how) => {
    move = await Move.start(stack, { timeout: 50 });
    const { old, app } = move;
    old.put('sid-1', ADA);
    if (how === 'fails') old.down = 'destroy';
    else old.gates.destroy = new Gate();
    const browser = move.browser('sid-1');
    expect((await browser.get('/all')).json()).toMatchObject({ userId: 'ada' });
    expect([old.texts.size, app.probe.size]).toEqual([1, 2]);
    expect(app.eventTypes()).toEqual(['imported']);
    expect(logs.some((line) => /could not be removed; it will not be imported again/.test(line))).toBe(true);
    const second = await browser.get('/all');
    expect([second.json().userId, clears(second, 'connect.sid')]).toEqual(['ada', true]);
    await app.store.revoke(browser.handle);
    expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ isNew: true, userId: null });
    expect(app.eventTypes()).toEqual(['imported', 'destroyed']);
  });
});

describe.each(stacks)('a cookie of the other library (%s)', (_title, stack) => {
  it.each<[string, string]>([
    ['without a signature', 'sid-1'],
    ['without a signature, as express-session marks it', 's%3Asid-1'],
    ['that others signed', signed('sid-1', 'the secret of another application')],
    ['of another id', signed('sid-2').replace('sid-2', 'sid-1')],
    ['with a part of the signature', signed('sid-1').slice(0, -4)],
    ['with an empty signature', 's%3Asid-1.'],
    ['with an empty id', signed('')],
    ['that is empty', ''],
    ['that is no text of a URL', '%E0%A4%A'],
    ['that is signed in the format of @fastify/session', signed('sid-1').slice(4)],
  ])('%s imports nothing, costs no call and is no event', async (_what, value) => {
    move = await Move.start(stack);
    const { old, app } = move;
    old.put('sid-1', ADA);
    const browser = app.client();
    browser.jar.set('connect.sid', value);
    const reply = await browser.get('/read');
    expect([reply.json(), reply.setCookies]).toEqual([{ isNew: true, value: null }, []]);
    expect([old.calls, app.probe.calls, app.events]).toEqual([[], [], []]);
    await browser.get('/set/n/1');
    expect((await browser.get('/read')).setCookies).toEqual([]);
    expect(old.texts.size).toBe(1);
  });

  it('of another name is none', async () => {
    move = await Move.start(stack);
    move.old.put('sid-1', ADA);
    for (const name of ['Connect.sid', 'connect.sid2', 'xconnect.sid'])
      await move.app.client().get('/read', { cookie: `${name}=${signed('sid-1')}` });
    expect([move.old.calls, move.app.probe.calls]).toEqual([[], []]);
  });

  it('of a session that is over is no event, and nothing is written', async () => {
    move = await Move.start(stack);
    const reply = await move.browser('sid-1').get('/all');
    expect(reply.json()).toMatchObject({ isNew: true, userId: null });
    expect([reply.setCookies, move.app.events, move.app.probe.of('create')]).toEqual([[], [], []]);
  });

  it('beside others of its name: the one that is live counts, and of two live ones none', async () => {
    move = await Move.start(stack);
    const { old, app } = move;
    old.put('sid-1', ADA);
    const cookie = (...sids: string[]) => sids.map((sid) => `connect.sid=${signed(sid)}`).join('; ');
    old.put('sid-3', { user: 'eve' });
    const two = await app.client().get('/all', { cookie: cookie('sid-1', 'sid-3') });
    expect([two.json().userId, app.eventTypes(), old.texts.size]).toEqual([null, ['rejected'], 2]);
    const many = Array.from({ length: 9 }, (_, i) => `sid-${i}`);
    expect((await app.client().get('/all', { cookie: cookie(...many) })).json().userId).toBe(null);
    const one = await app.client().get('/all', { cookie: cookie('sid-0', 'sid-1', 'sid-1', 'sid-2') });
    expect([one.json().userId, old.texts.size]).toEqual(['ada', 1]);
  });

  it('beside a dead one of ours is imported, and beside a live one it is only cleared', async () => {
    move = await Move.start(stack);
    const { old, app } = move;
    old.put('sid-1', ADA);
    const browser = app.client();
    await browser.get('/set/n/1');
    browser.jar.set('connect.sid', signed('sid-1'));
    const live = await browser.get('/all');
    expect([live.json().userId, clears(live, 'connect.sid'), old.calls]).toEqual([null, true, []]);
    await app.store.revoke(browser.handle);
    browser.jar.set('connect.sid', signed('sid-1'));
    const dead = await browser.get('/all');
    expect([dead.json().userId, sets(dead, 'sid')]).toEqual(['ada', true]);
  });
});

describe.each(stackPerPlatform)('the secrets (%s)', (_title, stack) => {
  const secret = ['new one', 'old one'];

  it('all count, and a cookie that was signed anew is of the same session', async () => {
    move = await Move.start(stack, { secret, keep: true });
    move.old.put('sid-1', ADA);
    const browser = move.browser('sid-1', 'old one');
    const { handle } = (await browser.get('/all')).json();
    const anew = move.browser('sid-1', 'new one');
    expect((await anew.get('/all')).json()).toMatchObject({ handle, userId: 'ada' });
    await move.app.store.revoke(handle);
    for (const each of secret)
      expect((await move.browser('sid-1', each).get('/all')).json()).toMatchObject({ userId: null });
  });
});

describe.each(stackPerPlatform)('a bearer (%s)', (_title, stack) => {
  it('gets nothing from a cookie', async () => {
    move = await Move.start(stack, {}, { transport: ['cookie', 'bearer'] });
    move.old.put('sid-1', ADA);
    const reply = await move.browser('sid-1').get('/all', { headers: { 'x-session-transport': 'bearer' } });
    expect([reply.json().userId, move.old.calls]).toEqual([null, []]);
    expect((await move.browser('sid-1').get('/all')).json()).toMatchObject({ userId: 'ada' });
  });
});

describe.each(stackPerPlatform)('secrecy (%s)', (_title, stack) => {
  it('no id of either library is in the log, an event or the storage (S50)', async () => {
    move = await Move.start(stack, { timeout: 50 });
    const { old, app } = move;
    old.put('sid-secret', ADA);
    old.down = 'destroy';
    await move.browser('sid-secret').get('/all');
    app.probe.fail('read');
    await move.browser('sid-secret').get('/all');
    const seen = JSON.stringify([logs, app.events, app.probe.calls]);
    expect(seen).toContain(FAULT);
    for (const part of ['sid-secret', signed('sid-secret').split('.')[1]!.slice(0, 20)])
      expect(seen).not.toContain(part);
  });
});
