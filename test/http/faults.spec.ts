import { once } from 'node:events';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Res } from '@nestjs/common';
import { Session, SessionLock, SessionStorageError, SessionTooLargeError } from '../../src/index.js';
import type { AnySession, RunningApp } from '../support/app.js';
import { logs, rawResponse, stacks, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import type { Reply } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { forgetGates, gate } from '../support/gate.js';
import { FAULT } from '../support/storages.js';
import { WaysModule, waysOf } from '../support/ways.js';

@Controller()
class FaultController {
  @Get('rotate-then-write')
  async rotateThenWrite(@Session() session: AnySession) {
    await session.regenerate();
    await session.save();
    session.set('after', 'x');
    return 'rotated and written';
  }

  @Get('rotate-then-throw')
  async rotateThenThrow(@Session() session: AnySession) {
    await session.regenerate();
    throw new Error('after the rotation');
  }

  @Get('big')
  big(@Session() session: AnySession) {
    session.set('small', 1);
    session.set('big', 'x'.repeat(70_000));
    return 'too big';
  }

  @Get('big-save')
  async bigSave(@Session() session: AnySession) {
    session.set('big', 'x'.repeat(70_000));
    const error: unknown = await session.save().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    session.remove('big');
    return { is: error instanceof SessionTooLargeError, code: (error as any)?.code };
  }

  @Get('bigint')
  bigint(@Session() session: AnySession) {
    session.set('small', 1);
    session.set('amount', 12n);
    return 'not JSON';
  }

  @Get('circular')
  circular(@Session() session: AnySession) {
    const loop: any = {};
    loop.self = loop;
    session.set('small', 1);
    session.set('knot', loop);
    return 'not JSON';
  }

  @Get('described')
  described(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 2);
    rawResponse(response)
      .writeHead(200, {
        'Content-Type': 'text/css',
        'Content-Encoding': 'gzip',
        'Content-Length': 1_000,
        'Cache-Control': 'public, max-age=3600',
        ETag: '"abc"',
        'Last-Modified': 'Thu, 01 Jan 2026 00:00:00 GMT',
      })
      .end(Buffer.alloc(1_000));
  }

  @Get('fails-late')
  async failsLate(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.get('n');
    raw.write('early');
    await gate('late').pass();
    session.set('n', 2);
    raw.end(' late');
  }

  @Get('locked-stream')
  @SessionLock()
  lockedStream(@Session() session: AnySession, @Res() response: any) {
    rawResponse(response).write('some');
    session.set('n', 2);
  }

  @Get('goes-on')
  async goesOn(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.set('n', 2);
    raw.writeHead(200, { 'Content-Type': 'text/plain' });
    raw.write('first');
    await once(raw, 'finish');
    const called = new Promise((resolve) => raw.write('second', resolve));
    raw.end();
    await called;
    void gate('went on').pass();
  }

  @Get('changes-back')
  async changesBack(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.set('n', 5);
    await session.save().catch(() => undefined);
    session.set('n', 6);
    await new Promise((resolve) => raw.write('some', resolve));
    session.set('n', 5);
    raw.end();
  }

  @Get('catches')
  async catches(@Session() session: AnySession) {
    session.set('n', 5);
    const error: unknown = await session.save().then(
      () => undefined,
      (reason: unknown) => reason,
    );
    if (!(error instanceof SessionStorageError)) return 'no error';
    return {
      status: error.getStatus(),
      body: error.getResponse(),
      cause: String((error.cause as any)?.message),
    };
  }
}

const overHttp1 = stacks.map(([title, stack]) => [title, { ...stack, http2: false }] as const);
const overHttp2 = stacks
  .filter(([, { platform, kind }]) => platform === 'fastify' && kind.asynchronous)
  .map(([title, stack]) => [`HTTP/2 ${title}`, { ...stack, http2: true }] as const);

