import { once } from 'node:events';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { PassThrough } from 'node:stream';
import { afterEach, describe, expect, it } from '@jest/globals';
import { type INestApplication, Module, UseGuards } from '@nestjs/common';
import { Field, ID, Int, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import { Test } from '@nestjs/testing';
import type { FastifyInstance } from 'fastify';
import { ExecutionContextHost } from '@nestjs/core/helpers/execution-context-host.js';
import { FastifyAdapter, type NestFastifyApplication } from '@nestjs/platform-fastify';
import { Session, SessionGuard, SessionLock, SessionModule, UseSession } from '../../src/index.js';
import { type AnySession, type Bag, type RunningApp } from '../support/app.js';
import { settle } from '../support/gate.js';
import {
  ask,
  graphqlModule,
  type GraphqlOptions,
  type GraphqlStack,
  messagesOf,
  stackPerDriver,
  startGraphql,
} from './support.js';

@ObjectType()
class Item {
  @Field(() => ID)
  readonly id!: string;
}

@Resolver(() => Item)
class ItemResolver {
  @Query(() => [Item])
  items(): Item[] {
    return [{ id: '1' }, { id: '2' }, { id: '3' }];
  }

  @Query(() => [Item])
  @UseSession()
  asked() {
    return this.items();
  }

  @ResolveField(() => String)
  @UseGuards(SessionGuard)
  secret() {
    return 'only for those who are logged in';
  }

  @ResolveField(() => Int)
  @SessionLock()
  async add(@Session() session: AnySession) {
    const n = session.get('n') ?? 0;
    await settle(2);
    session.set('n', n + 1);
    return n + 1;
  }

  @ResolveField(() => String, { nullable: true })
  owner(@Session('name') name: unknown) {
    return name;
  }

  @ResolveField(() => String)
  @UseSession({ touch: false })
  watched(@Session() session: AnySession) {
    return session.handle;
  }
}

const running: { stop(): Promise<void> }[] = [];
afterEach(async () => {
  for (const app of running.splice(0)) await app.stop();
});

async function run(stack: GraphqlStack, graphql: GraphqlOptions = {}, session: object = {}) {
  const app = await startGraphql(stack, [ItemResolver], { graphql, session });
  running.push(app);
  return app;
}

/** Hands Fastify a request whose socket knows of no server and no response, as its `inject()` does. */
async function inject(app: INestApplication, query: string, cookie = ''): Promise<any> {
  const body = JSON.stringify({ query });
  const request = new IncomingMessage(new Socket());
  const headers = {
    host: 'localhost',
    'content-type': 'application/json',
    'content-length': `${body.length}`,
  };
  Object.assign(request, { method: 'POST', url: '/graphql', headers: { ...headers, cookie } });
  request.push(body);
  request.push(null);
  const response = new ServerResponse(request);
  const wire = new PassThrough();
  response.assignSocket(wire as never);
  const fastify: FastifyInstance = app.getHttpAdapter().getInstance();
  await fastify.ready();
  fastify.routing(request, response);
  await once(response, 'finish');
  return JSON.parse(String(wire.read()).split('\r\n\r\n')[1]!);
}

/** A browser with a session. */
async function visitor(app: RunningApp, data: Bag = {}) {
  const client = app.client();
  client.jar.set('sid', (await app.store.create({ data })).id);
  app.reset();
  return client;
}

describe.each(stackPerDriver)('fields and fieldResolverEnhancers: %s', (_title, stack) => {
  it('by default Nest runs no guard on a field, and @Session() works all the same', async () => {
    const app = await run(stack);
    const answer = await ask(await visitor(app, { name: 'ada' }), '{ items { secret owner } }');
    expect(answer.errors).toEqual([]);
    expect(answer.data.items[0]).toEqual({ secret: 'only for those who are logged in', owner: 'ada' });
  });

  it("with 'guards' SessionGuard stands before a field, and one session serves all", async () => {
    const app = await run(stack, { fieldResolverEnhancers: ['guards'] });
    const client = await visitor(app, { name: 'ada' });
    expect(messagesOf(await ask(client, '{ items { secret } }'))).toContain('Unauthorized');
    const { id } = await app.store.create({ userId: 'ada' });
    client.jar.set('sid', id);
    app.reset();
    const allowed = await ask(client, '{ items { secret owner } }');
    expect(allowed.errors).toEqual([]);
    expect(app.probe.names).toEqual(['read']);
  });

  it("with 'interceptors' @SessionLock() on a field makes its siblings wait for one another", async () => {
    const app = await run(stack, { fieldResolverEnhancers: ['interceptors'] });
    const client = await visitor(app);
    const answer = await ask(client, '{ items { add } }');
    expect(answer.data.items.map(({ add }: any) => add).toSorted()).toEqual([1, 2, 3]);
    expect(app.probe.value(client.handle, 'n')).toBe(3);
  });

  it('without it the siblings run side by side', async () => {
    const app = await run(stack);
    const answer = await ask(await visitor(app), '{ items { add } }');
    expect(answer.data.items.map(({ add }: any) => add)).toEqual([1, 1, 1]);
  });

  it('a field may say that it is no use of the session (S65)', async () => {
    const app = await run(stack, {}, { touchAfter: 0 });
    const client = await visitor(app);
    const watched = await ask(client, '{ items { watched } }');
    expect(watched.data.items[0]).toEqual({ watched: client.handle });
    expect([watched.setCookies, app.probe.names]).toEqual([[], ['read']]);
    await ask(client, '{ items { owner } }');
    expect(app.probe.names).toEqual(['read', 'read', 'update']);
  });
});

describe.each(stackPerDriver)('the context of the driver: %s', (_title, stack) => {
  const read = async (app: RunningApp, name: string) =>
    (await ask(await visitor(app, { name }), '{ items { owner } }')).data?.items[0].owner;

  it("a function of the application's own has what it adds, and the request", async () => {
    const seen: unknown[] = [];
    const app = await run(stack, { context: (given: unknown) => (seen.push(given), { loaders: {} }) });
    expect(await read(app, 'ada')).toBe('ada');
    expect(await read(app, 'bob')).toBe('bob');
    expect(seen).toHaveLength(2);
  });

  it('an object, which is the same for all requests, shows nobody the session of another', async () => {
    const app = await run(stack, { context: { loaders: {} } });
    expect(await read(app, 'ada')).toBe('ada');
    const second = await ask(await visitor(app, { name: 'bob' }), '{ items { owner } }');
    if (stack.driver === 'Apollo') return expect(second.data.items[0]).toEqual({ owner: 'bob' });
    // Mercurius hands out the first request of all.
    expect(second.text).not.toContain('ada');
    expect(messagesOf(second)[0]).toContain('function that returns a new object each time');
  });

  it('one that puts something else in the place of the request is a clear error', async () => {
    const app = await run(stack, { context: () => ({ req: { headers: {} } }) });
    const answer = await ask(await visitor(app), '{ items { owner } }');
    expect(messagesOf(answer)[0]).toMatch(/"req" of th(e|is) GraphQL context is not the/);
    expect(answer.setCookies).toEqual([]);
  });
});

it('a resolver of references, which gets no arguments, has the session too', async () => {
  const app = await run(stackPerDriver[0]![1]);
  const { id } = await app.store.create({ data: { name: 'ada' } });
  const req = new IncomingMessage(new Socket());
  Object.assign(req, { method: 'POST', headers: { cookie: `sid=${id}` } });
  const reference = { __typename: 'Item', id: '1' };
  const host = new ExecutionContextHost([reference, { req, res: new ServerResponse(req) }, { path: {} }]);
  host.setType('graphql');
  expect((await app.store.of(host)).get('name')).toBe('ada');
});

describe('two SessionModules in one application', () => {
  it('a field below a query that asks for the session has that one; else it is a clear error', async () => {
    @Module({
      imports: [SessionModule.forRoot({ isGlobal: false, cookieName: 'a' })],
      providers: [ItemResolver],
      exports: [],
    })
    class First {}
    @Module({ imports: [SessionModule.forRoot({ isGlobal: false, cookieName: 'b' })] })
    class Second {}
    const module = await Test.createTestingModule({
      imports: [graphqlModule('Mercurius'), First, Second],
    }).compile();
    const app = module.createNestApplication<NestFastifyApplication>(new FastifyAdapter(), { logger: false });
    running.push({ stop: () => app.close() });
    await app.init();
    const send = (query: string) => inject(app, query);
    expect(await send('{ asked { owner } }')).toEqual({ data: { asked: Array(3).fill({ owner: null }) } });
    const { errors } = await send('{ items { owner } }');
    expect(errors[0].message).toContain('ItemResolver.owner: it cannot be told');
    expect(errors[0].message).toContain('Put @UseSession() on the query');
  });
});

describe('requests that are injected, and never were on a wire', () => {
  const read = async (driver: GraphqlStack['driver'], context?: unknown) => {
    const stack = stackPerDriver.find(([, one]) => one.driver === driver && one.platform === 'fastify')![1];
    const app = await run(stack, context ? { context } : {});
    const { id } = await app.store.create({ data: { name: 'ada' } });
    return inject(app.app, '{ items { owner } }', `sid=${id}`);
  };

  it('with Mercurius, fields find their application and the response', async () => {
    expect((await read('Mercurius')).data.items[0]).toEqual({ owner: 'ada' });
  });

  it('with Apollo on Fastify, the response has to be in the context', async () => {
    const context = (req: unknown, reply: unknown) => ({ req, reply });
    expect((await read('Apollo', context)).data.items[0]).toEqual({ owner: 'ada' });
    expect((await read('Apollo')).errors[0].message).toContain('in the context of GraphQL as "reply"');
  });
});
