import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type IncomingMessage, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';

import { afterAll, afterEach, beforeAll, beforeEach, expect, jest, test } from '@jest/globals';
import { Controller, Get, type INestApplication, Post, UseGuards } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { Session, SessionGuard, SessionModule } from 'nest-sessions';
import type { Browser, BrowserContext, Page } from 'playwright-core';

import { createApp, type Platform } from '../../sample/app.js';
import { describeInChromium, launch } from './chromium.js';

jest.setTimeout(30_000);

const portOf = (server: { address(): unknown }) => (server.address() as AddressInfo).port;

/** Forms and scripts of somebody else's: `/form?to=…&user=…` sends all but `to`, other paths are empty pages. */
async function serveForeignPages(): Promise<Server> {
  const server = createServer((request, response) => {
    const { pathname, searchParams } = new URL(request.url!, 'http://localhost');
    const { to, ...fields } = Object.fromEntries(searchParams);
    const inputs = Object.entries(fields).map(([name, value]) => `<input name="${name}" value="${value}">`);
    response
      .setHeader('Content-Type', 'text/html')
      .end(
        pathname === '/form'
          ? `<form method="post" action="${to}">${inputs.join('')}<button>Win</button></form>`
          : '',
      );
  });
  await once(server.listen(0), 'listening');
  return server;
}

const openings: BrowserContext[] = [];
async function pageOf(browser: Browser): Promise<Page> {
  const context = await browser.newContext();
  openings.push(context);
  context.setDefaultTimeout(10_000);
  return context.newPage();
}
afterEach(async () => {
  await Promise.all(openings.splice(0).map((context) => context.close()));
});

/**
 * A browser, an application, and pages of other origins.
 *
 * @param prepare makes the application, given the origin of another site, and another origin of the same site
 */
function drive(prepare: (evil: string, sibling: string) => Promise<INestApplication>) {
  let browser: Browser;
  let app: INestApplication;
  let foreign: Server;
  let [own, evil, sibling] = ['', '', ''];

  beforeAll(async () => {
    foreign = await serveForeignPages();
    evil = `http://127.0.0.1:${portOf(foreign)}`;
    // Browsers send it cookies, as a site has no port.
    sibling = `http://localhost:${portOf(foreign)}`;
    app = await prepare(evil, sibling);
    await app.listen(0);
    own = `http://localhost:${portOf(app.getHttpServer())}`;
    browser = await launch();
  });
  afterAll(async () => {
    await browser?.close();
    await app?.close();
    foreign?.close();
  });
  return {
    open: () => pageOf(browser),
    url: (path: string) => own + path,
    evil: (path: string) => evil + path,
    sibling: (path: string) => sibling + path,
  };
}

const click = (page: Page, name: string) =>
  Promise.all([page.waitForEvent('load'), page.getByRole('button', { name, exact: true }).click()]);
const heading = (page: Page) => page.getByRole('heading', { level: 1 }).innerText();

describeInChromium('the forms of the sample under Referrer-Policy: no-referrer', (platform) => {
  const posted: IncomingHttpHeaders[] = [];
  beforeEach(() => void posted.splice(0));

  const { open, url, evil, sibling } = drive(async () => {
    const app = await createApp(platform);
    app.use((request: IncomingMessage, response: any, next: () => void) => {
      (response.raw ?? response).setHeader('Referrer-Policy', 'no-referrer');
      if (request.method === 'POST') posted.push(request.headers);
      next();
    });
    return app;
  });

  test('work, though the browser sends Origin: null (S62)', async () => {
    const page = await open();
    await page.goto(url('/notes'));
    await page.getByLabel('New note').fill('flour');
    await click(page, 'Add');
    expect(await page.locator('#notes .grow').allInnerTexts()).toEqual(['flour']);
    await page.goto(url('/login'));
    await page.getByLabel('User name').fill('ada');
    await page.getByLabel('Password').fill('engine-1843');
    await click(page, 'Log in');
    expect(await heading(page)).toBe('Ada Lovelace');
    expect(posted.map((headers) => [headers.origin, headers['sec-fetch-site']])).toEqual([
      ['null', 'same-origin'],
      ['null', 'same-origin'],
    ]);
  });

  test.each([
    ['another site', evil, 'cross-site'],
    ['another origin of the same site', sibling, 'same-site'],
  ])('are refused when a page of %s sends them (S61)', async (_whose, from, site) => {
    const page = await open();
    await page.goto(url('/notes'));
    await page.getByLabel('New note').fill('mine');
    await click(page, 'Add');
    posted.length = 0;
    await page.goto(from(`/form?to=${encodeURIComponent(url('/notes/add'))}&text=gotcha`));
    await click(page, 'Win');
    expect(page.url()).toBe(url('/notes/add'));
    expect(await heading(page)).toBe('403 Forbidden');
    expect(await page.getByText('This form was sent from another site.').count()).toBe(1);
    expect(posted.map((headers) => headers['sec-fetch-site'])).toEqual([site]);
    await page.goto(url('/notes'));
    expect(await page.locator('#notes .grow').allInnerTexts()).toEqual(['mine']);
  });

  test('nobody is logged in to the account of somebody else by a foreign page (S61)', async () => {
    const page = await open();
    const fields = 'user=ada&password=engine-1843';
    await page.goto(evil(`/form?to=${encodeURIComponent(url('/login'))}&${fields}`));
    await click(page, 'Win');
    expect(await heading(page)).toBe('403 Forbidden');
    expect(await page.context().cookies()).toEqual([]);
    await page.goto(url('/profile'));
    expect(await heading(page)).toBe('Log in');
  });
});

