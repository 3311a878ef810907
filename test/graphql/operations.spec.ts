import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type CanActivate,
  createParamDecorator,
  type ExecutionContext,
  Injectable,
  ParseIntPipe,
  Scope,
  UseGuards,
} from '@nestjs/common';
import {
  Args,
  Field,
  ID,
  Int,
  Mutation,
  ObjectType,
  Parent,
  Query,
  ResolveField,
  Resolver,
} from '@nestjs/graphql';
import { Session, SessionGuard, SessionLock, SessionStore, UseSession } from '../../src/index.js';
import { type AnySession, type Bag, logs, type RunningApp } from '../support/app.js';
import { members, sessionCookies } from '../support/basic.js';
import { handleOf, isClearing } from '../support/client.js';
import { settle } from '../support/gate.js';
import { ask, messagesOf, stacks, startGraphql } from './support.js';

const Context = createParamDecorator((_data: unknown, context: ExecutionContext) => context);

@Injectable()
class MarkingGuard implements CanActivate {
  constructor(private readonly store: SessionStore<Bag>) {}

  async canActivate(context: ExecutionContext) {
    const session = await this.store.of(context);
    session.set('marks', (session.get('marks') ?? 0) + 1);
    return true;
  }
}

@ObjectType()
class Item {
  @Field(() => ID)
  readonly id!: string;
}

@Resolver(() => Item)
class ShopResolver {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Query(() => Int)
  add(@Session() session: AnySession) {
    session.set('n', (session.get('n') ?? 0) + 1);
    return session.get('n');
  }

  @Query(() => String, { nullable: true })
  value(@Session('name') name: unknown) {
    return name;
  }

  @Query(() => Int)
  piped(@Session('name', ParseIntPipe) name: number) {
    return name;
  }

  @Query(() => Boolean)
  async same(
    @Session() session: AnySession,
    @Session() again: AnySession,
    @Context() context: ExecutionContext,
  ) {
    return session === again && session === (await this.store.of(context));
  }

  @Query(() => Int)
  @UseGuards(MarkingGuard)
  marked(@Session('marks') marks: number) {
    return marks;
  }

  @Query(() => String)
  plain() {
    return 'nobody asked for a session here';
  }

  @Query(() => String)
  @UseSession()
  used() {
    return 'used';
  }

  @Query(() => [Item])
  asking(@Session() _session: AnySession): Item[] {
    return [{ id: '1' }, { id: '2' }, { id: '3' }];
  }

  @Query(() => [Item])
  items(): Item[] {
    return [{ id: '1' }, { id: '2' }, { id: '3' }];
  }

  @ResolveField(() => String, { nullable: true })
  owner(@Session('name') name: unknown) {
    return name;
  }

  @ResolveField(() => Int)
  number(@Session('name', ParseIntPipe) name: number) {
    return name;
  }

  @ResolveField(() => Int)
  likes(@Session() session: AnySession, @Parent() { id }: Item) {
    session.set(`like${id}`, true);
    return session.keys().filter((key) => key.startsWith('like')).length;
  }

  @ResolveField(() => String)
  async handle(@Context() context: ExecutionContext) {
    return (await this.store.of(context)).handle;
  }

  @Mutation(() => String)
  setName(@Session() session: AnySession, @Args('name') name: string) {
    session.set('name', name);
    return session.handle;
  }

  @Mutation(() => Boolean)
  async login(@Session() session: AnySession, @Args('user') user: string) {
    await session.login(user);
    return true;
  }

  @Mutation(() => Boolean)
  async loginAndFail(@Session() session: AnySession) {
    await session.login('eve');
    throw new Error('The welcome mail could not be sent');
  }

  @Mutation(() => Boolean)
  fail() {
    throw new Error('This failed');
  }

  @Mutation(() => Boolean)
  async logout(@Session() session: AnySession) {
    await session.logout();
    return true;
  }

  @Query(() => String)
  @UseGuards(SessionGuard)
  me(@Session() session: AnySession) {
    return session.userId;
  }

  @Mutation(() => String)
  @UseGuards(SessionGuard)
  rename(@Session() session: AnySession, @Args('name') name: string) {
    session.set('name', name);
    return session.userId;
  }

  @Mutation(() => Int)
  @SessionLock()
  async addSlowly(@Session() session: AnySession) {
    const n = session.get('n') ?? 0;
    await settle(3);
    session.set('n', n + 1);
    return n + 1;
  }

