import { IncomingMessage, type OutgoingHttpHeaders, ServerResponse } from 'node:http';
import { describe, expect, it } from '@jest/globals';
import {
  addSessionHeaders,
  contentLength,
  type GivenHeaders,
  type SessionHeaders,
  takeOffSessionHeaders,
} from '../../src/http/response-headers.js';

const VARY: SessionHeaders = { vary: 'Cookie', cookie: undefined, token: undefined };
const COOKIE: SessionHeaders = { ...VARY, cookie: 'sid=1; Path=/' };
const TOKEN: SessionHeaders = { vary: 'Authorization', cookie: undefined, token: 'a.b' };

const newResponse = () => new ServerResponse(new IncomingMessage(null as never));

/** What of a header goes out, where it was set on the response, and where it is given to `writeHead`. */
function outcomes(name: string, value: string | string[] | undefined, session: SessionHeaders): unknown[] {
  const results: unknown[] = [];
  const response = newResponse();
  if (value !== undefined) response.setHeader(name, value);
  for (let i = 0; i < 2; i++) {
    expect(addSessionHeaders(response, undefined, session, response)).toBeUndefined();
    results.push(response.getHeader(name));
  }
  const given: GivenHeaders[] =
    value === undefined ? [{}, []] : [{ [name.toUpperCase()]: value }, [name, value], [[name, value]]];
  for (const headers of given) {
    const before = structuredClone(headers);
    const after = addSessionHeaders(newResponse(), headers, session, response) as OutgoingHttpHeaders;
    expect(headers).toEqual(before);
    const key = Object.keys(after).find((each) => each.toLowerCase() === name.toLowerCase());
    results.push(key && after[key]);
  }
  return results;
}

function expectHeader(
  name: string,
  value: string | string[] | undefined,
  session: SessionHeaders,
  to: unknown,
) {
  const all = outcomes(name, value, session).map((each) => (Array.isArray(each) ? each.join(', ') : each));
  expect(all).toEqual(all.map(() => to));
}

