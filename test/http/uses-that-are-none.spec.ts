import type { IncomingMessage } from 'node:http';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  Controller,
  type ExecutionContext,
  Get,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestMiddleware,
  Param,
  Req,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import {
  Session,
  SessionGuard,
  SessionInterceptor,
  SessionLock,
  type SessionModuleOptions,
  SessionStore,
  UseSession,
} from '../../src/index.js';
import { type AnySession, type Bag, type Platform, type RunningApp, stacks, start } from '../support/app.js';
import { sessionCookies } from '../support/basic.js';
import type { Client } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';

const SECOND = 1_000;

/** Looks at every request's session, and leaves it to the routes whether they are a use. */
@Injectable()
class LookingGuard implements CanActivate {
  constructor(private readonly store: SessionStore<Bag>) {}

  async canActivate(context: ExecutionContext) {
    await this.store.of(context, { touch: false });
    return true;
  }
}

/** Asks as most guards do. */
@Injectable()
class AskingGuard implements CanActivate {
  constructor(private readonly store: SessionStore<Bag>) {}

  async canActivate(context: ExecutionContext) {
    await this.store.of(context);
    return true;
  }
}

@Controller()
class Uses {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Get('use')
  use(@Session() session: AnySession) {
    return { flash: session.flashed('notice') ?? null };
  }

  @Get('flash')
  flash(@Session() session: AnySession) {
    session.flash('notice', 'saved');
    return 'flashed';
  }

  @Get('guarded-poll')
  @UseGuards(SessionGuard, AskingGuard)
  @UseSession({ touch: false })
  guardedPoll() {
    return 'polled';
  }

  @Get('poll')
  @UseSession({ touch: false })
  poll(@Session() session: AnySession) {
    return { flash: session.flashed('notice') ?? null };
  }

  @Get('poll-and-ask')
  @UseSession({ touch: false })
  async pollAndAsk(@Req() request: IncomingMessage, @Session() session: AnySession) {
    return { same: (await this.store.of(request)) === session };
  }

  @Get('poll-and-write')
  @UseSession({ touch: false })
  pollAndWrite(@Session() session: AnySession) {
    session.set('n', 2);
    return 'written';
  }

  @Get('poll-and-flash')
  @UseSession({ touch: false })
  pollAndFlash(@Session() session: AnySession) {
    session.flash('notice', 'polled');
    return 'flashed';
  }

  @Get('poll-and-start')
  @UseSession({ touch: false })
  pollAndStart(@Session() session: AnySession) {
    session.set('n', 1);
    return 'started';
  }

  @Get('poll-and-tap')
  @UseSession({ touch: false })
  async pollAndTap(@Session() session: AnySession) {
    return session.tap((data) => (data['n'] = 3));
  }

  @Get('poll-and-lock')
  @SessionLock()
  @UseSession({ touch: false })
  pollAndLock(@Session() session: AnySession) {
    session.set('n', 4);
    return 'locked';
  }

  @Get('poll-and-expire/:ttl')
  @UseSession({ touch: false })
  pollAndExpire(@Session() session: AnySession, @Param('ttl') ttl: string) {
    session.expireIn(ttl as never);
    return 'expires';
  }

  @Get('poll-and-log-in')
  @UseSession({ touch: false })
  async pollAndLogIn(@Session() session: AnySession) {
    await session.login('ada');
    return 'in';
  }
}

@Controller('polls')
@UseSession({ touch: false })
class Polls {
  @Get('plain')
  plain() {
    return 'polled';
  }

  @Get('asking')
  asking(@Session() session: AnySession) {
    return { n: session.get('n') };
  }

  @Get('used')
  @UseSession({ touch: true })
  used() {
    return 'used';
  }

  @Get('intercepted')
  @UseInterceptors(SessionInterceptor)
  intercepted() {
    return 'polled';
  }
}

@Controller('looked-at')
@UseGuards(LookingGuard)
class LookedAt {
  @Get('plain')
  plain() {
    return 'nobody uses it here';
  }