  @Query(() => Int)
  async addInTap(@Session() session: AnySession) {
    return session.tap(async (data) => {
      const { n = 0 } = data;
      await settle(2);
      return (data['n'] = n + 1);
    });
  }
}

@Injectable({ scope: Scope.REQUEST })
@Resolver(() => Item)
class ScopedResolver {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Query(() => Boolean)
  async scoped(@Session() session: AnySession, @Context() context: ExecutionContext) {
    return session === (await this.store.of(context));
  }

  @ResolveField(() => String, { nullable: true })
  scopedOwner(@Session('name') name: unknown) {
    return name;
  }
}
describe.each(stacks)('GraphQL operations: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startGraphql(stack, [ShopResolver, ScopedResolver], { graphql: { batches: true } });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  async function named() {
    const client = app.client();
    await ask(client, 'mutation { setName(name: "12") }');
    app.reset();
    return client;
  }

  it('a mutation that writes starts a session, and later operations have it', async () => {
    const client = app.client();
    const first = await ask(client, 'mutation { setName(name: "ada") }');
    expect(first.data.setName).toBe(client.handle);
    expect(sessionCookies(first)).toHaveLength(1);
    expect(members(first.headers.vary)).toContain('cookie');
    expect((await ask(client, '{ value }')).data).toEqual({ value: 'ada' });
    expect(app.probe.size).toBe(1);
  });

  it('a visitor who only looks gets nothing, and an operation that asks for no session is untouched (S52)', async () => {
    const client = app.client();
    const looked = await ask(client, '{ value items { owner } same }');
    expect(looked.data).toEqual({ value: null, items: Array(3).fill({ owner: null }), same: true });
    const plain = await ask(client, '{ plain }');
    expect([looked.setCookies, plain.setCookies, app.probe.names]).toEqual([[], [], []]);
    expect(members(plain.headers.vary)).not.toContain('cookie');
  });

  it('a value goes through pipes, and every parameter, guard and context has the same session', async () => {
    const client = await named();
    expect((await ask(client, '{ piped same scoped }')).data).toEqual({
      piped: 12,
      same: true,
      scoped: true,
    });
    expect((await ask(client, '{ marked again: marked }')).data).toMatchObject({ again: 2 });
  });

  it('resolvers of one operation share one session: it is read once, and saved once before the answer is out', async () => {
    const client = await named();
    let stored: unknown;
    const answer = await ask(client, '{ a: add b: add c: add value items { likes } }', {
      atEnd: () => (stored = app.probe.value(client.handle, 'n')),
    });
    expect(answer.data).toMatchObject({ a: 1, b: 2, c: 3, value: '12' });
    expect(stored).toBe(3);
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(app.probe.value(client.handle, 'like3')).toBe(true);
  });

  it('fields have the session that their query opened, and open it themselves below one that asks for none', async () => {
    const client = await named();
    const { handle } = client;
    const below = await ask(client, '{ asking { owner handle scopedOwner } }');
    expect(below.data.asking).toEqual(Array(3).fill({ owner: '12', handle, scopedOwner: '12' }));
    expect(app.probe.names).toEqual(['read']);
    const alone = await ask(client, '{ items { owner number handle scopedOwner } }');
    expect(alone.data.items).toEqual(Array(3).fill({ owner: '12', number: 12, handle, scopedOwner: '12' }));
    expect(app.probe.names).toEqual(['read', 'read']);
  });

  it('a field that writes starts a session as well: one, however many there are', async () => {
    const client = app.client();
    const answer = await ask(client, '{ items { likes } }');
    expect(answer.data.items.at(-1)).toEqual({ likes: 3 });
    expect(sessionCookies(answer)).toHaveLength(1);
    expect(app.probe.names).toEqual(['create']);
    expect(app.probe.value(client.handle, 'like1')).toBe(true);
  });

  it('taps of one operation run one after another', async () => {
    const client = await named();
    const { data } = await ask(client, '{ a: addInTap b: addInTap c: addInTap }');
    expect(Object.values(data).toSorted()).toEqual([1, 2, 3]);
    expect(app.probe.value(client.handle, 'n')).toBe(3);
  });

  it('a mutation that logs in sets the new id; the old one is dead at once (S11)', async () => {
    const client = await named();
    const old = client.sid;
    const answer = await ask(client, 'mutation { login(user: "ada") }');
    expect(sessionCookies(answer)).toHaveLength(1);
    expect(client.sid).not.toBe(old);
    expect(handleOf(client.sid)).toBe(handleOf(old));
    expect((await ask(client, '{ me value }')).data).toEqual({ me: 'ada', value: '12' });
    expect(messagesOf(await ask(client, '{ me }', { cookie: `sid=${old}` }))).toEqual(['Unauthorized']);
  });

  it.each(['login(user: "eve") fail', 'loginAndFail'])(
    'the login counts, and the cookie is set, though the answer has errors: %s',
    async (operation) => {
      const client = app.client();
      const answer = await ask(client, `mutation { ${operation} }`);
      expect(answer.errors).toHaveLength(1);
      expect(sessionCookies(answer)).toHaveLength(1);
      expect((await ask(client, '{ me }')).data).toEqual({ me: 'eve' });
    },
  );

  it('a mutation that logs out clears the cookie, and mutations after it have a new visitor (S12, S28)', async () => {
    const client = await named();
    await ask(client, 'mutation { login(user: "ada") }');
    const old = client.handle;
    const answer = await ask(client, 'mutation { logout setName(name: "bob") }');
    expect(sessionCookies(answer).map(isClearing)).toEqual([false]);
    expect(app.probe.peek(old)).toBeUndefined();
    expect(client.handle).toBe(answer.data.setName);
    const cleared = await ask(client, 'mutation { logout }');
    expect(sessionCookies(cleared).map(isClearing)).toEqual([true]);
    expect(client.sid).toBe('');
  });

  it('SessionGuard lets in who is logged in, and nobody else, to queries and mutations', async () => {
    const client = app.client();
    for (const operation of ['{ me }', 'mutation { rename(name: "x") }']) {
      const refused = await ask(client, operation);
      expect(messagesOf(refused)).toEqual(['Unauthorized']);
      expect([refused.setCookies, app.probe.names]).toEqual([[], []]);
    }
    await ask(client, 'mutation { login(user: "ada") }');
    expect((await ask(client, 'mutation { rename(name: "x") }')).data).toEqual({ rename: 'ada' });
    expect((await ask(client, '{ me value }')).data).toEqual({ me: 'ada', value: 'x' });
  });

  it('@SessionLock() runs the mutations of one session one after another, in whatever operations they come', async () => {
    const client = await named();
    const once = 'mutation { addSlowly }';
    const batch = client.post('/graphql', { body: [{ query: once }, { query: once }] });
    await Promise.all([batch, ask(client, 'mutation { a: addSlowly b: addSlowly }'), ask(client, once)]);
    expect(app.probe.value(client.handle, 'n')).toBe(5);
  });

  it('@UseSession() is a use of the session that asks for none', async () => {
    const client = await named();
    const answer = await ask(client, '{ used }');
    expect(answer.data).toEqual({ used: 'used' });
    expect(app.probe.names).toEqual(['read']);
    expect(members(answer.headers.vary)).toContain('cookie');
  });

  it('operations of a batch share one session: one read, one save, one cookie', async () => {
    const client = app.client();
    const body = [
      'mutation { setName(name: "1") }',
      '{ a: add b: add }',
      'mutation { login(user: "ada") }',
    ].map((query) => ({ query }));
    const reply = await client.post('/graphql', { body });
    expect(reply.json()).toHaveLength(3);
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(app.probe.of('create')).toHaveLength(1);
    app.probe.forget();
    const again = await client.post('/graphql', {
      body: [{ query: '{ add me }' }, { query: '{ add value }' }],
    });
    expect(again.json().map(({ data }: any) => data)).toEqual([
      { add: 3, me: 'ada' },
      { add: 4, value: '1' },
    ]);
    expect(app.probe.names).toEqual(['read', 'update']);
  });

  it('what cannot be stored is a 503 for the whole operation, and sets no cookie (S51)', async () => {
    app.probe.fail('create');
    const answer = await ask(app.client(), 'mutation { setName(name: "ada") }');
    expect(answer.status).toBe(503);
    expect(answer.json()).toEqual({ statusCode: 503, message: 'Service Unavailable' });
    expect(answer.setCookies).toEqual([]);
  });

  it('what cannot be read is an error of each resolver that asks, and says no reason (S51)', async () => {
    const client = await named();
    app.probe.fail('read');
    const answer = await ask(client, '{ value plain items { owner } }');
    expect(answer.data).toMatchObject({ value: null, plain: 'nobody asked for a session here' });
    expect(messagesOf(answer)).toEqual(Array(4).fill('Service Unavailable'));
    expect(answer.text).not.toContain('ECONNREFUSED');
    expect(logs.join()).toContain('ECONNREFUSED');
  });
});