describe('the headers that a session adds', () => {
  it.each<[value: string | string[] | undefined, vary: string, result: string]>([
    [undefined, 'Cookie', 'Cookie'],
    ['Accept', 'Cookie', 'Accept, Cookie'],
    ['Accept, cookie', 'Cookie', 'Accept, cookie'],
    ['X-Cookie', 'Cookie', 'X-Cookie, Cookie'],
    [['Accept', 'Origin'], 'Cookie', 'Accept, Origin, Cookie'],
    ['*', 'Cookie', '*'],
    ['', 'Cookie', 'Cookie'],
    [undefined, 'Cookie, Authorization', 'Cookie, Authorization'],
    ['Authorization', 'Cookie, Authorization', 'Authorization, Cookie'],
    ['accept,COOKIE', 'Cookie, Authorization', 'accept,COOKIE, Authorization'],
  ])('Vary %j with %j is %j (S46)', (value, vary, result) => {
    expectHeader('Vary', value, { ...VARY, vary }, result);
  });

  it.each<[value: string | string[] | undefined, result: string]>([
    [undefined, 'private'],
    ['', 'private'],
    ['public, max-age=60', 'private, max-age=60'],
    ['PUBLIC, s-maxage=60, proxy-revalidate, immutable', 'private, immutable'],
    ['private', 'private'],
    ['max-age=1,Private', 'max-age=1,Private'],
    ['no-store', 'no-store'],
    ['private="set-cookie"', 'private, private="set-cookie"'],
    ['no-cache="set-cookie, private, x", public', 'private, no-cache="set-cookie, private, x"'],
    ['no-cache="a\\", no-store, \\"b", public', 'private, no-cache="a\\", no-store, \\"b"'],
    ['no-cache="never closed, private', 'private, no-cache="never closed, private'],
    ['x-public=1, publicity', 'private, x-public=1, publicity'],
    [['public', 'max-age=60'], 'private, max-age=60'],
  ])('Cache-Control %j beside a cookie is %j (S46)', (value, result) => {
    expectHeader('Cache-Control', value, COOKIE, result);
  });

  it.each<[value: string | undefined, result: string]>([
    [undefined, 'no-store'],
    ['public, max-age=60', 'no-store, max-age=60'],
    ['private', 'no-store, private'],
    ['No-Store', 'No-Store'],
    ['x="no-store"', 'no-store, x="no-store"'],
  ])('Cache-Control %j beside a token is %j (S63)', (value, result) => {
    expectHeader('Cache-Control', value, TOKEN, result);
  });

  it.each<[value: string | undefined, result: string]>([
    [undefined, 'X-Session-Token'],
    ['ETag', 'ETag, X-Session-Token'],
    ['etag, x-session-token', 'etag, x-session-token'],
    ['*', '*, X-Session-Token'],
  ])('Access-Control-Expose-Headers %j is %j', (value, result) => {
    expectHeader('Access-Control-Expose-Headers', value, TOKEN, result);
  });

  it('a token takes the place of any other, and may be empty', () => {
    expectHeader('X-Session-Token', 'old', TOKEN, 'a.b');
    expectHeader('X-Session-Token', 'old', { ...TOKEN, token: '' }, '');
  });

  it('other cookies stay, and the own one comes once', () => {
    expectHeader('Set-Cookie', undefined, COOKIE, 'sid=1; Path=/');
    expectHeader('Set-Cookie', 'a=1', COOKIE, 'a=1, sid=1; Path=/');
    expectHeader('Set-Cookie', ['a=1', 'b=2'], COOKIE, 'a=1, b=2, sid=1; Path=/');
  });

  it('nothing is private where nothing is told', () => {
    expectHeader('Cache-Control', 'public', VARY, 'public');
    expectHeader('Set-Cookie', undefined, VARY, undefined);
  });

  it('a list that Node refuses is left to it', () => {
    const response = newResponse();
    const odd = ['X-Odd', '1', 'X-More'];
    expect(addSessionHeaders(response, odd, COOKIE, response)).toBe(odd);
    expect(contentLength(response, odd)).toBe(Infinity);
  });

  it('own headers count alone: what others put on Object.prototype is none (S48)', () => {
    const inherited = {
      vary: '*',
      'set-cookie': ['evil=1'],
      'content-length': 3,
      'cache-control': 'no-store',
    };
    try {
      for (const [key, value] of Object.entries(inherited)) {
        // oxlint-disable-next-line no-extend-native
        Object.defineProperty(Object.prototype, key, { value, enumerable: true, configurable: true });
      }
      const response = newResponse();
      const given = addSessionHeaders(response, { 'X-Own': '1' }, COOKIE, response) as OutgoingHttpHeaders;
      expect(Object.entries(given)).toEqual([
        ['X-Own', '1'],
        ['Vary', 'Cookie'],
        ['Set-Cookie', ['sid=1; Path=/']],
        ['Cache-Control', 'private'],
      ]);
      expect(contentLength(response, { 'X-Own': '1' })).toBe(Infinity);
    } finally {
      for (const key of Object.keys(inherited)) delete (Object.prototype as Record<string, unknown>)[key];
    }
  });

  it('can be taken off again, and no others with them', () => {
    const response = newResponse();
    response.setHeader('Set-Cookie', 'a=1');
    const all = { ...COOKIE, token: 'a.b' };
    addSessionHeaders(response, undefined, all, response);
    takeOffSessionHeaders(response, all);
    expect(response.getHeader('Set-Cookie')).toEqual(['a=1']);
    expect(response.hasHeader('X-Session-Token')).toBe(false);
    response.removeHeader('Set-Cookie');
    addSessionHeaders(response, undefined, all, response);
    takeOffSessionHeaders(response, all);
    expect(response.hasHeader('Set-Cookie')).toBe(false);
  });
});
