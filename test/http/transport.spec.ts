import { randomBytes } from 'node:crypto';
import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { SessionCookie } from '../../src/http/cookie.js';
import type { CookieSettings } from '../../src/http/cookie.js';
import { SessionTransport } from '../../src/http/transport.js';
import type { TransportName } from '../../src/http/settings.js';
import { parseSetCookie } from '../support/client.js';

const random = (bytes: number): string => randomBytes(bytes).toString('base64url');
const newId = (): string => `${random(16)}.${random(32)}`;
const HOUR = 3_600_000;

const COOKIE = {
  path: '/',
  domain: undefined,
  secure: 'auto',
  httpOnly: true,
  sameSite: 'lax',
  partitioned: false,
  priority: undefined,
  persistent: true,
} as const;

function transport(allowed: TransportName[], settings: Partial<CookieSettings> = {}) {
  const said: string[] = [];
  const cookie = new SessionCookie({ cookieName: 'sid', secrets: [], cookie: COOKIE, ...settings });
  return { said, transport: new SessionTransport(cookie, allowed, (text) => void said.push(text)) };
}

/** A request as Node has it. */
const request = (headers: Record<string, string | string[]>) => ({ headers }) as never;
/** What a request brings to an application that allows both. */
const received = (
  headers: Record<string, string | string[]>,
  allowed: TransportName[] = ['cookie', 'bearer'],
) => {
  const { ids, ...others } = transport(allowed).transport.receive(request(headers));
  return { ...others, ids: ids.map(({ id }) => id) };
};

const NO_COOKIE = { via: 'cookie', ids: [], rejected: false };
const NO_BEARER = { via: 'bearer', ids: [], rejected: false };
const bearer = (id: string) => ({ authorization: `Bearer ${id}` });
const asked = { 'x-session-transport': 'bearer' };

