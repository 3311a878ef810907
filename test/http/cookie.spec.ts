import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Param, Query, Res } from '@nestjs/common';
import { Session, SessionStore } from '../../src/index.js';
import type { AnySession, AppOptions, Bag, RunningApp } from '../support/app.js';
import { logs, rawResponse, stackPerPlatform, stacks, start } from '../support/app.js';
import { BasicController, members, sessionCookies } from '../support/basic.js';
import { isClearing } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';

const SECOND = 1_000;
const HOUR = 3_600 * SECOND;

@Controller()
class CacheController {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Get('cached/:deed')
  async cached(
    @Session() session: AnySession,
    @Param('deed') deed: string,
    @Query('control') control: string | undefined,
    @Query('vary') vary: string | undefined,
    @Res({ passthrough: true }) response: any,
  ) {
    if (control) response.header('Cache-Control', control);
    if (vary) response.header('Vary', vary);
    session.get('n');
    if (deed === 'write') session.set('n', 1);
    if (deed === 'logout') await session.logout();
    return 'page';
  }

  @Get('cached-raw')
  cachedRaw(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    rawResponse(response)
      .writeHead(200, { 'Cache-Control': 'public, max-age=60', vary: 'Accept-Language' })
      .end('page');
  }

  @Get('write-and-destroy')
  async writeAndDestroy(@Session() session: AnySession) {
    session.set('n', 1);
    await session.destroy();
    return 'nothing left';
  }

  @Get('save-and-destroy')
  async saveAndDestroy(@Session() session: AnySession) {
    session.set('n', 1);
    await session.save();
    await session.destroy();
    return 'nothing left';
  }

  @Get('rotate-and-die')
  async rotateAndDie(@Session() session: AnySession) {
    await session.regenerate();
    await this.store.revoke(session.handle);
    session.set('n', 2);
    return 'too late';
  }

  @Get('logout-and-write')
  async logoutAndWrite(@Session() session: AnySession) {
    await session.logout();
    session.set('n', 2);
    return 'starting over';
  }
}

const controllers = [BasicController, CacheController];

/** The attributes as an object, to compare them as a whole. */
const attributes = (cookie: { attributes: ReadonlyMap<string, string> } | undefined) =>
  Object.fromEntries(cookie?.attributes ?? []);

