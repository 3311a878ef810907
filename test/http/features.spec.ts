import { randomUUID } from 'node:crypto';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, ParseIntPipe, Query, Req, Res, UseGuards } from '@nestjs/common';
import { Session, SessionCookie, SessionGuard, SessionStore } from '../../src/index.js';
import type { AnySession, AppOptions, Bag, RunningApp } from '../support/app.js';
import { rawResponse, stackPerPlatform, stacks, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import { isClearing } from '../support/client.js';

@Controller()
class FlashController {
  @Get('flash')
  flash(@Session() session: AnySession) {
    session.flash('notice', { text: 'saved' });
    session.flash('other', 1);
    return 'flashed';
  }

  @Get('flashed')
  flashed(@Session() session: AnySession) {
    return { notice: session.flashed('notice') ?? null, other: session.flashed('other') ?? null };
  }

  @Get('reflash')
  reflash(@Session() session: AnySession) {
    session.reflash();
    return session.flashed('notice') ?? null;
  }

  @Get('flash-again')
  flashAgain(@Session() session: AnySession) {
    const had = session.flashed('notice') ?? null;
    session.flash('notice', 'second');
    return { had };
  }

  @Get('json')
  json(@Session() session: AnySession) {
    return session.toJSON();
  }

  @Get('good-bye')
  async goodBye(@Session() session: AnySession) {
    await session.logout();
    session.flash('notice', 'good-bye');
    return 'bye';
  }
}

@Controller()
class DecoratorController {
  @Get('value')
  value(@Session('n') n: unknown) {
    return { n: n ?? null };
  }

  @Get('value-piped')
  valuePiped(@Session('n', ParseIntPipe) n: number) {
    return { n };
  }

  @Get('values')
  values(@Session('n') n: unknown, @Session('m') m: unknown, @Session() session: AnySession) {
    session.set('seen', true);
    return { n: n ?? null, m: m ?? null };
  }

  @Get('path')
  path(@Session('cart.items[1].qty') qty: unknown) {
    return { qty: qty ?? null };
  }

  @Get('fill-cart')
  fillCart(@Session() session: AnySession) {
    session.set('cart.items[1].qty', 3);
    session.set('a\\.b', 'literal');
    return session.toJSON();
  }

  @Get('private')
  @UseGuards(SessionGuard)
  private(@Session() session: AnySession) {
    return `hello ${session.userId}`;
  }

  @Get('private-without-session')
  @UseGuards(SessionGuard)
  privateWithoutSession() {
    return 'in';
  }
}

@Controller()
class HandMadeController {
  constructor(
    private readonly store: SessionStore<Bag>,
    private readonly cookie: SessionCookie,
  ) {}

  @Get('issue')
  async issue(@Req() request: any, @Res() response: any) {
    const session = await this.store.create({ data: { n: 'by hand' }, userId: 'u7' });
    rawResponse(response)
      .writeHead(200, { 'Set-Cookie': this.cookie.issue(session, request) })
      .end('made by hand');
  }

  @Get('read-by-hand')
  async read(@Req() request: any) {
    const id = this.cookie.read(request);
    const session = id === undefined ? undefined : await this.store.load(id);
    return { id: id ?? null, n: session?.get('n') ?? null, userId: session?.userId ?? null };
  }

  @Get('clear-by-hand')
  clear(@Req() request: any, @Res() response: any) {
    rawResponse(response)
      .writeHead(200, { 'Set-Cookie': this.cookie.clear(request) })
      .end('cleared');
  }

  @Get('own-id')
  async ownId(@Query('id') id: string, @Query('n') n: string) {
    return this.store.create({ id, data: { n } }).then(
      (session) => ({ handle: session.handle }),
      (error: unknown) => ({ error: (error as Error).name }),
    );
  }
}

const controllers = [BasicController, FlashController, DecoratorController, HandMadeController];

describe.each(stacks)('what handlers have: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { controllers });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  const BOTH = { notice: { text: 'saved' }, other: 1 };
  const NONE = { notice: null, other: null };

  async function flashing() {
    const client = app.client();
    await client.get('/flash');
    return client;
  }

  it('a flash is there in the next request and gone in the one after it', async () => {
    const client = await flashing();
    expect((await client.get('/flashed')).json()).toEqual(BOTH);
    expect((await client.get('/flashed')).json()).toEqual(NONE);
  });

  it('a flash is gone after the next request, though that did not look', async () => {
    const client = await flashing();
    await client.get('/read');
    expect((await client.get('/flashed')).json()).toEqual(NONE);
  });

  it('a flash waits for the next request that uses the session', async () => {
    const client = await flashing();
    await client.get('/plain');
    await client.get('/nowhere');
    expect((await client.get('/flashed')).json()).toEqual(BOTH);
  });

  it('reflash keeps everything for one more request', async () => {
    const client = await flashing();
    expect((await client.get('/reflash')).json()).toEqual({ text: 'saved' });
    expect((await client.get('/flashed')).json()).toEqual(BOTH);
    expect((await client.get('/flashed')).json()).toEqual(NONE);
  });

  it('a flash in the request that sees one is for the next again', async () => {
    const client = await flashing();
    expect((await client.get('/flash-again')).json()).toEqual({ had: { text: 'saved' } });
    expect((await client.get('/flashed')).json()).toEqual({ notice: 'second', other: null });
    expect((await client.get('/flashed')).json()).toEqual(NONE);
  });

  it('flashes are no part of the data', async () => {
    const client = await flashing();
    await client.get('/set/n/1');
    expect((await client.get('/json')).json()).toEqual({ n: '1' });
    const again = await flashing();
    expect((await again.get('/json')).json()).toEqual({});
  });

  it('a flash alone starts a session; a flash that is over leaves nothing of itself', async () => {
    const client = app.client();
    const reply = await client.get('/flash');
    expect(sessionCookies(reply)).toHaveLength(1);
    await client.get('/flashed');
    expect(JSON.stringify(app.probe.peek(client.handle)!.data)).not.toContain('saved');
  });

  it('a flash survives a logout that it follows: good-bye (S12)', async () => {
    const client = app.client();
    await client.get('/login/u1');
    const old = client.handle;
    const reply = await client.get('/good-bye');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(client.handle).not.toBe(old);
    expect(app.probe.peek(old)).toBeUndefined();
    expect((await client.get('/flashed')).json()).toEqual({ notice: 'good-bye', other: null });
    expect((await client.get('/all')).json()).toMatchObject({ userId: null });
  });

  it('Session with a key gives that value', async () => {
    const client = app.client();
    expect((await client.get('/value')).json()).toEqual({ n: null });
    expect(client.sid).toBe('');
    await client.get('/set/n/12');
    expect((await client.get('/value')).json()).toEqual({ n: '12' });
  });

  it('Session with a key takes pipes, and their errors are theirs', async () => {
    const client = app.client();
    await client.get('/set/n/12');
    expect((await client.get('/value-piped')).json()).toEqual({ n: 12 });
    await client.get('/set/n/twelve');
    expect((await client.get('/value-piped')).status).toBe(400);
  });

  it('several Session parameters of one handler share one session', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    await client.get('/set/m/2');
    app.probe.forget();
    expect((await client.get('/values')).json()).toEqual({ n: '1', m: '2' });
    expect(app.probe.names).toEqual(['read', 'update']);
  });

  it('paths reach into values, and an escaped dot is a dot', async () => {
    const client = app.client();
    const filled = (await client.get('/fill-cart')).json();
    expect(filled['a.b']).toBe('literal');
    expect(filled.cart.items[1]).toEqual({ qty: 3 });
    expect((await client.get('/path')).json()).toEqual({ qty: 3 });
  });

  it.each(['__proto__.polluted', 'constructor.prototype.polluted', '__proto__', 'prototype.polluted'])(
    'setting %s harms nothing (S48)',
    async (path) => {
      const client = app.client();
      await client.get('/set/n/1');
      await client.get(`/set/${path}/yes`);
      expect(({} as any).polluted).toBeUndefined();
      expect(Object.getPrototypeOf({})).toBe(Object.prototype);
      expect((await client.get('/json')).json()).toMatchObject({ n: '1' });
      expect((await client.get('/read')).json()).toEqual({ isNew: false, value: '1' });
    },
  );

  it('SessionGuard lets in who is logged in, and nobody else', async () => {
    const client = app.client();
    for (const path of ['/private', '/private-without-session']) {
      const stranger = await client.get(path);
      expect(stranger.status).toBe(401);
      expect(stranger.setCookies).toEqual([]);
    }
    await client.get('/set/n/1');
    expect((await client.get('/private')).status).toBe(401);
    await client.get('/login/ann');
    expect((await client.get('/private')).text).toBe('hello ann');
    expect((await client.get('/private-without-session')).text).toBe('in');
    await client.get('/logout');
    expect((await client.get('/private')).status).toBe(401);
  });

  it('login keeps what the visitor had, binds the user and changes the id (S11)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const { sid, handle } = client;
    await client.get('/login/ann');
    expect(client.sid).not.toBe(sid);
    expect(client.handle).toBe(handle);
    expect((await client.get('/all')).json()).toMatchObject({ userId: 'ann', data: { n: '1' } });
    const infos = await app.store.listByUser('ann');
    expect(infos.map((info) => info.handle)).toEqual([handle]);
    expect(JSON.stringify(infos)).not.toContain(client.sid.split('.')[1]);
  });

  it('logging in as somebody else rotates again and unbinds the first (S12)', async () => {
    const client = app.client();
    await client.get('/login/bea');
    const first = client.sid;
    await client.get('/login/cleo');
    expect(client.sid).not.toBe(first);
    expect((await client.get('/all')).json()).toMatchObject({ userId: 'cleo' });
    expect(await app.store.listByUser('bea')).toEqual([]);
  });

  it('a session that is revoked elsewhere is gone at the next request (S26, S32)', async () => {
    const client = app.client();
    await client.get('/login/dora');
    expect(await app.store.revoke(client.handle)).toBe(true);
    const reply = await client.get('/private');
    expect(reply.status).toBe(401);
    expect(reply.setCookies).toEqual([]);
  });

  it("all of a user's sessions but the current one can be ended (S30, S31)", async () => {
    const [one, two, three] = [app.client(), app.client(), app.client()];
    for (const client of [one, two, three]) await client.get('/login/eve');
    expect(await app.store.destroyByUser('eve', { except: two.handle })).toBe(2);
    const answers = await Promise.all([one, two, three].map((client) => client.get('/private')));
    expect(answers.map((reply) => reply.status)).toEqual([401, 200, 401]);
  });

  it('a cookie made by hand is as good as any', async () => {
    const client = app.client();
    const reply = await client.get('/issue');
    expect(reply.text).toBe('made by hand');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(Object.fromEntries(reply.setCookies[0]!.attributes)).toEqual({
      path: '/',
      httponly: '',
      samesite: 'Lax',
      'max-age': '3600',
    });
    expect((await client.get('/all')).json()).toMatchObject({
      isNew: false,
      userId: 'u7',
      data: { n: 'by hand' },
    });
    const read = (await client.get('/read-by-hand')).json();
    expect(read).toEqual({ id: client.sid, n: 'by hand', userId: 'u7' });
    const cleared = await client.get('/clear-by-hand');
    expect(sessionCookies(cleared).map(isClearing)).toEqual([true]);
  });

  it('reading the cookie by hand finds nothing where there is nothing', async () => {
    expect((await app.client().get('/read-by-hand')).json()).toEqual({ id: null, n: null, userId: null });
    const malformed = await app.client().get('/read-by-hand', { cookie: 'sid="quoted"' });
    expect(malformed.json()).toMatchObject({ n: null, userId: null });
  });

  it("an id of the application's own works as a cookie, and a taken one is never overwritten (S7)", async () => {
    const id = `device_${randomUUID()}`;
    const made = (await app.client().get(`/own-id?id=${id}&n=first`)).json();
    expect(made.handle).toMatch(/^[\w-]{22}$/);
    expect((await app.client().get('/read', { cookie: `sid=${id}` })).json()).toEqual({
      isNew: false,
      value: 'first',
    });
    expect((await app.client().get(`/own-id?id=${id}&n=second`)).json()).toEqual({
      error: 'SessionExistsError',
    });
    expect((await app.client().get('/read', { cookie: `sid=${id}` })).json().value).toBe('first');
    const short = (await app.client().get('/own-id?id=too-short&n=1')).json();
    expect(short.error).toBeDefined();
  });
});

