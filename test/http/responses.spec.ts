import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { stacks, start } from '../support/app.js';
import type { RunningApp } from '../support/app.js';
import { sessionCookies } from '../support/basic.js';
import { isClearing } from '../support/client.js';
import type { Reply } from '../support/client.js';
import { settle } from '../support/gate.js';
import { WaysModule, cookiesOf, waysOf } from '../support/ways.js';
import type { Way } from '../support/ways.js';

const overHttp1 = stacks.map(([title, stack]) => [title, { ...stack, http2: false }] as const);
const overHttp2 = stacks
  .filter(([, { platform, kind }]) => platform === 'fastify' && kind.asynchronous)
  .map(([title, stack]) => [`HTTP/2 ${title}`, { ...stack, http2: true }] as const);

describe.each([...overHttp1, ...overHttp2])('every way out: %s', (_title, stack) => {
  const list = waysOf(stack);
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { imports: [WaysModule], http2: stack.http2 });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  function expectAsUsual(reply: Reply, way: Way): void {
    expect(reply.status).toBe(way.status);
    if (way.method === 'HEAD') expect(reply.text).toBe('');
    else if (way.body instanceof RegExp) expect(reply.text).toMatch(way.body);
    else if (typeof way.body === 'function') expect(reply.text).toBe(way.body(stack.platform));
    else if (way.body !== undefined) expect(reply.text).toBe(way.body);
    const length = reply.headers['content-length'];
    if (way.measured && !stack.http2) expect(length).toMatch(/^\d+$/);
    if (length !== undefined && way.method !== 'HEAD') expect(Number(length)).toBe(reply.bytes.length);
    if ([302, 303].includes(way.status)) expect(reply.headers.location).toBe('/elsewhere');
    const others = reply.setCookies.filter((cookie) => cookie.name !== 'sid').map((cookie) => cookie.raw);
    expect(others).toEqual(cookiesOf(way));
  }

  /** A browser that has a session with `n` 1. */
  async function visitor() {
    const client = app.client({ oneSocket: true });
    await client.get('/ways/string?do=write&n=1');
    expect(app.probe.value(client.handle, 'n')).toBe(1);
    app.reset();
    return client;
  }

  it.each(list)('%s of a visitor nothing is known of creates nothing (S52)', async (_name, way) => {
    const before = app.probe.size;
    const reply = await app.client().get(`${way.path}?do=nothing`, { method: way.method });
    expectAsUsual(reply, way);
    expect(sessionCookies(reply)).toEqual([]);
    expect(app.probe.size).toBe(before);
  });

  it.each(list)(
    '%s hands out the cookie of a new session, saved by the last byte (S37)',
    async (_name, way) => {
      const client = app.client({ oneSocket: true });
      let saved: unknown;
      const reply = await client.get(`${way.path}?do=write&n=7`, {
        method: way.method,
        atEnd: () => (saved = app.probe.value(client.handle, 'n')),
      });
      expectAsUsual(reply, way);
      expect(sessionCookies(reply)).toHaveLength(1);
      expect(saved).toBe(7);
      expect(app.probe.of('create')).toHaveLength(1);
      // On the same connection, so a byte too many or a response too many would show.
      const next = await client.get('/ways/me');
      expect(next.json()).toMatchObject({ n: 7, isNew: false });
    },
  );

  it.each(list)(
    '%s saves a change of a known session by the last byte, without a cookie',
    async (_name, way) => {
      const client = await visitor();
      let saved: unknown;
      const reply = await client.get(`${way.path}?do=write&n=8`, {
        method: way.method,
        atEnd: () => (saved = app.probe.value(client.handle, 'n')),
      });
      expectAsUsual(reply, way);
      expect(sessionCookies(reply)).toEqual([]);
      expect(saved).toBe(8);
      expect(app.probe.of('update')).toHaveLength(1);
    },
  );

  it.each(list)(
    '%s hands out the new id of a rotated session, and the old one is dead (S11)',
    async (_name, way) => {
      const client = await visitor();
      const old = client.sid;
      let saved: unknown;
      const reply = await client.get(`${way.path}?do=rotate&n=9`, {
        method: way.method,
        atEnd: () => (saved = app.probe.value(client.handle, 'n')),
      });
      expectAsUsual(reply, way);
      expect(sessionCookies(reply)).toHaveLength(1);
      expect(client.sid).not.toBe(old);
      expect(saved).toBe(9);
      expect((await client.get('/ways/me')).json()).toMatchObject({ n: 9, isNew: false });
      expect((await app.client().get('/ways/me', { cookie: `sid=${old}` })).json()).toMatchObject({
        isNew: true,
      });
    },
  );

  it.each(list)('%s clears the cookie of a session that was logged out (S26)', async (_name, way) => {
    const client = await visitor();
    const { handle, sid } = client;
    let stored: unknown = 'not looked';
    const reply = await client.get(`${way.path}?do=logout`, {
      method: way.method,
      atEnd: () => (stored = app.probe.peek(handle)),
    });
    expectAsUsual(reply, way);
    expect(sessionCookies(reply).map(isClearing)).toEqual([true]);
    expect(stored).toBeUndefined();
    expect((await client.get('/ways/me', { cookie: `sid=${sid}` })).json()).toMatchObject({ isNew: true });
  });

  it.each(list)('%s does not end before a slow storage has saved', async (_name, way) => {
    const client = await visitor();
    const held = app.probe.hold('update');
    const exchange = client.open(`${way.path}?do=write&n=10`, { method: way.method });
    await held.reached();
    // Another visitor's whole round trip: time enough for bytes that should not be there yet.
    await app.client().get('/ways/me');
    await settle();
    expect(exchange.finished).toBe(false);
    held.open();
    expectAsUsual(await exchange.done, way);
    expect(app.probe.value(client.handle, 'n')).toBe(10);
  });
});
