import { createHash, randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { Readable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Param, Req, Res, Sse, StreamableFile } from '@nestjs/common';
import { NEVER, Observable, concat, defer, of } from 'rxjs';
import { Session, SessionStore } from '../../src/index.js';
import type { AnySession, Bag, RunningApp } from '../support/app.js';
import { logs, rawResponse, stacks, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import { sendRaw } from '../support/client.js';
import { forgetGates, gate, settle, until } from '../support/gate.js';
import { WaysModule } from '../support/ways.js';

const MEGABYTE = 1024 * 1024;
const BIG = randomBytes(8 * MEGABYTE);
const digest = (bytes: Buffer): string => createHash('sha256').update(bytes).digest('hex');
const pieces = function* (size: number) {
  for (let at = 0; at < BIG.length; at += size) yield BIG.subarray(at, at + size);
};

/** What handlers leave for the test to look at. */
let seen: any[] = [];

@Controller('streams')
class StreamsController {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Sse('sse-late')
  sseLate(@Session() session: AnySession) {
    const late = defer(async () => {
      await gate('late').pass();
      session.set('n', 2);
      return { data: 'two' };
    });
    return concat(of({ data: 'one' }), late);
  }

  @Sse('sse-slow')
  async sseSlow(@Session() session: AnySession): Promise<Observable<{ data: string }>> {
    await gate('slow').pass();
    session.set('n', 2);
    return of({ data: 'one' });
  }

  @Sse('sse-silent')
  sseSilent(@Session() session: AnySession) {
    session.set('n', 1);
    return NEVER;
  }

  @Get('late')
  async late(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.get('n');
    raw.writeHead(200, { 'Content-Type': 'text/plain' });
    raw.write('early');
    await gate('late').pass();
    session.set('n', 2);
    raw.end(' late');
  }

  @Get('flush-then-write')
  async flushThenWrite(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.set('n', 1);
    raw.flushHeaders();
    await gate('late').pass();
    session.set('n', 2);
    raw.end('done');
  }

  @Get('asks-late')
  async asksLate(@Req() request: any, @Res() response: any) {
    const raw = rawResponse(response);
    raw.write('early');
    await gate('late').pass();
    const session = await this.store.of(request, response);
    session.set('n', 1);
    raw.end(' late');
  }

  @Get('insists-late')
  async insistsLate(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.get('n');
    raw.write('early');
    await gate('late').pass();
    let ran = false;
    session.set('n', 1);
    for (const deed of [
      () => session.save(),
      () => session.start(),
      () => session.tap(() => (ran = true)),
      () => session.login('ada'),
      () => this.store.save(session),
    ]) {
      seen.push(
        await deed().then(
          () => 'stored',
          (error: Error) => error.message,
        ),
      );
    }
    seen.push(ran);
    raw.end(' late');
  }

  @Get('leaves-late')
  async leavesLate(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.get('n');
    raw.write('early');
    await gate('late').pass();
    await session.logout();
    session.set('n', 1);
    raw.end(' late');
  }

  @Get('remembers-at-full-length/:how')
  async remembersAtFullLength(
    @Session() session: AnySession,
    @Res() response: any,
    @Param('how') how: string,
  ) {
    const raw = rawResponse(response);
    if (how === 'set') raw.setHeader('Content-Length', 6);
    else raw.writeHead(200, { 'Content-Length': 6 });
    raw.write('hé');
    session.expireIn('30d');
    raw.write('lö');
    await gate('late').pass();
    raw.end();
  }

  @Get('changes-while-held')
  async changesWhileHeld(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    rawResponse(response).end('done');
    await gate('held').pass();
    session.set('n', 2);
    void gate('changed').pass();
  }

  @Get('rotates-late')
  async rotatesLate(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.get('n');
    raw.write('early');
    await gate('late').pass();
    for (const change of [() => session.regenerate(), () => session.login('ada')]) {
      await change().catch((error: Error) => seen.push(error.message));
    }
    raw.end();
  }

  @Get('pipeline')
  async pipeline(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.set('n', 1);
    await pipeline(Readable.from(pieces(100_000)), raw);
    seen.push('pipeline over');
  }

  @Get('big-end')
  bigEnd(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    raw.setHeader('Content-Length', BIG.length);
    raw.end(BIG, () => seen.push('end called back'));
  }

  @Get('big-write')
  bigWrite(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    raw.setHeader('Content-Length', BIG.length);
    raw.write(BIG, () => seen.push('write called back'));
    raw.end(() => seen.push('end called back'));
  }

  @Get('big-file')
  bigFile(@Session() session: AnySession) {
    session.set('n', 1);
    return new StreamableFile(Readable.from(pieces(64 * 1024)), { length: BIG.length });
  }

  @Get('back-pressure')
  async backPressure(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    let refused = 0;
    for (const piece of pieces(256 * 1024)) {
      if (raw.write(piece)) continue;
      if (++refused === 1) gate('refused').pass();
      await once(raw, 'drain');
    }
    raw.end();
    seen.push(refused);
  }

  @Get('callbacks')
  async callbacks(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    raw.on('finish', () => seen.push('finish'));
    raw.write('6865', 'hex', () => seen.push('first'));
    raw.write('bGw=', 'base64', () => seen.push('second'));
    raw.end('o', 'latin1', () => seen.push('end'));
  }

  @Get('sends-and-throws')
  sendsAndThrows(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    response.send('sent');
    throw new Error('too late');
  }

  @Get('ends-twice')
  endsTwice(@Session() session: AnySession, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    raw.end('once');
    raw.end();
    seen.push(raw.writableEnded);
  }

  @Get('held')
  async held(@Session() session: AnySession, @Res({ passthrough: true }) response: any) {
    const raw = response.raw ?? response;
    raw.on('close', () => void gate('closed').pass());
    session.set('n', 3);
    await gate('held').pass();
    return 'nobody is listening';
  }

  @Get('never')
  async never(@Session() session: AnySession, @Res() response: any) {
    rawResponse(response);
    session.set('n', 3);
    await gate('held').pass();
  }

  @Get('left-in-the-middle')
  async leftInTheMiddle(@Session() session: AnySession, @Res() response: any) {
    const raw = rawResponse(response);
    session.get('n');
    raw.write('early');
    await gate('held').pass();
    session.set('n', 3);
    await once(raw, 'close');
  }
}

const overHttp1 = stacks.map(([title, stack]) => [title, { ...stack, http2: false }] as const);
const overHttp2 = stacks
  .filter(([, { platform, kind }]) => platform === 'fastify' && kind.asynchronous)
  .map(([title, stack]) => [`HTTP/2 ${title}`, { ...stack, http2: true }] as const);

describe.each([...overHttp1, ...overHttp2])('responses in pieces: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, {
      imports: [WaysModule],
      controllers: [StreamsController, BasicController],
      http2: stack.http2,
    });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    app.reset();
    seen = [];
  });
  afterEach(forgetGates);

  async function visitor() {
    const client = app.client();
    await client.get('/set/n/1');
    app.reset();
    return client;
  }

  it('server-sent events: what is written during the stream is saved before it ends', async () => {
    const client = await visitor();
    let saved: unknown;
    const exchange = client.open('/streams/sse-late', {
      atEnd: () => (saved = app.probe.value(client.handle, 'n')),
    });
    await exchange.firstData;
    gate('late').open();
    const reply = await exchange.done;
    expect(reply.text).toMatch(/data: one\n\n[^]*data: two\n\n/);
    expect(saved).toBe(2);
  });

  it('server-sent events of a handler that takes its time: its session gets a cookie', async () => {
    const client = app.client();
    const exchange = client.open('/streams/sse-slow');
    await gate('slow').reached();
    for (let i = 0; i < 5; i++) await app.client().get('/plain');
    await settle();
    gate('slow').open();
    const reply = await exchange.done;
    expect(reply.text).toMatch(/data: one\n\n/);
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(app.probe.value(client.handle, 'n')).toBe(2);
  });

  it('server-sent events that never come: the cookie is out and the session saved with the headers', async () => {
    const client = app.client();
    const exchange = client.open('/streams/sse-silent');
    const head = await exchange.head;
    expect(head.status).toBe(200);
    expect(sessionCookies(head)).toHaveLength(1);
    expect(app.probe.value(client.handle, 'n')).toBe(1);
    exchange.abort();
  });

  it('a change after the headers went out is saved before the response ends', async () => {
    const client = await visitor();
    let saved: unknown;
    const exchange = client.open('/streams/late', {
      atEnd: () => (saved = app.probe.value(client.handle, 'n')),
    });
    expect((await exchange.firstData).toString()).toBe('early');
    gate('late').open();
    expect((await exchange.done).text).toBe('early late');
    expect(saved).toBe(2);
  });

  it('a change after the headers went out holds the end back until a slow storage has it', async () => {
    const client = await visitor();
    const exchange = client.open('/streams/late');
    await exchange.firstData;
    const held = app.probe.hold('update');
    gate('late').open();
    await held.reached();
    await app.client().get('/plain');
    await settle();
    expect(exchange.finished).toBe(false);
    held.open();
    expect((await exchange.done).text).toBe('early late');
    expect(app.probe.value(client.handle, 'n')).toBe(2);
  });

  it.each(['set', 'given'])(
    'with the last byte of the Content-Length all is saved, a new idle timeout too, before end(): %s',
    async (how) => {
      const client = app.client();
      await client.get('/ways/store-of?do=write&n=1');
      const { handle } = client;
      let atEnd: unknown;
      const exchange = client.open(`/streams/remembers-at-full-length/${how}`, {
        atEnd: () => {
          atEnd = app.probe.peek(handle)?.ttl;
          gate('late').open();
        },
      });
      expect((await exchange.done).text).toBe('hélö');
      expect(atEnd).toBe(2_592_000_000);
    },
  );

  it('what changes while an answer waits for the storage is saved before that answer is out', async () => {
    const client = app.client();
    await client.get('/ways/store-of?do=write&n=0');
    const { handle } = client;
    const update = app.probe.hold('update', { times: 1 });
    let atEnd: unknown;
    const exchange = client.open('/streams/changes-while-held', {
      atEnd: () => (atEnd = app.probe.value(handle, 'n')),
    });
    await update.reached();
    gate('held').open();
    await gate('changed').reached();
    update.open();
    expect((await exchange.done).text).toBe('done');
    expect(atEnd).toBe(2);
  });

  it('an id cannot be changed once the headers are out: a clear error, and the old one works on (S18)', async () => {
    const client = app.client();
    await client.get('/ways/store-of?do=write&n=1');
    app.probe.forget();
    const exchange = client.open('/streams/rotates-late');
    await exchange.firstData;
    gate('late').open();
    await exchange.done;
    expect(seen).toEqual([
      expect.stringMatching(/regenerate.*before the headers/),
      expect.stringMatching(/login.*before the headers/),
    ]);
    expect(app.probe.of('update')).toEqual([]);
    expect((await client.get('/ways/me')).json()).toMatchObject({ isNew: false });
  });

  it('flushHeaders takes the cookie along; what is written after it is saved as well', async () => {
    const client = app.client();
    const exchange = client.open('/streams/flush-then-write');
    const head = await exchange.head;
    expect(sessionCookies(head)).toHaveLength(1);
    expect(app.probe.value(client.handle, 'n')).toBe(1);
    gate('late').open();
    expect((await exchange.done).text).toBe('done');
    expect(app.probe.value(client.handle, 'n')).toBe(2);
  });

  it.each(['pipeline', 'big-end', 'big-write', 'big-file'])(
    '8 MB by %s arrive as they were sent, the session saved by the last byte',
    async (path) => {
      const client = app.client();
      let saved: unknown;
      const reply = await client.get(`/streams/${path}`, {
        atEnd: () => (saved = app.probe.value(client.handle, 'n')),
      });
      expect(reply.status).toBe(200);
      expect(reply.bytes.length).toBe(BIG.length);
      expect(digest(reply.bytes)).toBe(digest(BIG));
      expect(sessionCookies(reply)).toHaveLength(1);
      expect(saved).toBe(1);
    },
  );

  it('callbacks of write and end with big buffers are called', async () => {
    await app.client().get('/streams/big-write');
    await until(() => seen.length === 2, 'both callbacks were called');
    expect(seen).toEqual(['write called back', 'end called back']);
    seen = [];
    await app.client().get('/streams/big-end');
    await until(() => seen.length === 1, 'the callback was called');
  });

  it('back pressure reaches the handler, and drain comes when the client reads', async () => {
    const exchange = app.client().open('/streams/back-pressure', { paused: true });
    await exchange.head;
    await gate('refused').reached();
    expect(seen).toEqual([]);
    exchange.resume();
    const reply = await exchange.done;
    expect(digest(reply.bytes)).toBe(digest(BIG));
    await until(() => seen.length === 1, 'the handler is done');
    expect(seen[0]).toBeGreaterThanOrEqual(1);
  });

  it('encodings and callbacks of write and end are kept, in order', async () => {
    const reply = await app.client().get('/streams/callbacks');
    expect(reply.text).toBe('hello');
    await until(() => seen.length === 4, 'all callbacks were called');
    expect(seen.slice(0, 2)).toEqual(['first', 'second']);
    expect(seen.slice(2).toSorted()).toEqual(['end', 'finish']);
  });

  it('a handler that throws after it has sent changes nothing about what was sent', async () => {
    const client = app.client({ oneSocket: true });
    const reply = await client.get('/streams/sends-and-throws');
    expect(reply.status).toBe(200);
    expect(reply.text).toBe('sent');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect((await client.get('/read')).json()).toEqual({ isNew: false, value: 1 });
  });

  it('a response that is ended twice ends once', async () => {
    const client = app.client({ oneSocket: true });
    const reply = await client.get('/streams/ends-twice');
    expect(reply.text).toBe('once');
    expect(seen).toEqual([true]);
    expect((await client.get('/read')).json()).toEqual({ isNew: false, value: 1 });
  });

  it('a client that leaves before the answer: what was written is saved', async () => {
    const client = await visitor();
    const exchange = client.open('/streams/held');
    await gate('held').reached();
    exchange.abort();
    await gate('closed').reached();
    gate('held').open();
    await until(() => app.probe.value(client.handle, 'n') === 3, 'the session is saved');
  });

  it('a client that leaves a handler that never answers: what was written is saved', async () => {
    const client = await visitor();
    const exchange = client.open('/streams/never');
    await gate('held').reached();
    exchange.abort();
    await until(() => app.probe.value(client.handle, 'n') === 3, 'the session is saved');
  });

  it('a client that leaves in the middle of a stream: what was written is saved', async () => {
    const client = await visitor();
    const exchange = client.open('/streams/left-in-the-middle');
    await exchange.firstData;
    gate('held').open();
    await settle(5);
    exchange.abort();
    await until(() => app.probe.value(client.handle, 'n') === 3, 'the session is saved');
  });
});

