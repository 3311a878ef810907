import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { All, Controller, Get, Header, Post, Query, Req, Res, UseGuards } from '@nestjs/common';
import { Session, SessionGuard, type SessionModuleOptions } from '../../src/index.js';
import {
  type AnySession,
  rawResponse,
  type RunningApp,
  stackPerPlatform,
  stacks,
  start,
} from '../support/app.js';
import { BasicController, members, sessionCookies } from '../support/basic.js';
import { handleOf, type Reply, sendRaw } from '../support/client.js';

@Controller()
class BearerController {
  @Get('me')
  @UseGuards(SessionGuard)
  me(@Session() session: AnySession) {
    return session.userId;
  }

  @Post('fail')
  async fail(@Session() session: AnySession) {
    await session.login('eve');
    throw new Error('The welcome mail could not be sent');
  }

  @Get('raw')
  raw(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    rawResponse(response).writeHead(207, { 'Cache-Control': 'public', Vary: 'Origin' }).end('raw');
  }

  @Get('exposing')
  @Header('Access-Control-Expose-Headers', 'X-Total, X-Pages')
  @Header('Cache-Control', 'public, max-age=60')
  exposing(@Session() session: AnySession) {
    session.set('n', 1);
    return 'exposing';
  }

  @All('seen')
  seen(@Session() session: AnySession, @Query('id') _id: string, @Req() _request: unknown) {
    return { isNew: session.isNew, hadSession: session.hadSession, userId: session.userId ?? null };
  }
}

const random = (bytes: number) => randomBytes(bytes).toString('base64url');
const bearer = (id: string) => ({ authorization: `Bearer ${id}` });
const ASKS = { 'x-session-transport': 'bearer' };
const tokenOf = ({ headers }: Pick<Reply, 'headers'>) => headers['x-session-token'] as string | undefined;

const run = (stack: (typeof stacks)[number][1], session: SessionModuleOptions) =>
  start(stack, { controllers: [BasicController, BearerController], session });

