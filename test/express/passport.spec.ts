import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import express from 'express';
import passportModule from 'passport';
import { Strategy as LocalStrategy } from 'passport-local';
import { useReqSession } from 'nest-sessions/express';
import { type RunningApp, type Stack, stacks, start } from '../support/app.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { Gate } from '../support/gate.js';

/*
 * Passport 0.7 with passport-local, as applications have it in main.ts.
 */

/** What users log in with; "gone" is in the session and in no database. */
const users: Readonly<Record<string, { id: number; name: string }>> = {
  ada: { id: 0, name: 'ada' },
  bob: { id: 7, name: 'bob' },
};
const byId = new Map<unknown, { name: string }>([
  [0, users['ada']!],
  [7, users['bob']!],
]);

const onExpress = stacks.filter(([, { platform }]) => platform === 'express');

function passportOf(): passportModule.Authenticator {
  const passport = new passportModule.Passport() as passportModule.Authenticator;
  passport.use(
    new LocalStrategy((name, password, done) =>
      done(null, password === 'right' ? (users[name] ?? { id: 404, name: 'gone' }) : false, {
        message: 'Wrong',
      }),
    ),
  );
  passport.serializeUser((user, done) => done(null, (user as { id: number }).id));
  passport.deserializeUser((id, done) => done(null, (byId.get(id) as never) ?? false));
  return passport;
}

async function startWith(
  stack: Stack,
  withUserId: boolean,
  options: SessionModuleOptions = {},
): Promise<RunningApp & { slow: Gate }> {
  const slow = new Gate();
  const configure = (app: INestApplication): void => {
    const passport = passportOf();
    useReqSession(app, withUserId ? { userId: (data) => data.passport?.user } : {});
    app.use(passport.session());
    app.use(express.json());
    const reply: express.RequestHandler = (_request, response) => void response.json({ done: true });
    app.use('/login', passport.authenticate('local'), reply);
    app.use('/keep', passport.authenticate('local', { keepSessionInfo: true }), reply);
    app.use(
      '/redirect',
      passport.authenticate('local', {
        successReturnToOrRedirect: '/me',
        failureRedirect: '/no',
        failureMessage: true,
      }),
    );
    app.use('/logout', ((request: any, response, next) => {
      request.logout((error: unknown) => (error ? next(error) : response.json({ user: request.user })));
    }) as express.RequestHandler);
    app.use('/cart', ((request: any, response) => {
      (request.session.cart ??= []).push('book');
      response.json(request.session.cart);
    }) as express.RequestHandler);
    app.use('/slow', (async (request: any, response) => {
      await slow.pass();
      request.session.planted = true;
      response.json({});
    }) as express.RequestHandler);
    app.use('/me', ((request: any, response) => {
      const { user, session } = request;
      response.json({ name: user?.name ?? null, data: session, id: session.id === request.sessionID });
    }) as express.RequestHandler);
  };
  return Object.assign(await start(stack, { configure, session: options }), { slow });
}

