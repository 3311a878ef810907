import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastifyCookie from '@fastify/cookie';
import fastifySession, { MemoryStore as FastifyMemoryStore } from '@fastify/session';
import express from 'express';
import expressSession from 'express-session';
import fastify from 'fastify';
import type { AddressInfo } from 'node:net';
import type { Server } from 'node:http';
import type { SessionModuleOptions } from '../../../src/index.js';
import { expressSessions, fastifySessions } from '../../../src/express/index.js';
import { logs, type RunningApp, stackPerPlatform, start } from '../../support/app.js';
import { BasicController } from '../../support/basic.js';
import { Client } from '../../support/client.js';
import { PlainStore } from '../connect/bad-store.js';
import { clears, HOUR, SECRET, sets } from './support.js';

/** The cookies and records that the libraries themselves make. */

const LONG_SECRET = 'a secret of @fastify/session: 32 characters at least';

interface OldServer {
  readonly port: number;
  close(): Promise<unknown>;
}

/** Logs ada in, with express-session itself. */
async function oldExpress(options: Partial<expressSession.SessionOptions>): Promise<OldServer> {
  const app = express();
  app.use(expressSession({ secret: SECRET, resave: false, saveUninitialized: false, ...options }));
  app.get('/login', (request, response) => {
    Object.assign(request.session, { passport: { user: 7 }, cart: { items: ['ä', '🛒'] } });
    response.end('welcome');
  });
  app.get('/me', (request, response) => {
    response.json((request.session as unknown as { passport?: unknown }).passport ?? null);
  });
  const server = await new Promise<Server>((resolve) => {
    const listening: Server = app.listen(0, '127.0.0.1', () => resolve(listening));
  });
  const { port } = server.address() as AddressInfo;
  return {
    port,
    close: () => {
      server.closeAllConnections();
      return new Promise((resolve) => server.close(resolve));
    },
  };
}

/** The same with `@fastify/session` itself. */
async function oldFastify(options: Partial<fastifySession.FastifySessionOptions>): Promise<OldServer> {
  const app = fastify();
  await app.register(fastifyCookie);
  await app.register(fastifySession, {
    secret: LONG_SECRET,
    cookie: { secure: false, maxAge: HOUR },
    ...options,
  });
  app.get('/login', (request) => {
    Object.assign(request.session, { passport: { user: 7 }, cart: { items: ['ä', '🛒'] } });
    return 'welcome';
  });
  app.get('/me', (request) => (request.session as unknown as { passport?: unknown }).passport ?? null);
  await app.listen({ port: 0, host: '127.0.0.1' });
  return { port: (app.server.address() as AddressInfo).port, close: () => app.close() };
}

let old: OldServer;
let app: RunningApp;
afterEach(async () => {
  await old?.close();
  await app?.stop();
});

const userId = (data: { passport?: { user?: number } }) => data.passport?.user;
const DATA = { passport: { user: 7 }, cart: { items: ['ä', '🛒'] } };

describe.each(stackPerPlatform)('sessions that the library itself made (%s)', (_title, stack) => {
  const move = async (
    oldServer: Promise<OldServer>,
    name: string,
    importFrom: SessionModuleOptions['importFrom'],
  ) => {
    old = await oldServer;
    const before = new Client(old.port);
    await before.get('/login');
    app = await start(stack, { controllers: [BasicController], session: { importFrom } });
    const browser = app.client();
    browser.jar.set(name, before.jar.get(name)!);
    const first = await browser.get('/all');
    const second = await browser.get('/all');
    const meAgain = await before.get('/me');
    before.close();
    return { first, second, meAgain, before };
  };

  const isImported = async (moved: ReturnType<typeof move>, name: string) => {
    const { first, second, meAgain } = await moved;
    expect(first.json()).toMatchObject({ isNew: false, userId: '7', data: DATA });
    expect(Object.keys(first.json().data).toSorted()).toEqual(['cart', 'passport']);
    expect([sets(first, 'sid'), clears(second, name)]).toEqual([true, true]);
    expect(meAgain.json()).toBe(null);
    return { first, second };
  };

  it('express-session, with its defaults', async () => {
    const store = new expressSession.MemoryStore();
    const importFrom = expressSessions({ secret: SECRET, store, userId });
    await isImported(move(oldExpress({ store }), 'connect.sid', importFrom), 'connect.sid');
  });

  it('express-session, with another name, several secrets, an end and attributes', async () => {
    const store = new PlainStore();
    const secret = ['new', 'old'];
    const cookie = { maxAge: HOUR / 2, path: '/', domain: 'example.com', sameSite: 'strict' } as const;
    const importFrom = expressSessions({ cookieName: 'app.sid', secret, store, userId });
    const server = oldExpress({ name: 'app.sid', secret, cookie, store: store as any });
    const { first, second } = await isImported(move(server, 'app.sid', importFrom), 'app.sid');
    const left = new Date(first.json().expiresAt).getTime() - Date.now();
    expect(left).toBeGreaterThan(HOUR / 2 - 10_000);
    expect(left).toBeLessThanOrEqual(HOUR / 2);
    const cleared = second.setCookies.find(({ name }) => name === 'app.sid')!;
    expect(Object.fromEntries(cleared.attributes)).toEqual({
      path: '/',
      domain: 'example.com',
      samesite: 'Strict',
      httponly: '',
      'max-age': '0',
      expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
    });
  });

  it('@fastify/session, with its defaults, whose store has the very objects', async () => {
    const store = new FastifyMemoryStore();
    const importFrom = fastifySessions({ secret: LONG_SECRET, store, userId });
    await isImported(move(oldFastify({ store }), 'sessionId', importFrom), 'sessionId');
  });

  it('@fastify/session, with a prefix, another hash, and a store of texts', async () => {
    const store = new PlainStore();
    const secret = [LONG_SECRET, 'an older one'];
    const options = { cookieName: 'sess', cookiePrefix: 's:', algorithm: 'sha512', secret };
    const importFrom = fastifySessions({ ...options, store, userId });
    await isImported(move(oldFastify({ ...options, store: store as any }), 'sess', importFrom), 'sess');
  });

  it('@fastify/session, with a Signer', async () => {
    const store = new PlainStore();
    const secret = new fastifyCookie.Signer([LONG_SECRET], 'sha384');
    const importFrom = fastifySessions({ secret: secret as any, store, userId });
    await isImported(move(oldFastify({ secret, store: store as any }), 'sessionId', importFrom), 'sessionId');
  });

  it('@fastify/session, with the prefix of express-session, is what expressSessions reads as well', async () => {
    const store = new PlainStore();
    const importFrom = expressSessions({ cookieName: 'sessionId', secret: LONG_SECRET, store, userId });
    const server = oldFastify({ cookiePrefix: 's:', store: store as any });
    await isImported(move(server, 'sessionId', importFrom), 'sessionId');
  });
});

