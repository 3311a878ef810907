import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Post, Session as PlainSession, type Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import express from 'express';
import expressSession from 'express-session';
import fastify from 'fastify';
import { Session, SessionStore } from 'nest-sessions';
import { Client } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { AppModule as FromExpress } from './recipes/moving/express.module.js';
import { AppModule as FromFastify } from './recipes/moving/fastify.module.js';
import { oldStore } from './recipes/moving/old-store.js';
import { AppModule as Rolling } from './recipes/moving/rolling.module.js';
import { run, sessions, start, stop, visit } from './support.js';

/** What docs/upgrading.md shows, at work, with express-session and @fastify/session themselves. */

const HOUR = 3_600_000;
const secret = 'what express-session had';
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0)) await close();
  await stop();
});
beforeEach(() => oldStore.clear());

@Controller()
class NewController {
  @Get('me')
  me(@Session() session: Session<Record<string, any>>) {
    return { userId: session.userId ?? null, since: session.authenticatedAt ?? null, data: session.toJSON() };
  }

  @Post('logout')
  async logout(@Session() session: Session) {
    await session.logout();
  }
}

/** A server that still uses express-session, as it would with Passport. */
async function oldServer(): Promise<number> {
  const app = express();
  const cookie = { maxAge: 2 * HOUR };
  app.use(expressSession({ secret, store: oldStore, resave: false, saveUninitialized: false, cookie }));
  app.get('/login', (request, response) => {
    request.session.regenerate(() => {
      Object.assign(request.session, { passport: { user: 'ada' }, cart: ['tea'] });
      request.session.save(() => response.end('welcome'));
    });
  });
  app.get('/me', (request, response) => {
    response.json({ userId: (request.session as any).passport?.user ?? null });
  });
  const server = await new Promise<Server>((resolve) => {
    const listening: Server = app.listen(0, '127.0.0.1', () => resolve(listening));
  });
  closing.push(() => (server.closeAllConnections(), server.close()));
  return (server.address() as AddressInfo).port;
}

async function newServer(module: Type): Promise<number> {
  const app = await start([NewController], [], [module]);
  await app.listen(0, '127.0.0.1');
  return (app.getHttpServer().address() as AddressInfo).port;
}

/** One browser for several servers behind one address. */
function browse(...ports: number[]) {
  const clients = ports.map((port) => new Client(port));
  for (const client of clients) {
    closing.push(() => client.close());
    Object.assign(client, { jar: clients[0]!.jar });
  }
  return clients;
}

it('a session of express-session goes on', async () => {
  const [before, after] = browse(await oldServer(), await newServer(FromExpress));
  await before!.get('/login');
  const me = await after!.get('/me');
  expect(me.json()).toMatchObject({ userId: 'ada', data: { cart: ['tea'] } });
  await after!.get('/me');
  expect([...after!.jar.keys()]).toEqual(['sid']);
  expect((await before!.get('/me')).json()).toEqual({ userId: null });
});

it('a session of @fastify/session goes on, as the application says', async () => {
  const old = fastify();
  await old.register(fastifyCookie);
  await old.register(fastifySession, {
    secret: 'what @fastify/session had, 32 characters or more',
    cookie: { secure: false },
    store: oldStore as any,
  });
  const loggedInAt = '2026-01-01T12:00:00.000Z';
  old.get('/login', async (request) => {
    Object.assign(request.session, { account: { id: 7 }, cart: ['tea'], loggedInAt, other: 1 });
    return 'welcome';
  });
  await old.listen({ port: 0, host: '127.0.0.1' });
  closing.push(() => old.close());
  const { port } = old.server.address() as AddressInfo;
  const [before, after] = browse(port, await newServer(FromFastify));
  await before!.get('/login');
  const me = await after!.get('/me');
  expect(me.json()).toEqual({ userId: '7', since: loggedInAt, data: { cart: ['tea'] } });
});

describe('while old and new servers run', () => {
  beforeEach(() => freezeTime());
  afterEach(unfreezeTime);

  it('a login holds on both, and a logout of the new ones too', async () => {
    const [before, after] = browse(await oldServer(), await newServer(Rolling));
    await before!.get('/login');
    for (let i = 0; i < 3; i++) {
      expect((await after!.get('/me')).json()).toMatchObject({ userId: 'ada' });
      expect((await before!.get('/me')).json()).toEqual({ userId: 'ada' });
    }
    expect([...after!.jar.keys()].toSorted()).toEqual(['connect.sid', 'sid']);
    await after!.post('/logout');
    for (let i = 0; i < 2; i++) {
      expect((await before!.get('/me')).json()).toEqual({ userId: null });
      expect((await after!.get('/me')).json()).toMatchObject({ userId: null });
    }
  });

  it('who is new on the one is so on the other, and ten requests at once are one session', async () => {
    const [before, after] = browse(await oldServer(), await newServer(Rolling));
    await before!.get('/login');
    const cookie = `connect.sid=${before!.jar.get('connect.sid')}`;
    const asked = Array.from({ length: 10 }, () => after!.get('/me', { cookie }));
    const ids = (await Promise.all(asked)).map(({ setCookies }) => setCookies[0]?.value);
    expect(new Set(ids).size).toBe(1);
  });

  it('it is over at its time: the old cookie goes, and who has only that logs in', async () => {
    const [before, after] = browse(await oldServer(), await newServer(Rolling));
    const [late] = browse(await oldServer());
    await before!.get('/login');
    await after!.get('/me');
    passTime(Date.parse('2027-01-31T06:00:00Z') - Date.now() - 1);
    await late!.get('/login');
    await before!.get('/login');
    await after!.get('/me');
    passTime(1);
    expect((await after!.get('/me')).json()).toMatchObject({ userId: 'ada' });
    expect([...after!.jar.keys()]).toEqual(['sid']);
    const cookie = `connect.sid=${late!.jar.get('connect.sid')}`;
    expect((await after!.get('/me', { cookie })).json()).toMatchObject({ userId: null });
  });
});

describe('both libraries in one application', () => {
  @Controller()
  class OldController {
    @Get('old')
    old(@PlainSession() session: Record<string, unknown>) {
      return { n: (session['n'] = Number(session['n'] ?? 0) + 1) };
    }

    @Get('new')
    new(@Session() session: Session<{ n: number }>) {
      session.set('n', (session.get('n') ?? 0) + 1);
      return { n: session.get('n') };
    }
  }

  it('live side by side, while routes move over', async () => {
    const module = await Test.createTestingModule({ imports: [sessions()], controllers: [OldController] });
    const app = run((await module.compile()).createNestApplication({ logger: false }));
    app.use(expressSession({ secret, resave: false, saveUninitialized: false }));
    const agent = visit(await app.init());
    for (const n of [1, 2]) {
      await agent.get('/old').expect({ n });
      await agent.get('/new').expect({ n });
    }
    expect(await app.get(SessionStore).count()).toBe(1);
  });
});
