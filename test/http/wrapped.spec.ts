import { gunzipSync } from 'node:zlib';
import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type INestApplication, type NestInterceptor, Res } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import compression from 'compression';
import express from 'express';
import morgan from 'morgan';
import onHeaders from 'on-headers';
import { Session, SessionModule, SessionStore } from '../../src/index.js';
import type { AnySession, Bag } from '../support/app.js';
import { rawResponse, Root, stacks, start } from '../support/app.js';
import { sessionCookies } from '../support/basic.js';
import { Client, type Reply } from '../support/client.js';
import { settle } from '../support/gate.js';
import { type Probe, type StorageKind, storageKinds } from '../support/storages.js';

/** Responses that other middleware has wrapped: its own methods stand before or behind the session's. */

type Middleware = (request: any, response: any, next: (error?: unknown) => void) => void;

const BODY = 'hello '.repeat(400);

/** What middleware saw. */
let seen: string[] = [];
const see = (what: string) => (value: unknown) => void seen.push(`${what} ${String(value)}`);

const wrappers: Record<string, () => Middleware> = {
  compression: () => compression({ threshold: 0 }) as Middleware,
  morgan: () => morgan(':status :res[set-cookie]', { stream: { write: see('morgan') } }) as Middleware,
  'on-headers': () => (_request, response, next) => {
    onHeaders(response, function (this: http.ServerResponse) {
      see('listener')(this.getHeader('Set-Cookie'));
      this.setHeader('X-Listener', 'was here');
    });
    next();
  },
  /** As response-time, express-session and many loggers do. */
  'a middleware around all methods': () => (_request, response, next) => {
    for (const method of ['writeHead', 'write', 'end', 'flushHeaders']) {
      const before = response[method];
      response[method] = function (this: unknown, ...args: unknown[]) {
        return before.apply(this, args);
      };
    }
    next();
  },
  'a middleware around end()': () => (_request, response, next) => {
    const { end } = response;
    response.end = function (this: unknown, ...args: unknown[]) {
      return end.apply(this, args);
    };
    next();
  },
  /** As http-compression does. */
  'a middleware that puts off the head': () => (_request, response, next) => {
    const { writeHead, write, end } = response;
    let status: number | undefined;
    let started = false;
    const begin = () => {
      if (!started) writeHead.call(response, status ?? response.statusCode);
      started = true;
    };
    response.writeHead = (given: number, reason: unknown, headers = reason) => {
      status = given;
      for (const [name, value] of Object.entries((headers as object | undefined) ?? {})) {
        if (typeof headers === 'object') response.setHeader(name, value);
      }
      return response;
    };
    response.write = (...args: unknown[]) => (begin(), write.apply(response, args));
    response.end = (...args: unknown[]) => (begin(), end.apply(response, args));
    next();
  },
  'a middleware that puts off the body': () => (_request, response, next) => {
    const { write, end } = response;
    const chunks: Buffer[] = [];
    const take = (chunk: unknown) => {
      if (typeof chunk === 'string' || chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk as string));
    };
    response.write = (chunk: unknown) => (take(chunk), true);
    response.end = (chunk?: unknown) => {
      take(chunk);
      void settle(3).then(() => {
        write.call(response, Buffer.concat(chunks));
        return end.call(response);
      });
      return response;
    };
    next();
  },
};

@Controller()
class Ways {
  @Get('string') string(@Session() session: AnySession) {
    session.set('n', 7);
    return BODY;
  }

  @Get('pieces') pieces(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 7);
    const raw = rawResponse(response);
    raw.setHeader('Content-Type', 'text/plain');
    for (let at = 0; at < BODY.length; at += 500) raw.write(BODY.slice(at, at + 500));
    raw.end();
  }

  @Get('late') async late(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    raw.writeHead(200, { 'Content-Type': 'text/plain' });
    raw.write(BODY.slice(0, 1000));
    await settle();
    session.set('n', 2);
    raw.write(BODY.slice(1000, 2000));
    await settle();
    session.set('n', 7);
    raw.end(BODY.slice(2000));
  }

  @Get('head') head(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 7);
    rawResponse(response).writeHead(200, { 'Content-Type': 'text/plain', 'set-cookie': 'other=1' }).end(BODY);
  }

  @Get('error') error(@Session() session: AnySession) {
    session.set('n', 7);
    throw new Error('of the handler');
  }

  @Get('n') n(@Session() session: AnySession) {
    return String(session.get('n'));
  }
}

const PATHS = ['string', 'pieces', 'late', 'head', 'error'];

/** All that has to hold of any of them. */
function expectGood(path: string, reply: Reply, stored: unknown, wrapper: string): void {
  expect(reply.status).toBe(path === 'error' ? 500 : 200);
  expect(sessionCookies(reply)).toHaveLength(1);
  const isCompressed = reply.headers['content-encoding'] === 'gzip';
  const text = isCompressed ? gunzipSync(reply.bytes).toString() : reply.text;
  if (path === 'error') expect(JSON.parse(text)).toMatchObject({ statusCode: 500 });
  else expect(text).toBe(BODY);
  expect(stored).toBe(7);
  expect(reply.headers.vary).toContain('Cookie');
  if (path === 'head') expect(reply.setCookies.map(({ name }) => name).toSorted()).toEqual(['other', 'sid']);
  if (wrapper === 'compression' && path !== 'error') expect(isCompressed).toBe(true);
  if (wrapper === 'on-headers') expect(reply.headers['x-listener']).toBe('was here');
}

