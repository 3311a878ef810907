import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import express from 'express';
import { Session, SessionError, SessionModule, SessionStore } from '../../src/index.js';
import type { AnySession, Bag, RunningApp } from '../support/app.js';
import { rawResponse, Root, stacks, start } from '../support/app.js';
import { sessionCookies } from '../support/basic.js';
import { Client } from '../support/client.js';
import { settle } from '../support/gate.js';
import { storageKinds } from '../support/storages.js';

/** Requests and responses that are not quite those that Node made. */

const ways: Record<string, (value: any) => any> = {
  'as it is': (value) => value,
  'Object.create()': (value) => Object.create(value),
  'Object.create() twice': (value) => Object.create(Object.create(value)),
  'a Proxy': (value) => new Proxy(value, {}),
  'a Proxy that binds': (value) =>
    new Proxy(value, {
      get(target, key) {
        const found = Reflect.get(target, key);
        return typeof found === 'function' ? found.bind(target) : found;
      },
    }),
  'an object that has it as raw': (value) => ({ raw: value.raw ?? value }),
};

const names = Object.keys(ways);
const pairs = names.flatMap((request) => names.map((response) => [request, response] as const));

let failure: unknown;

@Controller()
class Wrapping {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Get('both/:request/:response') async both(@Req() request: any, @Res() response: any) {
    const wrap = { request: ways[request.params.request]!, response: ways[request.params.response]! };
    const session = await this.store.of(wrap.request(request), wrap.response(response));
    session.set('n', 1);
    // Whoever asks next has the same one.
    if ((await this.store.of(request, response)) !== session) throw new Error('another session');
    response.send('sent');
  }

  @Get('alone/:request') async alone(@Req() request: any, @Res() response: any) {
    const session = await this.store.of(ways[request.params.request]!(request));
    session.set('n', 1);
    response.send('sent');
  }

  @Get('sends/:response') async sends(@Req() request: any, @Res() response: any) {
    const raw = rawResponse(response);
    const session = await this.store.of(request, ways[request.params.response]!(response));
    session.set('n', 1);
    const wrapped = Object.create(raw);
    wrapped.writeHead(200, { 'Content-Length': 4 });
    wrapped.write('se');
    wrapped.end('nt');
  }

  /** As a class around a request may have it: what it shows is the request's own, and no more. */
  @Get('alike') async alike(@Req() request: any, @Res() response: any) {
    const { headers, rawHeaders, method, url } = request.raw ?? request;
    const alike: any = { headers, rawHeaders, method, url };
    const session = await this.store.of(alike, response);
    session.set('n', 1);
    if ((await this.store.of(alike, response)) !== session) throw new Error('another session');
    if ((await this.store.of(request, response)) !== session) throw new Error('another session');
    response.send('sent');
  }

  @Get('no-session') noSession() {
    return 'sent';
  }

  @Get('adds') adds(@Session() session: AnySession) {
    session.set('added', 1);
    return 'sent';
  }

  @Get('headers-replaced-in-route') async replacedInRoute(@Req() request: any, @Res() response: any) {
    (await this.store.of(request, response)).set('n', 1);
    const raw = request.raw ?? request;
    raw.rawHeaders = [...raw.rawHeaders];
    response.send('sent');
  }

  @Get('own-end') async ownEnd(@Req() request: any, @Res() response: any) {
    const raw = rawResponse(response);
    (await this.store.of(request, response)).set('n', 1);
    const wrapped = Object.create(raw);
    wrapped.end = (...args: any[]) => (raw.end as any)(...args);
    wrapped.end('sent');
  }

  @Get('wrong/:how') async wrong(@Req() request: any, @Res() response: any) {
    const other = new http.ServerResponse(new http.IncomingMessage(null as never));
    const arguments_: Record<string, [any, any?]> = {
      'the response of another request': [request, other],
      'a copy of a request': [{ headers: {}, rawHeaders: [] }, response],
      'no response': [request, {}],
      neither: [{}, {}],
      'an empty request': [{}],
      'an object without a prototype': [Object.create(null)],
      'an object that has nothing as raw': [{ raw: undefined }, { raw: undefined }],
    };
    failure = await Promise.resolve()
      .then(() => this.store.of(...arguments_[request.params.how]!))
      .catch((error: unknown) => error);
    response.send('sent');
  }
}

