/**
 * The application that every variant serves: the same module, controller, routes and answers. Only
 * where the session comes from differs.
 *
 *   GET /plain      asks for no session
 *   GET /write      reads `visits`, adds one, writes it, answers with it
 *   GET /read       reads `visits` and answers with it
 *   GET /fill/:keys writes `visits` and as many other values of about 500 bytes as make `keys`
 *
 * Decorators are applied by hand, so that what runs is this file and the published build.
 */
import { Controller, Get, Module, Param, Session as NestSession, UseInterceptors } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { REDIS_PREFIX, REDIS_URL } from './redis.js';
import { sqlVariants } from './sql.js';

const TTL_SECONDS = 3600;
const SECRET = 'a secret of the benchmark, longer than 32 characters';
const COOKIE = { maxAge: TTL_SECONDS * 1000, sameSite: 'lax', secure: false };

const text = (visits) => `${visits} visits`;
const filler = (i) => `${i}:`.padEnd(480, 'abcdefghij');

/** A plain `req.session`, as express-session and @fastify/session hand it out. */
const propertyStyle = {
  decorate: NestSession,
  visit: (session) => text((session.visits = (session.visits ?? 0) + 1)),
  read: (session) => text(session.visits),
  fill: (session, keys) => {
    session.visits = 1;
    for (let i = 1; i < keys; i++) session[`key${i}`] = filler(i);
    return text(1);
  },
};

/** What a handler without sessions does. */
const stateless = {
  visit: () => text(1),
  read: () => text(1),
  fill: () => text(1),
};

const ownStyle = (Session) => ({
  decorate: Session,
  visit: (session) => {
    const visits = (session.get('visits') ?? 0) + 1;
    session.set('visits', visits);
    return text(visits);
  },
  read: (session) => text(session.get('visits')),
  fill: (session, keys) => {
    session.set('visits', 1);
    for (let i = 1; i < keys; i++) session.set(`key${i}`, filler(i));
    return text(1);
  },
});

function controllerOf({ decorate, interceptor, visit, read, fill }) {
  class VisitsController {
    plain() {
      return text(0);
    }
    write(session) {
      return visit(session);
    }
    read(session) {
      return read(session);
    }
    fill(session, keys) {
      return fill(session, Number(keys));
    }
  }
  const { prototype } = VisitsController;
  const route = (path, name, usesSession) => {
    const descriptor = Object.getOwnPropertyDescriptor(prototype, name);
    if (usesSession && interceptor) UseInterceptors(interceptor)(prototype, name, descriptor);
    if (usesSession && decorate) decorate()(prototype, name, 0);
    Get(path)(prototype, name, descriptor);
  };
  route('plain', 'plain', false);
  route('write', 'write', true);
  route('read', 'read', true);
  Param('keys')(prototype, 'fill', 1);
  route('fill/:keys', 'fill', true);
  Controller()(VisitsController);
  return VisitsController;
}

function moduleOf(handlers, imports = []) {
  // oxlint-disable-next-line typescript/no-extraneous-class -- a Nest module has nothing in it
  class AppModule {}
  Module({ imports, controllers: [controllerOf(handlers)] })(AppModule);
  return AppModule;
}

async function createNest(platform, module) {
  if (platform === 'express') {
    const { ExpressAdapter } = await import('@nestjs/platform-express');
    return NestFactory.create(module, new ExpressAdapter(), { logger: ['error'] });
  }
  const { FastifyAdapter } = await import('@nestjs/platform-fastify');
  return NestFactory.create(module, new FastifyAdapter(), { logger: ['error'] });
}

async function withExpressSession(storeOf, options) {
  const { default: session } = await import('express-session');
  const app = await createNest('express', moduleOf(propertyStyle));
  const store = await storeOf(session);
  app.use(
    session({ secret: SECRET, resave: false, saveUninitialized: false, cookie: COOKIE, store, ...options }),
  );
  return app;
}

async function withFastifySession(options) {
  const { default: cookie } = await import('@fastify/cookie');
  const { default: session } = await import('@fastify/session');
  const app = await createNest('fastify', moduleOf(propertyStyle));
  await app.register(cookie);
  await app.register(session, { secret: SECRET, saveUninitialized: false, cookie: COOKIE, ...options });
  return app;
}

async function withOurs(platform, storage) {
  const { Session, SessionModule } = await import('nest-sessions');
  const module = SessionModule.forRoot({ ttl: TTL_SECONDS, ...(storage && { storage }) });
  return createNest(platform, moduleOf(ownStyle(Session), [module]));
}

/** The handlers of express-session, unchanged, over a session of ours. */
async function withReqSession(options) {
  const { SessionModule } = await import('nest-sessions');
  const { useReqSession } = await import('nest-sessions/express');
  const app = await createNest(
    'express',
    moduleOf(propertyStyle, [SessionModule.forRoot({ ttl: TTL_SECONDS })]),
  );
  useReqSession(app, options);
  return app;
}

class NoopInterceptor {
  intercept(_context, next) {
    return next.handle();
  }
}

/** Every variant by name; each answers with a Nest application that does not listen yet. */
export const variants = {
  express: () => createNest('express', moduleOf(stateless)),
  'express+interceptor': () =>
    createNest('express', moduleOf({ ...stateless, interceptor: NoopInterceptor })),
  'express+ours': () => withOurs('express'),
  'express+ours-redis': async () => {
    const { RedisStorage } = await import('nest-sessions/redis');
    const { Redis } = await import('ioredis');
    return withOurs('express', new RedisStorage(new Redis(REDIS_URL), { prefix: REDIS_PREFIX }));
  },
  'express+req-session': () => withReqSession(),
  'express+req-session-user': () => withReqSession({ userId: (data) => data.passport?.user }),
  'express+express-session': () => withExpressSession(() => undefined),
  'express+express-session-rolling': () => withExpressSession(() => undefined, { rolling: true }),
  'express+memorystore': () =>
    withExpressSession(async (session) => {
      const { default: memorystore } = await import('memorystore');
      const MemoryStore = memorystore(session);
      return new MemoryStore({ checkPeriod: 86_400_000 });
    }),
  'express+connect-redis': () =>
    withExpressSession(async () => {
      const { RedisStore } = await import('connect-redis');
      const { createClient } = await import('redis');
      const client = await createClient({ url: REDIS_URL }).connect();
      return new RedisStore({ client, prefix: REDIS_PREFIX });
    }),

  ...sqlVariants(withOurs, withExpressSession),

  fastify: () => createNest('fastify', moduleOf(stateless)),
  'fastify+interceptor': () =>
    createNest('fastify', moduleOf({ ...stateless, interceptor: NoopInterceptor })),
  'fastify+ours': () => withOurs('fastify'),
  'fastify+ours-roomy': async () => {
    const { MemoryStorage } = await import('nest-sessions');
    return withOurs('fastify', new MemoryStorage({ maxSessions: 2_000_000 }));
  },
  'fastify+fastify-session': () => withFastifySession(),
  'fastify+fastify-session-unrolled': () => withFastifySession({ rolling: false }),
};
