import { afterEach, describe, expect, it } from '@jest/globals';
import { UseGuards } from '@nestjs/common';
import { Field, Mutation, ObjectType, Query, ResolveField, Resolver, Subscription } from '@nestjs/graphql';
import { createClient } from 'graphql-ws';
import { WebSocket } from 'ws';
import {
  AllowCrossOrigin,
  Session,
  SessionGuard,
  SessionLock,
  type SessionModuleOptions,
} from '../../src/index.js';
import { type AnySession, type Bag, logs, type RunningApp } from '../support/app.js';
import { type GraphqlStack, stackPerDriver, startGraphql } from './support.js';

@ObjectType()
class Tick {
  @Field(() => String)
  readonly name!: string;
}

/** What a subscription sends: one event. */
async function* once<T>(ticks: T) {
  yield { ticks };
}

@Resolver(() => Tick)
class TickResolver {
  @Subscription(() => Tick, { name: 'ticks' })
  ticks(@Session() session: AnySession, @Session('name') name = 'nobody') {
    return once({ name: `${name} ${session.userId ?? '-'} ${session.flashed('notice') ?? '-'}` });
  }

  @Subscription(() => Tick, { resolve: ({ ticks }) => ticks })
  @UseGuards(SessionGuard)
  guarded(@Session() session: AnySession) {
    return once({ name: session.userId });
  }

  @Subscription(() => Tick, { resolve: ({ ticks }) => ticks })
  @AllowCrossOrigin()
  open(@Session('name') name = 'nobody') {
    return once({ name });
  }

  @Subscription(() => Tick, { resolve: ({ ticks }) => ticks })
  plain() {
    return once({ name: 'no session' });
  }

  @ResolveField(() => String, { nullable: true })
  owner(@Session('name') name: unknown) {
    return name;
  }

  @Query(() => String)
  me(@Session() session: AnySession) {
    return session.userId ?? 'nobody';
  }

  @Mutation(() => Boolean)
  async login(@Session() session: AnySession) {
    await session.login('eve');
    return true;
  }

  @Mutation(() => Boolean)
  async start(@Session() session: AnySession) {
    await session.start();
    return true;
  }

  @Mutation(() => Boolean)
  async regenerate(@Session() session: AnySession) {
    await session.regenerate();
    return true;
  }

  @Mutation(() => Boolean)
  async save(@Session() session: AnySession) {
    session.set('n', 1);
    await session.save();
    return true;
  }

  @Mutation(() => Boolean)
  async tap(@Session() session: AnySession) {
    await session.tap((data) => (data['n'] = 2));
    return true;
  }

  @Mutation(() => Boolean)
  @SessionLock()
  lock(@Session() session: AnySession) {
    session.set('n', 3);
    return true;
  }

  @Mutation(() => Boolean)
  async logout(@Session() session: AnySession) {
    await session.logout();
    return true;
  }
}

const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).reverse()) await close();
});

/** A socket as a browser opens it: operations come back with what they answered first. */
function connect(app: RunningApp, headers: Record<string, string> = {}) {
  const client = createClient({
    url: `ws://127.0.0.1:${app.port}/graphql`,
    webSocketImpl: class extends WebSocket {
      constructor(address: string, protocols: string) {
        super(address, protocols, { headers });
      }
    },
    retryAttempts: 0,
    lazy: false,
    onNonLazyError: () => undefined,
  });
  closing.push(() => client.dispose());
  return async (query: string): Promise<any> => {
    try {
      const { value } = await client.iterate({ query }).next();
      return value.errors ? value.errors[0].message : value.data;
    } catch (error) {
      return (error as Error[])[0]!.message;
    }
  };
}

async function run(stack: GraphqlStack, session: SessionModuleOptions = {}, graphql: object = {}) {
  const app = await startGraphql(stack, [TickResolver], {
    session: { touchAfter: 0, ...session },
    graphql: { subscriptions: true, ...graphql },
  });
  closing.push(() => app.stop());
  return app;
}

async function sessionIn(app: RunningApp, data: Bag = { name: 'ada' }, userId?: string) {
  const session = await app.store.create({ data, userId });
  session.flash('notice', 'hello');
  await session.save();
  app.reset();
  return { id: session.id as string, handle: session.handle as string, cookie: `sid=${session.id}` };
}