describe('expressSessions and fastifySessions', () => {
  const store = new PlainStore();
  beforeEach(() => void (logs.length = 0));

  it.each<[string, () => unknown, RegExp]>([
    [
      'nothing',
      () => expressSessions(undefined!),
      /expressSessions: the options must be an object; got undefined/,
    ],
    [
      'no secret',
      () => expressSessions({ store } as any),
      /expressSessions: secret must be .*; got undefined/,
    ],
    [
      'no store',
      () => fastifySessions({ secret: 'x' } as any),
      /fastifySessions: store must be .*; got undefined/,
    ],
    [
      'an empty secret',
      () => expressSessions({ secret: '', store }),
      /secret must be .*; got an empty string/,
    ],
    [
      'a list with nothing',
      () => expressSessions({ secret: ['x', ''], store }),
      /secret must be .*; got a list of 2/,
    ],
    [
      'a store that is none',
      () => expressSessions({ secret: 'x', store: {} as any }),
      /store must be .*; got an object/,
    ],
    [
      'a wrong until',
      () => expressSessions({ secret: 'x', store, until: 'soon' }),
      /until must be .*; got "soon"/,
    ],
    [
      'a wrong keep',
      () => expressSessions({ secret: 'x', store, keep: 1 as any }),
      /keep must be true or false; got 1/,
    ],
    [
      'a wrong hash',
      () => fastifySessions({ secret: 'x', store, algorithm: 'rot13' }),
      /algorithm must be .*"rot13"/,
    ],
    [
      'a misspelled name',
      () => expressSessions({ secret: 'x', store, cookiename: 'y' } as any),
      /did you mean cookieName/,
    ],
  ])('say of %s what they take', (_what, make, problem) => {
    expect(make).toThrow(problem);
    expect(make).toThrow(expect.objectContaining({ code: 'ERR_SESSION_OPTIONS' }));
  });

  it('show no secret (S50)', () => {
    for (const importer of [
      expressSessions({ secret: 'very secret', store }),
      fastifySessions({ secret: ['very secret'], store }),
    ])
      expect(inspect(importer, { depth: 9, showHidden: true }) + JSON.stringify(importer)).not.toMatch(
        /secret/,
      );
  });

  it('are what the option takes, with the cookie among the transports', async () => {
    const module = async (session: SessionModuleOptions) => {
      const running = await start(stackPerPlatform[0]![1], { session });
      await running.stop();
    };
    await expect(module({ importFrom: store as any })).rejects.toThrow(
      /importFrom must be what expressSessions\(\) or fastifySessions\(\) .* gives; got an object/,
    );
    const importFrom = expressSessions({ secret: 'x', store });
    await expect(module({ importFrom, transport: 'bearer' })).rejects.toThrow(
      /importFrom needs the transport "cookie"/,
    );
    await expect(module({ importFrom, cookieName: 'connect.sid' })).rejects.toThrow(
      /cookieName must not be the name of the cookie that importFrom reads: .*; got "connect\.sid"/,
    );
    await module({ importFrom: expressSessions({ secret: 'x', store, until: '2020-01-01' }) });
    await module({ importFrom: expressSessions({ secret: 'x', store, keep: true }) });
    await module({ importFrom });
    const doubts = logs.filter((line) => line.startsWith('importFrom'));
    expect(doubts).toEqual([
      expect.stringMatching(/its until has passed and nothing is imported any more/),
      expect.stringMatching(/keep without until has no end/),
    ]);
  });
});