describe('where the id of a request comes from', () => {
  const id = newId();
  const other = newId();

  it('with the cookie alone: the cookie, and no other header (S6)', () => {
    const headers = { ...bearer(other), ...asked, cookie: `sid=${id}` };
    expect(received(headers, ['cookie'])).toEqual({ via: 'cookie', ids: [id], rejected: false });
    expect(received({ ...bearer(other), ...asked }, ['cookie'])).toEqual(NO_COOKIE);
  });

  it('with the bearer alone: the bearer, and no cookie (S6)', () => {
    const headers = { ...bearer(other), cookie: `sid=${id}` };
    expect(received(headers, ['bearer'])).toEqual({ via: 'bearer', ids: [other], rejected: false });
    expect(received({ cookie: `sid=${id}; sid=junk` }, ['bearer'])).toEqual(NO_BEARER);
    expect(received({}, ['bearer'])).toEqual(NO_BEARER);
  });

  it('with both: the bearer counts where there is one, and else the cookie (S63)', () => {
    expect(received({ ...bearer(other), cookie: `sid=${id}` })).toMatchObject({
      via: 'bearer',
      ids: [other],
    });
    expect(received({ cookie: `sid=${id}` })).toMatchObject({ via: 'cookie', ids: [id] });
    expect(received({})).toEqual(NO_COOKIE);
  });

  it.each(['bearer', 'Bearer', 'BEARER'])(
    'a client without an id asks for one by X-Session-Transport: %s',
    (word) => {
      expect(received({ 'x-session-transport': word, cookie: `sid=${id}` })).toEqual(NO_BEARER);
      expect(received({ 'x-session-transport': word, ...bearer(other) })).toMatchObject({ ids: [other] });
    },
  );

  it.each(['', 'cookie', 'bearer, bearer', 'bearers', ['bearer']])(
    'X-Session-Transport: %j asks for nothing',
    (word) => {
      const headers = { 'x-session-transport': word, cookie: `sid=${id}` };
      expect(received(headers)).toMatchObject({ via: 'cookie', ids: [id] });
    },
  );

  it.each([
    ['the scheme in small letters', `bearer ${id}`],
    ['the scheme in capitals', `BEARER ${id}`],
    ['several blanks', `Bearer   ${id}`],
  ])('a bearer may be written with %s', (_case, authorization) => {
    expect(received({ authorization })).toEqual({ via: 'bearer', ids: [id], rejected: false });
  });

  it('an id with a secret of the application, with dots in it, is a bearer too', () => {
    const made = `${random(16)}.a.b~c_d-${'e'.repeat(22)}`;
    expect(received(bearer(made))).toMatchObject({ via: 'bearer', ids: [made] });
  });

  const jwt = (header: string) =>
    `${Buffer.from(header).toString('base64url')}.${Buffer.from('{"sub":"ada"}').toString('base64url')}.${random(64)}`;

  it.each([
    ['nothing', 'Bearer'],
    ['blanks', 'Bearer  '],
    ['an OAuth token', `Bearer ${random(32)}`],
    ['an OAuth token with a dot', `Bearer ya29.${random(60)}`],
    ['a JWT', `Bearer ${jwt('{"alg":"HS256","typ":"JWT"}')}`],
    ['a JWT whose header is as long as a handle', `Bearer ${jwt('{"alg":"ES256K"}')}`],
    ['a JWT whose header is as long, with blanks', `Bearer ${jwt('{ "alg":"RS256"}')}`],
    ['an id of the application’s own', 'Bearer an-id-of-ones-own-0123456789'],
    ['a secret that is a character too short', `Bearer ${random(16)}.${'s'.repeat(21)}`],
    ['a secret that is a character too long', `Bearer ${random(16)}.${'s'.repeat(257)}`],
    ['a handle that is a character too short', `Bearer ${'h'.repeat(21)}.${random(32)}`],
    ['a handle that 16 bytes cannot give', `Bearer ${'h'.repeat(22)}.${random(32)}`],
    ['an id in quotes', `Bearer "${id}"`],
    ['an id with something behind it', `Bearer ${id} x`],
    ['an id with a comma', `Bearer ${id},`],
    ['two ids', `Bearer ${id}, Bearer ${other}`],
    ['an id that is encoded', `Bearer ${id.replace('.', '%2e')}`],
    ['an id without a scheme', id],
    ['an id without a blank', `Bearer${id}`],
    ['another scheme', `Basic ${id}`],
    ['a tab instead of a blank', `Bearer\t${id}`],
    ['8 KB', `Bearer ${'x'.repeat(8_192)}`],
    ['8 KB of blanks', `Bearer ${' '.repeat(8_192)}`],
    ['a list, as only an adapter gives it', [`Bearer ${id}`]],
  ])('%s is somebody else’s: the cookie counts, and nothing is rejected (S63)', (_case, authorization) => {
    expect(received({ authorization, cookie: `sid=${other}` })).toEqual({
      via: 'cookie',
      ids: [other],
      rejected: false,
    });
    expect(received({ authorization })).toEqual(NO_COOKIE);
    expect(received({ authorization, ...asked, cookie: `sid=${other}` })).toEqual(NO_BEARER);
    expect(received({ authorization, cookie: `sid=${other}` }, ['bearer'])).toEqual(NO_BEARER);
  });

  it('what is no id of ours under the name of the cookie is told of, beside one that is (S5)', () => {
    expect(received({ cookie: `sid=junk; sid=${id}` })).toEqual({ via: 'cookie', ids: [id], rejected: true });
    expect(received({ cookie: 'sid=' })).toEqual({ via: 'cookie', ids: [], rejected: true });
    expect(received({ cookie: 'other=junk' })).toEqual(NO_COOKIE);
  });

  it('a request that brings nothing costs no object', () => {
    const { transport: both } = transport(['cookie', 'bearer']);
    expect(both.receive(request({}))).toBe(both.receive(request({ cookie: 'a=b' })));
    expect(both.receive(request(asked))).toBe(both.receive(request(asked)));
    expect(Object.isFrozen(both.receive(request({})).ids)).toBe(true);
  });
});