@Controller()
class ApiController {
  @Post('login')
  async login(@Session() session: Session) {
    await session.login('ada');
    return { in: true };
  }

  @Get('me')
  @UseGuards(SessionGuard)
  me(@Session() session: Session) {
    return { me: session.userId };
  }

  @Post('logout')
  async logout(@Session() session: Session) {
    await session.logout();
    return { in: false };
  }
}

/** What `fetch` is given here. */
interface Init {
  readonly method: string;
  readonly headers?: Record<string, string>;
  readonly credentials?: 'include';
}

/** Runs in the page: what came of a request, as far as the page may know. */
async function send({ url, init }: { url: string; init: Init }) {
  try {
    const response = await fetch(url, init);
    return {
      status: response.status,
      body: await response.json(),
      token: response.headers.get('X-Session-Token'),
    };
  } catch (error) {
    return { failed: (error as Error).name };
  }
}

describeInChromium('fetch from a page of another origin', (platform: Platform) => {
  /** Whose pages CORS lets read the answers. */
  let readers: readonly string[];
  const { open, url, evil, sibling } = drive(async (_evil, trusted) => {
    const transport = ['cookie', 'bearer'] as const;
    const root = {
      module: class Api {},
      imports: [SessionModule.forRoot({ transport, crossOrigin: { trustedOrigins: [trusted] } })],
      controllers: [ApiController],
    };
    const adapter = platform === 'fastify' ? new FastifyAdapter() : new ExpressAdapter();
    const app = await NestFactory.create(root, adapter, { logger: false });
    app.enableCors({
      origin: (origin: string, done: (error: null, allow: boolean) => void) =>
        done(null, readers.includes(origin)),
      credentials: true,
    });
    return app;
  });
  beforeEach(() => {
    readers = [evil(''), sibling('')];
  });

  const bearing = (method: string, token?: string): Init => ({
    method,
    headers: { 'X-Session-Transport': 'bearer', ...(token && { Authorization: `Bearer ${token}` }) },
  });
  const withCookies = (method: string): Init => ({ method, credentials: 'include' });

  async function pageAt(address: string) {
    const page = await open();
    await page.goto(address);
    return {
      fetch: (path: string, init: Init) => page.evaluate(send, { url: url(path), init }),
      cookies: () => page.context().cookies(),
    };
  }

  test('with the bearer it works, and the page may read the token (S63)', async () => {
    const page = await pageAt(evil('/'));
    const first = await page.fetch('/login', bearing('POST'));
    expect(first).toMatchObject({ status: 201, body: { in: true } });
    const token = first.token!;
    expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    expect(await page.fetch('/me', bearing('GET', token))).toEqual({
      status: 200,
      body: { me: 'ada' },
      token: null,
    });
    expect(await page.fetch('/logout', bearing('POST', token))).toMatchObject({ status: 201, token: '' });
    expect(await page.fetch('/me', bearing('GET', token))).toMatchObject({ status: 401 });
    expect(await page.cookies()).toEqual([]);
  });

  test('with the bearer it does not leave the browser unless CORS lets it', async () => {
    readers = [];
    const page = await pageAt(evil('/'));
    expect(await page.fetch('/login', bearing('POST'))).toEqual({ failed: 'TypeError' });
  });

  test('with cookies it is refused, though CORS lets the page read the answer (S61)', async () => {
    const page = await pageAt(evil('/'));
    expect(await page.fetch('/login', withCookies('POST'))).toMatchObject({ status: 403 });
    expect(await page.cookies()).toEqual([]);
  });

  test('with cookies it works from an origin that is trusted', async () => {
    const page = await pageAt(sibling('/'));
    expect(await page.fetch('/login', withCookies('POST'))).toMatchObject({ status: 201, token: null });
    expect(await page.fetch('/me', withCookies('GET'))).toMatchObject({ status: 200, body: { me: 'ada' } });
  });
});
