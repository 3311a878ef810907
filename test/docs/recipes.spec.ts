import { CacheInterceptor, CacheModule } from '@nestjs/cache-manager';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Module } from '@nestjs/common';
import { APP_INTERCEPTOR, NestFactory } from '@nestjs/core';
import { SchedulerRegistry } from '@nestjs/schedule';
import { Session, SessionStore } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import request from 'supertest';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { PublicCacheInterceptor } from './recipes/cache.js';
import { AppModule as ConfiguredModule } from './recipes/config.module.js';
import { CounterController } from './recipes/counter.controller.js';
import { Mail } from './recipes/mail.js';
import { NoticeController } from './recipes/notice.controller.js';
import { onExpress, onFastify } from './recipes/platforms.js';
import { PollController } from './recipes/poll.controller.js';
import { AppModule as PollModule } from './recipes/poll.module.js';
import { AppModule as ScheduledModule } from './recipes/schedule.module.js';
import { ExportWorker } from './recipes/worker.js';
import { run, sessions, start, stop, urlOf, visit } from './support.js';

/** What docs/recipes.md shows, at work. That it is the same code is for readme.spec.ts to say. */
afterEach(stop);

it('flash', async () => {
  const agent = visit(await start([NoticeController]));
  await agent.post('/orders').expect(303);
  await agent.get('/orders').expect('Thank you for your order.');
  await agent.get('/orders').expect('Your orders');
});

it('tap, a plain write and a lock', async () => {
  const app = await start([CounterController], [Mail]);
  await app.listen(0, '127.0.0.1');
  const cookie = await sessionCookie(app, {});
  const post = (path: string) =>
    fetch(urlOf(app) + path, { method: 'POST', headers: { cookie } }).then((answer) => answer.text());
  const paths = ['/mail', '/theme', ...Array.from({ length: 10 }, () => '/clicks'), '/mail', '/mail'];
  await Promise.all(paths.map(post));
  const session = await app.get(SessionStore).load(cookie.replace('sid=', ''));
  expect(session!.toJSON()).toEqual({ clicks: 10, theme: 'dark', mailed: true });
  expect(app.get(Mail).sent).toEqual(['Welcome']);
});

describe('a poll', () => {
  afterEach(unfreezeTime);

  it.each([
    ['of a route that is no use', [PollController], [sessions()], '/unread', {}],
    ['that says so itself', [], [PollModule], '/mail', { 'x-poll': '1' }],
  ])('%s keeps nobody logged in', async (_which, controllers, imports, path, headers) => {
    freezeTime();
    const app = await start(controllers, [], imports);
    const cookie = await sessionCookie(app, { ttl: '30m' });
    const left = async () => {
      const session = await app.get(SessionStore).load(cookie.replace('sid=', ''));
      return session && (session.expiresAt.getTime() - Date.now()) / 60_000;
    };
    passTime(10 * 60_000);
    const poll = await visit(app).get(path).set(headers).set('Cookie', cookie).expect(200);
    expect(poll.headers['set-cookie']).toBeUndefined();
    expect(await left()).toBe(20);
    await visit(app).get('/mail').set('Cookie', cookie).expect(200);
    expect(await left()).toBe(30);
  });
});

describe("Nest's CacheInterceptor", () => {
  @Controller()
  class AccountPage {
    @Get('account')
    account(@Session() session: Session) {
      return `Account of ${session.userId}`;
    }

    @Get('terms')
    terms() {
      return new Date().toISOString();
    }
  }

  /** What grace sees of the page that ada looked at before. */
  async function secondLook(useClass: typeof CacheInterceptor) {
    const cache = { provide: APP_INTERCEPTOR, useClass };
    const app = await start([AccountPage], [cache], [sessions(), CacheModule.register()]);
    const ask = async (path: string, userId?: string) => {
      const cookie = userId ? await sessionCookie(app, { userId }) : '';
      return (await visit(app).get(path).set('Cookie', cookie)).text;
    };
    expect(await ask('/account', 'ada')).toBe('Account of ada');
    expect(await ask('/terms')).toBe(await ask('/terms'));
    return ask('/account', 'grace');
  }

  it("serves one user's page to the next, as it is", async () => {
    expect(await secondLook(CacheInterceptor)).toBe('Account of ada');
  });

  it('does not, where it leaves requests with a cookie alone', async () => {
    expect(await secondLook(PublicCacheInterceptor)).toBe('Account of grace');
  });
});

it.each([
  ['Express', onExpress],
  ['Fastify', onFastify],
])('behind a proxy: %s', async (_platform, create) => {
  @Module({ imports: [sessions()], controllers: [NoticeController] })
  class AppModule {}
  jest.spyOn(process.stdout, 'write').mockReturnValue(true);
  const app = run(await create(AppModule));
  await app.listen(0, '127.0.0.1');
  const agent = request(urlOf(app));
  const plain = await agent.post('/orders');
  const proxied = await agent.post('/orders').set('X-Forwarded-Proto', 'https');
  expect(String(plain.headers['set-cookie'])).not.toContain('Secure');
  expect(String(proxied.headers['set-cookie'])).toContain('Secure');
});

it('a worker without HTTP', async () => {
  @Module({ imports: [sessions()], providers: [ExportWorker] })
  class WorkerModule {}
  const worker = await NestFactory.createApplicationContext(WorkerModule, { logger: false });
  const store = worker.get<SessionStore>(SessionStore);
  const { id } = await store.create();
  expect(await worker.get(ExportWorker).finished(id, 100)).toBe(true);
  expect((await store.load(id))!.get('exported')).toBe(100);
  await store.destroy(id);
  expect(await worker.get(ExportWorker).finished(id, 100)).toBe(false);
  await worker.close();
});

it('purging, in the scheduler of the application', async () => {
  const app = await start([], [], [ScheduledModule]);
  const job = app.get(SchedulerRegistry).getCronJob('session.purge');
  expect(job.cronTime.source).toBe('*/10 * * * *');
});

it('options from elsewhere', async () => {
  expect(await sessionCookie(await start([], [], [ConfiguredModule]))).toMatch(/^sid=s%3A/);
});