describe('how the client is told an id', () => {
  const id = newId();
  const plain = request({});
  const https = { protocol: 'https', headers: {} } as never;
  const told = () => ({ id, expiresAt: Date.now() + HOUR });

  it.each<[TransportName[], string]>([
    [['cookie'], 'Cookie'],
    [['bearer'], 'Authorization'],
    [['cookie', 'bearer'], 'Cookie, Authorization'],
    [['bearer', 'cookie'], 'Cookie, Authorization'],
  ])(
    'with %j every answer varies by %s, and one that tells nothing costs no object (S46, S63)',
    (allowed, vary) => {
      const { transport: some } = transport(allowed);
      const nothing = some.headers(allowed[0]!, undefined, plain);
      expect(nothing).toEqual({ vary, cookie: undefined, token: undefined });
      expect(Object.isFrozen(nothing)).toBe(true);
      expect(some.headers(allowed.at(-1)!, undefined, plain)).toBe(nothing);
      expect(some.headers(allowed[0]!, told(), plain).vary).toBe(vary);
      expect(some.headers(allowed[0]!, 'ended', plain).vary).toBe(vary);
    },
  );

  it('a bearer gets it in X-Session-Token, and no cookie; an ended one is empty (S63)', () => {
    const { transport: both, said } = transport(['cookie', 'bearer'], {
      cookie: { ...COOKIE, secure: true },
      secrets: ['secret'],
    });
    expect(both.headers('bearer', told(), plain)).toMatchObject({ cookie: undefined, token: id });
    expect(both.headers('bearer', 'ended', plain)).toMatchObject({ cookie: undefined, token: '' });
    expect(said).toEqual([]);
  });

  it('a cookie gets it in Set-Cookie, and no token; an ended one is cleared', () => {
    const { transport: both } = transport(['cookie', 'bearer']);
    const { cookie, token } = both.headers('cookie', told(), plain);
    expect(parseSetCookie(cookie!)).toMatchObject({ name: 'sid', value: id });
    expect(parseSetCookie(cookie!).attributes.get('max-age')).toBe('3600');
    expect(token).toBeUndefined();
    const ended = both.headers('cookie', 'ended', plain);
    expect(parseSetCookie(ended.cookie!)).toMatchObject({ name: 'sid', value: '' });
    expect(parseSetCookie(ended.cookie!).attributes.get('max-age')).toBe('0');
    expect(ended.token).toBeUndefined();
  });

  it('a Secure cookie is withheld over plain HTTP, with a word for the log each time (S47)', () => {
    const { transport: cookies, said } = transport(['cookie'], { cookie: { ...COOKIE, secure: true } });
    const nothing = cookies.headers('cookie', undefined, plain);
    expect(cookies.headers('cookie', told(), plain)).toBe(nothing);
    expect(cookies.headers('cookie', 'ended', plain)).toBe(nothing);
    expect(said).toHaveLength(2);
    expect(new Set(said).size).toBe(1);
    expect(said[0]).toMatch(/Secure.*plain HTTP.*withheld.*trust proxy/);
    const { cookie } = cookies.headers('cookie', told(), https);
    expect(parseSetCookie(cookie!).attributes.has('secure')).toBe(true);
    expect(said).toHaveLength(2);
  });

  it('a deadline that moved is news to a cookie with a Max-Age alone', () => {
    const { transport: lasting } = transport(['cookie', 'bearer']);
    expect(lasting.renews('cookie', plain)).toBe(true);
    expect(lasting.renews('bearer', plain)).toBe(false);
    const { transport: short } = transport(['cookie'], { cookie: { ...COOKIE, persistent: false } });
    expect(short.renews('cookie', plain)).toBe(false);
  });

  it('no signing key shows, however deep it is looked at (S50)', () => {
    const { transport: both } = transport(['cookie'], { secrets: ['a very secret thing'] });
    expect(inspect(both, { depth: 9, showHidden: true, getters: true })).not.toContain('secret thing');
  });
});
