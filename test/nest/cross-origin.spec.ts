import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  All,
  type ArgumentsHost,
  Catch,
  Controller,
  type ExceptionFilter,
  HttpException,
  Injectable,
  type MiddlewareConsumer,
  Module,
  type NestMiddleware,
  Param,
  UseFilters,
  UseGuards,
  UseInterceptors,
} from '@nestjs/common';
import { APP_GUARD } from '@nestjs/core';
import {
  AllowCrossOrigin,
  CrossOriginGuard,
  Session,
  SessionGuard,
  SessionInterceptor,
  SessionLock,
  type SessionModuleOptions,
  SessionStore,
  UseSession,
} from '../../src/index.js';
import { type AnySession, type AppOptions, type Bag, logs, type RunningApp } from '../support/app.js';
import { stackPerPlatform, start } from '../support/app.js';
import { members, sessionCookies } from '../support/basic.js';
import type { Reply } from '../support/client.js';

/** What handlers and middleware ran. */
const ran: string[] = [];
const run = (name: string) => (ran.push(name), name);

@Controller('routes')
class Routes {
  @All('asking')
  asking(@Session() session: AnySession) {
    session.set('n', 1);
    return run('asking');
  }

  @All('value')
  value(@Session('n') _n: unknown) {
    return run('value');
  }

  @All('used')
  @UseSession()
  used() {
    return run('used');
  }

  @All('unused')
  @UseSession({ touch: false })
  unused() {
    return run('unused');
  }

  @All('locked')
  @SessionLock()
  locked() {
    return run('locked');
  }

  @All('guarded')
  @UseGuards(SessionGuard)
  guarded() {
    return run('guarded');
  }

  @All('intercepted')
  @UseInterceptors(SessionInterceptor)
  intercepted() {
    return run('intercepted');
  }

  @All('login')
  async login(@Session() session: AnySession) {
    await session.login('eve');
    return run('login');
  }

  @All('plain')
  plain() {
    return run('plain');
  }

  @All('allowed')
  @AllowCrossOrigin()
  allowed(@Session() session: AnySession) {
    session.set('n', 2);
    return run('allowed');
  }

  @All('allowed-below')
  @UseSession()
  @AllowCrossOrigin()
  @SessionLock()
  allowedBelow() {
    return run('allowed-below');
  }

  @All('allowed-guarded')
  @AllowCrossOrigin()
  @UseGuards(SessionGuard)
  allowedGuarded() {
    return run('allowed-guarded');
  }
}

@Controller('hooks')
@AllowCrossOrigin()
class Hooks {
  @All('method')
  method(@Session() session: AnySession) {
    session.set('n', 3);
    return run('method');
  }
}

@Injectable()
class StoreMiddleware implements NestMiddleware {
  constructor(private readonly store: SessionStore<Bag>) {}

  async use(request: any, response: any, next: () => void) {
    const options = request.headers['x-middleware'] === 'allows' ? { crossOrigin: 'allow' as const } : {};
    const session = await this.store.of(request, response, options);
    session.set('m', 1);
    run('middleware');
    next();
  }
}

@Controller('middleware')
class Behind {
  @All('plain')
  plain() {
    return run('plain');
  }

  @All('asking')
  asking(@Session() _session: AnySession) {
    return run('asking');
  }
}

@Module({ controllers: [Behind] })
class MiddlewareModule {
  configure(consumer: MiddlewareConsumer) {
    consumer.apply(StoreMiddleware).forRoutes(Behind);
  }
}

@Injectable()
@Catch(HttpException)
class AskingFilter implements ExceptionFilter {
  constructor(private readonly store: SessionStore<Bag>) {}

  async catch(error: HttpException, host: ArgumentsHost) {
    const asked = await this.store.of(host).then(
      () => 'a session',
      ({ code }) => code as string,
    );
    host.switchToHttp().getResponse().status(error.getStatus()).send({ asked });
  }
}

@Controller('filtered')
@UseFilters(AskingFilter)
class Filtered {
  @All(':any')
  asking(@Session() _session: AnySession, @Param('any') any: string) {
    return run(any);
  }
}

const CROSS = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };
const SAME = { 'sec-fetch-site': 'same-origin' };

const running: RunningApp[] = [];
beforeEach(() => void ran.splice(0));
afterEach(async () => {
  for (const app of running.splice(0)) await app.stop();
});

async function open(stack: (typeof stackPerPlatform)[number][1], options: AppOptions = {}) {
  const app = await start(stack, {
    controllers: [Routes, Hooks, Filtered],
    imports: [MiddlewareModule],
    ...options,
  });
  running.push(app);
  const client = app.client();
  client.jar.set('sid', (await app.store.create()).id);
  app.reset();
  return { app, client };
}

