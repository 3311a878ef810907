import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Param } from '@nestjs/common';
import { ConnectStorage } from '../../../src/express/index.js';
import { Session } from '../../../src/index.js';
import { type AnySession, logs, platforms, type RunningApp, stacks, start } from '../../support/app.js';
import { BasicController } from '../../support/basic.js';
import { forgetGates, gate } from '../../support/gate.js';
import { PlainStore } from './bad-store.js';

/** An application whose sessions rest in a store of express-session. */

@Controller()
class SlowController {
  @Get('slow/:key')
  async slow(@Session() session: AnySession, @Param('key') key: string) {
    session.get('n');
    await gate('slow').pass();
    session.set(key, 'slow');
    return 'done';
  }

  @Get('count')
  count(@Session() session: AnySession) {
    return session.tap((data) => void (data.n = (data.n ?? 0) + 1));
  }
}

describe.each(platforms)('ConnectStorage in an application (%s)', (platform) => {
  let app: RunningApp;
  let store: PlainStore;
  beforeEach(async () => {
    logs.length = 0;
    store = new PlainStore();
    store.answer = (callback, ...args) => void setImmediate(callback, ...args);
    const [, stack] = stacks.find(([, each]) => each.platform === platform)!;
    const storage = new ConnectStorage(store, { timeout: 100 });
    app = await start(stack, { controllers: [BasicController, SlowController], session: { storage } });
  });
  afterEach(async () => {
    forgetGates();
    await app.stop();
  });

  it('says at the start, once, what such a store cannot', () => {
    expect(logs.filter((line) => line.includes('PlainStore writes whole sessions')).length).toBe(1);
  });

  it('loses no parallel write, and counts up alone', async () => {
    const browser = app.client();
    await browser.get('/set/a/1');
    const slow = browser.get('/slow/b');
    await gate('slow').reached();
    await browser.get('/set/c/1');
    const counted = Array.from({ length: 10 }, () => browser.get('/count'));
    gate('slow').open();
    await Promise.all([slow, ...counted]);
    expect((await browser.get('/all')).json().data).toEqual({ a: '1', b: 'slow', c: '1', n: 10 });
  });

  it('keeps a session logged out that a slow request writes to (S27)', async () => {
    const browser = app.client();
    await browser.get('/login/ada');
    const cookie = `sid=${browser.sid}`;
    const slow = browser.get('/slow/b');
    await gate('slow').reached();
    await browser.get('/logout');
    gate('slow').open();
    await slow;
    expect((await browser.get('/all', { cookie })).json()).toMatchObject({ isNew: true, userId: null });
    expect(store.texts.size).toBe(0);
  });

  it.each(['never answers', 'fails'])(
    'is a 503 that says nothing, in time, while the store %s (S51)',
    async (how) => {
      const browser = app.client();
      await browser.get('/set/a/1');
      const sound = store.answer;
      store.answer = (callback) => void (how === 'fails' && callback(new Error('connect ECONNREFUSED')));
      const started = performance.now();
      const replies = await Promise.all([
        browser.get('/read'),
        app.client().get('/set/a/1'),
        browser.get('/logout'),
      ]);
      expect(performance.now() - started).toBeLessThan(1_000);
      for (const reply of replies) {
        expect([reply.status, reply.setCookies]).toEqual([503, []]);
        expect(reply.json()).toEqual({ statusCode: 503, message: 'Service Unavailable' });
      }
      store.answer = sound;
      expect((await browser.get('/read?key=a')).json()).toEqual({ isNew: false, value: '1' });
    },
  );
});
