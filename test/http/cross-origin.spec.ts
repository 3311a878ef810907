import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, describe, expect, it } from '@jest/globals';
import { All, Controller, Req } from '@nestjs/common';
import { SessionCrossOriginError } from '../../src/errors.http.js';
import { refusalOf, refusalOfRequest } from '../../src/http/cross-origin.js';
import type { RequestOrigin } from '../../src/http/cross-origin.js';
import type { RunningApp, Stack } from '../support/app.js';
import { stackPerPlatform, start } from '../support/app.js';
import { sendRaw } from '../support/client.js';

const TRUSTED = {
  trustedOrigins: new Set([
    'https://app.example.com',
    'http://localhost:5173',
    'capacitor://localhost',
    'chrome-extension://abcdefghijklmnopabcdefghijklmnop',
  ]),
};

/** A POST to shop.example.com, unless said otherwise. */
const refused = (given: Partial<RequestOrigin>) =>
  refusalOf(
    { method: 'POST', secFetchSite: undefined, origin: undefined, host: 'shop.example.com', ...given },
    TRUSTED,
  );

const EVIL = 'https://evil.example';

describe('what passes', () => {
  it.each<[string, Partial<RequestOrigin>]>([
    ...['GET', 'HEAD', 'OPTIONS'].map((method): [string, Partial<RequestOrigin>] => [
      `by ${method} from anywhere`,
      { method, secFetchSite: 'cross-site', origin: EVIL },
    ]),
    ['of the same origin, as the browser says', { secFetchSite: 'same-origin' }],
    ['typed or bookmarked by the user, as the browser says', { secFetchSite: 'none' }],
    [
      'same-origin with Origin null: a page under no-referrer',
      { secFetchSite: 'same-origin', origin: 'null' },
    ],
    [
      'that is same-origin, with an Origin that a proxy made wrong',
      { secFetchSite: 'same-origin', origin: EVIL },
    ],
    ['that is same-origin, without a host', { secFetchSite: 'same-origin', host: undefined }],
    [
      'that is cross-site, from a trusted origin',
      { secFetchSite: 'cross-site', origin: 'https://app.example.com' },
    ],
    [
      'that is same-site, from a trusted origin',
      { secFetchSite: 'same-site', origin: 'https://app.example.com' },
    ],
    [
      'from a trusted origin, in an unknown way',
      { secFetchSite: 'webdriver', origin: 'https://app.example.com' },
    ],
    [
      'from a trusted origin in other letters',
      { secFetchSite: 'cross-site', origin: 'HTTPS://App.Example.COM' },
    ],
    [
      'from a trusted origin with its default port',
      { secFetchSite: 'cross-site', origin: 'https://app.example.com:443' },
    ],
    ['without any header: no browser', {}],
    ['without any header and without a host', { host: undefined }],
    ['with both headers empty', { secFetchSite: '', origin: '' }],
    ['of its own host, by a browser of before 2020', { origin: 'https://shop.example.com' }],
    [
      'of its own host, with an empty Sec-Fetch-Site',
      { secFetchSite: '', origin: 'https://shop.example.com' },
    ],
    ['of its own host over plain HTTP', { origin: 'http://shop.example.com' }],
    ['of its own host in other letters', { origin: 'HTTPS://SHOP.example.com', host: 'shop.EXAMPLE.com' }],
    ['of its own host and port', { origin: 'http://shop.example.com:3000', host: 'shop.example.com:3000' }],
    [
      'of its own host with the port of HTTPS',
      { origin: 'https://shop.example.com', host: 'shop.example.com:443' },
    ],
    [
      'of its own host with the port of HTTP',
      { origin: 'http://shop.example.com', host: 'shop.example.com:80' },
    ],
    [
      'whose proxy ended TLS and named its port',
      { origin: 'https://shop.example.com', host: 'shop.example.com:80' },
    ],
    ['of a host with a port where it is unusual', { origin: 'https://a.example:80', host: 'a.example:80' }],
    ['of an IPv4 address', { origin: 'http://192.168.0.7:8080', host: '192.168.0.7:8080' }],
    ['of an IPv6 address', { origin: 'http://[::1]:3000', host: '[::1]:3000' }],
    ['of an IPv6 address without a port', { origin: 'https://[2001:db8::1]', host: '[2001:db8::1]' }],
    ['of an IPv6 address spelt at length', { origin: 'http://[::1]', host: '[0:0:0:0:0:0:0:1]:80' }],
    ['of a name with a dot at its end', { origin: 'https://a.example.', host: 'a.example.' }],
    ['from a trusted origin, by a browser of before 2020', { origin: 'http://localhost:5173' }],
    ['from a trusted origin, while no host is known', { origin: 'https://app.example.com', host: undefined }],
    ['of a trusted app', { origin: 'capacitor://localhost' }],
    ['of a trusted app in other letters', { origin: 'Capacitor://LocalHost' }],
    ['of a trusted extension', { origin: 'chrome-extension://abcdefghijklmnopabcdefghijklmnop' }],
  ])('a request %s passes (S61)', (_case, given) => {
    expect(refused(given)).toBeUndefined();
  });
});