  @Get('asking')
  asking(@Session() session: AnySession) {
    return { n: session.get('n') };
  }

  @Get('used')
  @UseSession()
  used() {
    return 'used';
  }

  @Get('locked')
  @SessionLock()
  locked() {
    return 'used';
  }

  @Get('guarded')
  @UseGuards(SessionGuard)
  guarded() {
    return 'in';
  }

  @Get('poll')
  @UseSession({ touch: false })
  poll() {
    return 'polled';
  }
}

@Injectable()
class Middleware implements NestMiddleware {
  constructor(private readonly store: SessionStore<Bag>) {}

  async use(request: any, response: any, next: () => void) {
    await this.store.of(request, response, request.headers['x-looks'] ? { touch: false } : undefined);
    next();
  }
}

@Controller('middleware')
class Behind {
  @Get('plain')
  plain() {
    return 'nobody asks here';
  }

  @Get('asking')
  asking(@Session() _session: AnySession) {
    return 'used';
  }
}

@Module({ controllers: [Behind] })
class MiddlewareModule {
  configure(consumer: MiddlewareConsumer) {
    consumer.apply(Middleware).forRoutes(Behind);
  }
}

describe.each(stacks)('uses that are none: %s', (_title, stack) => {
  const running: RunningApp[] = [];
  let app: RunningApp;

  beforeAll(async () => {
    app = await run({});
  });
  afterAll(async () => {
    for (const each of running) await each.stop();
  });
  beforeEach(() => {
    app.reset();
    freezeTime();
  });
  afterEach(unfreezeTime);

  async function run(session: SessionModuleOptions) {
    const started = await start(stack, {
      controllers: [Uses, Polls, LookedAt],
      imports: [MiddlewareModule],
      session: { ttl: 100, touchAfter: 0, ...session },
    });
    running.push(started);
    return started;
  }

  /** A browser whose session of 100 seconds was used 40 seconds ago. */
  async function visitor(of = app, userId?: string): Promise<Client> {
    const client = of.client();
    client.jar.set('sid', (await of.store.create({ data: { n: 1 }, userId })).id);
    passTime(40 * SECOND);
    of.reset();
    return client;
  }

  const timesOf = (client: Client, of = app) => {
    const { touchedAt, expiresAt } = of.probe.peek(client.handle)!;
    return { used: Date.now() - touchedAt, left: expiresAt - Date.now() };
  };
  const UNTOUCHED = { used: 40 * SECOND, left: 60 * SECOND };
  const TOUCHED = { used: 0, left: 100 * SECOND };

  it.each([
    ['/poll', UNTOUCHED],
    ['/guarded-poll', UNTOUCHED],
    ['/poll-and-ask', UNTOUCHED],
    ['/polls/plain', UNTOUCHED],
    ['/polls/asking', UNTOUCHED],
    ['/polls/intercepted', UNTOUCHED],
    ['/looked-at/plain', UNTOUCHED],
    ['/looked-at/poll', UNTOUCHED],
    ['/use', TOUCHED],
    ['/polls/used', TOUCHED],
    ['/looked-at/asking', TOUCHED],
    ['/looked-at/used', TOUCHED],
    ['/looked-at/locked', TOUCHED],
    ['/looked-at/guarded', TOUCHED],
    ['/middleware/plain', TOUCHED],
  ])('a request to %s leaves the session %p, and its cookie accordingly (S65)', async (path, times) => {
    const client = await visitor(app, 'ada');
    const reply = await client.get(path);
    expect([reply.status, timesOf(client)]).toEqual([200, times]);
    expect(sessionCookies(reply)).toHaveLength(times === TOUCHED ? 1 : 0);
    expect(app.probe.of('update')).toHaveLength(times === TOUCHED ? 1 : 0);
  });

  it.each([
    ['/middleware/plain', UNTOUCHED],
    ['/middleware/asking', TOUCHED],
  ])('a middleware that only looks leaves it to the route: %s', async (path, times) => {
    const client = await visitor();
    await client.get(path, { headers: { 'x-looks': '1' } });
    expect(timesOf(client)).toEqual(times);
  });

  it('a page that polls does not keep a session alive (S65)', async () => {
    const client = await visitor();
    for (let i = 0; i < 5; i++) {
      passTime(10 * SECOND);
      expect((await client.get('/polls/asking')).json()).toEqual({ n: 1 });
    }
    passTime(10 * SECOND);
    expect((await client.get('/polls/asking')).json()).toEqual({});
    expect(sessionCookies(await client.get('/polls/asking'))).toEqual([]);
  });

  it.each([
    ['/poll-and-write', 2],
    ['/poll-and-tap', 3],
    ['/poll-and-lock', 4],
  ])('what %s changes is saved, and no time moves', async (path, n) => {
    const client = await visitor();
    const reply = await client.get(path);
    expect([app.probe.value(client.handle, 'n'), timesOf(client)]).toEqual([n, UNTOUCHED]);
    expect(sessionCookies(reply)).toEqual([]);
  });

  it('a flash is seen, and is not used up', async () => {
    const client = await visitor();
    await client.get('/flash');
    for (let i = 0; i < 3; i++) expect((await client.get('/poll')).json()).toEqual({ flash: 'saved' });
    await client.get('/poll-and-write');
    expect((await client.get('/use')).json()).toEqual({ flash: 'saved' });
    expect((await client.get('/use')).json()).toEqual({ flash: null });
  });

  it('a flash of a request that is no use is for the next one that is', async () => {
    const client = await visitor();
    await client.get('/poll-and-flash');
    expect((await client.get('/poll')).json()).toEqual({ flash: 'polled' });
    expect((await client.get('/use')).json()).toEqual({ flash: 'polled' });
    expect((await client.get('/poll')).json()).toEqual({ flash: null });
  });

  it.each([
    ['10s', 10],
    ['300s', 300],
  ])('expireIn(%p) means what it says: the time runs from now', async (ttl, seconds) => {
    const client = await visitor();
    await client.get('/flash');
    const reply = await client.get(`/poll-and-expire/${ttl}`);
    expect(timesOf(client).left).toBe(seconds * SECOND);
    expect(sessionCookies(reply).map(({ attributes }) => attributes.get('max-age'))).toEqual([`${seconds}`]);
    passTime(seconds * SECOND - 1);
    expect((await client.get('/poll')).json()).toEqual({ flash: 'saved' });
    passTime(1);
    expect((await client.get('/poll')).json()).toEqual({ flash: null });
  });

  it('a session that begins there begins, and a login there is one', async () => {
    const client = app.client();
    expect(sessionCookies(await client.get('/poll-and-start'))).toHaveLength(1);
    passTime(40 * SECOND);
    expect(sessionCookies(await client.get('/poll-and-log-in'))).toHaveLength(1);
    expect(timesOf(client)).toEqual(TOUCHED);
  });

  it('touchWhen says it for all, by the request of the platform, and in a middleware by what was passed', async () => {
    const seen: any[] = [];
    const of = await run({
      touchWhen: (request) => (seen.push(request), (request.raw ?? request).headers['x-poll'] !== '1'),
    });
    const headers = { 'x-poll': '1' };
    const client = await visitor(of);
    for (const path of ['/use', '/polls/used', '/looked-at/asking', '/middleware/asking']) {
      await client.get(path, { headers });
      expect(timesOf(client, of)).toEqual(UNTOUCHED);
    }
    const platform: Platform = stack.platform;
    expect(seen.at(0)).toHaveProperty(platform === 'express' ? 'app' : 'raw');
    expect(seen.at(-1)).toHaveProperty(platform === 'express' ? 'app' : 'httpVersion');
    await client.get('/use');
    expect(timesOf(client, of)).toEqual(TOUCHED);
    passTime(40 * SECOND);
    await client.get('/poll');
    expect(timesOf(client, of)).toEqual(UNTOUCHED);
  });
});