describe.each(stackPerPlatform)('options that show in a request: %s', (_title, stack) => {
  const running: RunningApp[] = [];
  const run = async (options: AppOptions = {}): Promise<RunningApp> => {
    const app = await start(stack, { controllers, ...options });
    running.push(app);
    app.reset();
    return app;
  };
  afterEach(async () => {
    for (const app of running.splice(0)) await app.stop();
  });

  it('initial is what a new session starts with; looking at it creates nothing (S52)', async () => {
    let made = 0;
    const app = await run({ session: { initial: () => ({ theme: 'light', number: ++made }) } });
    const client = app.client();
    expect((await client.get('/read?key=theme')).json()).toEqual({ isNew: true, value: 'light' });
    expect(client.sid).toBe('');
    expect(app.probe.names).toEqual([]);
    await client.get('/set/n/1');
    expect((await client.get('/json')).json()).toMatchObject({ theme: 'light', n: '1' });
    const other = app.client();
    await other.get('/set/n/1');
    expect((await other.get('/json')).json().number).not.toBe((await client.get('/json')).json().number);
  });

  it('after a logout the new session starts with initial again', async () => {
    const app = await run({ session: { initial: () => ({ theme: 'light' }) } });
    const client = app.client();
    await client.get('/set/theme/dark');
    await client.get('/good-bye');
    expect((await client.get('/json')).json()).toEqual({ theme: 'light' });
  });

  it('a codec writes and reads the values', async () => {
    const codec = {
      encode: (value: unknown) => `<${JSON.stringify(value)}>`,
      decode: (text: string) => JSON.parse(text.slice(1, -1)),
    };
    const app = await run({ session: { codec } });
    const client = app.client();
    await client.get('/set/n/1');
    expect(app.probe.peek(client.handle)!.data['n']).toBe('<"1">');
    expect((await client.get('/read')).json()).toEqual({ isNew: false, value: '1' });
  });

  it('a value that cannot be decoded reads as undefined, with an event (S49)', async () => {
    let broken = false;
    const codec = {
      encode: (value: unknown) => JSON.stringify(value),
      decode: (text: string) => {
        if (broken) throw new Error('cannot read this');
        return JSON.parse(text);
      },
    };
    const app = await run({ session: { codec } });
    const client = app.client();
    await client.get('/set/n/1');
    broken = true;
    const reply = await client.get('/read');
    expect(reply.json()).toEqual({ isNew: false, value: null });
    expect(app.events).toContainEqual(expect.objectContaining({ type: 'corrupt', handle: client.handle }));
  });

  it.each(['short', 'x'.repeat(257), `${'x'.repeat(30)};`, `${'x'.repeat(30)} `, '', undefined])(
    'generateId that gives %j is an error, and nothing is stored (S1)',
    async (secret) => {
      const app = await run({ session: { generateId: () => secret as string } });
      const reply = await app.client().get('/set/n/1');
      expect(reply.status).toBe(500);
      expect(reply.setCookies).toEqual([]);
      expect(app.probe.size).toBe(0);
    },
  );

  it('generateId makes the secret part of the id', async () => {
    const app = await run({ session: { generateId: () => 'this.is_a~secret-of-22' } });
    const client = app.client();
    await client.get('/set/n/1');
    expect(client.sid).toMatch(/^[\w-]{22}\.this\.is_a~secret-of-22$/);
    expect((await client.get('/read')).json()).toEqual({ isNew: false, value: '1' });
  });

  it('another cookie name is the only one that counts', async () => {
    const app = await run({ session: { cookieName: 'shop' } });
    const client = app.client();
    const reply = await client.get('/set/n/1');
    expect(reply.setCookies.map((cookie) => cookie.name)).toEqual(['shop']);
    expect((await client.get('/read')).json()).toMatchObject({ isNew: false });
    const id = client.jar.get('shop')!;
    expect((await app.client().get('/read', { cookie: `sid=${id}` })).json()).toMatchObject({ isNew: true });
  });
});