describe('what is refused', () => {
  it.each<[string, Partial<RequestOrigin>]>([
    ...['POST', 'PUT', 'PATCH', 'DELETE', 'TRACE', 'CONNECT', 'QUERY', 'PROPFIND', 'get', '', undefined].map(
      (method): [string, Partial<RequestOrigin>] => [
        `${method === undefined ? 'without a method' : `by "${method}"`} from another site`,
        { method, secFetchSite: 'cross-site' },
      ],
    ),
    ['from a sibling sub-domain', { secFetchSite: 'same-site', origin: 'https://blog.example.com' }],
    [
      'with its own Origin: the browser decides first',
      { secFetchSite: 'cross-site', origin: 'https://shop.example.com' },
    ],
    ['from another site, with an empty Origin', { secFetchSite: 'cross-site', origin: '' }],
    ['from another site, with Origin null', { secFetchSite: 'cross-site', origin: 'null' }],
    ['with a word that is unknown', { secFetchSite: 'sibling' }],
    ['with same-origin in other letters', { secFetchSite: 'Same-Origin' }],
    ['with same-origin twice', { secFetchSite: 'same-origin, same-origin' }],
    ['with none and cross-site', { secFetchSite: 'none, cross-site' }],
    ['with blanks around same-origin', { secFetchSite: ' same-origin ' }],
    ['with 8 KB of Sec-Fetch-Site', { secFetchSite: 'same-origin'.padEnd(8_192, ' ') }],
    ['with a Sec-Fetch-Site in other letters than those of ASCII', { secFetchSite: 'säme-origin' }],
  ])('a request %s is refused, as Sec-Fetch-Site says (S61, S62)', (_case, given) => {
    expect(refused(given)).toMatchObject({ header: 'Sec-Fetch-Site' });
  });

  it.each<[string, Partial<RequestOrigin>]>([
    ['from elsewhere', { origin: EVIL }],
    ['from elsewhere, with an empty Sec-Fetch-Site', { secFetchSite: '', origin: EVIL }],
    ['from null', { origin: 'null' }],
    ['from null in capitals', { origin: 'NULL' }],
    ['of a sub-domain', { origin: 'https://a.shop.example.com' }],
    ['of a domain that ends alike', { origin: 'https://evil-shop.example.com' }],
    ['of a domain that begins alike', { origin: 'https://shop.example.com.evil.example' }],
    ['of a host that is a user', { origin: 'https://shop.example.com@evil.example' }],
    ['of another port', { origin: 'https://shop.example.com:8443' }],
    [
      'of the default port where another was asked for',
      { origin: 'https://a.example', host: 'a.example:8443' },
    ],
    ['of the port of HTTP over HTTPS', { origin: 'https://a.example:80', host: 'a.example' }],
    ['with a path', { origin: 'https://shop.example.com/cart' }],
    ['with only a slash', { origin: 'https://shop.example.com/' }],
    ['with a query', { origin: 'https://shop.example.com?a' }],
    ['with a user', { origin: 'https://ada@shop.example.com' }],
    ['without a scheme', { origin: 'shop.example.com' }],
    ['without a host', { origin: 'https://' }],
    ['of a scheme of its own with the same host', { origin: 'capacitor://shop.example.com' }],
    ['of two origins', { origin: 'https://shop.example.com, https://shop.example.com' }],
    ['of two origins with a blank', { origin: 'https://shop.example.com https://evil.example' }],
    ['of trusted ones with a wildcard', { origin: 'https://*.example.com' }],
    ['of 8 KB', { origin: `https://${'a'.repeat(8_192)}`, host: 'a'.repeat(8_192) }],
    [
      'of other letters than those of ASCII',
      { origin: 'https://b\u00fccher.example', host: 'b\u00fccher.example' },
    ],
    ['with a control character', { origin: 'https://shop.example.com\u0000' }],
    ['to no host', { origin: 'https://shop.example.com', host: undefined }],
    ['to an empty host', { origin: 'https://shop.example.com', host: '' }],
    ['to two hosts', { origin: 'https://shop.example.com', host: 'shop.example.com, shop.example.com' }],
    [
      'to two hosts, joined otherwise',
      { origin: 'https://shop.example.com', host: 'shop.example.com,evil.example' },
    ],
    ['to a host with a path', { origin: 'https://shop.example.com', host: 'shop.example.com/x' }],
    ['to a host with a user', { origin: 'https://shop.example.com', host: 'x@shop.example.com' }],
    [
      'to a host with a port that is none',
      { origin: 'https://shop.example.com', host: 'shop.example.com:x' },
    ],
    [
      'to a host with nothing behind its colon',
      { origin: 'https://shop.example.com', host: 'shop.example.com:' },
    ],
    [
      'to a host of 8 KB',
      { origin: 'https://shop.example.com', host: 'shop.example.com'.padEnd(8_192, '.') },
    ],
    ['to an IPv6 address without brackets', { origin: 'http://[::1]', host: '::1' }],
  ])('a request %s is refused, as Origin says (S61)', (_case, given) => {
    expect(refused(given)).toMatchObject({ header: 'Origin' });
  });

  it('a refusal tells all: the header, its value, what was expected, and the option', () => {
    expect(refused({ origin: EVIL })).toEqual({
      header: 'Origin',
      value: `"${EVIL}"`,
      expected: 'the host that was asked for, "shop.example.com", or one of crossOrigin.trustedOrigins',
    });
    expect(refused({ origin: EVIL, host: undefined })?.expected).toBe(
      'a host that was asked for (none was) or one of crossOrigin.trustedOrigins',
    );
    expect(refused({ secFetchSite: 'same-site', origin: EVIL })).toEqual({
      header: 'Sec-Fetch-Site',
      value: '"same-site"',
      expected: `"same-origin" or "none", or an Origin of crossOrigin.trustedOrigins, and its Origin is "${EVIL}"`,
    });
    expect(refused({ secFetchSite: 'cross-site' })?.expected).toMatch(/, and it has no Origin$/);
  });

  it('a refusal puts nothing into a log but printable ASCII, and not much of it', () => {
    const odd = `\u001b[2J\r\n"\u009b\u202e\ud800ü${'x'.repeat(8_192)}`;
    for (const given of [
      { secFetchSite: odd, origin: odd },
      { origin: odd, host: odd },
    ]) {
      const { value, expected } = refused(given)!;
      expect(value).toMatch(/^"[\x20-\x7e]{90,160}…"$/);
      expect(expected).toMatch(/^[\x20-\x7e…]{90,300}$/);
    }
  });

  it('the error is a 403 of which the client learns nothing', () => {
    const error = new SessionCrossOriginError(refused({ origin: EVIL })!);
    expect([error.getStatus(), error.code, error.name]).toEqual([
      403,
      'ERR_SESSION_CROSS_ORIGIN',
      'SessionCrossOriginError',
    ]);
    expect(error.getResponse()).toBe('Forbidden');
    expect(error.message).toBe(
      'A cross-origin request was refused: its Origin is "https://evil.example"; expected the host that was asked ' +
        'for, "shop.example.com", or one of crossOrigin.trustedOrigins. Let it in with the option ' +
        'crossOrigin.trustedOrigins, or on its route with @AllowCrossOrigin().',
    );
  });
});

