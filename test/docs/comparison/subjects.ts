import { EventEmitter } from 'node:events';
import type { AddressInfo } from 'node:net';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import {
  Controller,
  createParamDecorator,
  type ExecutionContext,
  ForbiddenException,
  Get,
  type INestApplication,
  Module,
  Param,
  Post,
  Redirect,
  Req,
  Res,
  type Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import expressSession from 'express-session';
import { MemoryStorage, Session, SessionModule, SessionStore } from 'nest-sessions';
import { gate } from '../../support/gate.js';

export const LIBRARIES = [
  'express-session',
  '@fastify/session',
  'nest-sessions on Express',
  'nest-sessions on Fastify',
] as const;
export type Library = (typeof LIBRARIES)[number];
export const isOurs = (library: Library): boolean => library.startsWith('nest-sessions');

const SECRET = 'a secret of more than thirty-two characters';
export const LIFETIME = 3_600_000;

/** One call of the store or storage, and how many characters of session data it was given. */
export interface Call {
  readonly method: string;
  readonly size: number;
}

/** What the tests below ask of a library, in its own terms. */
export interface Subject {
  readonly app: INestApplication;
  readonly url: string;
  readonly calls: Call[];
  /** Makes every write fail from now on. */
  failing: boolean;
  /** All that the store holds, as text. */
  dump(): string;
}

interface Bag {
  get(key: string): any;
  set(key: string, value: unknown): void;
  login(user: string): unknown;
  end(): unknown;
}

const OwnBag = createParamDecorator((_: unknown, context: ExecutionContext): Bag => {
  const request = context.switchToHttp().getRequest<{ session: any }>();
  return {
    get: (key) => request.session[key],
    set: (key, value) => void (request.session[key] = value),
    login: (user) => void (request.session.user = user),
    end: () => new Promise<void>((resolve) => request.session.destroy(() => resolve())),
  };
});

const bagOf = (session: Session<Record<string, any>>): Bag => ({
  get: (key) => session.get(key),
  set: (key, value) => session.set(key, value),
  login: (user) => session.login(user),
  end: () => session.logout(),
});

/** The same routes for each library; `wrap` makes a bag of what `parameter` puts into a handler. */
function controllerOf(parameter: () => ParameterDecorator, wrap: (given: any) => Bag): Type {
  @Controller()
  class RoutesController {
    @Get('plain')
    plain() {
      return 'plain';
    }

    @Get('read')
    read(@parameter() given: unknown) {
      const bag = wrap(given);
      return { a: bag.get('a') ?? null, b: bag.get('b') ?? null, user: bag.get('user') ?? null };
    }

    @Get('set/:key')
    set(@parameter() given: unknown, @Param('key') key: string) {
      wrap(given).set(key, 'set');
      return 'set';
    }

    @Post('order')
    order(@parameter() given: unknown) {
      wrap(given).set('a', 'ordered');
      return 'ordered';
    }

    @Get('slow/:key')
    async slow(@parameter() given: unknown, @Param('key') key: string) {
      wrap(given).get('a');
      await gate('slow').pass();
      wrap(given).set(key, 'set');
      return 'set';
    }

    @Get('fill')
    fill(@parameter() given: unknown) {
      for (let i = 0; i < 50; i++) wrap(given).set(`key${i}`, 'x'.repeat(100));
      return 'filled';
    }

    @Get('login')
    async login(@parameter() given: unknown) {
      await wrap(given).login('ada');
      return 'in';
    }

    @Get('logout')
    async logout(@parameter() given: unknown) {
      await wrap(given).end();
      return 'out';
    }

    @Get('redirect')
    @Redirect('/elsewhere')
    redirect(@parameter() given: unknown) {
      wrap(given).set('a', 'set');
    }

    @Get('denied')
    denied(@parameter() given: unknown) {
      wrap(given).set('a', 'set');
      throw new ForbiddenException();
    }

    @Get('raw')
    raw(@parameter() given: unknown, @Req() request: any, @Res() response: any) {
      wrap(given).set('a', 'set');
      response.hijack?.();
      (response.raw ?? request.res).end('raw');
    }
  }
  return RoutesController;
}

function moduleOf(controller: Type, imports: any[] = []): Type {
  @Module({ imports, controllers: [controller] })
  class AppModule {}
  return AppModule;
}

/** What connect-redis and its like do: one text per session, read and written as a whole. */
class TextStore extends EventEmitter {
  readonly texts = new Map<string, string>();
  readonly calls: Call[] = [];
  failing = false;

  get(id: string, done: (error: unknown, session?: any) => void): void {
    this.calls.push({ method: 'get', size: 0 });
    setImmediate(() => done(null, this.texts.has(id) ? JSON.parse(this.texts.get(id)!) : null));
  }
  set(id: string, session: unknown, done?: (error?: unknown) => void): void {
    const text = JSON.stringify(session);
    this.calls.push({ method: 'set', size: text.length });
    if (this.failing) return void setImmediate(() => done?.(new Error('The store is down')));
    setImmediate(() => (this.texts.set(id, text), done?.()));
  }
  touch(_id: string, _session: unknown, done?: (error?: unknown) => void): void {
    this.calls.push({ method: 'touch', size: 0 });
    setImmediate(() => done?.());
  }
  destroy(id: string, done?: (error?: unknown) => void): void {
    this.calls.push({ method: 'destroy', size: 0 });
    setImmediate(() => (this.texts.delete(id), done?.()));
  }
}

/** Adds what express-session takes from its own base class for stores. */
class ExpressTextStore extends expressSession.Store {
  readonly inner = new TextStore();
  override get = this.inner.get.bind(this.inner);
  override set = this.inner.set.bind(this.inner);
  override touch = this.inner.touch.bind(this.inner);
  override destroy = this.inner.destroy.bind(this.inner);
}

/** Starts an application with one of the libraries, set up as its README says. */
export async function startSubject(library: Library): Promise<Subject> {
  if (isOurs(library)) return startOurs(library);
  const module = moduleOf(controllerOf(OwnBag, (bag) => bag as Bag));
  if (library === 'express-session') {
    const store = new ExpressTextStore();
    const app = await NestFactory.create(module, new ExpressAdapter(), { logger: false });
    const options = { secret: SECRET, resave: false, saveUninitialized: false, cookie: { maxAge: LIFETIME } };
    app.use(expressSession({ ...options, store }));
    return listen(app, store.inner);
  }
  const store = new TextStore();
  const app = await NestFactory.create(module, new FastifyAdapter(), { logger: false });
  const fastify: any = app.getHttpAdapter().getInstance();
  await fastify.register(fastifyCookie);
  const cookie = { maxAge: LIFETIME, secure: false };
  await fastify.register(fastifySession, { secret: SECRET, saveUninitialized: false, cookie, store });
  return listen(app, store);
}

async function listen(app: INestApplication, store: TextStore): Promise<Subject> {
  await app.listen(0, '127.0.0.1');
  return {
    app,
    url: urlOf(app),
    calls: store.calls,
    get failing() {
      return store.failing;
    },
    set failing(failing) {
      store.failing = failing;
    },
    dump: () => JSON.stringify([...store.texts]),
  };
}

async function startOurs(library: Library): Promise<Subject> {
  const storage = new MemoryStorage();
  const { read, create, update } = storage;
  const handles: string[] = [];
  const subject = {
    calls: [] as Call[],
    failing: false,
    dump: () => JSON.stringify(handles.map((handle) => read.call(storage, handle))),
  };
  const note = (method: string, written?: object) => {
    subject.calls.push({ method, size: written ? JSON.stringify(written).length : 0 });
    if (written && subject.failing) throw new Error('The storage is down');
  };
  storage.read = (handle) => (note('read'), read.call(storage, handle));
  storage.create = (record) => {
    note('create', record.data);
    handles.push(record.handle);
    return create.call(storage, record);
  };
  storage.update = (handle, change) => (
    note('update', change.set ?? {}),
    update.call(storage, handle, change)
  );

  const sessions = SessionModule.forRoot({ storage, purge: false });
  const module = moduleOf(
    controllerOf(() => Session(), bagOf),
    [sessions],
  );
  const adapter = library === 'nest-sessions on Express' ? new ExpressAdapter() : new FastifyAdapter();
  const app = await NestFactory.create(module, adapter, { logger: false });
  await app.listen(0, '127.0.0.1');
  return Object.assign(subject, { app, url: urlOf(app) });
}

export const storeOf = (subject: Subject): SessionStore => subject.app.get(SessionStore);

const urlOf = (app: INestApplication): string =>
  `http://127.0.0.1:${(app.getHttpServer().address() as AddressInfo).port}`;

export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  readonly body: string;
}

