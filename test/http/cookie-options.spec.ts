import { describe, expect, it } from '@jest/globals';
import { SessionOptionsError } from '../../src/errors.js';
import {
  checkCookie,
  type ResolvedCookie,
  type SessionCookieOptions,
} from '../../src/http/cookie-options.js';
import { resolveOptions } from '../../src/nest/session.options.js';

/** What a request gets of an application that has this function. */
const forRequest = (
  cookie: (request: any) => unknown,
  request: object = {},
  cookieName = 'sid',
): ResolvedCookie => {
  const settings = resolveOptions({ cookieName, cookie: cookie as () => SessionCookieOptions });
  return (settings.cookie as (request: object) => ResolvedCookie)(request);
};

describe('a function for the cookie', () => {
  it('is asked for each request, which it gets, and not at the start', () => {
    const seen: unknown[] = [];
    const { cookie } = resolveOptions({
      cookie: (request: { host: string }) => {
        seen.push(request);
        return { domain: request.host };
      },
    });
    expect(seen).toEqual([]);
    const requests = [{ host: 'a.example' }, { host: 'b.example' }];
    const domains = requests.map(
      (request) => (cookie as (request: object) => ResolvedCookie)(request).domain,
    );
    expect(domains).toEqual(['a.example', 'b.example']);
    expect(seen).toEqual(requests);
  });

  it('may give the same object again and again, with other attributes in it', () => {
    const reused: SessionCookieOptions = {};
    const cookie = (request: { host: string }) => Object.assign(reused, { domain: request.host });
    expect(forRequest(cookie, { host: 'a.example' }).domain).toBe('a.example');
    expect(forRequest(cookie, { host: 'b.example' }).domain).toBe('b.example');
    expect(() => forRequest(cookie, { host: 'a;b' })).toThrow(/cookie\(request\).domain must be a host name/);
  });

  it('leaves to the defaults what it does not say (S37)', () => {
    expect(forRequest(() => ({ sameSite: 'strict' }))).toEqual({
      path: '/',
      domain: undefined,
      secure: 'auto',
      httpOnly: true,
      sameSite: 'strict',
      partitioned: false,
      priority: undefined,
      persistent: true,
    });
  });

  it.each<[what: string, cookie: object]>([
    ['a domain with a ";"', { domain: 'a.example; HttpOnly' }],
    ['a path with a line end', { path: '/\nSet-Cookie: x=y' }],
    ['SameSite=None without Secure', { sameSite: 'none', secure: false }],
    ['an attribute that there is not', { maxAge: 5 }],
  ])('is refused what the option is refused: %s (S38, S39)', (_what, cookie) => {
    const messageOf = (work: () => unknown): string => {
      try {
        work();
      } catch (error) {
        expect(error).toBeInstanceOf(SessionOptionsError);
        return (error as Error).message;
      }
      throw new Error('Nothing was refused');
    };
    const returned = messageOf(() => forRequest(() => cookie));
    expect(returned).toMatch(/^SessionModule: cookie\(request\)\./);
    expect(returned.replaceAll('cookie(request).', 'cookie.')).toBe(
      messageOf(() => resolveOptions({ cookie })),
    );
  });

  it('is held to the prefix of the name (S38)', () => {
    expect(() => forRequest(() => ({ domain: 'a.example' }), {}, '__Host-sid')).toThrow(
      /cookie\(request\).domain must not be set with a "__Host-sid" cookie name/,
    );
    expect(forRequest(() => ({}), {}, '__Host-sid').secure).toBe(true);
  });

  it.each([
    ['undefined', undefined],
    ['null', null],
    ['a Promise', Promise.resolve({ domain: 'a.example' })],
    ['a function', () => ({})],
    ['"lax"', 'lax'],
  ])('must return an object, not %s', (kind, returned) => {
    expect(() => forRequest(() => returned)).toThrow(
      new RegExp(`cookie\\(request\\) must return an object with some of path, domain, .*; got ${kind}$`),
    );
  });

  it('names all that is wrong in one error', () => {
    expect(() => checkCookie({ path: 'shop', secure: 'yes', samesite: 'lax' }, 'sid')).toThrow(
      /samesite is not an option \(did you mean cookie\(request\).sameSite\?\).*\n.*path must.*\n.*secure must/,
    );
  });
});

describe('Secure is demanded', () => {
  it.each<[why: string, name: string, cookie: SessionCookieOptions, secure: boolean | 'auto']>([
    ['by nothing', 'sid', {}, 'auto'],
    ['by __Host-', '__Host-sid', {}, true],
    ['by __Secure-, in any letters', '__sEcUrE-sid', {}, true],
    ['by __Http-', '__Http-sid', {}, true],
    ['by __Host-Http-', '__Host-Http-sid', {}, true],
    ['by SameSite=None', 'sid', { sameSite: 'none' }, true],
    ['by Partitioned', 'sid', { partitioned: true }, true],
    ['by nothing, but wanted', 'sid', { secure: true }, true],
    ['by nothing, and not wanted', 'sid', { secure: false }, false],
    ['by nothing: a name that only looks like it', '__Hostess-sid', { secure: 'auto' }, 'auto'],
  ])('%s (S38)', (_why, cookieName, cookie, secure) => {
    expect(resolveOptions({ cookieName, cookie }).cookie).toMatchObject({ secure });
  });

  it.each(['__Http-sid', '__Host-Http-sid'])('and HttpOnly by %s (S38)', (cookieName) => {
    expect(() => resolveOptions({ cookieName, cookie: { httpOnly: false } })).toThrow(
      /cookie.httpOnly must not be false with a/,
    );
  });
});