/** What compression does: takes the response's bytes, and passes others on later. */
function shouting(_request: unknown, response: any, next: () => void): void {
  const { write, end } = response;
  const chunks: Buffer[] = [];
  const take = (chunk: unknown) => {
    if (typeof chunk === 'string' || chunk instanceof Uint8Array) chunks.push(Buffer.from(chunk as string));
  };
  response.write = (chunk: unknown) => (take(chunk), true);
  response.end = (chunk?: unknown) => {
    take(chunk);
    const text = Buffer.concat(chunks).toString().toUpperCase();
    void settle(3).then(() => {
      write.call(response, text);
      return end.call(response);
    });
    return response;
  };
  next();
}

describe.each(stacks)('behind a middleware that rewrites responses: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, {
      imports: [WaysModule],
      configure: (nest) => void nest.use(shouting),
    });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  it.each(['string', 'res-pipe', 'raw-implicit', 'raw-object', 'streamable-buffer'])(
    '%s: the cookie is there, the body rewritten, the session saved by the last byte',
    async (path) => {
      const client = app.client({ oneSocket: true });
      let saved: unknown;
      const reply = await client.get(`/ways/${path}?do=write&n=7`, {
        atEnd: () => (saved = app.probe.value(client.handle, 'n')),
      });
      expect(reply.text).toBe('HELLO');
      expect(sessionCookies(reply)).toHaveLength(1);
      expect(saved).toBe(7);
      expect((await client.get('/ways/me')).status).toBe(200);
    },
  );
});