describe.each(stacks)('the cookie: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { controllers });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    app.reset();
    freezeTime();
  });
  afterEach(unfreezeTime);

  it('reading an anonymous session sets no cookie, creates nothing and asks no storage (S52)', async () => {
    const before = app.probe.size;
    const reply = await app.client().get('/read');
    expect(reply.json()).toEqual({ isNew: true, value: null });
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.size).toBe(before);
    expect(app.probe.names).toEqual([]);
  });

  it('the first write sets one cookie with safe defaults (S37)', async () => {
    const reply = await app.client().get('/set/n/1');
    expect(reply.setCookies).toHaveLength(1);
    expect(reply.setCookies[0]!.name).toBe('sid');
    expect(attributes(reply.setCookies[0])).toEqual({
      path: '/',
      httponly: '',
      samesite: 'Lax',
      'max-age': '3600',
    });
  });

  it('the id is 16 and 32 random bytes, and what is stored of it cannot be replayed (S1, S2, S8)', async () => {
    const [one, two] = [app.client(), app.client()];
    await one.get('/set/n/1');
    await two.get('/set/n/1');
    expect(one.sid).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    expect(two.sid).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    const secrets = [one, two].map((client) => client.sid.slice(client.handle.length + 1));
    expect(new Set([one.handle, two.handle, ...secrets]).size).toBe(4);
    const stored = app.probe.peek(one.handle)!;
    expect(stored.handle).toBe(one.handle);
    expect(JSON.stringify(stored)).not.toContain(secrets[0]);
  });

  it('the second request has what the first wrote', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    expect((await client.get('/read')).json()).toEqual({ isNew: false, value: '1' });
  });

  it('a use sooner than touchAfter neither writes nor sends the cookie again (S23)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    passTime(60 * SECOND - 1);
    app.probe.forget();
    const reply = await client.get('/read');
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.names).toEqual(['read']);
  });

  it('a use after touchAfter moves the deadline and sends the same cookie again (S23)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const id = client.sid;
    passTime(60 * SECOND);
    const reply = await client.get('/read');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(client.sid).toBe(id);
    expect(attributes(reply.setCookies[0])).toEqual({
      path: '/',
      httponly: '',
      samesite: 'Lax',
      'max-age': '3600',
    });
    expect(app.probe.peek(client.handle)).toMatchObject({
      touchedAt: Date.now(),
      expiresAt: Date.now() + HOUR,
    });
  });

  it('a write sooner than touchAfter is saved without sending the cookie again', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    passTime(30 * SECOND);
    const reply = await client.get('/set/n/2');
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.value(client.handle, 'n')).toBe('2');
  });

  it('a cookie that the browser keeps longer than it should extends nothing (S19, S22)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    passTime(HOUR);
    const reply = await client.get('/read');
    expect(reply.json()).toEqual({ isNew: true, value: null });
    expect(reply.setCookies).toEqual([]);
  });

  it.each(['logout', 'destroy'])('%s clears the cookie, and its id is dead (S26, S28)', async (deed) => {
    const client = app.client();
    await client.get('/set/n/1');
    const { sid, handle } = client;
    const reply = await client.get(`/${deed}`);
    expect(reply.setCookies).toHaveLength(1);
    expect(reply.setCookies[0]!.name).toBe('sid');
    expect(isClearing(reply.setCookies[0]!)).toBe(true);
    expect(attributes(reply.setCookies[0])).toMatchObject({ path: '/', httponly: '', samesite: 'Lax' });
    expect(reply.setCookies[0]!.attributes.has('domain')).toBe(false);
    expect(reply.setCookies[0]!.raw).not.toContain(sid);
    expect(app.probe.peek(handle)).toBeUndefined();
    expect((await client.get('/read', { cookie: `sid=${sid}` })).json()).toEqual({
      isNew: true,
      value: null,
    });
  });

  it.each(['logout', 'destroy'])(
    '%s of a visitor without a session sets no cookie and writes nothing (S29)',
    async (deed) => {
      const reply = await app.client().get(`/${deed}`);
      expect(reply.status).toBe(200);
      expect(reply.setCookies).toEqual([]);
      expect(app.probe.names).toEqual([]);
    },
  );

  it('logout with a stale cookie leaves the cookie alone: a parallel login may have replaced it (S29)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const stale = client.sid;
    await client.get('/logout');
    app.probe.forget();
    const reply = await client.get('/logout', { cookie: `sid=${stale}` });
    expect(reply.status).toBe(200);
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.names.filter((name) => name !== 'read')).toEqual([]);
  });

  it('a session written and destroyed in the same request leaves neither record nor cookie', async () => {
    const before = app.probe.size;
    const reply = await app.client().get('/write-and-destroy');
    expect(reply.text).toBe('nothing left');
    expect(reply.setCookies.filter((cookie) => !isClearing(cookie))).toEqual([]);
    expect(app.probe.size).toBe(before);
  });

  it('writing after logout starts a new session with the only cookie of the response (S12)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const { sid, handle } = client;
    const reply = await client.get('/logout-and-write');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(client.handle).not.toBe(handle);
    expect(app.probe.value(client.handle, 'n')).toBe(2);
    expect(app.probe.peek(handle)).toBeUndefined();
    expect((await client.get('/read', { cookie: `sid=${sid}` })).json()).toMatchObject({ isNew: true });
  });

  it.each(['read', 'write'])(
    'Vary has Cookie where an anonymous session was asked for: %s (S46)',
    async (deed) => {
      const reply = await app.client().get(`/cached/${deed}`);
      expect(members(reply.headers.vary)).toContain('cookie');
    },
  );

  it("Vary keeps the application's own members and names Cookie once (S46)", async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const merged = await client.get('/cached/read?vary=Accept-Language');
    expect(members(merged.headers.vary).toSorted()).toEqual(['accept-language', 'cookie']);
    const there = await client.get('/cached/read?vary=cookie');
    expect(members(there.headers.vary)).toEqual(['cookie']);
    const similar = await client.get('/cached/read?vary=X-Cookie-Consent');
    expect(members(similar.headers.vary).toSorted()).toEqual(['cookie', 'x-cookie-consent']);
  });

  it('a response that sets the cookie is not for shared caches, whatever the handler said (S46)', async () => {
    for (const path of [
      '/cached/write',
      '/cached/write?control=public,%20max-age=60',
      '/cached/write?control=s-maxage=60',
      '/cached/write?control=max-age=60,%20public,%20private="x-name"',
      '/cached/write?control=public,%20x-private-to=nobody',
    ]) {
      const reply = await app.client().get(path);
      expect(sessionCookies(reply)).toHaveLength(1);
      const control = members(reply.headers['cache-control']);
      expect(control.some((member) => /^(private|no-store|no-cache)$/.test(member))).toBe(true);
      expect(control.filter((member) => /^(public|s-maxage)/.test(member))).toEqual([]);
      expect(control.includes('max-age=60')).toBe(path.includes('max-age'));
    }
  });

  it('headers given to writeHead are merged: not cacheable, Vary of both (S46)', async () => {
    const reply = await app.client().get('/cached-raw');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(members(reply.headers['cache-control'])).not.toContain('public');
    expect(members(reply.headers['cache-control']).some((m) => /^(private|no-store|no-cache)/.test(m))).toBe(
      true,
    );
    expect(members(reply.headers.vary).toSorted()).toEqual(['accept-language', 'cookie']);
  });

  it('a session that began and ended in one request clears nothing: a stale cookie is left alone (S29)', async () => {
    const stale = `sid=${'A'.repeat(22)}.${'B'.repeat(43)}`;
    for (const cookie of ['', stale]) {
      expect((await app.client().get('/save-and-destroy', { cookie })).setCookies).toEqual([]);
    }
    expect(app.probe.of('destroy')).toHaveLength(2);
    expect((await app.client().get('/logout', { cookie: stale })).setCookies).toEqual([]);
  });

  it('a new id is not handed out any more where the session ended meanwhile (S27)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const reply = await client.get('/rotate-and-die');
    expect([reply.status, reply.text]).toEqual([200, 'too late']);
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.peek(client.handle)).toBeUndefined();
  });

  it('a response that clears the cookie is not for shared caches either (S46)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const reply = await client.get('/cached/logout?control=public');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(members(reply.headers['cache-control'])).not.toContain('public');
  });

  it('Cache-Control stays as the handler made it where no cookie is set', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const reply = await client.get('/cached/read?control=private,%20max-age=60');
    expect(reply.headers['cache-control']).toBe('private, max-age=60');
    expect((await client.get('/cached/read')).headers['cache-control']).toBeUndefined();
  });

  it('a stricter Cache-Control of the handler stays', async () => {
    const reply = await app.client().get('/cached/write?control=no-store');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(members(reply.headers['cache-control'])).toContain('no-store');
  });
});

