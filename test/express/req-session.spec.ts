import { inspect } from 'node:util';
import { Controller, Get, type INestApplication, Post, Req, Session as NestSession } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { afterAll, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type ReqSession, useReqSession } from 'nest-sessions/express';
import { Gate } from '../support/gate.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { AllowCrossOrigin, Session, UseSession } from '../../src/index.js';
import { type AnySession, logs, type RunningApp, stackPerPlatform, stacks, start } from '../support/app.js';

/*
 * The object itself: what express-session's own suite asks of req.session, and what holds of ours beneath it.
 */

type Handler = (request: any, session: AnySession) => unknown;
let handler: Handler;

@Controller()
class AnyController {
  /** A route that asks for no session of ours. */
  @Get('bare')
  bare(@Req() request: any) {
    return handler(request, undefined as never);
  }

  @Get('with')
  with(@Req() request: any, @Session() session: AnySession) {
    return handler(request, session);
  }

  @Get('poll')
  @UseSession({ touch: false })
  poll(@Req() request: any) {
    return handler(request, undefined as never);
  }

  @Get('nest')
  nest(@NestSession() session: object) {
    return session;
  }

  @Get('static/file')
  file(@Req() request: any) {
    return { session: request.session === undefined, id: request.sessionID ?? null };
  }

  @Post('hook')
  @AllowCrossOrigin()
  hook(@Session() session: AnySession) {
    session.set('hooked', true);
    return {};
  }

  @Post('form')
  form() {
    return {};
  }
}

/** Where libraries look: on Fastify, middleware gets Node's own request, and handlers get Fastify's. */
const nodeRequest = (request: any) => request.raw ?? request;

const called = (run: (callback: (error?: Error) => void) => unknown): Promise<Error | undefined> =>
  new Promise((resolve) => void run(resolve));