describe.each(stacks)('bearers beside cookies: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await run(stack, { transport: ['cookie', 'bearer'], touchAfter: 0 });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  const get = (path: string, headers: Record<string, string> = {}) =>
    app.client().get(path, { cookie: '', headers });

  async function started(): Promise<string> {
    const token = tokenOf(await get('/set/n/1', ASKS))!;
    app.reset();
    return token;
  }

  /** What holds for every answer that tells an id. */
  function expectTold(reply: Reply) {
    expect(reply.setCookies).toEqual([]);
    expect(reply.headers['cache-control']).toContain('no-store');
    expect(members(reply.headers['access-control-expose-headers'])).toContain('x-session-token');
    expect(members(reply.headers.vary)).toContain('authorization');
  }

  it('a client that asks for it gets a new session in X-Session-Token, and no cookie (S63)', async () => {
    const reply = await get('/set/n/1', ASKS);
    expectTold(reply);
    const token = tokenOf(reply)!;
    expect(token).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    expect(app.probe.value(handleOf(token), 'n')).toBe('1');
    expect((await get('/read', bearer(token))).json()).toEqual({ isNew: false, value: '1' });
  });

  it('one that only looks gets nothing (S52)', async () => {
    const reply = await get('/read', ASKS);
    expect([tokenOf(reply), reply.setCookies, app.probe.names]).toEqual([undefined, [], []]);
    expect(members(reply.headers.vary)).toEqual(expect.arrayContaining(['cookie', 'authorization']));
  });

  it('a use tells nothing: the token stays, and its deadline moves', async () => {
    const token = await started();
    const reply = await get('/read', bearer(token));
    expect([tokenOf(reply), reply.setCookies]).toEqual([undefined, []]);
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(reply.headers['cache-control'] ?? '').not.toContain('no-store');
  });

  it.each(['/login/ada', '/rotate'])(
    '%s hands out a new token, and the old one is dead (S11, S12)',
    async (path) => {
      const old = await started();
      const reply = await get(path, bearer(old));
      expectTold(reply);
      const token = tokenOf(reply)!;
      expect([handleOf(token), token === old]).toEqual([handleOf(old), false]);
      expect((await get('/read', bearer(old))).json()).toEqual({ isNew: true, value: null });
      expect((await get('/read', bearer(token))).json()).toEqual({ isNew: false, value: '1' });
    },
  );

  it.each(['/logout', '/destroy'])('%s tells an empty token (S26)', async (path) => {
    const token = await started();
    const reply = await get(path, bearer(token));
    expectTold(reply);
    expect(tokenOf(reply)).toBe('');
    expect(app.probe.peek(handleOf(token))).toBeUndefined();
    const again = await get(path, bearer(token));
    expect([tokenOf(again), again.setCookies]).toEqual([undefined, []]);
  });

  it('a logout and a login in one answer tell the last word', async () => {
    const token = await started();
    await get('/logout', bearer(token));
    const reply = await get('/login/ada', bearer(token));
    expectTold(reply);
    expect((await get('/me', bearer(tokenOf(reply)!))).text).toBe('ada');
  });

  it('SessionGuard answers 401 to a token that has ended, and sets no cookie', async () => {
    const token = await started();
    await app.store.destroy(token);
    app.reset();
    const reply = await get('/me', bearer(token));
    expect([reply.status, reply.setCookies, tokenOf(reply)]).toEqual([401, [], undefined]);
    expect((await get('/seen', bearer(token))).json()).toMatchObject({ isNew: true, hadSession: true });
  });

  it('the token is told though the handler failed after the login', async () => {
    const reply = await app.client().post('/fail', { headers: bearer(await started()) });
    expect(reply.status).toBe(500);
    expectTold(reply);
    expect((await get('/me', bearer(tokenOf(reply)!))).text).toBe('eve');
  });

  it('what cannot be stored is a 503 that tells no token (S51)', async () => {
    app.probe.fail('create');
    const reply = await get('/set/n/1', ASKS);
    expect([reply.status, tokenOf(reply), reply.setCookies]).toEqual([503, undefined, []]);
  });

  it.each(['/raw', '/exposing'])(
    'headers that %s has of its own are merged, and the answer is never cached',
    async (path) => {
      const reply = await get(path, ASKS);
      expectTold(reply);
      expect(reply.headers['cache-control']).not.toContain('public');
      if (path === '/raw') expect(members(reply.headers.vary)).toContain('origin');
      else {
        const exposed = members(reply.headers['access-control-expose-headers']);
        expect(exposed).toEqual(expect.arrayContaining(['x-total', 'x-pages', 'x-session-token']));
      }
    },
  );

  it('a cookie and a bearer in one request: the bearer counts, and the cookie stays as it is (S63)', async () => {
    const client = app.client();
    await client.get('/login/cookie-user');
    const { sid } = client;
    const token = tokenOf(await get('/login/bearer-user', ASKS))!;
    expect((await client.get('/me', { headers: bearer(token) })).text).toBe('bearer-user');
    const out = await client.get('/logout', { headers: bearer(token) });
    expect([tokenOf(out), out.setCookies]).toEqual(['', []]);
    expect((await client.get('/me', { headers: bearer(token) })).status).toBe(401);
    expect((await client.get('/me')).text).toBe('cookie-user');
    expect(client.sid).toBe(sid);
  });

  it('browsers go on with cookies, and get no token', async () => {
    const client = app.client();
    const reply = await client.get('/login/ada');
    expect([sessionCookies(reply).length, tokenOf(reply)]).toEqual([1, undefined]);
    expect(members(reply.headers.vary)).toEqual(expect.arrayContaining(['cookie', 'authorization']));
    expect((await client.get('/me')).text).toBe('ada');
  });

  it.each([
    ['an OAuth token', () => `ya29.${random(90)}`],
    ['a JWT', () => `eyJhbGciOiJIUzI1NiJ9.${random(60)}.${random(32)}`],
    ['a JWT with a header of 16 bytes', () => `eyJhbGciOiJFUzI1NksifQ.${random(60)}.${random(32)}`],
    ["an id of the application's own", () => random(32)],
    ['a UUID', () => '0f8fad5b-d9cb-469f-a165-70867728950e'],
    ['a short text', () => 'x.y'],
  ])(
    "%s is somebody else's: no storage call, no event, and the cookie counts (S63)",
    async (_what, token) => {
      const client = app.client();
      await client.get('/login/ada');
      app.reset();
      const alone = await get('/seen', bearer(token()));
      expect(alone.json()).toEqual({ isNew: true, hadSession: false, userId: null });
      expect([app.probe.names, app.events, alone.setCookies, tokenOf(alone)]).toEqual([
        [],
        [],
        [],
        undefined,
      ]);
      expect((await client.get('/me', { headers: bearer(token()) })).text).toBe('ada');
    },
  );

  it('an id that was never issued is read, is anonymous, is not adopted, and raises an event (S3, S5)', async () => {
    const forged = `${random(16)}.${random(32)}`;
    const reply = await get('/set/n/1', bearer(forged));
    expectTold(reply);
    expect(handleOf(tokenOf(reply)!)).not.toBe(handleOf(forged));
    expect(app.eventTypes()).toEqual(['rejected', 'created']);
    expect(app.probe.peek(handleOf(forged))).toBeUndefined();
  });

  it('an id in the query, the body, a cookie of the token or another header is ignored (S6, S63)', async () => {
    const token = tokenOf(await get('/login/ada', ASKS))!;
    app.reset();
    const nobody = { isNew: true, hadSession: false, userId: null };
    const tries = [
      get(`/seen?id=${token}&access_token=${token}&authorization=Bearer%20${token}`, ASKS),
      get('/seen', { ...ASKS, 'x-session-token': token }),
      get('/seen', { 'x-authorization': `Bearer ${token}` }),
      get('/seen', { 'proxy-authorization': `Bearer ${token}` }),
      app.client().post('/seen', { headers: ASKS, body: { access_token: token } }),
      app.client().get('/seen', { cookie: `sid=${token}`, headers: ASKS }),
    ];
    for (const reply of await Promise.all(tries)) expect(reply.json()).toEqual(nobody);
    expect(app.probe.names).toEqual([]);
  });

  it.each([
    ['Bearer {id}', true],
    ['bearer   {id}', true],
    ['BEARER {id}', true],
    ['Bearer{id}', false],
    ['Bearer\t{id}', false],
    ['Basic {id}', false],
    ['Token {id}', false],
    ['{id}', false],
    ['Bearer {id}, Bearer {id}', false],
    ['Bearer {id} {id}', false],
    ['Bearer "{id}"', false],
    ['Bearer {id}ü', false],
    ['Bearer {id}%00', false],
    ['Bearer', false],
    ['', false],
    [`Bearer ${'x'.repeat(8_192)}`, false],
    [`Bearer ${'x'.repeat(22)}.${'y'.repeat(8_192)}`, false],
  ])('an Authorization of %j on the wire: whether it is one of ours: %p', async (value, isOurs) => {
    const { id } = await app.store.create({ userId: 'ada' });
    app.reset();
    const lines = ['GET /seen HTTP/1.1', 'Host: a', `Authorization: ${value.replaceAll('{id}', id)}`];
    const answer = await sendRaw(app.port, [...lines, 'Connection: close', '', ''].join('\r\n'));
    expect(answer).toContain('HTTP/1.1 200 ');
    expect(answer).toContain(`"userId":${isOurs ? '"ada"' : 'null'}`);
    expect(app.probe.of('read')).toHaveLength(isOurs ? 1 : 0);
    expect(app.events).toEqual([]);
  });

  it('of two Authorization headers the first counts, as Node reads them', async () => {
    const { id } = await app.store.create({ userId: 'ada' });
    const lines = ['GET /seen HTTP/1.1', 'Host: a', `Authorization: Bearer ${id}`, 'Authorization: Bearer x'];
    const answer = await sendRaw(app.port, [...lines, 'Connection: close', '', ''].join('\r\n'));
    expect(answer).toContain('"userId":"ada"');
  });
});

