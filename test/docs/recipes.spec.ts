import { once } from 'node:events';
import type { IncomingMessage, ServerResponse } from 'node:http';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { type DynamicModule, type INestApplication, Logger, Module, type Type } from '@nestjs/common';
import { Controller, Get, Session as PlainSession } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { Test } from '@nestjs/testing';
import expressSession from 'express-session';
import { Session, SessionModule, SessionStore } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import request from 'supertest';
import { AccountController } from './recipes/account.controller.js';
import { AdminGuard } from './recipes/admin.guard.js';
import { useSession, useStore } from './recipes/api.js';
import { AuditService } from './recipes/audit.service.js';
import { AppModule as ConfiguredModule } from './recipes/config.module.js';
import { CounterController } from './recipes/counter.controller.js';
import { ImportController } from './recipes/import.controller.js';
import { Mail } from './recipes/mail.js';
import { NoticeController } from './recipes/notice.controller.js';
import { onExpress, onFastify } from './recipes/platforms.js';
import { ProfileController } from './recipes/profile.controller.js';
import { AppModule as ScheduledModule } from './recipes/schedule.module.js';
import { Sockets } from './recipes/sockets.js';
import { Users } from './recipes/users.js';
import { ExportWorker } from './recipes/worker.js';
import { AppModule as StartModule } from './start/app.module.js';

/** What README.md shows, at work. That it is the same code is for readme.spec.ts to say. */
let app: INestApplication;

// oxlint-disable-next-line typescript/no-extraneous-class
class Root {}

const sessions = () => SessionModule.forRoot({ purge: false });

async function start(controllers: Type[], providers: Type[] = [], imports: DynamicModule[] = [sessions()]) {
  const module = await Test.createTestingModule({ imports, controllers, providers }).compile();
  app = await module.createNestApplication({ logger: false }).init();
  return request.agent(app.getHttpServer());
}

afterEach(async () => {
  jest.restoreAllMocks();
  await app?.close();
});

