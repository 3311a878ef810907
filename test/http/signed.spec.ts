import { inspect } from 'node:util';
import { afterEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Req } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import cookieParser from 'cookie-parser';
import { sign } from 'cookie-signature';
import { SessionCookie, SessionModule, SessionOptionsError } from '../../src/index.js';
import type { RunningApp, Stack } from '../support/app.js';
import { Root, stackPerPlatform, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import { handleOf } from '../support/client.js';

@Controller()
class CookieValueController {
  constructor(private readonly cookie: SessionCookie) {}

  @Get('value')
  value(@Req() request: any) {
    return { value: this.cookie.read(request) ?? null };
  }
}

const controllers = [BasicController, CookieValueController];

const ANONYMOUS = { isNew: true, value: null };
const KNOWN = { isNew: false, value: '1' };

/** What a signed cookie's value says, verified as cookie-parser does. */
const unsign = (value: string, secret: string) =>
  cookieParser.signedCookie(decodeURIComponent(value), secret);

describe.each(stackPerPlatform)('signed cookies: %s', (_title, stack) => {
  const running: RunningApp[] = [];
  /** Applications of one test share a storage, as old and new releases of one application do. */
  async function run(
    secret: string | string[] | undefined,
    like: Stack = stack,
    middleware?: string,
    then?: (request: any) => void,
  ) {
    const app = await start(like, {
      controllers,
      session: { ...(secret === undefined ? {} : { secret }) },
      configure: (nest) => {
        if (middleware !== undefined) nest.use(cookieParser(middleware));
        if (then) nest.use((request: any, _response: any, next: () => void) => (then(request), next()));
      },
    });
    running.push(app);
    return app;
  }
  function sharedStorage(): Stack {
    const made = stack.kind.make();
    return { ...stack, kind: { ...stack.kind, make: () => made } };
  }
  const get = async (app: RunningApp, sid: string) =>
    (await app.client().get('/read', { cookie: `sid=${sid}` })).json();
  async function issued(app: RunningApp) {
    const client = app.client();
    await client.get('/set/n/1');
    return client.sid;
  }

  afterEach(async () => {
    for (const app of running.splice(0)) await app.stop();
  });

  it("the value is the id in cookie-parser's format, and comes back (S9)", async () => {
    const app = await run('first secret');
    const client = app.client();
    const reply = await client.get('/set/n/1');
    expect(sessionCookies(reply)).toHaveLength(1);
    const id = unsign(client.sid, 'first secret');
    expect(id).toMatch(/^[\w-]{22}\.[\w-]{43}$/);
    expect(unsign(client.sid, 'other secret')).toBe(false);
    expect((await client.get('/read')).json()).toEqual(KNOWN);
    expect((await client.get('/value')).json()).toEqual({ value: id });
  });

  it('signed values work encoded once and not encoded, and no other way', async () => {
    const app = await run('first secret');
    const sid = await issued(app);
    expect(await get(app, decodeURIComponent(sid))).toEqual(KNOWN);
    expect(await get(app, encodeURIComponent(decodeURIComponent(sid)))).toEqual(KNOWN);
    expect(await get(app, encodeURIComponent(sid))).toEqual(ANONYMOUS);
  });

  it('a tampered signature is anonymous and falls back to nothing (S9)', async () => {
    const app = await run('first secret');
    const sid = await issued(app);
    const plain = decodeURIComponent(sid);
    const id = unsign(sid, 'first secret') as string;
    const last = plain.at(-1) === 'A' ? 'B' : 'A';
    app.probe.forget();
    for (const value of [
      plain.slice(0, -1) + last,
      plain.slice(0, -10),
      plain + 'x',
      `s:${id}.`,
      `s:${id}`,
      id,
      plain.slice(2),
      plain.replace('s:', 'j:'),
      's:',
      plain.replace(handleOf(id), 'A'.repeat(22)),
    ]) {
      expect(await get(app, encodeURIComponent(value))).toEqual(ANONYMOUS);
    }
    expect(
      (await app.client().get('/value', { cookie: `sid=${encodeURIComponent(`s:${id}.x`)}` })).json(),
    ).toEqual({
      value: null,
    });
    expect(app.probe.names).toEqual([]);
    expect(app.eventTypes()).toEqual(['created', ...Array.from({ length: 10 }, () => 'rejected')]);
    expect(await get(app, sid)).toEqual(KNOWN);
  });

  it('a signature is compared whole, whatever it has in common with the right one (S9)', async () => {
    const app = await run('first secret');
    const plain = decodeURIComponent(await issued(app));
    const from = plain.lastIndexOf('.') + 1;
    for (let at = from; at < plain.length; at++) {
      const other = plain[at] === 'A' ? 'B' : 'A';
      const forged = plain.slice(0, at) + other + plain.slice(at + 1);
      expect(await get(app, encodeURIComponent(forged))).toEqual(ANONYMOUS);
    }
  });

  it('a signed cookie is anonymous to an application without a secret, and no error', async () => {
    const shared = sharedStorage();
    const sid = await issued(await run('first secret', shared));
    const unsigned = await run(undefined, shared);
    expect(await get(unsigned, sid)).toEqual(ANONYMOUS);
  });

  it('of a list, the first signs and all verify (S10)', async () => {
    const shared = sharedStorage();
    const before = await run('old', shared);
    const during = await run(['new', 'old'], shared);
    const after = await run(['new'], shared);
    const old = await issued(before);
    expect(await get(during, old)).toEqual(KNOWN);
    expect(await get(after, old)).toEqual(ANONYMOUS);
    const client = during.client();
    await client.get('/set/n/1');
    expect(unsign(client.sid, 'new')).toMatch(/^[\w-]{22}\./);
    expect(await get(after, client.sid)).toEqual(KNOWN);
    expect(await get(before, client.sid)).toEqual(ANONYMOUS);
  });

  it('a session signed with the old secret is signed with the new one when its cookie is next sent (S10)', async () => {
    const shared = sharedStorage();
    const old = await issued(await run('old', shared));
    const during = await run(['new', 'old'], shared);
    const client = during.client();
    client.jar.set('sid', old);
    await client.get('/login/u1');
    expect(unsign(client.sid, 'new')).toMatch(/^[\w-]{22}\./);
    expect(unsign(client.sid, 'old')).toBe(false);
    expect((await client.get('/read')).json()).toEqual(KNOWN);
  });

  it.each([
    ['the same secret', 'first secret'],
    ['another secret', 'somebody else'],
    ['no secret', undefined],
  ])('cookie-parser mounted with %s hides nothing', async (_case, secret) => {
    const app = await run('first secret', stack, secret ?? '');
    const client = app.client();
    await client.get('/set/n/1');
    expect((await client.get('/read')).json()).toEqual(KNOWN);
    const broken = `${decodeURIComponent(client.sid).slice(0, -3)}abc`;
    expect(await get(app, encodeURIComponent(broken))).toEqual(ANONYMOUS);
  });

  it('what only the secret of another part of the application has signed is anonymous (S9)', async () => {
    const app = await run('first secret', stack, 'somebody else');
    const id = unsign(await issued(app), 'first secret') as string;
    const foreign = encodeURIComponent(`s:${sign(id, 'somebody else')}`);
    expect(await get(app, foreign)).toEqual(ANONYMOUS);
  });

  it('the Cookie header decides, whatever became of what cookie-parser made of it (S9)', async () => {
    let planted: string | undefined;
    const app = await run('first secret', stack, 'first secret', (request) => {
      if (planted !== undefined) request.signedCookies = { sid: planted };
    });
    const client = app.client();
    await client.get('/set/n/1');
    planted = unsign(await issued(app), 'first secret') as string;
    expect((await client.get('/value')).json()).toEqual({ value: unsign(client.sid, 'first secret') });
  });

  it('cookies that an adapter parsed count as far as they are signed with our secret (S9)', async () => {
    const app = await run('first secret');
    const cookie = app.app.get(SessionCookie);
    const id = unsign(await issued(app), 'first secret') as string;
    const parsed = (cookies: object) => cookie.read({ headers: {}, ...cookies } as never);
    expect(parsed({ secret: 'first secret', signedCookies: { sid: id } })).toBe(id);
    expect(parsed({ secret: 'somebody else', signedCookies: { sid: id } })).toBeUndefined();
    expect(parsed({ signedCookies: { sid: id } })).toBeUndefined();
    expect(parsed({ cookies: { sid: id } })).toBeUndefined();
    expect(parsed({ secret: 'first secret', cookies: { sid: id } })).toBeUndefined();
    expect(parsed({ secret: 'first secret', signedCookies: { sid: 'no-id' } })).toBeUndefined();
    expect(parsed({ secret: 'first secret', signedCookies: { sid: false } })).toBeUndefined();
  });

  it('cookie-parser with a secret beside unsigned session cookies hides nothing', async () => {
    const app = await run(undefined, stack, 'somebody else');
    const client = app.client();
    await client.get('/set/n/1');
    expect((await client.get('/read')).json()).toEqual(KNOWN);
  });

  it("what cookie-parser signed for another cookie of the application's is no session", async () => {
    const app = await run('first secret', stack, 'first secret');
    const sid = await issued(app);
    const theme = `sid=${encodeURIComponent(`s:${sign('dark', 'first secret')}`)}`;
    expect((await app.client().get('/value', { cookie: theme })).json()).toEqual({ value: null });
    const reply = await app.client().get('/read', { cookie: `other=${sid}` });
    expect(reply.json()).toEqual(ANONYMOUS);
  });

  it('several cookies of the name: the one that is signed and live is used (S43)', async () => {
    const app = await run('first secret');
    const sid = await issued(app);
    const unsigned = unsign(sid, 'first secret') as string;
    const forged = Array.from(
      { length: 20 },
      () => `sid=${encodeURIComponent(`s:${sign(unsigned, 'guess')}`)}`,
    );
    for (const cookie of [
      `sid=${unsigned}; sid=${sid}`,
      `sid=${sid}; sid=s%3Ax.y`,
      `${forged.join('; ')}; sid=${sid}`,
    ]) {
      expect((await app.client().get('/read', { cookie })).json()).toEqual(KNOWN);
      expect((await app.client().get('/value', { cookie })).json()).toEqual({ value: unsigned });
    }
  });

  it('one id signed with the old and with the new secret is one id (S10, S43)', async () => {
    const shared = sharedStorage();
    const old = await issued(await run('old', shared));
    const during = await run(['new', 'old'], shared);
    const fresh = encodeURIComponent(`s:${sign(unsign(old, 'old') as string, 'new')}`);
    const reply = await during.client().get('/read', { cookie: `sid=${old}; sid=${fresh}` });
    expect(reply.json()).toEqual(KNOWN);
  });

  it('SessionCookie.read gives none of two that could be live: an attacker may have planted one (S43)', async () => {
    const app = await run('first secret');
    const [one, two] = [await issued(app), await issued(app)];
    for (const cookie of [`sid=${one}; sid=${two}`, `sid=x; sid=${two}; sid=y; sid=${one}`]) {
      expect((await app.client().get('/value', { cookie })).json()).toEqual({ value: null });
    }
  });

  it('no signing key shows, however deep the injected objects are looked at (S50)', async () => {
    const app = await run(['a very secret thing', 'an older secret thing']);
    const shown = inspect(app.app.get(SessionCookie), { depth: 9, showHidden: true, getters: true });
    expect(shown).not.toContain('secret thing');
    expect(JSON.stringify(app.app.get(SessionCookie))).toBe('{}');
  });
});

describe('options that would make bad cookies', () => {
  const boot = (options: object) =>
    NestFactory.createApplicationContext(
      { module: class extends Root {}, imports: [SessionModule.forRoot({ purge: false, ...options })] },
      { logger: false, abortOnError: false },
    );

  it.each([
    [
      '__Host- with a domain',
      { cookieName: '__Host-sid', cookie: { domain: 'example.com' } },
      /cookie\.domain/,
    ],
    ['__Host- with a path', { cookieName: '__Host-sid', cookie: { path: '/shop' } }, /cookie\.path/],
    ['__host- in small letters', { cookieName: '__host-sid', cookie: { path: '/shop' } }, /cookie\.path/],
    ['__Host- without Secure', { cookieName: '__Host-sid', cookie: { secure: false } }, /cookie\.secure/],
    ['__Secure- without Secure', { cookieName: '__Secure-sid', cookie: { secure: false } }, /cookie\.secure/],
    ['__SECURE- in capitals', { cookieName: '__SECURE-sid', cookie: { secure: false } }, /cookie\.secure/],
    [
      'SameSite=None without Secure',
      { cookie: { sameSite: 'none', secure: false } },
      /cookie\.(sameSite|secure)/,
    ],
    [
      'Partitioned without Secure',
      { cookie: { partitioned: true, secure: false } },
      /cookie\.(partitioned|secure)/,
    ],
  ])('%s stops the boot (S38)', async (_case, options, names) => {
    const booting = boot(options);
    await expect(booting).rejects.toThrow(SessionOptionsError);
    await expect(booting).rejects.toThrow(names);
  });

  it.each([
    ['an empty name', { cookieName: '' }, /cookieName/],
    ['a name with a space', { cookieName: 'my sid' }, /cookieName/],
    ['a name with a semicolon', { cookieName: 'sid;x' }, /cookieName/],
    ['a name with an equals sign', { cookieName: 'sid=x' }, /cookieName/],
    ['a name with a line end', { cookieName: 'sid\r\n' }, /cookieName/],
    ['a name with an umlaut', { cookieName: 'sitzüng' }, /cookieName/],
    ['a path with a semicolon', { cookie: { path: '/;x' } }, /cookie\.path/],
    ['a path with a line end', { cookie: { path: '/\r\nSet-Cookie: a=b' } }, /cookie\.path/],
    ['a domain with a semicolon', { cookie: { domain: 'example.com; Path=/x' } }, /cookie\.domain/],
    ['a domain with a control character', { cookie: { domain: 'example.com\u0000' } }, /cookie\.domain/],
  ])('%s stops the boot (S39)', async (_case, options, names) => {
    const booting = boot(options);
    await expect(booting).rejects.toThrow(SessionOptionsError);
    await expect(booting).rejects.toThrow(names);
  });

  it.each([
    ['a name of 4,096 letters', { cookieName: 's'.repeat(4_096) }, /cookieName/],
    ['a path of 1,025 letters', { cookie: { path: `/${'p'.repeat(1_024)}` } }, /cookie\.path/],
    ['a domain of 1,025 letters', { cookie: { domain: `${'d'.repeat(1_021)}.com` } }, /cookie\.domain/],
  ])('%s stops the boot (S40)', async (_case, options, names) => {
    const booting = boot(options);
    await expect(booting).rejects.toThrow(SessionOptionsError);
    await expect(booting).rejects.toThrow(names);
  });

  it('a secret is never part of the message', async () => {
    const booting = boot({ secret: ['a very secret thing', ''] });
    await expect(booting).rejects.toThrow(SessionOptionsError);
    await expect(booting).rejects.toThrow(/secret/);
    await booting.catch((error: unknown) => expect(String(error)).not.toContain('a very secret thing'));
  });
});
