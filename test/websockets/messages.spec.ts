import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  type CanActivate,
  Catch,
  type ExecutionContext,
  Injectable,
  UseFilters,
  UseGuards,
} from '@nestjs/common';
import {
  BaseWsExceptionFilter,
  MessageBody,
  SubscribeMessage,
  WebSocketGateway,
  WsException,
} from '@nestjs/websockets';
import { concat, defer, Observable, of } from 'rxjs';
import { Session, SessionGuard, SessionLock, SessionStore, UseSession } from '../../src/index.js';
import { type AnySession, logs } from '../support/app.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { forgetGates, gate, until } from '../support/gate.js';
import { answer, type Client, type SocketApp, socketStacks, startSockets } from './support.js';

@Injectable()
class StoreGuard implements CanActivate {
  constructor(private readonly store: SessionStore<any>) {}
  async canActivate(context: ExecutionContext) {
    const session = await this.store.of(context);
    session.set('seenByGuard', true);
    return session.userId === 'ada';
  }
}

@Catch()
class StoreFilter extends BaseWsExceptionFilter {
  constructor(private readonly store: SessionStore<any>) {
    super();
  }
  override async catch(error: unknown, host: ArgumentsHost) {
    const session = await this.store.of(host);
    super.catch(new WsException(`${(error as Error).message} of ${session.userId}`), host);
  }
}

/** What was thrown inside handlers. */
const thrown: string[] = [];
const handlers: string[] = [];

async function attempt(work: () => unknown) {
  try {
    await work();
    return answer('done');
  } catch (error) {
    thrown.push((error as Error).message);
    return answer((error as { code?: string }).code);
  }
}

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('plain')
  plain(@MessageBody() text: string) {
    return answer(`got ${text}`);
  }

  @SubscribeMessage('read')
  read(@Session() session: AnySession) {
    return answer({ user: session.userId, data: session.toJSON(), flash: session.flashed('hint') });
  }

  @SubscribeMessage('value')
  value(@Session('n') n: number) {
    return answer(n);
  }

  @SubscribeMessage('write')
  write(@Session() session: AnySession, @MessageBody() value: unknown) {
    session.set('n', value);
    return answer(value);
  }

  @SubscribeMessage('untouched')
  @UseSession({ touch: false })
  untouched(@Session('n') n: number) {
    return answer(n);
  }

  @SubscribeMessage('guarded')
  @UseGuards(SessionGuard)
  guarded() {
    handlers.push('guarded');
    return answer('let in');
  }

  @SubscribeMessage('own guard')
  @UseGuards(StoreGuard)
  ownGuard() {
    return answer('let in');
  }

  @SubscribeMessage('filtered')
  @UseFilters(StoreFilter)
  filtered(@Session() session: AnySession) {
    session.set('n', 'before the filter');
    throw new Error('a failure');
  }

  @SubscribeMessage('fail')
  fail(@Session() session: AnySession, @MessageBody() value: unknown) {
    session.set('n', value);
    throw new WsException('no');
  }

  @SubscribeMessage('many')
  many(@Session() session: AnySession) {
    const last = defer(() => {
      session.set('n', 'written before the end');
      return of(answer(2));
    });
    return concat(
      of(answer(1)),
      last,
      new Observable<never>(
        (subscriber) =>
          void gate('many')
            .pass()
            .then(() => {
              session.set('last', 'at the end');
              subscriber.complete();
            }),
      ),
    );
  }

  @SubscribeMessage('slow')
  async slow(@Session() session: AnySession, @MessageBody() name: string) {
    handlers.push(`slow ${name}`);
    await gate(name).pass();
    session.set(name, true);
    return answer(name);
  }

  @SubscribeMessage('locked')
  @SessionLock()
  async locked(@Session() session: AnySession, @MessageBody() name: string) {
    handlers.push(`in ${name}`);
    await gate(name).pass();
    session.set('n', (session.get('n') ?? 0) + 1);
    handlers.push(`out ${name}`);
    return answer(session.get('n'));
  }

  @SubscribeMessage('tap')
  async tap(@Session() session: AnySession) {
    return answer(await session.tap((data) => (data['n'] = Number(data['n'] ?? 0) + 1)));
  }

  @SubscribeMessage('logout')
  async logout(@Session() session: AnySession) {
    await session.logout();
    return answer('bye');
  }

  @SubscribeMessage('logout and write')
  async logoutAndWrite(@Session() session: AnySession) {
    await session.logout();
    session.flash('hint', 'good-bye');
    return answer('bye');
  }

  @SubscribeMessage('do')
  do(
    @Session() session: AnySession,
    @MessageBody() what: 'login' | 'regenerate' | 'start' | 'save' | 'tap' | 'id',
  ) {
    return attempt(() => {
      if (what === 'login') return session.login('bob');
      if (what === 'id') return session.id;
      if (what === 'tap') return session.tap((data) => void (data['n'] = 1));
      if (what === 'save') session.set('n', 1);
      return session[what]();
    });
  }

  @SubscribeMessage('handle')
  handle(@Session() session: AnySession) {
    return answer([session.handle, session.isNew, String(session)]);
  }
}