const refusals = () => logs.filter((line) => line.includes('A cross-origin request was refused'));

function expectRefused(app: RunningApp, reply: Reply) {
  expect([reply.status, reply.json()]).toEqual([403, { statusCode: 403, message: 'Forbidden' }]);
  expect([ran, reply.setCookies, app.probe.names]).toEqual([[], [], []]);
  expect(app.events).toEqual([expect.objectContaining({ type: 'refused', at: expect.anything() })]);
  expect(refusals()).toHaveLength(1);
}

describe.each(stackPerPlatform)('cross-origin requests: %s', (_title, stack) => {
  it.each(['asking', 'value', 'used', 'unused', 'locked', 'guarded', 'intercepted', 'login'])(
    'by default one to %s is refused before anything is read or runs, and the log says why (S61)',
    async (path) => {
      const { app, client } = await open(stack);
      expectRefused(app, await client.post(`/routes/${path}`, { headers: CROSS }));
      expect(refusals()[0]).toContain('its Sec-Fetch-Site is "cross-site"');
      expect(refusals()[0]).toContain('its Origin is "https://evil.example"');
      expect(refusals()[0]).toContain('crossOrigin.trustedOrigins, or on its route with @AllowCrossOrigin()');
      const stranger = await app.client().post(`/routes/${path}`, { headers: CROSS });
      expect([stranger.status, stranger.setCookies, app.probe.names]).toEqual([403, [], []]);
    },
  );

  it.each(['PUT', 'PATCH', 'DELETE'])(
    'one by %s is refused as well, and passes from the same origin',
    async (method) => {
      const { app, client } = await open(stack);
      expectRefused(app, await client.get('/routes/asking', { method, headers: CROSS }));
      expect((await client.get('/routes/asking', { method, headers: SAME })).status).toBe(200);
      expect(app.probe.value(client.handle, 'n')).toBe(1);
    },
  );

  it.each(['GET', 'HEAD', 'OPTIONS'])('one by %s passes', async (method) => {
    const { app, client } = await open(stack);
    expect((await client.get('/routes/asking', { method, headers: CROSS })).status).toBe(200);
    expect([ran, app.eventTypes()]).toEqual([['asking'], []]);
  });

  it('what is no browser passes, and so do those that were typed, and those of a trusted origin', async () => {
    const { app, client } = await open(stack, {
      session: { crossOrigin: { trustedOrigins: ['https://app.example'] } },
    });
    for (const headers of [
      {},
      { 'sec-fetch-site': 'none' },
      { ...SAME, origin: 'null' },
      { 'sec-fetch-site': 'cross-site', origin: 'https://app.example' },
      { origin: 'https://APP.example:443' },
      { origin: `http://127.0.0.1:${app.port}` },
    ]) {
      expect((await client.post('/routes/asking', { headers })).status).toBe(200);
    }
    expect((await client.post('/routes/asking', { headers: CROSS })).status).toBe(403);
  });

  it('a route that asks for no session is not looked at', async () => {
    const { app, client } = await open(stack);
    expect((await client.post('/routes/plain', { headers: CROSS })).status).toBe(200);
    expect([app.probe.names, app.eventTypes()]).toEqual([[], []]);
  });

  it.each(['routes/allowed', 'routes/allowed-below', 'hooks/method'])(
    '@AllowCrossOrigin() on a method or a controller lets it in: %s',
    async (path) => {
      const { app, client } = await open(stack);
      const reply = await client.post(`/${path}`, { headers: CROSS });
      expect([reply.status, app.eventTypes()]).toEqual([200, []]);
      const stranger = app.client();
      const started = await stranger.post('/hooks/method', { headers: CROSS });
      expect(sessionCookies(started)).toHaveLength(1);
    },
  );

  it('@AllowCrossOrigin() frees nothing else: SessionGuard still refuses', async () => {
    const { client } = await open(stack);
    expect((await client.post('/routes/allowed-guarded', { headers: CROSS })).status).toBe(401);
    expect(ran).toEqual([]);
  });

  it("mode 'log' lets it in, with one event and one line in the log", async () => {
    const { app, client } = await open(stack, {
      session: { crossOrigin: { mode: 'log' } },
      providers: [{ provide: APP_GUARD, useClass: CrossOriginGuard }],
    });
    expect((await client.post('/routes/guarded', { headers: CROSS })).status).toBe(401);
    expect((await client.post('/routes/asking', { headers: CROSS })).status).toBe(200);
    expect(app.eventTypes()).toEqual(['refused', 'refused']);
    expect(refusals()).toHaveLength(2);
    expect(app.probe.value(client.handle, 'n')).toBe(1);
  });

  it("'allow' switches the check off", async () => {
    const { app, client } = await open(stack, { session: { crossOrigin: 'allow' } });
    expect((await client.post('/routes/asking', { headers: CROSS })).status).toBe(200);
    expect([app.eventTypes(), refusals()]).toEqual([[], []]);
  });
});

