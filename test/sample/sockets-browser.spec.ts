import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { WsAdapter } from '@nestjs/platform-ws';
import { type OnGatewayConnection, WebSocketGateway } from '@nestjs/websockets';
import { SessionModule, type SessionModuleOptions } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import { SessionSockets, SessionSocketsModule, withSessions } from 'nest-sessions/websockets';
import type { Browser, BrowserContext, Page } from 'playwright-core';

import { createApp, type Platform } from '../../sample/app.js';
import { Root } from '../support/app.js';
import { Server as RedisServer } from '../storage/redis/support/server.js';
import { describeInChromium, launch } from './chromium.js';

jest.setTimeout(30_000);

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

let browser: Browser;
let context: BrowserContext;
beforeAll(async () => void (browser = await launch().catch(() => undefined as never)));
afterAll(() => browser?.close());
beforeEach(async () => {
  context = await browser.newContext();
  context.setDefaultTimeout(10_000);
});
afterEach(() => context.close());

describeInChromium('sockets that pages of other origins open', (platform) => {
  /** For whom sockets opened. */
  const opened: (string | undefined)[] = [];

  @WebSocketGateway()
  class Gateway implements OnGatewayConnection {
    constructor(private readonly sockets: SessionSockets) {}
    handleConnection(socket: object) {
      opened.push(this.sockets.info(socket)?.userId);
    }
  }

  let app: INestApplication;
  let foreign: Server;
  const page = () =>
    createServer((_, response) => response.setHeader('Content-Type', 'text/html').end('<p>'));

  async function start(session: SessionModuleOptions = {}) {
    foreign = page();
    await once(foreign.listen(0), 'listening');
    opened.length = 0;
    const module = {
      module: class extends Root {},
      imports: [SessionModule.forRoot({ purge: false, ...session }), SessionSocketsModule],
      providers: [Gateway],
    };
    const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
    app = await NestFactory.create(module, adapter, { logger: false });
    app.useWebSocketAdapter(withSessions(new WsAdapter(app), app));
    await app.listen(0);
    const value = (await sessionCookie(app, { userId: 'ada' })).slice(4);
    await context.addCookies([{ name: 'sid', value, domain: 'localhost', path: '/', sameSite: 'Lax' }]);
  }
  afterEach(async () => {
    await app.close();
    foreign.close();
  });

  /** What a script of this origin gets: a socket, or none. */
  async function connectFrom(origin: string): Promise<string> {
    const from = await context.newPage();
    await from.goto(origin);
    return from.evaluate(
      `new Promise((resolve) => {
        const socket = new WebSocket('ws://localhost:${portOf(app.getHttpServer())}');
        socket.onopen = () => resolve('open');
        socket.onerror = () => resolve('refused');
      })`,
    ) as Promise<string>;
  }
  const own = () => `http://localhost:${portOf(app.getHttpServer())}/`;
  const sibling = () => `http://localhost:${portOf(foreign)}/`;
  const evil = () => `http://127.0.0.1:${portOf(foreign)}/`;

  test('do not open, though the browser sends the cookie (S61, S64)', async () => {
    await start();
    expect(await connectFrom(sibling())).toBe('refused');
    expect(await connectFrom(evil())).toBe('refused');
    expect(opened).toEqual([]);
    expect(await connectFrom(own())).toBe('open');
    expect(opened).toEqual(['ada']);
  });

  test('would open as the user, were they not checked', async () => {
    await start({ crossOrigin: 'allow' });
    expect(await connectFrom(sibling())).toBe('open');
    expect(opened).toEqual(['ada']);
  });

  test('open for an origin that is trusted', async () => {
    const origin = page();
    await once(origin.listen(0), 'listening');
    const trusted = `http://localhost:${portOf(origin)}`;
    await start({ crossOrigin: { trustedOrigins: [trusted] } });
    expect(await connectFrom(trusted)).toBe('open');
    origin.close();
  });
});

/** The pad in two windows of one browser, of one application or of two. */
function drivePad(addresses: () => string[]) {
  const openPad = async (at: string): Promise<Page> => {
    const page = await context.newPage();
    await page.goto(`${at}/pad`);
    return page;
  };
  const login = async (at: string) => {
    const page = await openPad(at);
    await page.getByLabel('User name').fill('ada');
    await page.getByLabel('Password').fill('engine-1843');
    await Promise.all([page.waitForURL('**/pad'), page.getByRole('button', { name: 'Log in' }).click()]);
    return page;
  };
  const pad = (page: Page) => page.getByLabel('Your pad');
  const connection = (page: Page, text: string) => page.locator('#connection', { hasText: text }).waitFor();

  test('two windows see each other, and logging out in one closes the other (S64)', async () => {
    const [here = '', there = here] = addresses();
    const one = await login(here);
    const two = await openPad(there);
    await Promise.all([connection(one, 'Connected.'), connection(two, 'Connected.')]);
    await pad(one).fill('flour, sugar');
    await connection(two, 'Written in another window.');
    expect(await pad(two).inputValue()).toBe('flour, sugar');
    await pad(two).fill('flour, sugar, eggs');
    await connection(two, 'Saved.');
    await connection(one, 'Written in another window.');
    expect(await pad(one).inputValue()).toBe('flour, sugar, eggs');
    const three = await openPad(here);
    expect(await pad(three).inputValue()).toBe('flour, sugar, eggs');
    await three.close();

    await one.getByRole('button', { name: 'Log out' }).click();
    await connection(two, 'You have been logged out.');
    expect(await pad(two).isDisabled()).toBe(true);
  });
}

describeInChromium('the pad of the sample', (platform: Platform) => {
  let app: INestApplication;
  beforeAll(async () => {
    app = await createApp(platform);
    await app.listen(0);
  });
  afterAll(() => app?.close());
  drivePad(() => [`http://localhost:${portOf(app.getHttpServer())}`]);
});

describeInChromium('the pad of the sample over two nodes', (platform: Platform) => {
  const nodes: INestApplication[] = [];
  let redis: RedisServer;
  beforeAll(async () => {
    redis = await RedisServer.start();
    process.env.REDIS_URL = redis.url;
    for (let i = 0; i < 2; i++) {
      const node = await createApp(platform);
      await node.listen(0);
      nodes.push(node);
    }
  });
  afterAll(async () => {
    delete process.env.REDIS_URL;
    await Promise.all(nodes.splice(0).map((node) => node.close()));
    await redis?.end();
  });
  drivePad(() => nodes.map((node) => `http://localhost:${portOf(node.getHttpServer())}`));
});