describe.each(stacks)('req.session on %s', (_, stack) => {
  let running: RunningApp;

  beforeAll(async () => {
    running = await start(stack, {
      session: { touchAfter: 0, cookie: { priority: 'high' } },
      controllers: [AnyController],
      configure: (app: INestApplication) =>
        useReqSession(app, {
          userId: (data) => data.user,
          only: ({ url }) => !url.startsWith('/static'),
          allowCrossOrigin: ({ url }) => url === '/hook',
        }),
    });
  });
  afterAll(() => running.stop());
  beforeEach(() => running.reset());

  /** What a handler gives, as the browser gets it. */
  async function ask(client: ReturnType<RunningApp['client']>, path: string, run: Handler) {
    handler = run;
    const reply = await client.get(path);
    expect([reply.status, reply.text]).toEqual([200, expect.anything()]);
    return reply;
  }

  describe('data', () => {
    it('are those of @Session(), on whichever side they are changed', async () => {
      const client = running.client();
      const reply = await ask(client, '/with', ({ session }, ours) => {
        session.cart = { items: ['a'] };
        ours.data['cart'].items.push('b');
        session.cart.items.push('c');
        ours.set('other', 1);
        return { theirs: session, ours: ours.toJSON() };
      });
      const data = { cart: { items: ['a', 'b', 'c'] }, other: 1 };
      expect(reply.json()).toEqual({ theirs: data, ours: data });
      expect((await client.get('/nest')).json()).toEqual(data);
    });

    it('are saved when they are changed in place, and nothing is written when they are only read', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.cart = { items: [] }));
      await ask(client, '/bare', ({ session }) => session.cart.items.push('a'));
      expect(running.probe.value(client.handle, 'cart')).toEqual({ items: ['a'] });
      running.probe.forget();
      await ask(client, '/poll', ({ session }) => session.cart.items);
      expect(running.probe.names).toEqual(['read']);
    });

    it('alone are enumerable', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', ({ session }) => {
        session.b = 2;
        session.a = undefined;
        session.c = 3;
        delete session.c;
        const inLoop = [];
        for (const key in session) inLoop.push(key);
        return {
          inLoop,
          keys: Object.keys(session),
          spread: { ...session },
          has: ['b' in session, 'a' in session, Object.hasOwn(session, 'b'), session.hasOwnProperty('c')],
        };
      });
      expect(reply.json()).toEqual({
        inLoop: ['b'],
        keys: ['b'],
        spread: { b: 2 },
        has: [true, false, true, false],
      });
    });

    it('whose keys are names of its members do not show, and stay', async () => {
      const client = running.client();
      const data = { id: 'a', save: 'b', cookie: 'c', toString: 'd', plain: 'e' };
      await ask(client, '/with', (_request, session) => void Object.assign(session.data, data));
      const reply = await ask(client, '/bare', ({ session }) => {
        session.cookie = { maxAge: 1 };
        session.id = 'x';
        session.save = session.save.bind(session);
        return { keys: Object.keys(session), id: session.id.length > 50, cookie: session.cookie.path };
      });
      expect(reply.json()).toEqual({ keys: ['plain'], id: true, cookie: '/' });
      expect((await ask(client, '/with', (_request, session) => session.toJSON())).json()).toEqual(data);
    });

    it('of a visitor who only looks make no session', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', ({ session }) => ({
        keys: Object.keys(session),
        user: session.user ?? 0,
      }));
      expect(reply.setCookies).toEqual([]);
      expect(running.probe.of('create')).toEqual([]);
    });

    it('may be named "then": the object can be awaited', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', async ({ session }) => {
        session.then = 'data';
        return (await Promise.resolve(session)).then;
      });
      expect(reply.text).toBe('data');
    });

    it('show in a log, and no id does (S50)', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', (request) => {
        request.session.visits = 1;
        const { id } = request.session;
        const shown = inspect(request, { depth: 9 }) + JSON.stringify(request.session);
        return { shows: inspect(request.session), leaks: shown.includes(id.split('.')[1]) };
      });
      expect(reply.json()).toEqual({ shows: 'Session { visits: 1 }', leaks: false });
    });
  });

  describe('members', () => {
    it('id is sessionID, and stays', async () => {
      const client = running.client();
      const see: Handler = (request) => {
        const { session, sessionID } = nodeRequest(request);
        session.a = 1;
        return { same: session.id === sessionID, id: session.id };
      };
      expect((await ask(client, '/bare', see)).json()).toEqual({ same: true, id: client.sid });
      expect((await ask(client, '/bare', see)).json()).toEqual({ same: true, id: client.sid });
    });

    it('save takes its callback on the prototype, as grant asks', async () => {
      const reply = await ask(running.client(), '/bare', ({ session }) => [
        Object.getPrototypeOf(session).save.length,
        Object.hasOwn(session, 'save'),
      ]);
      expect(reply.json()).toEqual([1, false]);
    });

    it('methods return the object with a callback, and a promise without one', async () => {
      const reply = await ask(running.client(), '/bare', async (request) => {
        const { session } = request;
        session.a = 1;
        const answers = [];
        for (const name of ['save', 'reload', 'regenerate', 'destroy']) {
          let returned: unknown;
          const current: any = request.session;
          const error = await called((callback) => (returned = current[name](callback)));
          answers.push([name, error ?? 'done', returned === current]);
          if (name === 'regenerate') request.session.a = 1;
        }
        return answers;
      });
      expect(reply.json()).toEqual(
        ['save', 'reload', 'regenerate', 'destroy'].map((name) => [name, 'done', true]),
      );
      await ask(running.client(), '/bare', async (request) => {
        request.session.a = 1;
        for (const name of ['save', 'reload', 'regenerate', 'destroy']) {
          expect(request.session[name]()).toBeInstanceOf(Promise);
          await new Promise(setImmediate);
          if (!request.session) break;
        }
        return 'done';
      });
    });

    it('touch and resetMaxAge count as use, whatever the route says', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      for (const name of ['touch', 'resetMaxAge']) {
        running.probe.forget();
        await ask(client, '/poll', ({ session }) => session[name]() === session);
        expect(running.probe.names).toEqual(['read', 'update']);
      }
    });

    it('touch moves the deadline that the cookie tells, and so does a maxAge that is in force already', async () => {
      freezeTime();
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      for (const use of [
        (session: any) => session.touch(),
        (session: any) => (session.cookie.maxAge = 3_600_000),
      ]) {
        passTime(60_000);
        const reply = await ask(client, '/poll', ({ session }) => {
          const before = session.cookie.maxAge;
          use(session);
          return [before, session.cookie.maxAge];
        });
        expect(reply.json()).toEqual([3_540_000, 3_600_000]);
        expect(running.probe.of('update').at(-1)!.args[1].ttl).toBeUndefined();
      }
      unfreezeTime();
    });

    it('save saves now, and says so if the session is gone', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', async (request) => {
        const { session, sessionStore } = nodeRequest(request);
        session.hit = true;
        await called((callback) => session.save(callback));
        const stored: any = await sessionStore.get(session.id);
        await sessionStore.destroy(session.id);
        session.hit = false;
        const error: any = await called((callback) => session.save(callback));
        return {
          hit: stored.hit,
          cookie: Object.keys(stored.cookie),
          code: error.code,
          left: (await sessionStore.get(session.id)) ?? null,
        };
      });
      expect(reply.json()).toEqual({
        hit: true,
        cookie: ['expires', 'originalMaxAge'],
        code: 'ERR_SESSION_GONE',
        left: null,
      });
    });

    it('destroy ends the session, and the request has none', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      const { sid } = client;
      const reply = await ask(client, '/bare', async (request) => {
        await called((callback) => request.session.destroy(callback));
        return String(request.session);
      });
      expect(reply.text).toBe('undefined');
      expect([await running.store.load(sid), client.sid]).toEqual([undefined, '']);
    });

    it('regenerate leaves the object of before readable, with what was in it', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.cart = { items: ['a'] }));
      const { sid, handle } = client;
      const reply = await ask(client, '/bare', async (request) => {
        const before: ReqSession = request.session;
        before['unsaved'] = 1;
        const { id } = before;
        await called((callback) => before.regenerate(callback));
        before['late'] = true;
        return {
          before,
          after: request.session,
          isNew: request.session !== before,
          id: request.session.id !== id,
        };
      });
      const before = { cart: { items: ['a'] }, unsaved: 1, late: true };
      expect(reply.json()).toEqual({ before, after: {}, isNew: true, id: true });
      expect([await running.store.load(sid), client.handle]).toEqual([undefined, handle]);
      expect((await client.get('/nest')).json()).toEqual({});
    });

    it('regenerate drops what other requests wrote meanwhile, too', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      await ask(client, '/bare', async (request) => {
        await running.store.tap(client.sid, (data) => void (data['planted'] = true));
        await request.session.regenerate();
        request.session.b = 2;
      });
      expect((await client.get('/nest')).json()).toEqual({ b: 2 });
    });

    it('two requests that regenerate at once go on in sessions of their own', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      const cookie = `sid=${client.sid}`;
      const both = new Gate();
      handler = async (request) => {
        await both.pass();
        await request.session.regenerate();
        request.session.mine = request.headers['x-who'];
      };
      const asked = ['one', 'two'].map((who) =>
        running.client().open('/bare', { cookie, headers: { 'x-who': who } }),
      );
      await both.reached(2);
      both.open();
      const replies = await Promise.all(asked.map(({ done }) => done));
      const ids = replies.map(({ setCookies }) => setCookies[0]!.value);
      const found = await Promise.all(ids.map((id) => running.store.load(id)));
      expect(found.map((session) => session!.get('mine'))).toEqual(['one', 'two']);
    });

    it('reload puts an object with what is stored on the request', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.url = '/'));
      const reply = await ask(client, '/bare', async (request) => {
        const before = request.session;
        before.url = '/unsaved';
        await running.store.tap(client.sid, (data) => void (data['url'] = '/other'));
        await called((callback) => before.reload(callback));
        return [before.url, request.session.url, before !== request.session];
      });
      expect(reply.json()).toEqual(['/unsaved', '/other', true]);
    });

    it('reload fails where there is no session any more', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      const reply = await ask(client, '/bare', async ({ session }) => {
        await running.store.destroy(client.sid);
        return (await called((callback) => session.reload(callback)))!.message;
      });
      expect(reply.text).toBe('failed to load session');
    });

    it('shows the session that logout() and login() of ours have made', async () => {
      const client = running.client();
      await ask(client, '/with', async ({ session }, ours) => {
        session.a = 1;
        await ours.login('ada');
        expect(session.id).toBe(ours.id);
        await ours.logout();
        expect({ ...session }).toEqual({});
        session.b = 2;
        return 'done';
      });
      expect((await client.get('/nest')).json()).toEqual({ b: 2 });
    });
  });

  describe('cookie', () => {
    it('tells the attributes and how long it lasts', async () => {
      const reply = await ask(running.client(), '/bare', ({ session }) => ({
        json: session.cookie,
        left: session.cookie.maxAge > 3_599_000 && session.cookie.maxAge <= 3_600_000,
        expires: session.cookie.expires instanceof Date,
        text: session.cookie.serialize('name', 'value'),
        log: inspect(session.cookie).includes("path: '/'"),
      }));
      expect(reply.json()).toEqual({
        json: {
          originalMaxAge: 3_600_000,
          expires: expect.stringMatching(/Z$/),
          secure: false,
          httpOnly: true,
          path: '/',
          sameSite: 'lax',
          partitioned: false,
          priority: 'high',
        },
        left: true,
        expires: true,
        log: true,
        text: expect.stringMatching(
          /^name=value; Path=\/; Expires=.+; HttpOnly; Priority=High; SameSite=Lax$/,
        ),
      });
    });

    it('maxAge is the idle timeout of this session, in milliseconds', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', ({ session }) => {
        session.a = 1;
        session.cookie.maxAge = 60_000;
        return session.cookie.originalMaxAge;
      });
      expect(reply.text).toBe('60000');
      expect(reply.setCookies[0]!.attributes.get('max-age')).toBe('60');
      const later = await ask(client, '/with', ({ session }, ours) => [
        ours.ttl,
        session.cookie.originalMaxAge,
      ]);
      expect(later.json()).toEqual([60, 60_000]);
    });

    it.each([['maxAge'], ['expires']])('%s of null makes it end with the browser, for good', async (name) => {
      const client = running.client();
      const first = await ask(client, '/bare', ({ session }) => {
        session.a = 1;
        session.cookie[name] = null;
        return [session.cookie.maxAge, session.cookie.expires];
      });
      expect(first.json()).toEqual([null, null]);
      const { attributes } = first.setCookies[0]!;
      expect([attributes.has('max-age'), attributes.has('expires')]).toEqual([false, false]);
      // It is told once.
      expect((await ask(client, '/with', () => 'done')).setCookies).toEqual([]);
      const last = await ask(client, '/bare', ({ session }) => {
        const before = session.cookie.maxAge;
        session.cookie.expires = new Date(Date.now() + 60_000);
        return String(before);
      });
      expect(last.text).toBe('null');
      expect(Number(last.setCookies[0]!.attributes.get('max-age'))).toBeGreaterThan(50);
      expect((await client.get('/nest')).json()).toEqual({ a: 1 });
    });

    it('has attributes of its own, and is cleared with them (S28)', async () => {
      const client = running.client();
      const set = await ask(client, '/bare', ({ session }) => {
        session.a = 1;
        Object.assign(session.cookie, { path: '/admin', httpOnly: false, sameSite: true });
        return session.cookie.path;
      });
      expect(set.setCookies[0]!.raw).toMatch(/; Path=\/admin; Priority=High; SameSite=Strict$/);
      expect((await ask(client, '/with', () => 'done')).setCookies[0]!.raw).toMatch(/; Path=\/admin;/);
      const clearing = await ask(client, '/with', async (_request, ours) => void (await ours.logout()));
      expect(clearing.setCookies[0]!.raw).toMatch(/; Max-Age=0; Path=\/admin; .+; SameSite=Strict$/);
    });

    it('refuses what browsers would not take, and makes no session by itself', async () => {
      const client = running.client();
      const reply = await ask(client, '/bare', ({ session }) => {
        const errors = [];
        for (const wrong of [{ path: 'x' }, { sameSite: 'none', secure: false }, { maxAge: 'soon' }]) {
          try {
            Object.assign(session.cookie, wrong);
          } catch (error) {
            errors.push((error as Error).message);
          }
        }
        session.cookie.path = '/admin';
        session.cookie.maxAge = null;
        return errors;
      });
      expect(reply.json()).toEqual([
        expect.stringContaining('req.session.cookie.path must be'),
        expect.stringContaining('req.session.cookie.secure must not be false'),
        expect.stringContaining('maxAge must be a number or Date'),
      ]);
      expect([reply.setCookies, running.probe.of('create')]).toEqual([[], []]);
    });
  });

  describe('userId', () => {
    it('binds when it changes, unbinds when it goes, and rotates each time', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      const ids = [client.sid];
      for (const user of [7, 8, undefined]) {
        await ask(client, '/bare', ({ session }) => void (session.user = user));
        ids.push(client.sid);
        const ours = await running.store.load(client.sid);
        expect([ours!.userId, ours!.get('user'), ours!.get('a')]).toEqual([user && String(user), user, 1]);
      }
      expect(new Set(ids).size).toBe(4);
      for (const old of ids.slice(0, 3)) expect(await running.store.load(old)).toBeUndefined();
    });

    it('leaves a user alone whom login() bound', async () => {
      const client = running.client();
      await ask(client, '/with', async ({ session }, ours) => {
        await ours.login('ada');
        session.a = 1;
      });
      await ask(client, '/bare', ({ session }) => void (session.a = 2));
      expect((await running.store.load(client.sid))!.userId).toBe('ada');
    });

    it('binds though the handler saved with save() of ours', async () => {
      const client = running.client();
      await ask(client, '/with', async ({ session }, ours) => {
        session.user = 'eve';
        await ours.save();
      });
      expect(await running.store.listByUser('eve')).toHaveLength(1);
    });

    it('binds once though the handler does not wait for its save', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => {
        session.user = 'twice';
        void session.save();
        void session.save();
      });
      expect(await running.store.listByUser('twice')).toHaveLength(1);
      expect(running.eventTypes().filter((type) => type === 'created' || type === 'rotated')).toEqual([
        'created',
      ]);
    });

    it('unbinds though another request has rotated the session: nobody stays logged in (S12)', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.user = 'ann'));
      const other = await running.store.load(client.sid);
      await ask(client, '/bare', async ({ session }) => {
        await other!.regenerate();
        delete session.user;
      });
      expect(await running.store.listByUser('ann')).toEqual([]);
      expect(await running.store.load(other!.id)).toBeUndefined();
    });

    it('logs nobody in on a session that ended meanwhile', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      handler = async ({ session }) => {
        await running.store.destroy(client.sid);
        session.user = 'late';
      };
      expect((await client.get('/bare')).status).toBe(401);
      expect([await running.store.listByUser('late'), running.probe.size > 0]).toEqual([[], true]);
    });

    it('whom data of before do not name as they should keeps nobody out', async () => {
      const client = running.client();
      const { id } = await running.store.create({ data: { user: { id: 1 } } });
      client.jar.set('sid', id);
      await ask(client, '/bare', ({ session }) => void (session.b = 2));
      expect((await running.store.load(id))!.toJSON()).toEqual({ user: { id: 1 }, b: 2 });
    });

    it('that is no user is an error of the application, and nothing is saved', async () => {
      const client = running.client();
      handler = ({ session }) => void (session.user = { id: 1 });
      expect((await client.get('/bare')).status).toBe(500);
      expect([client.sid, running.probe.of('create')]).toEqual(['', []]);
      expect(logs.join()).toContain('userId must return a string or a number');
    });
  });

  describe('requests', () => {
    it('that "only" leaves out have none, and nothing is loaded for them', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      running.probe.forget();
      expect((await client.get('/static/file')).json()).toEqual({ session: true, id: null });
      expect(running.probe.calls).toEqual([]);
    });

    it('are no use of the session where their route says so, and are one elsewhere', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      running.probe.forget();
      await ask(client, '/poll', ({ session }) => session.a);
      expect(running.probe.names).toEqual(['read']);
      await ask(client, '/bare', ({ session }) => session.a);
      expect(running.probe.names).toEqual(['read', 'read', 'update']);
    });

    it('of other origins are refused before any route, but for allowCrossOrigin (S61)', async () => {
      const headers = { 'sec-fetch-site': 'cross-site', origin: 'https://elsewhere.example' };
      const client = running.client();
      expect((await client.post('/form', { headers })).status).toBe(403);
      expect(running.probe.calls).toEqual([]);
      expect(logs.join()).toContain('allowCrossOrigin: (request) => boolean of useReqSession()');
      expect((await client.post('/hook', { headers })).status).toBe(201);
    });

    it('fail with 503 if the storage does (S51)', async () => {
      const client = running.client();
      await ask(client, '/bare', ({ session }) => void (session.a = 1));
      running.probe.fail('read', { times: 1 });
      expect((await client.get('/bare')).status).toBe(503);
      expect((await client.get('/nest')).json()).toEqual({ a: 1 });
    });
  });
});

