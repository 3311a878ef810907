import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type INestApplication, Module, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Session, SessionGuard, SessionModule, SessionStore } from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { sessionCookie } from '../../src/testing/index.js';
import { type Bag, failureOf } from '../support/session-bench.js';

@Controller()
class ProfileController {
  @Get('me')
  @UseGuards(SessionGuard)
  me(@Session() session: Session<Bag>) {
    return { user: session.userId, data: session.toJSON(), expiresAt: session.expiresAt };
  }
}

@Module({})
class App {}

const running: INestApplication[] = [];

afterEach(async () => {
  for (const app of running.splice(0)) await app.close();
});

describe.each(['express', 'fastify'])('sessionCookie of nest-sessions/testing: %s', (platform) => {
  async function start(options: SessionModuleOptions & { isGlobal?: boolean } = {}) {
    const sessions = SessionModule.forRoot(options);
    const app = await NestFactory.create(
      { module: App, imports: [sessions], controllers: [ProfileController] },
      platform === 'express' ? new ExpressAdapter() : new FastifyAdapter(),
      { logger: false, abortOnError: false },
    );
    running.push(app);
    await app.listen(0, '127.0.0.1');
    return app;
  }

  const get = async (app: INestApplication, cookie?: string) => {
    const reply = await fetch(
      `${await app.getUrl()}/me`,
      cookie === undefined ? {} : { headers: { cookie } },
    );
    return { status: reply.status, body: (await reply.json()) as Bag };
  };

  it.each<[title: string, options: SessionModuleOptions & { isGlobal?: boolean }, name: string]>([
    ['with the defaults', {}, 'sid'],
    ['with a signed cookie', { secret: 'keyboard cat' }, 'sid'],
    ['with several secrets', { secret: ['new', 'old'] }, 'sid'],
    ['with another name', { cookieName: '__Host-app' }, '__Host-app'],
    ['with a module that is not global', { isGlobal: false }, 'sid'],
    ['with a Secure cookie', { cookie: { secure: true } }, 'sid'],
  ])('starts logged in %s', async (_title, options, name) => {
    const app = await start(options);
    const cookie = await sessionCookie(app, { userId: 'ada', data: { basket: [1] }, ttl: '2h' });
    expect(cookie).toMatch(new RegExp(`^${name}=[^;\\s]+$`));
    const { status, body } = await get(app, cookie);
    expect(status).toBe(200);
    expect(body).toMatchObject({ user: 'ada', data: { basket: [1] } });
    const left = Date.parse(body.expiresAt) - Date.now();
    expect(left).toBeGreaterThan(7_100_000);
    expect(left).toBeLessThanOrEqual(7_200_000);
  });

  it('the signature counts: with a letter of it changed nobody is logged in (S9)', async () => {
    const app = await start({ secret: 'keyboard cat' });
    const cookie = await sessionCookie(app, { userId: 'ada' });
    expect(cookie).toMatch(/^sid=s%3A/);
    const at = cookie.lastIndexOf('.') + 5;
    const other = cookie[at] === 'A' ? 'B' : 'A';
    expect((await get(app, cookie.slice(0, at) + other + cookie.slice(at + 1))).status).toBe(401);
    expect((await get(app, cookie)).status).toBe(200);
  });

  it('without a user it is a session of nobody, and each call makes another', async () => {
    const app = await start();
    const [one, two] = [await sessionCookie(app), await sessionCookie(app, { data: { n: 1 } })];
    expect(one).not.toBe(two);
    expect((await get(app, one)).status).toBe(401);
    expect(await app.get(SessionStore).count()).toBe(2);
  });

  it('works before the application listens, and takes an id of its own', async () => {
    const sessions = SessionModule.forRoot();
    const app = await NestFactory.create(
      { module: App, imports: [sessions] },
      { logger: false, abortOnError: false },
    );
    running.push(app);
    const id = 'chosen-for-the-test-0123456789';
    expect(await sessionCookie(app, { id })).toBe(`sid=${id}`);
  });

  it('an application without sessions is a clear error', async () => {
    const app = await NestFactory.create({ module: App }, { logger: false, abortOnError: false });
    running.push(app);
    expect((await failureOf(() => sessionCookie(app))).message).toMatch(/SessionStore|SessionModule/);
  });
});