describe('60 seconds', () => {
  let port: string | undefined;
  beforeEach(() => {
    port = process.env['PORT'];
    process.env['PORT'] = '0';
  });
  afterEach(() => {
    if (port === undefined) delete process.env['PORT'];
    else process.env['PORT'] = port;
  });

  it('main.ts starts it as it stands', async () => {
    const create = jest.spyOn(NestFactory, 'create');
    jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    await import('./start/main.js');
    app = await (create.mock.results[0]!.value as Promise<INestApplication>);
    const agent = request.agent(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
    await agent.get('/').expect(200, '1 visits');
    await agent.get('/').expect(200, '2 visits');
    await agent.get('/visitors').expect(200, '1 visitors');
    expect(app.select(StartModule)).toBeDefined();
  });
});

describe('the API', () => {
  it('a session does what the comments say', async () => {
    await start([]);
    const seen: unknown[] = [];
    await useSession(await app.get<SessionStore<any>>(SessionStore).create(), seen);
    const cart = { items: [{ sku: 'tea', qty: 2 }] };
    expect(seen).toEqual([1, true, 'SPRING', 1, false, ['visits', 'cart'], { visits: 2, cart }]);
  });

  it('the store does what the comments say', async () => {
    await start([]);
    const seen: unknown[] = [];
    await useStore(app.get(SessionStore), seen);
    const info = { userId: 'ada', data: { visits: 3 }, authenticatedAt: expect.any(Date) };
    expect(seen).toEqual([3, [expect.objectContaining(info)], 0, true, false, 0, true, 0]);
  });

  it('decorators and guards', async () => {
    const agent = await start([ProfileController]);
    await agent.get('/profile').expect(401);
    await agent.get('/theme').expect('light');
    await agent.get('/ping').expect('pong');
    await agent.get('/news').expect(/Hello, visitor/);
  });

  it('the guard of its own', async () => {
    await start([], [AdminGuard]);
    const response = { setHeader: () => undefined, on: () => undefined };
    const ask = async (data: object) => {
      const headers = { cookie: await sessionCookie(app, { data }) };
      const context: any = {
        getType: () => 'http',
        switchToHttp: () => ({ getRequest: () => ({ headers }), getResponse: () => response }),
      };
      return app.get(AdminGuard).canActivate(context);
    };
    expect([await ask({ role: 'admin' }), await ask({ role: 'guest' })]).toEqual([true, false]);
  });

  it('a cookie by hand', async () => {
    const agent = await start([ImportController]);
    const { headers, text } = await agent.get('/start').expect(200);
    expect(headers['set-cookie']![0]).toMatch(
      /^sid=[\w-]{22}\.[\w-]{43}; Max-Age=600; Path=\/; HttpOnly; SameSite=Lax$/,
    );
    expect(headers['set-cookie']![0]).toContain(text.replace('Session ', 'sid='));
  });

  it('events', async () => {
    const log = jest.spyOn(Logger.prototype, 'log').mockReturnValue();
    await start([], [AuditService]);
    const { handle } = await app.get(SessionStore).create({ userId: 'ada' });
    expect(log).toHaveBeenCalledWith({ type: 'created', handle, userId: 'ada', at: expect.any(Date) });
  });
});

describe('recipes', () => {
  const ada = { name: 'ada', password: 'engine-1843' };
  const idOf = (answer: request.Response) => /sid=([^;]+)/.exec(String(answer.headers['set-cookie']))?.[1];

  it('login, remember me, logout', async () => {
    const agent = await start([AccountController], [Users]);
    await agent
      .post('/login')
      .send({ ...ada, password: 'wrong' })
      .expect(401);
    const short = await agent.post('/login').send(ada).expect(204);
    expect(String(short.headers['set-cookie'])).toContain('Max-Age=3600');
    const long = await agent
      .post('/login')
      .send({ ...ada, remember: true })
      .expect(204);
    expect(String(long.headers['set-cookie'])).toContain('Max-Age=2592000');
    expect(idOf(long)).not.toBe(idOf(short));
    const { headers } = await agent.post('/logout').expect(204);
    expect(String(headers['set-cookie'])).toContain('Max-Age=0');
    await agent.get('/devices').expect(401);
  });

  it('your devices: listed and ended, and nobody else’s', async () => {
    const agent = await start([AccountController], [Users]);
    await agent.post('/login').send(ada);
    const store = app.get(SessionStore);
    const other = await store.create({ userId: 'ada' });
    const stranger = await store.create({ userId: 'grace' });
    const { body } = await agent.get('/devices').expect(200);
    expect(body.map((device: { thisOne: boolean }) => device.thisOne).toSorted()).toEqual([false, true]);
    await agent.delete(`/devices/${stranger.handle}`).expect(404);
    await agent.delete(`/devices/${other.handle}`).expect(204);
    expect(await store.load(other.id)).toBeUndefined();
    expect(await store.load(stranger.id)).toBeDefined();
  });

  it('a new password ends the other sessions and changes the id of this one', async () => {
    const agent = await start([AccountController], [Users]);
    const before = await agent.post('/login').send(ada);
    const other = await app.get(SessionStore).create({ userId: 'ada' });
    const after = await agent.post('/password').send({ password: 'new' }).expect(204);
    expect(idOf(after)).not.toBe(idOf(before));
    expect(await app.get(SessionStore).load(other.id)).toBeUndefined();
    await agent.get('/devices').expect(200);
  });

  it('flash', async () => {
    const agent = await start([NoticeController]);
    await agent.post('/orders').expect(303);
    await agent.get('/orders').expect('Thank you for your order.');
    await agent.get('/orders').expect('Your orders');
  });

  it('tap, a plain write and a lock', async () => {
    await start([CounterController], [Mail]);
    await app.listen(0, '127.0.0.1');
    const cookie = await sessionCookie(app, {});
    const port = (app.getHttpServer().address() as AddressInfo).port;
    const post = (path: string) =>
      fetch(`http://127.0.0.1:${port}${path}`, { method: 'POST', headers: { cookie } }).then((r) => r.text());
    const paths = ['/mail', '/theme', ...Array.from({ length: 10 }, () => '/clicks'), '/mail', '/mail'];
    await Promise.all(paths.map(post));
    const session = await app.get(SessionStore).load(cookie.replace('sid=', ''));
    expect(session!.toJSON()).toEqual({ clicks: 10, theme: 'dark', mailed: true });
    expect(app.get(Mail).sent).toEqual(['Welcome']);
  });

  it.each([
    ['Express', onExpress],
    ['Fastify', onFastify],
  ])('behind a proxy: %s', async (_platform, create) => {
    @Module({ imports: [sessions()], controllers: [NoticeController] })
    class AppModule {}
    jest.spyOn(process.stdout, 'write').mockReturnValue(true);
    app = await create(AppModule);
    await app.listen(0, '127.0.0.1');
    const agent = request(`http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`);
    const plain = await agent.post('/orders');
    const proxied = await agent.post('/orders').set('X-Forwarded-Proto', 'https');
    expect(String(plain.headers['set-cookie'])).not.toContain('Secure');
    expect(String(proxied.headers['set-cookie'])).toContain('Secure');
  });

  it('sockets', async () => {
    await start([], [Sockets]);
    await app.listen(0, '127.0.0.1');
    const sockets = app.get(Sockets);
    const server: http.Server = app.getHttpServer();
    const { port } = server.address() as AddressInfo;
    const connect = async (cookie: string) => {
      const upgraded = once(server, 'upgrade');
      const headers = { Connection: 'Upgrade', Upgrade: 'websocket', cookie };
      const client = http.get({ port, host: '127.0.0.1', headers }).on('error', () => undefined);
      const [handshake, socket] = await upgraded;
      const who = await sockets.connected(handshake as IncomingMessage);
      (socket as ServerResponse).destroy();
      client.destroy();
      return who;
    };
    const cookie = await sessionCookie(app, { userId: 'ada' });
    const who = await connect(cookie);
    expect(who?.userId).toBe('ada');
    expect(await connect(await sessionCookie(app, {}))).toBeUndefined();
    expect(await connect('sid=nonsense')).toBeUndefined();
    expect(await Promise.all([sockets.message(who!.id), sockets.message(who!.id)])).toEqual([1, 2]);
    await app.get(SessionStore).destroy(who!.id);
    await expect(sockets.message(who!.id)).rejects.toMatchObject({ code: 'ERR_SESSION_GONE' });
  });

  it('a worker without HTTP', async () => {
    const worker = await NestFactory.createApplicationContext(
      { module: Root, imports: [sessions()], providers: [ExportWorker] },
      { logger: false },
    );
    const store = worker.get<SessionStore>(SessionStore);
    const { id } = await store.create();
    expect(await worker.get(ExportWorker).finished(id, 100)).toBe(true);
    expect((await store.load(id))!.get('exported')).toBe(100);
    await store.destroy(id);
    expect(await worker.get(ExportWorker).finished(id, 100)).toBe(false);
    await worker.close();
  });

  it('purging, in the scheduler of the application', async () => {
    const module = await Test.createTestingModule({ imports: [ScheduledModule] }).compile();
    app = await module.createNestApplication({ logger: false }).init();
    const job = app.get(SchedulerRegistry).getCronJob('session.purge');
    expect(job.cronTime.source).toBe('*/10 * * * *');
  });

  it('options from elsewhere', async () => {
    const module = await Test.createTestingModule({ imports: [ConfiguredModule] }).compile();
    app = await module.createNestApplication({ logger: false }).init();
    expect(await sessionCookie(app)).toMatch(/^sid=s%3A/);
  });

  it('both libraries side by side, while routes move over', async () => {
    @Controller()
    class BothController {
      @Get('old')
      old(@PlainSession() session: Record<string, number>) {
        return { n: (session['n'] = (session['n'] ?? 0) + 1) };
      }
      @Get('new')
      new(@Session() session: Session<{ n: number }>) {
        session.set('n', (session.get('n') ?? 0) + 1);
        return session.toJSON();
      }
    }
    const module = await Test.createTestingModule({
      imports: [sessions()],
      controllers: [BothController],
    }).compile();
    app = module.createNestApplication({ logger: false });
    app.use(expressSession({ secret: 'secret', resave: false, saveUninitialized: false }));
    await app.init();
    const agent = request.agent(app.getHttpServer());
    for (const n of [1, 2]) for (const path of ['/old', '/new']) await agent.get(path).expect({ n });
  });
});