it('touch moves the deadline also before touchAfter', async () => {
  freezeTime();
  const running = await start(stacks[0]![1], {
    controllers: [AnyController],
    configure: (app: INestApplication) => useReqSession(app),
  });
  const client = running.client();
  handler = ({ session }) => void (session.a = 1);
  await client.get('/bare');
  passTime(1_000);
  handler = ({ session }) => session.cookie.maxAge;
  expect((await client.get('/with')).text).toBe('3599000');
  expect(running.probe.of('update')).toEqual([]);
  handler = ({ session }) => session.touch().cookie.maxAge;
  const reply = await client.get('/with');
  expect([reply.text, reply.setCookies[0]!.attributes.get('max-age')]).toEqual(['3600000', '3600']);
  expect((await running.store.load(client.sid))!.expiresAt.getTime()).toBe(Date.now() + 3_600_000);
  await running.stop();
  unfreezeTime();
});

it('after regenerate, the absolute timeout counts anew', async () => {
  freezeTime();
  const running = await start(stacks[0]![1], {
    session: { ttl: '1h', absoluteTtl: '2h' },
    controllers: [AnyController],
    configure: (app: INestApplication) => useReqSession(app),
  });
  const client = running.client();
  handler = async (request) => {
    await request.session.regenerate();
    request.session.a = 1;
  };
  await client.get('/bare');
  passTime(59 * 60_000);
  const { sid } = client;
  await client.get('/bare');
  passTime(50 * 60_000);
  handler = ({ session }) => session;
  await client.get('/bare');
  passTime(50 * 60_000);
  expect((await client.get('/bare')).json()).toEqual({ a: 1 });
  expect(await running.store.load(sid)).toBeUndefined();
  await running.stop();
  unfreezeTime();
});