describe.each(socketStacks)('messages: %s', (_title, stack) => {
  let app: SocketApp;
  let client: Client;

  beforeAll(async () => {
    app = await startSockets(stack, { gateways: [Gateway], session: { touchAfter: '10s' } });
  });
  afterEach(() => {
    unfreezeTime();
    forgetGates();
    client?.close();
    app.running.reset();
    thrown.length = handlers.length = 0;
  });
  afterAll(() => app.stop());

  const handleOf = (cookie: string) => cookie.slice(4, 26);
  const open = async (options: object = { userId: 'ada', data: { n: 1 } }) => {
    const cookie = await app.cookie(options);
    client = await app.connect(cookie);
    app.running.reset();
    return handleOf(cookie);
  };

  it('has fresh data each time, and saves before it answers', async () => {
    const handle = await open();
    expect(await client.ask('read')).toEqual(answer({ user: 'ada', data: { n: 1 } }));
    expect(await client.ask('write', 2)).toEqual(answer(2));
    expect(app.running.probe.value(handle, 'n')).toBe(2);
    expect(await client.ask('value')).toEqual(answer(2));
    expect(app.running.probe.names).toEqual(['read', 'read', 'update', 'read']);
  });

  it('costs nothing where the handler does not ask for the session', async () => {
    await open();
    expect(await client.ask('plain', 'x')).toEqual(answer('got x'));
    expect(app.running.probe.names).toEqual([]);
  });

  it('leaves flashes to requests', async () => {
    const handle = await open();
    const session = await app.store.load((await app.cookie()).slice(4));
    session!.flash('hint', 'later');
    await app.store.save(session!);
    const other = await app.connect(`sid=${session!.id}`);
    expect((await other.ask('read')).data.flash).toBe('later');
    expect((await other.ask('write', 5)).data).toBe(5);
    expect((await other.ask('read')).data.flash).toBe('later');
    expect(handle).toHaveLength(22);
  });

  it('saves what a handler wrote before it failed, before the client is told', async () => {
    const handle = await open();
    const told = await client.ask('fail', 'written');
    expect(told).toMatchObject({ event: 'exception', data: { status: 'error', message: 'no' } });
    expect(app.running.probe.value(handle, 'n')).toBe('written');
    expect(await client.ask('filtered')).toMatchObject({ data: { message: 'a failure of ada' } });
    expect(app.running.probe.value(handle, 'n')).toBe('before the filter');
  });

  it('saves what an observable wrote before each value, and when it ends', async () => {
    const handle = await open();
    client.send('many');
    await until(() => client.told.length === 2, 'two values came');
    expect(client.told).toEqual([answer(1), answer(2)]);
    expect(app.running.probe.value(handle, 'n')).toBe('written before the end');
    gate('many').open();
    await until(() => app.running.probe.value(handle, 'last') === 'at the end', 'the rest is saved');
  });

  it('saves what an observable wrote when the client leaves', async () => {
    const handle = await open();
    client.send('many');
    await until(() => client.told.length === 2, 'two values came');
    client.close();
    expect(app.running.probe.value(handle, 'n')).toBe('written before the end');
  });

  it('guards: SessionGuard, and one that asks the store', async () => {
    await open();
    expect(await client.ask('guarded')).toEqual(answer('let in'));
    expect(await client.ask('own guard')).toEqual(answer('let in'));
    expect((await client.ask('read')).data.data).toEqual({ n: 1, seenByGuard: true });
    client.close();
    client = await app.connect();
    handlers.length = 0;
    expect(await client.ask('guarded')).toMatchObject({
      event: 'exception',
      data: { message: 'Unauthorized' },
    });
    expect(handlers).toEqual([]);
  });

  it('counts as use, throttled, unless the route says otherwise', async () => {
    freezeTime();
    const handle = await open();
    const deadline = () => app.running.probe.peek(handle)!.expiresAt - Date.now();
    passTime(5_000);
    await client.ask('value');
    expect(app.running.probe.of('update')).toEqual([]);
    passTime(5_000);
    await client.ask('untouched');
    expect(app.running.probe.of('update')).toEqual([]);
    await client.ask('value');
    expect([app.running.probe.of('update').length, deadline()]).toEqual([1, 3_600_000]);
    passTime(10_000);
    await client.ask('write', 3);
    expect([app.running.probe.of('update').length, deadline()]).toEqual([2, 3_600_000]);
  });

  it('runs the messages of @SessionLock one after another', async () => {
    await open({ userId: 'ada' });
    client.send('locked', 'a');
    await until(() => handlers.includes('in a'), 'the first one runs');
    client.send('locked', 'b');
    gate('a').open();
    gate('b').open();
    await until(() => client.told.length === 2, 'both are answered');
    expect(client.told).toEqual([answer(1), answer(2)]);
    expect(handlers).toEqual(['in a', 'out a', 'in b', 'out b']);
  });

  it('taps, alone, also after a rotation over HTTP', async () => {
    const cookie = await app.cookie({ userId: 'ada' });
    client = await app.connect(cookie);
    const clients = [client, await app.connect(cookie)];
    await Promise.all(clients.flatMap((one) => [one.ask('tap'), one.ask('tap')]));
    const session = await app.store.load(cookie.slice(4));
    await session!.regenerate();
    expect(await client.ask('tap')).toMatchObject(answer(5));
    expect(app.running.probe.value(handleOf(cookie), 'n')).toBe(5);
  });

  it.each([
    ['login', 'login() must be called before the headers go out, and not over a socket'],
    ['regenerate', 'regenerate() must be called before the headers go out, and not over a socket'],
    ['id', 'session.id is not known on a socket'],
  ])('%s is a clear error, and changes nothing', async (what, message) => {
    const handle = await open();
    const before = app.running.probe.peek(handle);
    expect(await client.ask('do', what)).toEqual(answer('ERR_SESSION'));
    expect(thrown.join()).toContain(message);
    expect(app.running.probe.peek(handle)).toEqual(before);
  });

  it.each(['login', 'start', 'save', 'tap', 'id'])('without a session %s is a clear error', async (what) => {
    client = await app.connect();
    const { size } = app.running.probe;
    expect(await client.ask('do', what)).toEqual(answer('ERR_SESSION'));
    expect(thrown.join()).toMatch(/not over a socket|not known on a socket/);
    expect(app.running.probe.size).toBe(size);
  });

  it('without a session reads as a new visitor, and a write is an error to the client', async () => {
    client = await app.connect();
    expect(await client.ask('read')).toEqual(answer({ data: {} }));
    expect(await client.ask('write', 1)).toMatchObject({
      event: 'exception',
      data: { message: 'Internal server error' },
    });
    expect(logs.join('\n')).toContain(
      'A new session must be stored before the headers go out, and not over a socket',
    );
    expect(await client.ask('plain', 'x')).toEqual(answer('got x'));
  });

  it('knows the handle, and no id', async () => {
    const handle = await open();
    expect(await client.ask('handle')).toEqual(answer([handle, false, `Session ${handle}`]));
  });

  it('that logs out is answered, and then its socket is closed', async () => {
    const handle = await open();
    expect(await client.ask('logout')).toEqual(answer('bye'));
    expect(await client.ended()).toBe(true);
    expect(app.running.probe.peek(handle)).toBeUndefined();
  });

  it('that logs out and writes on is told that no session can start', async () => {
    await open();
    expect(await client.ask('logout and write')).toMatchObject({ event: 'exception' });
    expect(await client.ended()).toBe(true);
  });

  it.each(['read', 'update'] as const)(
    'a storage whose %s fails is an error to the client, and the socket lives',
    async (method) => {
      const handle = await open();
      app.running.probe.fail(method);
      const told = await client.ask('write', 'lost');
      expect(told).toMatchObject({
        event: 'exception',
        data: { status: 'error', message: 'Service Unavailable' },
      });
      expect(JSON.stringify(client.told)).not.toContain('ECONNREFUSED');
      app.running.probe.reset();
      expect(app.running.probe.value(handle, 'n')).toBe(1);
      expect(await client.ask('write', 'kept')).toEqual(answer('kept'));
      expect(client.told).toHaveLength(2);
    },
  );

  it('drops the writes of a message whose session ended meanwhile, and closes its socket', async () => {
    const handle = await open();
    client.send('slow', 'late');
    await until(() => handlers.includes('slow late'), 'the handler runs');
    await app.store.revoke(handle);
    gate('late').open();
    expect(await client.ended()).toBe(true);
    expect(app.running.probe.peek(handle)).toBeUndefined();
  });
});