@Controller()
class AskingController {
  @All('ask')
  ask(@Req() request: any) {
    return { refused: refusalOfRequest(request, TRUSTED) ?? null };
  }
}

describe.each(stackPerPlatform)('what is asked of a request: %s', (_title, stack) => {
  const running: RunningApp[] = [];
  async function run(
    trustProxy?: boolean | string,
    middleware?: (request: any, response: any, next: any) => void,
  ) {
    const app = await start(stack as Stack, {
      controllers: [AskingController],
      ...(trustProxy === undefined ? {} : { trustProxy }),
      configure: (nest) => void (middleware && nest.use(middleware)),
    });
    running.push(app);
    return app;
  }
  const ask = async (app: RunningApp, headers: Record<string, string | string[]>, method = 'POST') =>
    (await app.client().get('/ask', { method, headers })).json().refused;

  afterEach(async () => {
    for (const app of running.splice(0)) await app.stop();
  });

  it('the host is the one of the Host header, with its port (S61)', async () => {
    const app = await run();
    const host = `127.0.0.1:${app.port}`;
    expect(await ask(app, { origin: `http://${host}` })).toBeNull();
    expect(await ask(app, { origin: 'http://127.0.0.1' })).toMatchObject({ header: 'Origin' });
    expect(await ask(app, { origin: 'http://[::1]:3000', host: '[::1]:3000' })).toBeNull();
    expect(await ask(app, { origin: 'https://Shop.Example', host: 'shop.example:443' })).toBeNull();
  });

  it('X-Forwarded-Host counts only where the application trusts its proxy (S61)', async () => {
    const headers = {
      origin: 'https://shop.example:8443',
      host: 'inside:3000',
      'x-forwarded-host': 'shop.example:8443',
    };
    expect(await ask(await run(), headers)).toMatchObject({ header: 'Origin' });
    expect(await ask(await run('10.0.0.0/8'), headers)).toMatchObject({ header: 'Origin' });
    const trusting = await run(true);
    expect(await ask(trusting, headers)).toBeNull();
    expect(await ask(trusting, { ...headers, origin: 'http://inside:3000' })).toMatchObject({
      header: 'Origin',
    });
  });

  it('middleware is told the same host', async () => {
    const seen: unknown[] = [];
    const watch = (request: any, _response: any, next: () => void) => {
      seen.push(refusalOfRequest(request, TRUSTED)?.header);
      next();
    };
    const host = { origin: 'https://shop.example:8443', host: 'shop.example:8443' };
    const proxied = {
      origin: 'https://shop.example',
      host: 'inside:3000',
      'x-forwarded-host': 'shop.example',
    };
    const apart = await run(undefined, watch);
    await ask(apart, host);
    await ask(apart, proxied);
    const trusting = await run(true, watch);
    await ask(trusting, host);
    await ask(trusting, proxied);
    expect(seen).toEqual([undefined, 'Origin', undefined, undefined]);
  });

  it('a header of method overrides is nothing, and what is overridden stays unsafe (S62)', async () => {
    const headers = { 'sec-fetch-site': 'cross-site', 'x-http-method-override': 'GET' };
    expect(await ask(await run(), headers)).toMatchObject({ header: 'Sec-Fetch-Site' });
    const overriding = await run(undefined, (request, _response, next) => {
      request.originalMethod = request.method;
      request.method = request.headers['x-http-method-override'];
      next();
    });
    expect(await ask(overriding, headers)).toMatchObject({ header: 'Sec-Fetch-Site' });
    const deleting = { ...headers, 'x-http-method-override': 'DELETE' };
    expect(await ask(overriding, deleting, 'GET')).toMatchObject({ header: 'Sec-Fetch-Site' });
  });

  it.each([
    ['no Host, as HTTP/1.0 may', 'POST /ask HTTP/1.0\r\nOrigin: http://a.example\r\n', 'Origin'],
    ['an empty Host', 'POST /ask HTTP/1.1\r\nHost:\r\nOrigin: http://a.example\r\n', 'Origin'],
    [
      'two Sec-Fetch-Site headers',
      'POST /ask HTTP/1.1\r\nHost: a.example\r\nSec-Fetch-Site: same-origin\r\nSec-Fetch-Site: same-origin\r\n',
      'Sec-Fetch-Site',
    ],
    [
      'two Origin headers',
      'POST /ask HTTP/1.1\r\nHost: a.example\r\nOrigin: http://a.example\r\nOrigin: http://a.example\r\n',
      'Origin',
    ],
    [
      'bytes that are no ASCII',
      'POST /ask HTTP/1.1\r\nHost: bücher.example\r\nOrigin: https://bücher.example\r\n',
      'Origin',
    ],
    [
      '8 KB of Host and Origin',
      `POST /ask HTTP/1.1\r\nHost: ${'a.'.repeat(3_000)}\r\nOrigin: https://${'a.'.repeat(3_000)}\r\n`,
      'Origin',
    ],
  ])('%s has an answer', async (_case, head, header) => {
    const app = await run();
    const answer = await sendRaw(app.port, `${head}Content-Length: 0\r\nConnection: close\r\n\r\n`);
    expect(answer).toContain(`{"refused":{"header":"${header}"`);
  });
});

it("Node's own request over HTTP/2 tells its host as :authority", () => {
  const request = new IncomingMessage(new Socket());
  request.method = 'POST';
  Object.assign(request.headers, { ':authority': 'shop.example:8443', origin: 'https://shop.example:8443' });
  expect(refusalOfRequest(request, TRUSTED)).toBeUndefined();
});

it('a header that an adapter hands over as a list is read as Node would have joined it', () => {
  const request = new IncomingMessage(new Socket());
  request.method = 'POST';
  Object.assign(request.headers, { 'sec-fetch-site': ['same-origin', 'cross-site'] });
  expect(refusalOfRequest(request, TRUSTED)).toMatchObject({ value: '"same-origin, cross-site"' });
});