it.each(stackPerPlatform)('the cookie is Secure behind a proxy that is trusted: %s', async (_, stack) => {
  const running = await start(stack, {
    controllers: [AnyController],
    trustProxy: true,
    configure: (app: INestApplication) => useReqSession(app),
  });
  handler = ({ session }) => void (session.a = 1);
  const client = running.client();
  const { setCookies } = await client.get('/bare', { headers: { 'x-forwarded-proto': 'https' } });
  expect(setCookies[0]!.attributes.has('secure')).toBe(true);
  expect(() => useReqSession(running.app)).toThrow('was called for this application already');
  await running.stop();
});

it('useReqSession says what is wrong with its options', () => {
  const options = { userID: () => 1, only: '/api' };
  expect(() => useReqSession({} as never, options as never)).toThrow(
    /useReqSession: userID is not an option \(did you mean userId\?\)[^]*only must be a function/,
  );
});

it('useReqSession says what is wrong with the application', async () => {
  const exit = jest.spyOn(process, 'exit').mockReturnValue(undefined as never);
  const bare = await NestFactory.create(class Bare {}, { logger: false });
  expect(() => useReqSession(bare)).toThrow('SessionModule is not imported');
  expect(exit).not.toHaveBeenCalled(); // it is what Nest does about its own errors
  exit.mockRestore();
  expect(() => useReqSession(bare.getHttpAdapter() as never)).toThrow(
    'useReqSession(app) takes the application',
  );
});

it.each(stackPerPlatform)('useReqSession after app.listen() is an error: %s', async (_, stack) => {
  const running = await start(stack, { controllers: [AnyController] });
  expect(() => useReqSession(running.app)).toThrow('was called after app.listen()');
  await running.stop();
});