describe.each(onExpress)('Passport on %s', (_, stack) => {
  let running: Awaited<ReturnType<typeof startWith>>;
  const right = (username: string) => ({ body: { username, password: 'right' } });

  beforeAll(async () => {
    running = await startWith(stack, true);
  });
  afterAll(() => running.stop());
  beforeEach(async () => {
    running.reset();
    await running.store.destroyByUser('7');
  });

  const me = async (client: ReturnType<RunningApp['client']>) => (await client.get('/me')).json();

  it('logs a user in, who stays logged in, and is known to the store', async () => {
    const client = running.client();
    expect((await client.post('/login', right('bob'))).json()).toEqual({ done: true });
    expect(await me(client)).toEqual({ name: 'bob', data: { passport: { user: 7 } }, id: true });
    expect(await me(client)).toMatchObject({ name: 'bob' });
    const [info] = await running.store.listByUser('7');
    expect(info).toMatchObject({ handle: client.handle, userId: '7' });
    expect(info!.authenticatedAt).toBeInstanceOf(Date);
    expect(await running.store.destroyByUser('7')).toBe(1);
    expect(await me(client)).toMatchObject({ name: null, data: {} });
  });

  it('takes a user whose id is 0 for one', async () => {
    const client = running.client();
    await client.post('/login', right('ada'));
    expect(await me(client)).toMatchObject({ name: 'ada' });
    expect(await running.store.destroyByUser('0')).toBe(1);
  });

  it('logs nobody in who has no password, and makes no session for it', async () => {
    const client = running.client();
    const reply = await client.post('/login', { body: { username: 'bob', password: 'wrong' } });
    expect([reply.status, client.sid]).toEqual([401, '']);
    expect(running.eventTypes()).not.toContain('created');
  });

  it('gives a new id at the login, and the old one is dead (S11)', async () => {
    const client = running.client();
    await client.get('/cart');
    const { sid } = client;
    await client.post('/login', right('bob'));
    expect(client.sid).not.toBe(sid);
    expect(await running.store.load(sid)).toBeUndefined();
    expect(await me(client)).toMatchObject({ data: { passport: { user: 7 } } });
  });

  it('keeps what was in the session only with keepSessionInfo', async () => {
    const client = running.client();
    await client.get('/cart');
    await client.post('/keep', right('bob'));
    expect(await me(client)).toMatchObject({ data: { passport: { user: 7 }, cart: ['book'] } });
    await client.post('/login', right('bob'));
    expect((await me(client)).data).toEqual({ passport: { user: 7 } });
  });

  it('logs out: nobody is logged in under the id of before or under that of now', async () => {
    const client = running.client();
    await client.post('/login', right('bob'));
    const { sid } = client;
    expect((await client.post('/logout')).json()).toEqual({ user: null });
    expect(await me(client)).toMatchObject({ name: null, data: {} });
    expect(await running.store.load(sid)).toBeUndefined();
    expect(await running.store.listByUser('7')).toEqual([]);
  });

  it('two clicks on "log out" are no error', async () => {
    const client = running.client();
    await client.post('/login', right('bob'));
    const replies = await Promise.all([client.post('/logout'), client.post('/logout')]);
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    expect(await running.store.listByUser('7')).toEqual([]);
  });

  it('two clicks on "log in" log in twice at most, and the old id is dead', async () => {
    const client = running.client();
    await client.get('/cart');
    const { sid } = client;
    const cookie = `sid=${sid}`;
    const replies = await Promise.all([1, 2].map(() => client.post('/login', { ...right('bob'), cookie })));
    expect(replies.map(({ status }) => status)).toEqual([200, 200]);
    expect(await me(client)).toMatchObject({ name: 'bob' });
    expect(await running.store.load(sid)).toBeUndefined();
    await running.store.destroyByUser('7');
  });

  it('lets a user whom nobody knows any more go, and takes him from the session', async () => {
    const client = running.client();
    await client.post('/login', right('nobody'));
    expect(await running.store.listByUser('404')).toHaveLength(1);
    const { sid } = client;
    expect(await me(client)).toMatchObject({ name: null });
    expect(await running.store.listByUser('404')).toEqual([]);
    expect(await running.store.load(sid)).toBeUndefined();
    expect(await me(client)).toMatchObject({ name: null, data: { passport: {} } });
  });

  it('redirects with the session saved, and tells what failed', async () => {
    const client = running.client();
    const failed = await client.post('/redirect', { body: { username: 'bob', password: 'wrong' } });
    expect([failed.status, failed.headers.location]).toEqual([302, '/no']);
    expect((await me(client)).data.messages).toEqual(['Wrong']);
    const reply = await client.post('/redirect', right('bob'));
    expect([reply.status, reply.headers.location]).toEqual([302, '/me']);
    expect(await me(client)).toMatchObject({ name: 'bob' });
  });

  it('leaves a request outside that came with the id of before the login (S56)', async () => {
    const client = running.client();
    await client.get('/cart');
    const slow = client.open('/slow', { cookie: `sid=${client.sid}` });
    await running.slow.reached();
    await client.post('/login', right('bob'));
    running.slow.open();
    await slow.done;
    expect((await me(client)).data).toEqual({ passport: { user: 7 } });
  });

  it('logs nobody in if the storage fails, and answers 503 (S51)', async () => {
    const client = running.client();
    await client.get('/cart');
    for (const skip of [0, 1]) {
      running.probe.fail('update', { skip, times: 1 });
      expect((await client.post('/login', right('bob'))).status).toBe(503);
      expect(await me(client)).toMatchObject({ name: null });
    }
    expect(await running.store.listByUser('7')).toEqual([]);
  });
});

describe.each(onExpress)('Passport without userId on %s', (_, stack) => {
  it('logs in and out as well, as nobody whom the store knows', async () => {
    const running = await startWith(stack, false);
    const client = running.client();
    await client.post('/login', { body: { username: 'bob', password: 'right' } });
    const { sid } = client;
    expect((await client.get('/me')).json()).toMatchObject({ name: 'bob' });
    expect((await running.store.load(sid))!.userId).toBeUndefined();
    await client.post('/logout');
    expect((await client.get('/me')).json()).toMatchObject({ name: null, data: {} });
    expect(await running.store.load(sid)).toBeUndefined();
    await running.stop();
  });
});

describe.each(onExpress)('Passport with maxPerUser on %s', (_, stack) => {
  const login = { body: { username: 'bob', password: 'right' } };
  const userOf = async (client: ReturnType<RunningApp['client']>) => (await client.get('/me')).json().name;

  it.each([
    ['end-oldest', 200, [null, 'bob']],
    ['refuse', 409, ['bob', null]],
  ] as const)('%s', async (whenExceeded, status, names) => {
    const running = await startWith(stack, true, { maxPerUser: 1, whenExceeded });
    const clients = [running.client(), running.client()] as const;
    expect((await clients[0].post('/login', login)).status).toBe(200);
    expect((await clients[1].post('/login', login)).status).toBe(status);
    expect([await userOf(clients[0]), await userOf(clients[1])]).toEqual(names);
    expect(await running.store.listByUser('7')).toHaveLength(1);
    await running.stop();
  });
});