/** A browser: one cookie, kept or replaced by what an answer sets. */
export class Browser {
  cookie = '';

  constructor(private readonly subject: Subject) {}

  get(path: string): Promise<Answer> {
    return this.ask('GET', path);
  }

  /** A form that a page of another origin sends here: a sibling sub-domain, so that SameSite=Lax lets the cookie along. */
  sendFromSibling(path: string): Promise<Answer> {
    return this.ask('POST', path, { 'sec-fetch-site': 'same-site', origin: 'http://other.example.com' });
  }

  private async ask(method: string, path: string, more: Record<string, string> = {}): Promise<Answer> {
    const headers = new Headers({ ...more, ...(this.cookie !== '' && { cookie: this.cookie }) });
    const response = await fetch(this.subject.url + path, { method, headers, redirect: 'manual' });
    const [text] = response.headers.getSetCookie();
    if (text !== undefined) this.cookie = text.split(';', 1)[0]!;
    return { status: response.status, headers: response.headers, body: await response.text() };
  }

  async read(): Promise<{ a: string | null; b: string | null; user: string | null }> {
    return JSON.parse((await this.get('/read')).body);
  }

  /** The cookie's value with its signature taken off. */
  get id(): string {
    return decodeURIComponent(this.cookie.slice(this.cookie.indexOf('=') + 1)).replace(/^s:/, '');
  }
}
