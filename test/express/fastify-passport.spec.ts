import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Authenticator } from '@fastify/passport';
import { Controller, Get, type INestApplication, Post, Req, Res } from '@nestjs/common';
import { Strategy } from 'passport-local';
import { useReqSession } from 'nest-sessions/express';
import { Session } from '../../src/index.js';
import { type AnySession, type RunningApp, stacks, start } from '../support/app.js';

/*
 * @fastify/passport 4, which knows the session of @fastify/session, and saves nothing itself.
 */

@Controller()
class AuthController {
  @Post('login')
  async login(@Req() request: any) {
    const { username } = request.body;
    await request.logIn({ name: username }, request.query);
    return { data: request.session };
  }

  @Post('logout')
  async logout(@Req() request: any) {
    await request.logOut();
    return {};
  }

  @Post('cart')
  cart(@Req() request: any) {
    request.session.set('cart', [...(request.session.get('cart') ?? []), 'book']);
    return request.session.data();
  }

  @Get('me')
  me(@Session() session: AnySession, @Req() request: any) {
    return { user: request.user, userId: session.userId, data: request.session };
  }

  @Get('flash')
  flash(@Req() request: any, @Res({ passthrough: true }) reply: any) {
    const before = reply.flash('info');
    request.flash('info', 'seen');
    return before;
  }
}

const onFastify = stacks.filter(([, { platform }]) => platform === 'fastify');

describe.each(onFastify)('@fastify/passport on %s', (_, stack) => {
  let running: RunningApp;

  beforeAll(async () => {
    running = await start(stack, {
      controllers: [AuthController],
      configure(app: INestApplication) {
        const passport = new Authenticator();
        passport.use(
          new Strategy((name, password, done) =>
            done(null, password === 'right' ? { name } : false),
          ) as never,
        );
        passport.registerUserSerializer(async (user: { name: string }) => user.name);
        passport.registerUserDeserializer(async (name: string) => (name === 'gone' ? null : { name }));
        useReqSession(app, { userId: (data) => data.passport });
        const fastify = app.getHttpAdapter().getInstance();
        fastify.register(passport.initialize());
        fastify.register(passport.secureSession());
        fastify.register(async (routes: any) => {
          const preValidation = passport.authenticate('local', { authInfo: false });
          routes.post('/local', { preValidation }, async (request: any) => request.user);
        });
      },
    });
  });
  afterAll(() => running.stop());
  beforeEach(() => running.reset());

  const as = (username: string) => ({ body: { username, password: 'right' } });

  it("logs in and out, and the session is the user's", async () => {
    const client = running.client();
    await client.post('/cart');
    const planted = client.sid;
    expect((await client.post('/login', as('ada'))).json()).toEqual({ data: { passport: 'ada' } });
    expect(await running.store.load(planted)).toBeUndefined();
    const { sid } = client;
    expect((await client.get('/me')).json()).toEqual({
      user: { name: 'ada' },
      userId: 'ada',
      data: { passport: 'ada' },
    });
    await client.post('/logout');
    expect((await client.get('/me')).json()).toEqual({ user: null, data: {} });
    expect(await running.store.load(sid)).toBeUndefined();
    expect(await running.store.listByUser('ada')).toEqual([]);
  });

  it('authenticates with a strategy of Passport', async () => {
    const client = running.client();
    expect((await client.post('/local', { body: { username: 'ada', password: 'no' } })).status).toBe(401);
    expect((await client.post('/local', as('bob'))).json()).toEqual({ name: 'bob' });
    expect((await client.get('/me')).json()).toMatchObject({ userId: 'bob' });
    expect(await running.store.destroyByUser('bob')).toBe(1);
    expect((await client.get('/me')).json()).toEqual({ user: null, data: {} });
  });

  it('keeps what was in the session with keepSessionInfo', async () => {
    const client = running.client();
    await client.post('/cart');
    await client.post('/login?keepSessionInfo=true', as('ada'));
    expect((await client.get('/me')).json().data).toEqual({ cart: ['book'], passport: 'ada' });
  });

  it('lets a user whom nobody knows any more go', async () => {
    const client = running.client();
    await client.post('/login', as('gone'));
    expect((await client.get('/me')).json()).toEqual({ user: null, data: {} });
    expect(await running.store.listByUser('gone')).toEqual([]);
  });

  it('@fastify/flash keeps messages for the next request', async () => {
    const client = running.client();
    expect((await client.get('/flash')).json()).toEqual([]);
    expect((await client.get('/flash')).json()).toEqual(['seen']);
  });
});