describe.each(stackPerPlatform)("the cookie's options: %s", (_title, stack) => {
  const running: RunningApp[] = [];
  const run = async (options: AppOptions = {}): Promise<RunningApp> => {
    const app = await start(stack, { controllers, ...options });
    running.push(app);
    app.reset();
    return app;
  };
  const asHttps = { headers: { 'x-forwarded-proto': 'https' } };

  beforeEach(freezeTime);
  afterEach(async () => {
    unfreezeTime();
    for (const app of running.splice(0)) await app.stop();
  });

  it('touchAfter 0: every use is written and sends the cookie again', async () => {
    const app = await run({ session: { touchAfter: 0 } });
    const client = app.client();
    await client.get('/set/n/1');
    passTime(1);
    const reply = await client.get('/read');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(app.probe.peek(client.handle)!.touchedAt).toBe(Date.now());
  });

  it('a browser-session cookie has no end of its own and is never sent again for a touch', async () => {
    const app = await run({ session: { cookie: { persistent: false } } });
    const client = app.client();
    const first = await client.get('/set/n/1');
    expect(attributes(first.setCookies[0])).toEqual({ path: '/', httponly: '', samesite: 'Lax' });
    passTime(30 * 60 * SECOND);
    const second = await client.get('/read');
    expect(second.json()).toMatchObject({ isNew: false });
    expect(second.setCookies).toEqual([]);
    expect(app.probe.peek(client.handle)!.expiresAt).toBe(Date.now() + HOUR);
  });

  it('Max-Age is at most 400 days, however long the session lives (S41)', async () => {
    const app = await run({ session: { ttl: '500d' } });
    const reply = await app.client().get('/set/n/1');
    expect(attributes(reply.setCookies[0])['max-age']).toBe('34560000');
  });

  it('secure auto follows X-Forwarded-Proto where the application trusts its proxy (S37, S47)', async () => {
    const app = await run({ trustProxy: true });
    const secure = await app.client().get('/set/n/1', asHttps);
    expect(secure.setCookies[0]!.attributes.has('secure')).toBe(true);
    const plain = await app.client().get('/set/n/1', { headers: { 'x-forwarded-proto': 'http' } });
    expect(plain.setCookies[0]!.attributes.has('secure')).toBe(false);
    expect((await app.client().get('/set/n/1')).setCookies[0]!.attributes.has('secure')).toBe(false);
  });

  it.each([
    ['trusts no proxy', undefined],
    ['trusts another proxy', '10.0.0.0/8'],
  ])('X-Forwarded-Proto is not believed where the application %s (S47)', async (_case, trustProxy) => {
    const app = await run({ trustProxy });
    const reply = await app.client().get('/set/n/1', asHttps);
    expect(reply.setCookies[0]!.attributes.has('secure')).toBe(false);
  });

  it('secure true over plain HTTP: the cookie is withheld, and the log says so once (S47)', async () => {
    const app = await run({ session: { cookie: { secure: true } } });
    for (const headers of [{}, asHttps.headers]) {
      const reply = await app.client().get('/set/n/1', { headers });
      expect(reply.status).toBe(200);
      expect(reply.setCookies).toEqual([]);
    }
    expect(logs.filter((line) => /secure/i.test(line))).toHaveLength(1);
  });

  it('secure true behind a trusted proxy that speaks HTTPS: the cookie goes out (S47)', async () => {
    const app = await run({ session: { cookie: { secure: true } }, trustProxy: true });
    const reply = await app.client().get('/set/n/1', asHttps);
    expect(reply.setCookies[0]!.attributes.has('secure')).toBe(true);
    expect(logs.filter((line) => /secure/i.test(line))).toEqual([]);
  });

  it.each([
    ['a __Host- name', { cookieName: '__Host-sid' }, '__Host-sid'],
    ['a __Secure- name', { cookieName: '__Secure-sid' }, '__Secure-sid'],
    ['SameSite=None', { cookie: { sameSite: 'none' } }, 'sid'],
    ['Partitioned', { cookie: { partitioned: true } }, 'sid'],
  ] as const)(
    "%s makes 'auto' mean true: nothing over HTTP, Secure over HTTPS (S38)",
    async (_case, session, name) => {
      const app = await run({ session, trustProxy: true });
      expect((await app.client().get('/set/n/1')).setCookies).toEqual([]);
      const client = app.client();
      const reply = await client.get('/set/n/1', asHttps);
      expect(sessionCookies(reply, name)).toHaveLength(1);
      expect(sessionCookies(reply, name)[0]!.attributes.has('secure')).toBe(true);
      expect((await client.get('/read', asHttps)).json()).toMatchObject({ isNew: false });
    },
  );

  it('every attribute is set, and repeated by the clearing cookie (S28)', async () => {
    const app = await run({
      trustProxy: true,
      session: {
        cookieName: 'shop',
        cookie: {
          path: '/',
          domain: 'example.com',
          secure: true,
          httpOnly: true,
          sameSite: 'none',
          partitioned: true,
          priority: 'high',
        },
      },
    });
    const expected = {
      path: '/',
      domain: 'example.com',
      secure: '',
      httponly: '',
      samesite: 'None',
      partitioned: '',
      priority: 'High',
    };
    const client = app.client();
    const set = await client.get('/set/n/1', asHttps);
    expect(set.setCookies.map((cookie) => cookie.name)).toEqual(['shop']);
    expect(attributes(set.setCookies[0])).toMatchObject({ ...expected, 'max-age': '3600' });
    const cleared = await client.get('/logout', asHttps);
    expect(cleared.setCookies.map((cookie) => cookie.name)).toEqual(['shop']);
    expect(isClearing(cleared.setCookies[0]!)).toBe(true);
    expect(attributes(cleared.setCookies[0])).toMatchObject({
      ...expected,
      'max-age': '0',
      expires: 'Thu, 01 Jan 1970 00:00:00 GMT',
    });
  });

  it('attributes can be relaxed: a path, SameSite=Strict, no HttpOnly', async () => {
    const app = await run({ session: { cookie: { path: '/shop', sameSite: 'strict', httpOnly: false } } });
    const client = app.client();
    const expected = { path: '/shop', samesite: 'Strict' };
    expect(attributes((await client.get('/set/n/1')).setCookies[0])).toEqual({
      ...expected,
      'max-age': '3600',
    });
    const cleared = attributes((await client.get('/logout')).setCookies[0]);
    expect(cleared).toMatchObject(expected);
    expect(cleared).not.toHaveProperty('httponly');
  });
});
