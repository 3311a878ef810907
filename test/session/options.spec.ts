import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import {
  MemoryStorage,
  SessionCookie,
  SessionModule,
  SessionOptionsError,
  SessionStorage,
  SessionStore,
} from '../../src/index.js';
import type { SessionModuleOptions } from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { failureOf, loaded, open } from '../support/session-bench.js';

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
  ...pick('cookieName', [
    '',
    ' ',
    'a b',
    'a=b',
    'a;b',
    'a,b',
    'a"b',
    'a/b',
    'a\\b',
    'ä',
    '[sid]',
    'a\u0000',
    'a\n',
  ]),
  ...pick('cookieName', [7, {}, ['sid'], true, 'n'.repeat(4_096)]),
  ...pick('cookie', ['sid', 7, true, [], null, () => ({})]),
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
  ]),
  ...pick('cookie.domain', [`${'d'.repeat(1_021)}.com`, 'a..b']),
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
  ...pick('maxBytes', [0, -1, 1.5, NaN, Infinity, '64kb', {}]),
  ...pick('generateId', ['id', 7, {}, true]),
  ...pick('lock', [true, '10s', 7, []]),
  ...pick('lock.wait', [...durations, 0]),
  ...pick('lock.hold', [...durations, 0]),
  ...pick('lock.waits', ['1s']),
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
    named('cookiename', /cookieName/);
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

  it('a storage that extends SessionStorage with the seven methods is enough', async () => {
    class Own extends SessionStorage {
      create = () => true;
      read = () => undefined;
      update = () => 'gone' as const;
      destroy = () => false;
      purgeExpired = () => 0;
      count = () => 7;
      byUser = () => [];
    }
    const module = await Test.createTestingModule({
      imports: [SessionModule.forRoot({ storage: new Own() })],
    }).compile();
    await module.init();
    expect(await module.get(SessionStore).count()).toBe(7);
    await module.close();
  });
});

describe('the defaults', () => {
  beforeEach(freezeTime);
  afterEach(unfreezeTime);

  const withDefaults = () => open('memory storage');

  it('ttl is an hour, and there is no absolute timeout', async () => {
    const bench = await withDefaults();
    const session = await bench.store.create();
    expect(session.expiresAt.getTime() - Date.now()).toBe(3_600_000);
    for (let i = 0; i < 500; i++) {
      passTime(3_599_999);
      session.set('i', i);
      await session.save();
    }
    expect((await loaded(bench, session.id)).get('i')).toBe(499);
  });

  it.each([
    ['a minute for an hour', undefined, 60_000],
    ['a sixtieth for less', '10m', 10_000],
    ['a minute for more', '2d', 60_000],
  ])('touchAfter is %s (S23)', async (_title, ttl, after) => {
    const bench = await open('memory storage', ttl === undefined ? {} : { ttl });
    const { id, handle } = await bench.store.create();
    const deadline = bench.probe.peek(handle)!.expiresAt;
    passTime(after - 1);
    await (await loaded(bench, id)).save();
    expect(bench.probe.peek(handle)!.expiresAt).toBe(deadline);
    passTime(1);
    await (await loaded(bench, id)).save();
    expect(bench.probe.peek(handle)!.expiresAt).toBe(deadline + after);
  });

  it('the cookie is sid; Path=/; HttpOnly; SameSite=Lax; no Domain; Secure on HTTPS alone (S37)', async () => {
    const bench = await withDefaults();
    const session = await bench.store.create();
    const cookie = bench.module.get(SessionCookie);
    const request = new IncomingMessage(new Socket());
    const parts = (text: string) => text.split('; ').toSorted();
    const expected = ['HttpOnly', 'Max-Age=3600', 'Path=/', 'SameSite=Lax', `sid=${session.id}`];
    expect(parts(cookie.issue(session, request))).toEqual(expected);
    Object.defineProperty(request.socket, 'encrypted', { value: true });
    expect(parts(cookie.issue(session, request))).toEqual([...expected, 'Secure'].toSorted());
  });

  it('an id is 16 and 32 random bytes (S1)', async () => {
    const { id } = await (await withDefaults()).store.create();
    expect(id.split('.').map((part) => Buffer.from(part, 'base64url').length)).toEqual([16, 32]);
  });

  it('values are written as JSON, and a new session starts empty', async () => {
    const bench = await withDefaults();
    const session = await bench.store.create();
    expect(session.toJSON()).toEqual({});
    session.set('a', { b: [1, null, 'ü'] });
    await session.save();
    expect(bench.probe.peek(session.handle)!.data).toEqual({ a: '{"b":[1,null,"ü"]}' });
  });

  it('forRoot() alone is a sound set-up, and each has a storage of its own', async () => {
    const [one, two] = await Promise.all(
      [1, 2].map(() => Test.createTestingModule({ imports: [SessionModule.forRoot()] }).compile()),
    );
    await Promise.all([one!.init(), two!.init()]);
    const { id } = await one!.get(SessionStore).create({ data: { n: 1 } });
    expect((await one!.get(SessionStore).load(id))?.toJSON()).toEqual({ n: 1 });
    expect(await two!.get(SessionStore).load(id)).toBeUndefined();
    expect(await two!.get(SessionStore).count()).toBe(0);
    await Promise.all([one!.close(), two!.close()]);
  });
});
