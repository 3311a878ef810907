import { inspect } from 'node:util';
import { describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import {
  MemoryStorage,
  SessionModule,
  SessionOptionsError,
  SessionStorage,
  SessionStore,
} from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { failureOf } from '../support/session-bench.js';

/** The two ways to give options. */
const ways: [way: string, boot: (options: any) => Promise<unknown>][] = [
  ['forRoot', (options) => Test.createTestingModule({ imports: [SessionModule.forRoot(options)] }).compile()],
  [
    'forRootAsync',
    (options) =>
      Test.createTestingModule({
        imports: [SessionModule.forRootAsync({ useFactory: () => options })],
      }).compile(),
  ],
];

const durations: unknown[] = [
  'abc',
  '',
  ' ',
  '5 parsecs',
  '-5m',
  -1,
  NaN,
  Infinity,
  -Infinity,
  1e300,
  '1000000000y',
  true,
  {},
  [],
  ['1h'],
  5n,
  new Date(),
];
const pick = (option: string, values: readonly unknown[]): [option: string, options: object][] =>
  values.map((value) => {
    const [outer, inner] = option.split('.') as [string, string | undefined];
    return [option, { [outer]: inner === undefined ? value : { [inner]: value } }];
  });

const wrong: [option: string, options: object][] = [
  ...pick('ttl', [...durations, 0, '0s']),
  ...pick('absoluteTtl', [...durations.filter((each) => each !== true), 0, '0s', true]),
  ...pick('touchAfter', durations),
  ['touchAfter', { ttl: '1h', touchAfter: '1h' }],
  ['touchAfter', { ttl: 60, touchAfter: '2m' }],
  ['touchAfter', { touchAfter: 3_600 }],
  ...pick('cookieName', ['', ' ', 'ä', '[sid]', ...[...' =;,"/\\\u0000\n'].map((one) => `a${one}b`)]),
  ...pick('cookieName', [7, {}, ['sid'], true, 'n'.repeat(4_096)]),
  ...pick('cookie', ['sid', 7, true, [], null, new Map(), Promise.resolve({})]),
  ...pick('cookie.path', [
    '',
    'shop',
    '/a;b',
    '/a\nb',
    '/a\u0000',
    '/a\u007f',
    '/ü',
    7,
    {},
    `/${'p'.repeat(1_024)}`,
  ]),
  ...pick('cookie.domain', [
    '',
    'a b',
    'a;b',
    'a\nb',
    'exa\u0000mple.com',
    'a,b',
    'https://a.com',
    'a.com/x',
    7,
    {},
    `${'d'.repeat(1_021)}.com`,
    'a..b',
  ]),
  ...pick('cookie.secure', ['yes', 'true', 1, 0, null, {}]),
  ...pick('cookie.httpOnly', ['yes', 1, 0, null, 'false']),
  ...pick('cookie.sameSite', ['Lax', 'LAX', 'loose', '', true, false, 1, null]),
  ...pick('cookie.partitioned', ['yes', 1, null]),
  ...pick('cookie.priority', ['urgent', 'High', '', 1, null, true]),
  ...pick('cookie.persistent', ['no', 0, null]),
  ...pick('cookie.samesite', ['lax']),
  ...pick('cookie.maxAge', [5]),
  ...pick('cookie.name', ['sid']),
  ...pick('secret', ['', [], [''], ['good-secret', ''], 7, [7], {}, true, null, [['a']]]),
  ...pick('storage', [{}, 'redis', 7, [], MemoryStorage, () => new MemoryStorage(), new Map()]),
  ...pick('initial', [{}, 'data', 7, [], true, null]),
  ...pick('purge', [true, 'daily', 7, [], null]),
  ...pick('purge.cron', ['', 'abc', '* * *', '99 * * * *', '* * * * * * * *', 7, {}, '10m']),
  ...pick('purge.batch', [0, -1, 1.5, NaN, Infinity, '10', {}]),
  ...pick('purge.corn', ['* * * * *']),
  ...pick('codec', [
    {},
    'json',
    7,
    { encode: JSON.stringify },
    { decode: JSON.parse },
    { encode: 1, decode: 2 },
  ]),
  ...pick('encryption', [true, 'a key', 7, [], null]),
  ...pick('encryption.keys', [undefined, [], 'a key', [''], [7], [null], [Buffer.alloc(16)], ['a', 'a']]),
  ...['2026-01-01', 7, true, new Date(NaN)].map((readPlain): [string, object] => [
    'encryption.readPlain',
    { encryption: { keys: ['a key'], readPlain } },
  ]),
  ['encryption.key', { encryption: { keys: ['a key'], key: 'a key' } }],
  ...pick('schema', [true, 'zod', 7, [], null, () => ({})]),
  ...pick('schema.cart', [{}, 'cart', null, Array]),
  ...pick('maxBytes', [0, -1, 1.5, NaN, Infinity, '64kb', {}]),
  ...pick('generateId', ['id', 7, {}, true]),
  ...pick('lock', [true, '10s', 7, []]),
  ...pick('lock.wait', [...durations, 0]),
  ...pick('lock.hold', [...durations, 0]),
  ...pick('lock.waits', ['1s']),
  ...pick('crossOrigin', ['deny', true, null, [], ['https://a.com'], () => 'refuse']),
  ...pick('crossOrigin.mode', ['allow', 'off', true, null]),
  ...pick('crossOrigin.trustedOrigins', ['https://a.com', null, {}, [7], ['https://a.com', 'a.com']]),
  ...pick('crossOrigin.trustedOrigin', [['https://a.com']]),
  ...pick('touchWhen', [true, 'always', {}, null]),
  ...pick('maxPerUser', [0, -1, 1.5, NaN, Infinity, '3', {}, null]),
  ...pick('whenExceeded', ['end-newest', true, null, {}]),
  ...pick('importFrom', [true, 'express-session', {}, null, { received: true, clear: true }]),
  ...pick('describeClient', [true, 'userAgent', {}, null]),
  ...pick('transport', ['header', '', [], ['cookie', 'query'], true, null, {}]),
  ...pick('cookiename', ['sid']),
  ...pick('maxAge', [3_600]),
  ...pick('TTL', ['1h']),
  // S38
  ['cookie.domain', { cookieName: '__Host-sid', cookie: { domain: 'example.com' } }],
  ['cookie.path', { cookieName: '__Host-sid', cookie: { path: '/shop' } }],
  ['cookie.secure', { cookieName: '__Host-sid', cookie: { secure: false } }],
  ['cookie.path', { cookieName: '__host-sid', cookie: { path: '/shop' } }],
  ['cookie.domain', { cookieName: '__HOST-sid', cookie: { domain: 'example.com' } }],
  ['cookie.secure', { cookieName: '__hOsT-', cookie: { secure: false } }],
  ['cookie.secure', { cookieName: '__Secure-sid', cookie: { secure: false } }],
  ['cookie.secure', { cookieName: '__secure-sid', cookie: { secure: false } }],
  ['cookie.secure', { cookieName: '__SECURE-sid', cookie: { secure: false } }],
  ['cookie.secure', { cookie: { sameSite: 'none', secure: false } }],
  ['cookie.secure', { cookie: { partitioned: true, secure: false } }],
];

describe.each(ways)('wrong options through %s stop the boot', (_way, boot) => {
  it.each(wrong.map(([option, options]) => [option, inspect(options).slice(0, 80), options] as const))(
    '%s: %s (S38, S39, S40)',
    async (option, _shown, options) => {
      const error = await failureOf(() => boot(options));
      expect(error).toBeInstanceOf(SessionOptionsError);
      expect(error.message).toContain('SessionModule');
      const lines = error.message.split('\n');
      expect(lines).toHaveLength(1);
      expect(lines[0]).toMatch(new RegExp(`^SessionModule: ${option.replace('.', '\\.')}\\b`));
    },
  );

  it.each([null, 7, 'options', [], true])('options that are no object: %p', async (options) => {
    const error = await failureOf(() => boot(options));
    expect(error).toBeInstanceOf(Error);
    expect(error.message).toMatch(/SessionModule: the options must be an object/);
  });

  it('all that is wrong is told in one error, each with what it got and what it takes', async () => {
    const error = await failureOf(() =>
      boot({
        ttl: 'abc',
        absoluteTtl: -1,
        touchAfter: -2,
        cookieName: 'a b',
        cookie: { path: 'shop', domain: 'a;b', secure: 'yes', sameSite: 'Loose', samesite: 'lax' },
        secret: ['hush-hush', ''],
        storage: {},
        initial: 'nothing',
        purge: { cron: 'now and then', batch: 0 },
        codec: {},
        maxBytes: 1.5,
        generateId: 'random',
        lock: { wait: 'long' },
        crossOrigin: { mode: 'never', trustedOrigins: ['https://a.example/b'] },
        touchWhen: 'always',
        transport: 'query',
        cookiename: 'x',
      }),
    );
    expect(error).toBeInstanceOf(SessionOptionsError);
    const lines = error.message.split('\n');
    const named = (option: string, got: RegExp) => {
      const line = lines.find((each) => each.startsWith(`SessionModule: ${option} `));
      expect([option, line]).toEqual([option, expect.stringMatching(got)]);
      expect(line).toMatch(/must|is not an option/);
    };
    named('ttl', /"abc"/);
    named('absoluteTtl', /-1/);
    named('touchAfter', /-2/);
    named('cookieName', /"a b"/);
    named('cookie.path', /"shop"/);
    named('cookie.domain', /"a;b"/);
    named('cookie.secure', /"yes"/);
    named('cookie.sameSite', /"Loose"/);
    named('cookie.samesite', /sameSite/);
    named('secret', /list/);
    named('storage', /SessionStorage/);
    named('initial', /"nothing"/);
    named('purge.cron', /"now and then"/);
    named('purge.batch', /0/);
    named('codec', /encode/);
    named('maxBytes', /1\.5/);
    named('generateId', /"random"/);
    named('lock.wait', /"long"/);
    named('crossOrigin.mode', /"never"/);
    named('crossOrigin.trustedOrigins', /"https:\/\/a.example\/b"/);
    named('touchWhen', /"always"/);
    named('transport', /"query"/);
    named('cookiename', /did you mean cookieName\?/);
    expect(lines).toHaveLength(23);
  });

  it.each([
    ['a list with an empty one', ['hush-hush', '']],
    ['a list with a number', ['hush-hush', 7]],
    ['an object', { key: 'hush-hush' }],
    ['a list in a list', [['hush-hush']]],
    ['a Buffer', Buffer.from('hush-hush')],
  ])('a secret is never shown, neither in the error nor in what it holds: %s', async (_title, secret) => {
    const error = await failureOf(() => boot({ secret, ttl: -1 }));
    expect(error.message).toMatch(/secret/);
    const shown = inspect(error, { depth: Infinity, showHidden: true });
    expect(shown + error.stack).not.toContain('hush-hush');
    expect(shown).not.toContain(inspect(Buffer.from('hush')).slice(8, 19));
  });

  it.each(['redis://user:hush-hush@host', { url: 'redis://user:hush-hush@host' }, ['hush-hush']])(
    'nor is what came for a storage: it may be a URL with a password',
    async (storage) => {
      const error = await failureOf(() => boot({ storage }));
      expect(error.message).toMatch(
        /^SessionModule: storage must be .*; got (a string|an object|a list of 1)$/,
      );
    },
  );

  it.each([
    [{ whenExceeded: 'refuse' }, /^SessionModule: whenExceeded is for maxPerUser, .*; got "refuse"$/],
    [
      { maxPerUser: 3, storage: Object.assign(new MemoryStorage(), { byUser: undefined }) },
      /^SessionModule: maxPerUser needs a storage .* byUser\(\); got a MemoryStorage$/,
    ],
  ])('a limit that cannot hold: %p', async (options, message) => {
    expect((await failureOf(() => boot(options))).message).toMatch(message);
  });

  it('a storage that nobody waited for is told to be awaited', async () => {
    const storage = Promise.resolve(new MemoryStorage()) as unknown as MemoryStorage;
    expect((await failureOf(() => boot({ storage }))).message).toMatch(
      /^SessionModule: storage must be .*new RedisStorage\(client\).*; got a Promise: await it in the useFactory/,
    );
  });

  it('an optional method of a storage that is no function', async () => {
    const storage = Object.assign(new MemoryStorage(), { ping: true });
    expect((await failureOf(() => boot({ storage }))).message).toMatch(/^SessionModule: storage must be/);
  });
});

describe('sound options', () => {
  it.each<[title: string, options: SessionModuleOptions]>([
    ['none', {}],
    ['durations as numbers and text', { ttl: 0.5, absoluteTtl: '14 days', touchAfter: 0 }],
    ['absoluteTtl false', { absoluteTtl: false }],
    ['touchAfter just below ttl', { ttl: 60, touchAfter: 59.9 }],
    ['a name of all that a token may have', { cookieName: "aZ09!#$%&'*+-.^_`|~" }],
    ['a __Host- name', { cookieName: '__Host-sid' }],
    [
      'a __Secure- name with a domain and a path',
      { cookieName: '__Secure-sid', cookie: { domain: 'example.com', path: '/a' } },
    ],
    ['a path of 1,024 characters', { cookie: { path: `/${'p'.repeat(1_023)}` } }],
    ['a domain with a dot before it', { cookie: { domain: '.example.com' } }],
    ['SameSite=None, which makes it Secure', { cookie: { sameSite: 'none' } }],
    ['Partitioned, which makes it Secure', { cookie: { partitioned: true, secure: 'auto' } }],
    ['secrets', { secret: ['new', 'old'] }],
    ['a limit', { maxPerUser: 1, whenExceeded: 'refuse' }],
    ['purge false', { purge: false }],
    ['a cron with seconds', { purge: { cron: '*/10 * * * * *' } }],
    ['a cron by name', { purge: { cron: '@daily' } }],
    [
      'options that are undefined',
      { ttl: undefined, cookie: { domain: undefined }, purge: undefined } as object,
    ],
  ])('%s', async (_title, options) => {
    for (const [, boot] of ways) {
      const module = (await boot(options)) as { close(): Promise<void> };
      await module.close();
    }
  });

  it('a storage with the four methods that one must have is enough', async () => {
    class Own extends SessionStorage {
      override create = () => true;
      override read = () => undefined;
      override update = () => 'gone' as const;
      override destroy = () => false;
    }
    const storage = new Own();
    const module = await Test.createTestingModule({
      imports: [SessionModule.forRoot({ storage })],
    }).compile();
    expect(await module.get(SessionStore).load(`${'h'.repeat(22)}.${'s'.repeat(43)}`)).toBeUndefined();
    await module.close();
  });
});