describe.each(stackPerPlatform)('bearers alone: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await run(stack, { transport: 'bearer', secret: 'signs cookies, and no token' });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  it('every new session is handed out by the header, and there is no cookie at all (S63)', async () => {
    const client = app.client();
    const reply = await client.get('/login/ada');
    const token = tokenOf(reply)!;
    expect([reply.setCookies, members(reply.headers.vary)]).toEqual([[], ['authorization']]);
    expect((await client.get('/me', { headers: bearer(token) })).text).toBe('ada');
    app.reset();
    expect((await client.get('/me', { cookie: `sid=${token}` })).status).toBe(401);
    expect(app.probe.names).toEqual([]);
  });

  it('the token is the id itself, signed by nothing', async () => {
    const token = tokenOf(await app.client().get('/login/ada'))!;
    expect((await app.store.load(token))?.userId).toBe('ada');
  });
});

describe.each(stackPerPlatform)('cookies alone, which is the default: %s', (_title, stack) => {
  it('a bearer is nothing to us: no storage call, no token (S6)', async () => {
    const app = await run(stack, {});
    const { id } = await app.store.create({ userId: 'ada' });
    app.reset();
    const headers = { ...bearer(id), ...ASKS };
    const reply = await app.client().get('/seen', { headers });
    expect(reply.json()).toEqual({ isNew: true, hadSession: false, userId: null });
    expect([app.probe.names, members(reply.headers.vary)]).toEqual([[], ['cookie']]);
    const written = await app.client().get('/set/n/1', { headers });
    expect([sessionCookies(written).length, tokenOf(written)]).toEqual([1, undefined]);
    await app.stop();
  });
});
