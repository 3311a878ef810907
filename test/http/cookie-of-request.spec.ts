import { afterEach, describe, expect, it } from '@jest/globals';
import type { SessionModuleOptions } from '../../src/index.js';
import { SessionError, SessionOptionsError } from '../../src/index.js';
import { SessionCookie } from '../../src/http/cookie.js';
import type { ResolvedCookie } from '../../src/http/cookie-options.js';
import { SessionTransport } from '../../src/http/transport.js';
import { testSession } from '../../src/testing/index.js';
import type { RunningApp } from '../support/app.js';
import { logs, stacks, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import { parseSetCookie } from '../support/client.js';

const session = await testSession();

const BASE: ResolvedCookie = {
  path: '/',
  domain: undefined,
  secure: 'auto',
  httpOnly: true,
  sameSite: 'lax',
  partitioned: false,
  priority: undefined,
  persistent: true,
};
const request = (host: string, protocol = 'http') => ({ headers: { host }, protocol }) as never;

/** Every tenant has its own domain; one of them is framed by others, and one is no tenant. */
function tenants() {
  const asked: string[] = [];
  const cookie = new SessionCookie({
    cookieName: 'sid',
    secrets: [],
    cookie: (asking) => {
      const { host } = (asking as { headers: { host: string } }).headers;
      asked.push(host);
      if (host === 'nobody.example') throw new SessionOptionsError('cookie(request).domain is wrong');
      if (host === 'framed.example')
        return {
          ...BASE,
          domain: host,
          secure: true,
          sameSite: 'none',
          partitioned: true,
          persistent: false,
        };
      return { ...BASE, domain: host };
    },
  });
  const said: string[] = [];
  const transport = new SessionTransport(cookie, ['cookie'], (text) => void said.push(text));
  return { asked, cookie, transport, said };
}
const attributesOf = (text: string | undefined) => Object.fromEntries(parseSetCookie(text!).attributes);

describe('a cookie whose attributes are a function of the request', () => {
  const told = { id: session.id, expiresAt: session.expiresAt.getTime() };

  it('has those of this request, set and cleared alike (S28)', () => {
    const { transport, cookie, asked } = tenants();
    const framed = request('framed.example', 'https');
    const attributes = {
      path: '/',
      domain: 'framed.example',
      httponly: '',
      secure: '',
      samesite: 'None',
      partitioned: '',
    };
    const cleared = { ...attributes, 'max-age': '0', expires: 'Thu, 01 Jan 1970 00:00:00 GMT' };
    expect(attributesOf(transport.headers('cookie', told, framed).cookie)).toEqual(attributes);
    expect(attributesOf(transport.headers('cookie', 'ended', framed).cookie)).toEqual(cleared);
    expect(attributesOf(cookie.issue(session, framed))).toEqual(attributes);
    expect(attributesOf(cookie.clear(framed))).toEqual(cleared);
    expect(attributesOf(cookie.clear(request('shop.example')))).toMatchObject({
      domain: 'shop.example',
      samesite: 'Lax',
    });
    expect(transport.renews('cookie', framed)).toBe(false);
    expect(transport.renews('cookie', request('shop.example'))).toBe(true);
    expect(new Set(asked)).toEqual(new Set(['framed.example', 'shop.example']));
  });

  it("knows 'auto': Secure as the request came (S37)", () => {
    const { transport } = tenants();
    const over = (protocol: string) =>
      attributesOf(transport.headers('cookie', told, request('shop.example', protocol)).cookie);
    expect(over('https')).toHaveProperty('secure');
    expect(over('http')).not.toHaveProperty('secure');
  });

  it('is withheld over plain HTTP where this one is Secure (S47)', () => {
    const { transport, said } = tenants();
    expect(transport.headers('cookie', told, request('framed.example')).cookie).toBeUndefined();
    expect(said).toHaveLength(1);
  });

  it('is asked for nothing where the client is told nothing, and nothing is read with it', () => {
    const { transport, cookie, asked } = tenants();
    transport.headers('cookie', undefined, request('nobody.example'));
    transport.receive(request('nobody.example'));
    cookie.read(request('nobody.example'));
    expect(asked).toEqual([]);
  });

  it('is an error, and no cookie, where the function gives what is wrong', () => {
    const { transport, cookie } = tenants();
    const nobody = request('nobody.example');
    for (const work of [
      () => transport.headers('cookie', told, nobody),
      () => transport.headers('cookie', 'ended', nobody),
      () => transport.renews('cookie', nobody),
      () => cookie.issue(session, nobody),
      () => cookie.clear(nobody),
    ]) {
      expect(work).toThrow(SessionOptionsError);
    }
  });

  it('needs the request where it is made by hand, and says so', () => {
    const { cookie, asked } = tenants();
    expect(() => cookie.issue(session)).toThrow(SessionError);
    expect(() => cookie.clear()).toThrow(/cookie is a function of the request; pass the request/);
    expect(cookie.pair(session.id)).toBe(`sid=${session.id}`);
    expect(asked).toEqual([]);
  });
});

describe.each(stacks)('tenants: %s', (_title, stack) => {
  let app: RunningApp | undefined;
  async function run(cookie: (request: any) => unknown): Promise<RunningApp> {
    const options = { cookie } as SessionModuleOptions;
    app = await start(stack, { controllers: [BasicController], session: options, trustProxy: true });
    app.reset();
    return app;
  }
  afterEach(() => app?.stop());

  const from = (host: string) => ({ headers: { host, 'x-forwarded-proto': 'https' } });

  it('each has the attributes that the function gives for its requests, cleared with them too (S28)', async () => {
    const client = (await run(({ hostname }) => ({ domain: hostname, sameSite: 'strict' }))).client();
    for (const path of ['/set/n/1', '/login/ada', '/logout']) {
      const reply = await client.get(path, from('shop.example'));
      expect(Object.fromEntries(reply.setCookies[0]!.attributes)).toMatchObject({
        domain: 'shop.example',
        samesite: 'Strict',
        secure: '',
        path: '/',
      });
    }
  });

  it.each<[string, (request: any) => unknown, RegExp]>([
    ['a domain that is none', () => ({ domain: 'shop.example; Path=/x' }), /cookie\(request\)\.domain/],
    ['a misspelt attribute', () => ({ samesite: 'none' }), /cookie\(request\)\.samesite/],
    [
      'SameSite=None without Secure',
      () => ({ sameSite: 'none', secure: false }),
      /cookie\(request\)\.secure/,
    ],
    ['nothing', () => undefined, /cookie\(request\)/],
    ['a promise', async () => ({}), /cookie\(request\)/],
    [
      'an error',
      () => {
        throw new Error('no such tenant');
      },
      /no such tenant/,
    ],
  ])('%s is a 500 that the log explains, and no cookie at all (S39)', async (_case, wrong, explained) => {
    const running = await run((asking) => (asking.hostname === 'shop.example' ? {} : wrong(asking)));
    const client = running.client();
    const refused = await client.get('/set/n/1', from('nobody.example'));
    expect(refused.status).toBe(500);
    expect(refused.setCookies).toEqual([]);
    expect(refused.text).not.toMatch(explained);
    expect(logs.filter((line) => explained.test(line))).not.toEqual([]);
    // What tells the client nothing needs no cookie.
    expect((await client.get('/read', from('nobody.example'))).status).toBe(200);
    const served = await client.get('/set/n/1', from('shop.example'));
    expect([served.status, sessionCookies(served).length]).toEqual([200, 1]);
    expect((await client.get('/logout', from('nobody.example'))).status).toBe(500);
  });
});