describe.each(stacks)('%s', (_title, stack) => {
  let app: RunningApp;
  beforeEach(async () => (app = await start(stack, { controllers: [Wrapping] })));
  afterEach(() => app.stop());

  async function expectGood(path: string): Promise<void> {
    const client = app.client();
    const reply = await client.get(`/${path.split('/').map(encodeURIComponent).join('/')}`);
    expect([reply.status, reply.text]).toEqual([200, 'sent']);
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(app.probe.value(client.handle, 'n')).toBe(1);
    await settle();
    expect(app.probe.size).toBe(1);
  }

  it.each(pairs)('store.of() takes a request, %s, with its response, %s', (request, response) =>
    expectGood(`both/${request}/${response}`),
  );

  it.each(names)('store.of() finds the response of a request, %s', (request) =>
    expectGood(`alone/${request}`),
  );

  it.each(names)('a response that wraps one whose session was asked for with it, %s, sends', (response) =>
    expectGood(`sends/${response}`),
  );

  it('store.of() takes what shows the headers of a request, with its response', () => expectGood('alike'));

  it('one whose list of headers a route replaces', () => expectGood('headers-replaced-in-route'));

  it.each(['no-session', 'adds'])(
    'one whose list of headers is replaced once its session was asked for: %s',
    async (path) => {
      await app.stop();
      app = await start(stack, {
        controllers: [Wrapping],
        configure: (nest) => {
          const store = nest.get<SessionStore<Bag>>(SessionStore);
          nest.use(async (request: any, response: any, next: () => void) => {
            (await store.of(request, response)).set('n', 1);
            // As it is done for a library that looks at this list, and not at the headers.
            request.rawHeaders = [...request.rawHeaders, 'Accept', 'application/json'];
            next();
          });
        },
      });
      await expectGood(path);
    },
  );

  it('a response that wraps another and has an end() of its own sends by that', () => expectGood('own-end'));

  it.each([
    'the response of another request',
    'a copy of a request',
    'no response',
    'neither',
    'an empty request',
    'an object without a prototype',
    'an object that has nothing as raw',
  ])('store.of() says no to %s', async (how) => {
    failure = undefined;
    const reply = await app.client().get(`/wrong/${encodeURIComponent(how)}`);
    expect([reply.status, reply.text, reply.setCookies]).toEqual([200, 'sent', []]);
    expect(failure).toBeInstanceOf(SessionError);
  });
});

/** As middleware copies a request to answer several in one. */
const copyOf = (request: any, url: string) => ({ ...request, url, originalUrl: url, method: 'GET' });

/** How middleware gets at what a response of its own is answered with. */
const captures: Record<string, (response: http.ServerResponse) => Promise<string>> = {
  'methods of its own': (response) =>
    new Promise((resolve) => {
      response.end = (body: any) => (resolve(String(body)), response);
    }),
  'a socket of its own': (response) => {
    const socket: any = new PassThrough();
    response.assignSocket(socket);
    const text = new Promise<string>((resolve) => {
      let all = '';
      socket.on('data', (data: Buffer) => (all += data.toString()));
      response.on('finish', () => setImmediate(() => resolve(all.slice(all.indexOf('\r\n\r\n') + 4))));
    });
    return text;
  },
};

@Controller()
class Simple {
  @Get('count') count(@Session() session: AnySession) {
    session.set('n', (session.get('n') ?? 0) + 1);
    return String(session.get('n'));
  }
  @Get('none') none() {
    return 'none';
  }
  @Get('set') set(@Session() session: AnySession) {
    session.set('n', 1);
    return 'sent';
  }
  @Get('pieces') pieces(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    response.write('se');
    response.end('nt');
  }
}