describe.each(stacks)('responses on the wire: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { imports: [WaysModule], controllers: [StreamsController] });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());
  afterEach(forgetGates);

  it('a new session after the headers went out is not created, and the log says so once', async () => {
    for (let i = 0; i < 2; i++) {
      const exchange = app.client().open('/streams/late');
      await exchange.firstData;
      gate('late').open();
      const reply = await exchange.done;
      expect(reply.text).toBe('early late');
      expect(reply.setCookies).toEqual([]);
      forgetGates();
    }
    expect(app.probe.size).toBe(0);
    expect(app.probe.of('create')).toEqual([]);
    expect(logs).toHaveLength(1);
    expect(logs[0]).toMatch(/session/i);
  });

  it.each(['asks-late', 'leaves-late'])(
    'nor is one that is asked for, or follows a logout, after the headers: %s (S52)',
    async (path) => {
      const client = app.client();
      await client.get('/ways/store-of?do=write&n=1');
      if (path === 'asks-late') client.jar.clear();
      app.probe.forget();
      const exchange = client.open(`/streams/${path}`);
      await exchange.firstData;
      gate('late').open();
      const reply = await exchange.done;
      expect(reply.text).toBe('early late');
      expect(reply.setCookies).toEqual([]);
      expect(app.probe.of('create')).toEqual([]);
      expect(app.probe.of('destroy')).toHaveLength(path === 'leaves-late' ? 1 : 0);
    },
  );

  it('nor is one that is stored on purpose: that is an error at the call, which no client could be told of later', async () => {
    seen = [];
    const exchange = app.client().open('/streams/insists-late');
    await exchange.firstData;
    gate('late').open();
    const reply = await exchange.done;
    expect([reply.text, reply.setCookies]).toEqual(['early late', []]);
    expect(seen).toEqual([...Array(5).fill(expect.stringContaining('before the headers go out')), false]);
    expect(app.probe.of('create')).toEqual([]);
  });

  it('two requests sent at once on one connection get two whole answers in order', async () => {
    const ask = (path: string, end = '') => `GET ${path} HTTP/1.1\r\nHost: localhost\r\n${end}\r\n`;
    const answer = await sendRaw(
      app.port,
      ask('/ways/string?do=write') + ask('/ways/raw-object?do=write', 'Connection: close\r\n'),
    );
    const parts = answer.split(/(?=HTTP\/1\.1 \d{3})/);
    expect(parts.map((part) => part.slice(0, 12))).toEqual(['HTTP/1.1 200', 'HTTP/1.1 207']);
    for (const part of parts) {
      expect(part).toMatch(/\r\n\r\nhello$/);
      expect(part.match(/^set-cookie: sid=/gim)).toHaveLength(1);
    }
  });

  it('a client of HTTP/1.0 gets the body and the cookie', async () => {
    const answer = await sendRaw(app.port, 'GET /ways/raw-implicit?do=write HTTP/1.0\r\n\r\n');
    expect(answer).toMatch(/^HTTP\/1\.1 207 /);
    expect(answer).toMatch(/\r\n\r\nhello$/);
    expect(answer.match(/^set-cookie: sid=/gim)).toHaveLength(1);
    expect(app.probe.of('create')).toHaveLength(1);
  });

  it('the status message of the handler stays', async () => {
    const answer = await sendRaw(
      app.port,
      'GET /ways/raw-message?do=write HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n',
    );
    expect(answer).toMatch(/^HTTP\/1\.1 207 Much\r\n/);
  });

  if (stack.platform === 'express') {
    it('If-None-Match is answered 304, and the session saved with its cookie', async () => {
      const { etag } = (await app.client().get('/ways/string')).headers;
      expect(etag).toBeDefined();
      const client = app.client();
      const reply = await client.get('/ways/string?do=write&n=5', { headers: { 'If-None-Match': etag } });
      expect(reply.status).toBe(304);
      expect(sessionCookies(reply)).toHaveLength(1);
      expect(app.probe.value(client.handle, 'n')).toBe(5);
    });

    it('a range of a file is the range, and the session is saved by its last byte', async () => {
      const client = app.client();
      let saved: unknown;
      const reply = await client.get('/ways/res-file?do=write&n=6', {
        headers: { Range: 'bytes=5-7' },
        atEnd: () => (saved = app.probe.value(client.handle, 'n')),
      });
      expect(reply.status).toBe(206);
      expect(reply.text).toBe('the');
      expect(sessionCookies(reply)).toHaveLength(1);
      expect(saved).toBe(6);
    });
  }
});