describe.each(stackPerPlatform)('cross-origin requests, on their way through Nest: %s', (_title, stack) => {
  it.each<[string, SessionModuleOptions]>([
    ['by default', {}],
    ["under 'allow'", { crossOrigin: 'allow' }],
  ])('CrossOriginGuard for all routes refuses on those without a session too, %s', async (_when, session) => {
    const { app, client } = await open(stack, {
      session,
      providers: [{ provide: APP_GUARD, useClass: CrossOriginGuard }],
    });
    expectRefused(app, await client.post('/routes/plain', { headers: CROSS }));
    app.reset();
    expectRefused(app, await client.post('/routes/asking', { headers: CROSS }));
    for (const path of ['routes/allowed', 'hooks/method']) {
      expect((await client.post(`/${path}`, { headers: CROSS })).status).toBe(200);
    }
    expect((await client.get('/routes/plain', { headers: CROSS })).status).toBe(200);
    expect((await client.post('/routes/plain', { headers: SAME })).status).toBe(200);
  });

  it('a middleware that asks for the session is refused like a route', async () => {
    const { app, client } = await open(stack);
    const reply = await client.post('/middleware/plain', { headers: CROSS });
    expectRefused(app, reply);
  });

  it("its { crossOrigin: 'allow' } frees that call alone: the route's own check still comes", async () => {
    const { app, client } = await open(stack);
    const headers = { ...CROSS, 'x-middleware': 'allows' };
    const plain = await client.post('/middleware/plain', { headers });
    expect([plain.status, ran, app.eventTypes()]).toEqual([200, ['middleware', 'plain'], []]);
    expect(app.probe.value(client.handle, 'm')).toBe(1);
    ran.length = 0;
    expect((await client.post('/middleware/asking', { headers })).status).toBe(403);
    expect([ran, app.eventTypes()]).toEqual([['middleware'], ['refused']]);
    expect((await client.post('/middleware/asking', { headers: SAME })).status).toBe(200);
  });

  it('a filter that asks again is refused again, and it is told once', async () => {
    const { app, client } = await open(stack);
    const reply = await client.post('/filtered/x', { headers: CROSS });
    expect([reply.status, reply.json()]).toEqual([403, { asked: 'ERR_SESSION_CROSS_ORIGIN' }]);
    expect([app.eventTypes(), refusals().length, app.probe.names]).toEqual([['refused'], 1, []]);
  });

  it.each<[string, AppOptions['trustProxy'], number]>([
    ['no proxy', undefined, 403],
    ['another proxy', '10.0.0.0/8', 403],
    ['this proxy', 'loopback', 200],
    ['every proxy', true, 200],
  ])('with trust in %s, X-Forwarded-Host counts accordingly: %#', async (_whom, trustProxy, status) => {
    const { client } = await open(stack, trustProxy === undefined ? {} : { trustProxy });
    const headers = {
      origin: 'https://shop.example:8443',
      host: 'inside:3000',
      'x-forwarded-host': 'shop.example:8443',
      'x-forwarded-proto': 'https',
    };
    expect((await client.post('/routes/asking', { headers })).status).toBe(status);
    const direct = { ...headers, origin: 'https://evil.example' };
    expect((await client.post('/routes/asking', { headers: direct })).status).toBe(403);
  });

  it('a bearer is not checked: no foreign page can send that header unasked (S63)', async () => {
    const { app, client } = await open(stack, { session: { transport: ['cookie', 'bearer'] } });
    const authorization = `Bearer ${client.sid}`;
    client.jar.clear();
    const reply = await client.post('/routes/asking', { headers: { ...CROSS, authorization } });
    expect([reply.status, app.eventTypes(), reply.setCookies]).toEqual([200, [], []]);
    const asking = { ...CROSS, 'x-session-transport': 'bearer' };
    expect((await client.post('/routes/asking', { headers: asking })).status).toBe(200);
    for (const other of ['Bearer an-oauth-token', 'Basic YTpi', '']) {
      const foreign = await client.post('/routes/asking', { headers: { ...CROSS, authorization: other } });
      expect(foreign.status).toBe(403);
    }
  });

  it('a refused answer is no answer of a session: it is like any error of the application', async () => {
    const { client } = await open(stack);
    const reply = await client.post('/routes/asking', { headers: CROSS });
    expect(members(reply.headers.vary)).not.toContain('cookie');
    expect(reply.headers['x-session-token']).toBeUndefined();
  });
});