describe.each(storageKinds.map((kind) => [kind.name, kind] as const))(
  'Express applications, %s',
  (_kind, kind) => {
    let stops: (() => unknown)[] = [];
    afterEach(async () => {
      for (const stop of stops) await stop();
      stops = [];
    });

    async function nest(instance = express()) {
      const { storage, probe } = kind.make();
      const imports = [SessionModule.forRoot({ storage, purge: false })];
      const root = { module: class extends Root {}, imports, controllers: [Simple] };
      const app = await NestFactory.create(root, new ExpressAdapter(instance), { logger: false });
      stops.push(() => app.close());
      return { app, instance, probe, store: app.get<SessionStore<Bag>>(SessionStore) };
    }

    async function expectGood(listener: http.RequestListener, probe: any, path: string): Promise<void> {
      const server = http.createServer(listener);
      await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
      stops.push(() => void server.close().closeAllConnections());
      for (let i = 0; i < 2; i++) {
        const client = new Client((server.address() as AddressInfo).port);
        stops.push(() => client.close());
        const reply = await client.get(path);
        expect([reply.status, reply.text]).toEqual([200, 'sent']);
        expect(sessionCookies(reply)).toHaveLength(1);
        expect(probe.value(client.handle, 'n')).toBe(1);
      }
    }

    const batches = Object.keys(captures).flatMap((capture) =>
      ['before', 'not before', 'after'].map((asked) => [capture, asked] as const),
    );

    it.each(batches)(
      'one request that is answered in several, by responses with %s, the session asked for %s: each has its answer',
      async (capture, asked) => {
        const { app, instance, probe, store } = await nest();
        app.use(async (request: any, response: any, next: (error?: unknown) => void) => {
          if (request.url !== '/batch') return next();
          if (asked === 'before') await store.of(request, response);
          const texts: string[] = [];
          for (const url of ['/count', '/none', '/count', '/count']) {
            const part = copyOf(request, url);
            const partResponse: any = new http.ServerResponse(part);
            const text = captures[capture]!(partResponse);
            instance(part, partResponse, next);
            texts.push(await text);
          }
          if (asked === 'after') (await store.of(request, response)).set('after', 1);
          response.json(texts);
        });
        await app.init();
        const server = http.createServer(instance);
        await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
        stops.push(() => void server.close().closeAllConnections());
        const client = new Client((server.address() as AddressInfo).port);
        stops.push(() => client.close());
        for (const counts of [
          ['1', 'none', '2', '3'],
          ['4', 'none', '5', '6'],
        ]) {
          const reply = await client.get('/batch');
          expect(reply.json()).toEqual(counts);
          expect(probe.value(client.handle, 'n')).toBe(Number(counts[3]));
          expect(probe.value(client.handle, 'after')).toBe(asked === 'after' ? 1 : undefined);
        }
        expect(probe.size).toBe(1);
      },
    );

    it.each(['/set', '/pieces'])('one that is called with a Proxy around the response: %s', async (path) => {
      const { app, instance, probe } = await nest();
      await app.init();
      await expectGood(
        (request, response) => instance(request, ways['a Proxy that binds']!(response)),
        probe,
        path,
      );
    });

    it.each(['/set', '/pieces'])('one that is mounted in another one of Nest: %s', async (path) => {
      const outer = await nest();
      const inner = await nest();
      await inner.app.init();
      outer.instance.use('/inner', inner.instance);
      await outer.app.init();
      await expectGood(outer.instance, inner.probe, `/inner${path}`);
      await expectGood(outer.instance, outer.probe, path);
    });

    it.each(['/set', '/pieces'])(
      'one in another one whose responses have methods of their own: %s',
      async (path) => {
        const { app, instance, probe } = await nest();
        await app.init();
        const outer = express();
        const { end } = outer.response;
        let ended = 0;
        outer.response.end = function (this: any, ...args: any[]) {
          ended++;
          return (end as any).apply(this, args);
        };
        outer.use(instance);
        await expectGood(outer, probe, path);
        expect(ended).toBe(2);
      },
    );

    it.each(['before', 'inside'])(
      'one that is mounted in ours, the session asked for %s it',
      async (where) => {
        const { app, instance, probe, store } = await nest();
        const sub = express();
        const ask = async (request: any, response: any, next: () => void) => {
          (await store.of(request, response)).set('n', 1);
          next();
        };
        if (where === 'before') app.use(ask);
        else sub.use(ask);
        sub.get('/x', (_request, response) => void response.send('sent'));
        app.use('/sub', sub);
        await app.init();
        await expectGood(instance, probe, '/sub/x');
      },
    );
  },
);
