import { afterEach, describe, expect, it } from '@jest/globals';
import { APP_GUARD } from '@nestjs/core';
import { Field, Mutation, ObjectType, Query, ResolveField, Resolver } from '@nestjs/graphql';
import {
  AllowCrossOrigin,
  CrossOriginGuard,
  Session,
  type SessionModuleOptions,
  SessionLock,
  UseSession,
} from '../../src/index.js';
import { type AnySession, logs, type RunningApp } from '../support/app.js';
import { sessionCookies } from '../support/basic.js';
import { type Answer, ask, type GraphqlStack, messagesOf, stackPerDriver, startGraphql } from './support.js';

@ObjectType()
class Item {
  @Field(() => String)
  readonly id!: string;
}

/** What ran. */
const ran: string[] = [];
const run = (name: string): Item => (ran.push(name), { id: name });

@Resolver(() => Item)
class ItemResolver {
  @Query(() => Item)
  read(@Session() _session: AnySession) {
    return run('read');
  }

  @Query(() => Item)
  @UseSession()
  used() {
    return run('used');
  }

  @Mutation(() => Item)
  write(@Session() session: AnySession) {
    session.set('n', 1);
    return run('write');
  }

  @Mutation(() => Item)
  @SessionLock()
  locked() {
    return run('locked');
  }

  @Mutation(() => Item)
  @AllowCrossOrigin()
  allowed(@Session() session: AnySession) {
    session.set('n', 2);
    return run('allowed');
  }

  @Mutation(() => Item)
  plain() {
    return run('plain');
  }

  @ResolveField(() => String)
  handle(@Session() session: AnySession) {
    ran.push('handle');
    return session.handle;
  }

  @ResolveField(() => String)
  @AllowCrossOrigin()
  allowedHandle(@Session() session: AnySession) {
    return session.handle;
  }
}

const running: RunningApp[] = [];
afterEach(async () => {
  for (const app of running.splice(0)) await app.stop();
});

async function open(stack: GraphqlStack, session: SessionModuleOptions = {}, providers: any[] = []) {
  const app = await startGraphql(stack, [ItemResolver, ...providers], {
    graphql: { batches: true },
    session,
  });
  running.push(app);
  const client = app.client();
  client.jar.set('sid', (await app.store.create()).id);
  app.reset();
  ran.length = 0;
  return { app, client };
}

const CROSS = { 'sec-fetch-site': 'cross-site', origin: 'https://evil.example' };

describe.each(stackPerDriver)('cross-origin operations: %s', (_title, stack) => {
  const expectRefused = (app: RunningApp, answer: Answer) => {
    expect(new Set(messagesOf(answer))).toEqual(new Set(['Forbidden']));
    expect(answer.text).not.toMatch(/evil|Sec-Fetch|trustedOrigins|AllowCrossOrigin/);
    expect([answer.setCookies, app.probe.names, app.eventTypes()]).toEqual([[], [], ['refused']]);
    expect(logs.filter((line) => line.includes('A cross-origin request was refused'))).toHaveLength(1);
    if (stack.driver === 'Apollo') expect(answer.errors[0]!.extensions).toMatchObject({ code: 'FORBIDDEN' });
  };

  it.each(['{ read { id } }', '{ used { id } }', 'mutation { write { id } }', 'mutation { locked { id } }'])(
    '%s runs nothing, reads nothing, and the client is told nothing of the reason (S61)',
    async (query) => {
      const { app, client } = await open(stack);
      expectRefused(app, await ask(client, query, { headers: CROSS }));
      expect(ran).toEqual([]);
      expect((await ask(client, query, { headers: { 'sec-fetch-site': 'same-origin' } })).errors).toEqual([]);
    },
  );

  it('it is refused, told and logged once, however many resolvers ask', async () => {
    const { app, client } = await open(stack);
    const query = 'mutation { a: write { id } b: write { id } plain { handle } }';
    expectRefused(app, await ask(client, query, { headers: CROSS }));
    expect(ran).not.toContain('write');
    expect(ran).not.toContain('handle');
  });

  it('@AllowCrossOrigin() frees its mutation and no other, and its fields say so themselves', async () => {
    const { app, client } = await open(stack);
    const allowed = await ask(client, 'mutation { allowed { id allowedHandle } }', { headers: CROSS });
    expect(allowed.data.allowed).toEqual({ id: 'allowed', allowedHandle: client.handle });
    expect(app.probe.value(client.handle, 'n')).toBe(2);
    const field = await ask(client, 'mutation { allowed { handle } }', { headers: CROSS });
    expect(messagesOf(field)).toEqual(['Forbidden']);
    ran.length = 0;
    const body = ['mutation { allowed { id } }', 'mutation { write { id } }'].map((query) => ({ query }));
    const batch = (await client.post('/graphql', { headers: CROSS, body })).json();
    expect(batch[0].data).toEqual({ allowed: { id: 'allowed' } });
    expect(batch[1].errors[0].message).toBe('Forbidden');
    expect(ran).toEqual(['allowed']);
  });

  it('a GET passes, as it can only query', async () => {
    const { client } = await open(stack);
    const headers = { ...CROSS, 'apollo-require-preflight': '1' };
    const path = `/graphql?query=${encodeURIComponent('{ read { id } }')}`;
    expect((await client.get(path, { headers })).json().data).toEqual({ read: { id: 'read' } });
    const write = `/graphql?query=${encodeURIComponent('mutation { write { id } }')}`;
    expect((await client.get(write, { headers })).status).toBeGreaterThanOrEqual(400);
    expect(ran).toEqual(['read']);
  });

  it("mode 'log' lets it in, with one event and one line", async () => {
    const { app, client } = await open(stack, { crossOrigin: { mode: 'log' } });
    const answer = await ask(client, 'mutation { a: write { handle } b: write { id } }', { headers: CROSS });
    expect(answer.errors).toEqual([]);
    expect(app.eventTypes()).toEqual(['refused']);
    expect(logs.filter((line) => line.includes('A cross-origin request'))).toHaveLength(1);
  });

  it("CrossOriginGuard stands before operations without a session, under 'allow' too", async () => {
    const guard = { provide: APP_GUARD, useClass: CrossOriginGuard };
    const { app, client } = await open(stack, { crossOrigin: 'allow' }, [guard]);
    expectRefused(app, await ask(client, 'mutation { plain { id } }', { headers: CROSS }));
    const allowed = await ask(client, 'mutation { allowed { id } }', { headers: CROSS });
    expect(sessionCookies(allowed)).toHaveLength(0);
    expect(ran).toEqual(['allowed']);
  });
});