describe.each([...overHttp1, ...overHttp2])('when the storage fails: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, {
      imports: [WaysModule],
      controllers: [BasicController, FaultController],
      http2: stack.http2,
    });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());
  afterEach(forgetGates);

  async function visitor() {
    const client = app.client({ oneSocket: true });
    await client.get('/ways/string?do=write&n=1');
    app.reset();
    return client;
  }

  /** A 503 that says nothing but that. */
  function expectOpaque(reply: Reply, method?: string): void {
    expect({ status: reply.status, text: reply.text }).toEqual({ status: 503, text: expect.any(String) });
    expect(reply.text).not.toMatch(/ECONNREFUSED|db\.internal|redis|hello|stout|sorry|Error:|\bat /);
    if (method !== 'HEAD') expect(reply.text).toMatch(/Service Unavailable/);
    const length = reply.headers['content-length'];
    if (length !== undefined && method !== 'HEAD') expect(Number(length)).toBe(reply.bytes.length);
    expect(reply.headers.location).toBeUndefined();
    expect(sessionCookies(reply)).toEqual([]);
  }

  it('a session that cannot be read is a 503 that reveals nothing (S51)', async () => {
    const client = await visitor();
    app.probe.fail('read');
    expectOpaque(await client.get('/read'));
    expectOpaque(await client.get('/set/n/2'));
    expectOpaque(await client.get('/ways/guard-acts'));
    expectOpaque(await client.get('/middleware/passes'));
    app.probe.reset();
    expect((await client.get('/ways/me')).json()).toMatchObject({ n: 1, isNew: false });
  });

  it('visitors without a cookie and routes without a session do not notice (S51)', async () => {
    app.probe.fail('read');
    expect((await app.client().get('/read')).status).toBe(200);
    const client = app.client();
    client.jar.set('sid', `${'a'.repeat(22)}.${'b'.repeat(43)}`);
    expect((await client.get('/plain')).status).toBe(200);
  });

  it.each(waysOf(stack))(
    '%s: a change that cannot be stored is an opaque 503, never a success (S51)',
    async (_name, way) => {
      const client = await visitor();
      const before = app.probe.peek(client.handle);
      app.probe.fail('update');
      const reply = await client.get(`${way.path}?do=write&n=2`, { method: way.method });
      expectOpaque(reply, way.method);
      expect(app.probe.peek(client.handle)).toEqual(before);
      app.probe.reset();
      expect((await client.get('/ways/me')).json()).toMatchObject({ n: 1, isNew: false });
    },
  );

  it.each(waysOf(stack))(
    '%s: a new session that cannot be stored is a 503 without a cookie (S51)',
    async (_name, way) => {
      const before = app.probe.size;
      app.probe.fail('create');
      const client = app.client({ oneSocket: true });
      expectOpaque(await client.get(`${way.path}?do=write&n=2`, { method: way.method }), way.method);
      expect(app.probe.size).toBe(before);
      app.probe.reset();
      expect((await client.get('/ways/me')).json()).toMatchObject({ n: null, isNew: true });
    },
  );

  it('a 503 in the place of another answer has nothing of what described that one (S51)', async () => {
    const client = await visitor();
    app.probe.fail('update');
    const reply = await client.get('/described');
    expectOpaque(reply);
    expect(reply.headers).not.toHaveProperty('content-encoding');
    expect(reply.headers).not.toHaveProperty('etag');
    expect(reply.headers).not.toHaveProperty('last-modified');
    expect(reply.headers['cache-control'] ?? '').not.toMatch(/public|max-age=3600/);
    expect(reply.headers['content-type'] ?? '').not.toMatch(/css/);
  });

  it('a rotation that cannot be stored is a 503, and the old id goes on working (S18)', async () => {
    const client = await visitor();
    app.probe.fail('update');
    for (const path of ['/rotate', '/login/u1']) expectOpaque(await client.get(path));
    app.probe.reset();
    expect((await client.get('/all')).json()).toMatchObject({ isNew: false, userId: null });
  });

  it('a logout that cannot be carried out is a 503 and leaves the cookie: nobody is told a lie (S51)', async () => {
    const client = await visitor();
    app.probe.fail('destroy');
    expectOpaque(await client.get('/logout'));
    app.probe.reset();
    expect((await client.get('/ways/me')).json()).toMatchObject({ isNew: false });
  });

  it('a failure after a rotation that succeeded still hands out the id that works (S18)', async () => {
    const client = await visitor();
    const old = client.sid;
    app.probe.fail('update', { skip: 1 });
    const reply = await client.get('/rotate-then-write');
    expect(reply.status).toBe(503);
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(client.sid).not.toBe(old);
    app.probe.reset();
    expect((await client.get('/ways/me')).json()).toMatchObject({ n: 1, isNew: false });
  });

  it('a handler that throws after a rotation still hands out the id that works (S18)', async () => {
    const client = await visitor();
    const old = client.sid;
    const reply = await client.get('/rotate-then-throw');
    expect(reply.status).toBe(500);
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(client.sid).not.toBe(old);
    expect((await client.get('/ways/me')).json()).toMatchObject({ n: 1, isNew: false });
  });

  it('a touch that fails is an event and a log line, and the client gets its answer', async () => {
    freezeTime();
    try {
      const client = await visitor();
      passTime(5 * 60_000);
      app.probe.fail('update');
      const reply = await client.get('/ways/me');
      expect(reply.status).toBe(200);
      expect(reply.json()).toMatchObject({ n: 1, isNew: false });
      expect(app.probe.of('update')).toHaveLength(1);
      expect(app.events.map(({ type, handle }) => [type, handle])).toEqual([
        ['unavailable', client.handle],
        ['failed', client.handle],
      ]);
      expect(logs.length).toBeGreaterThan(0);
    } finally {
      unfreezeTime();
    }
  });

  it('save() throws a SessionStorageError, which a handler that goes on answers for: what was refused is not tried again', async () => {
    const client = await visitor();
    app.probe.fail('update', { times: 1 });
    const reply = await client.get('/catches');
    expect(reply.status).toBe(200);
    expect(reply.json()).toMatchObject({ status: 503, cause: FAULT });
    expect(JSON.stringify(reply.json().body)).not.toMatch(/ECONNREFUSED|db\.internal/);
    expect(app.probe.value(client.handle, 'n')).toBe(1);
    expect(app.probe.of('update')).toHaveLength(1);
  });

  it('what was refused is saved when it comes again, after something else was saved in between', async () => {
    const client = await visitor();
    app.probe.fail('update', { times: 1 });
    expect((await client.get('/changes-back')).status).toBe(200);
    expect(app.probe.value(client.handle, 'n')).toBe(5);
    expect(app.probe.of('update')).toHaveLength(3);
  });

  it('a change after the headers that cannot be stored breaks the answer off: never a success (S51)', async () => {
    const client = await visitor();
    const exchange = client.open('/fails-late');
    await exchange.firstData;
    app.probe.fail('update');
    gate('late').open();
    await expect(exchange.done).rejects.toThrow();
    expect(app.probe.value(client.handle, 'n')).toBe(1);
  });

  it('so does one that a locked route made of an answer that goes on: it is not ended as if it were whole (S51)', async () => {
    const client = await visitor();
    app.probe.fail('update');
    await expect(client.get('/locked-stream')).rejects.toThrow();
    expect(app.probe.value(client.handle, 'n')).toBe(1);
  });

  it('a handler that goes on sending after the 503 adds nothing to it, and is not kept waiting (S51)', async () => {
    const client = await visitor();
    app.probe.fail('update');
    const reply = await client.get('/goes-on');
    expectOpaque(reply);
    await gate('went on').reached();
    app.probe.reset();
    expect((await client.get('/read')).json()).toEqual({ isNew: false, value: 1 });
  });

  it('the reason of a failure is in the log, for those who operate (S51)', async () => {
    const client = await visitor();
    app.probe.fail('update');
    await client.get('/set/n/2');
    expect(logs.join('\n')).toMatch(/ECONNREFUSED/);
  });

  it.each(['/big', '/bigint', '/circular'])(
    '%s: a value that cannot be stored is not a 200, and nothing is stored',
    async (path) => {
      const client = await visitor();
      const before = app.probe.peek(client.handle);
      const reply = await client.get(path);
      expect(reply.status).toBeGreaterThanOrEqual(500);
      expect(sessionCookies(reply)).toEqual([]);
      expect(app.probe.peek(client.handle)).toEqual(before);
      const stranger = await app.client().get(path);
      expect(stranger.status).toBeGreaterThanOrEqual(500);
      expect(sessionCookies(stranger)).toEqual([]);
      expect(app.probe.of('create')).toEqual([]);
    },
  );

  it.each([
    ['/bigint', /amount/],
    ['/circular', /knot/],
    ['/big', /70\d{3}|maxBytes/],
  ])('%s: the log names what was wrong', async (path, what) => {
    const client = await visitor();
    await client.get(path);
    expect(logs.join('\n')).toMatch(what);
  });

  it('too much data is SessionTooLargeError, and the session is usable after it (S55)', async () => {
    const client = await visitor();
    const reply = await client.get('/big-save');
    expect(reply.json()).toEqual({ is: true, code: 'ERR_SESSION_TOO_LARGE' });
    expect((await client.get('/ways/me')).json()).toMatchObject({ n: 1, isNew: false });
  });
});