/** Whether what the middleware saw has the session's cookie in it. */
function expectSeen(wrapper: string, times: number): void {
  if (wrapper !== 'morgan' && wrapper !== 'on-headers') return;
  expect(seen).toHaveLength(times);
  for (const text of seen) expect(text).toMatch(/sid=/);
}

interface Place {
  /** In the application that ours is mounted in. */
  readonly outer?: true;
  readonly before?: true;
  /** Behind a middleware that asks for the session. */
  readonly after?: true;
}

const places: [string, Place][] = [
  ['in the application', { before: true }],
  ['after the session was asked for', { after: true }],
  ['in an application around it', { outer: true }],
  ['in both, and after the session was asked for', { outer: true, before: true, after: true }],
];

class Mounted {
  private constructor(
    readonly app: INestApplication,
    readonly server: http.Server,
    readonly probe: Probe,
  ) {}

  static async start(
    kind: StorageKind,
    { outer, before, after }: Place,
    wrap: () => Middleware,
  ): Promise<Mounted> {
    const { storage, probe } = kind.make();
    const instance = express();
    const root = {
      module: class extends Root {},
      imports: [SessionModule.forRoot({ storage, purge: false })],
      controllers: [Ways],
    };
    const app = await NestFactory.create(root, new ExpressAdapter(instance), { logger: false });
    if (before) app.use(wrap());
    if (after) {
      const store = app.get<SessionStore<Bag>>(SessionStore);
      app.use(async (request: any, response: any, next: () => void) => {
        await store.of(request, response);
        next();
      });
      app.use(wrap());
    }
    await app.init();
    const around = express();
    if (outer) around.use(wrap());
    around.use(instance);
    const server = http.createServer(outer ? around : instance);
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    return new Mounted(app, server, probe);
  }

  client(): Client {
    return new Client((this.server.address() as AddressInfo).port);
  }

  async stop(): Promise<void> {
    this.server.closeAllConnections();
    await new Promise((resolve) => this.server.close(resolve));
    await this.app.close();
  }
}

describe.each(storageKinds.map((kind) => [kind.name, kind] as const))('Express, %s', (_kind, kind) => {
  describe.each(places)('%s', (_place, place) => {
    describe.each(Object.keys(wrappers))('%s', (wrapper) => {
      let mounted: Mounted;

      beforeAll(async () => (mounted = await Mounted.start(kind, place, wrappers[wrapper]!)));
      afterAll(() => mounted.stop());
      beforeEach(() => {
        seen = [];
        mounted.probe.reset();
      });

      it.each(PATHS)('%s has its cookie, and the session is saved by the last byte (S37)', async (path) => {
        const client = mounted.client();
        let stored: unknown;
        const reply = await client.get(`/${path}`, {
          headers: { 'accept-encoding': 'gzip' },
          atEnd: () => (stored = mounted.probe.value(client.handle, 'n')),
        });
        expectGood(path, reply, stored, wrapper);
        await settle();
        expectSeen(wrapper, Object.keys(place).length);
        expect((await client.get('/n')).text).toBe('7');
        client.close();
      });
    });
  });
});

/** Interceptors come after the guard that asks for the session. */
const wrappingInterceptor = (wrap: Middleware): NestInterceptor => ({
  intercept(context, next) {
    const [request, reply] = context.getArgs<[any, any]>();
    wrap(request.raw, reply.raw, () => undefined);
    return next.handle();
  },
});

describe.each(stacks.filter(([, { platform }]) => platform === 'fastify'))('%s', (_title, stack) => {
  describe.each(['in the application', 'after the session was asked for', 'in the route'])('%s', (place) => {
    describe.each(Object.keys(wrappers))('%s', (wrapper) => {
      it.each(PATHS)('%s has its cookie, and the session is saved by the last byte (S37)', async (path) => {
        seen = [];
        const app = await start(stack, {
          controllers: [Ways],
          configure: (nest) => {
            const wrap = wrappers[wrapper]!();
            if (place === 'in the route') return void nest.useGlobalInterceptors(wrappingInterceptor(wrap));
            const store = nest.get<SessionStore<Bag>>(SessionStore);
            if (place !== 'in the application')
              nest.use((request: any, response: any, next: (error?: unknown) => void) =>
                store.of(request, response).then(() => next(), next),
              );
            nest.use(wrap);
          },
        });
        const client = app.client();
        let stored: unknown;
        const reply = await client.get(`/${path}`, {
          headers: { 'accept-encoding': 'gzip' },
          atEnd: () => (stored = app.probe.value(client.handle, 'n')),
        });
        expectGood(path, reply, stored, wrapper);
        await settle();
        // What wraps the response in a route comes to its turn before the session does, and sees none of its headers.
        if (place !== 'in the route') expectSeen(wrapper, 1);
        await app.stop();
      });
    });
  });
});