describe.each(stackPerDriver)('sockets of GraphQL: %s', (_title, stack) => {
  it('a subscription and its fields have the session of the handshake, and are no use of it', async () => {
    const app = await run(stack);
    const { handle, cookie } = await sessionIn(app, { name: 'ada' }, 'u1');
    const before = app.probe.peek(handle);
    const send = connect(app, { cookie });
    expect(await send('subscription { ticks { name owner } }')).toEqual({
      ticks: { name: 'ada u1 hello', owner: 'ada' },
    });
    expect(app.probe.names).toEqual(['read']);
    expect(app.probe.peek(handle)).toEqual(before);
  });

  it('a subscription that asks for no session reads none, and its fields may still ask', async () => {
    const app = await run(stack);
    const send = connect(app, { cookie: (await sessionIn(app)).cookie });
    expect(await send('subscription { plain { name } }')).toEqual({ plain: { name: 'no session' } });
    expect(app.probe.names).toEqual([]);
    expect(await send('subscription { plain { owner } }')).toEqual({ plain: { owner: 'ada' } });
  });

  it('each operation reads the session anew: SessionGuard refuses once the user has logged out (S26)', async () => {
    const app = await run(stack);
    const { id, cookie } = await sessionIn(app, {}, 'ada');
    const send = connect(app, { cookie });
    expect(await send('subscription { guarded { name } }')).toEqual({ guarded: { name: 'ada' } });
    await app.store.destroy(id);
    expect(await send('subscription { guarded { name } }')).toBe('Unauthorized');
    expect(await send('{ me }')).toEqual({ me: 'nobody' });
  });

  it.each(['login', 'start', 'regenerate'])(
    '%s over a socket is a clear error: there is no response to tell an id',
    async (deed) => {
      const app = await run(stack);
      const before = deed === 'start' ? undefined : await sessionIn(app);
      const send = connect(app, before ? { cookie: before.cookie } : {});
      expect(await send(`mutation { ${deed} }`)).toMatch(/not over a socket: the client could not be told/);
      expect(app.probe.of('create').length + app.probe.of('update').length).toBe(0);
      expect(await send('{ me }')).toEqual({ me: 'nobody' });
    },
  );

  it.each([
    ['save', 1],
    ['tap', 2],
    ['lock', 3],
  ])('what is changed over a socket is saved by %s', async (deed, n) => {
    const app = await run(stack);
    const { handle, cookie } = await sessionIn(app);
    expect(await connect(app, { cookie })(`mutation { ${deed} }`)).toEqual({ [deed]: true });
    expect(app.probe.value(handle, 'n')).toBe(n);
  });

  it('logout over a socket ends the session (S26)', async () => {
    const app = await run(stack);
    const { handle, cookie } = await sessionIn(app, {}, 'ada');
    const send = connect(app, { cookie });
    expect(await send('{ me }')).toEqual({ me: 'ada' });
    expect(await send('mutation { logout }')).toEqual({ logout: true });
    expect(app.probe.peek(handle)).toBeUndefined();
    expect(await send('{ me }')).toEqual({ me: 'nobody' });
  });

  it('a page of another origin gets nothing of a session of the visitor, and nothing is read (S61, S64)', async () => {
    const app = await run(stack, { crossOrigin: { trustedOrigins: ['https://app.example'] } });
    const { cookie } = await sessionIn(app);
    const from = (origin: string) => connect(app, { cookie, origin });
    const ticks = 'subscription { ticks { name } }';
    expect(await from('https://evil.example')(ticks)).toBe('Forbidden');
    expect(await from('https://evil.example')('mutation { logout }')).toBe('Forbidden');
    expect([app.probe.names, app.eventTypes()]).toEqual([[], ['refused', 'refused']]);
    expect(logs.join()).toContain('its Origin is "https://evil.example"');
    expect(await from('https://evil.example')('subscription { open { name } }')).toEqual({
      open: { name: 'ada' },
    });
    for (const origin of ['https://app.example', `http://127.0.0.1:${app.port}`]) {
      expect(await from(origin)(ticks)).toEqual({ ticks: { name: 'ada - hello' } });
    }
  });
});

describe('sockets of Mercurius without subscription.context', () => {
  it('@Session() is an error that names it', async () => {
    const [, stack] = stackPerDriver.find(([, { driver }]) => driver === 'Mercurius')!;
    const subscription = { fullWsTransport: true, wsDefaultSubprotocol: 'graphql-transport-ws' };
    const app = await run(stack, {}, { subscription });
    const send = connect(app, { cookie: (await sessionIn(app)).cookie });
    const answer = await send('subscription { ticks { name } }');
    expect(answer).toContain('TickResolver.ticks: @Session() needs a request');
    expect(answer).toContain('subscription.context');
    expect(app.probe.names).toEqual([]);
  });
});
