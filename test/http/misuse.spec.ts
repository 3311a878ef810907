import { pipeline, Readable } from 'node:stream';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type ArgumentsHost,
  Catch,
  Controller,
  Get,
  HttpException,
  type INestApplication,
  Param,
  Res,
  StreamableFile,
  UseFilters,
  UseGuards,
  Injectable,
} from '@nestjs/common';
import type { CanActivate, ExecutionContext } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { logs, rawResponse, Root, stacks, start } from '../support/app.js';
import type { RunningApp } from '../support/app.js';
import { Client, sendRaw } from '../support/client.js';
import { settle } from '../support/gate.js';

/**
 * What handlers do wrong with a response, in an application without sessions and in ones with: what is thrown, told to
 * callbacks and listeners, to be read on the response, and sent, is the same (S58).
 */

type Note = (text: string) => void;
/** @param pause lets time pass, in which the session is changed if there is one */
type Deed = (response: any, note: Note, pause: () => Promise<void>) => unknown;

const codeOf = (error: any): string =>
  error ? `${error.name} ${error.code ?? error.message}: ${error.message}` : 'no error';

/** Does it and notes what comes of it. */
function attempt(note: Note, what: string, deed: () => unknown): void {
  try {
    const result = deed();
    note(`${what}: ${typeof result === 'object' ? 'an object' : String(result)}`);
  } catch (error) {
    note(`${what} threw ${codeOf(error)}`);
  }
}

const called = (note: Note, what: string) => (error?: Error | null) =>
  note(`${what} called back with ${codeOf(error)}`);

function look(note: Note, raw: any): void {
  const { headersSent, writableEnded, finished, statusCode } = raw;
  note(JSON.stringify({ headersSent, writableEnded, finished, statusCode, _header: Boolean(raw._header) }));
}

function changeHeaders(note: Note, raw: any): void {
  attempt(note, 'setHeader', () => raw.setHeader('X-Late', '1'));
  attempt(note, 'appendHeader', () => raw.appendHeader('X-Late', '2'));
  attempt(note, 'removeHeader', () => raw.removeHeader('X-Early'));
  attempt(note, 'writeHead', () => raw.writeHead(202, { 'X-Late': '3' }));
  look(note, raw);
}

/** On Node's own response. */
const rawDeeds: Record<string, Deed> = {
  'a second head'(raw, note) {
    attempt(note, 'writeHead', () => raw.writeHead(201, { 'X-Early': '1' }));
    look(note, raw);
    attempt(note, 'writeHead', () => raw.writeHead(202, { 'X-Late': '1' }));
    attempt(note, 'end', () => raw.end('first'));
    look(note, raw);
  },
  'headers after writeHead'(raw, note) {
    raw.setHeader('X-Early', '1');
    raw.writeHead(201, 'Made', { 'X-Given': '2' });
    changeHeaders(note, raw);
    note(`${raw.getHeader('X-Early')} ${raw.getHeader('X-Given')} ${raw.hasHeader('X-Late')}`);
    raw.end('first');
  },
  'headers after writeHead without a reason'(raw, note) {
    raw.setHeader('X-Early', '1');
    raw.writeHead(201, { 'X-Given': '2' });
    note(`${raw.getHeader('X-Early')} ${raw.getHeader('X-Given')}`);
    raw.end('first');
  },
  'headers after write'(raw, note) {
    raw.setHeader('X-Early', '1');
    attempt(note, 'write', () => raw.write('fir'));
    changeHeaders(note, raw);
    raw.end('st');
  },
  'headers after end'(raw, note) {
    raw.setHeader('X-Early', '1');
    raw.end('first');
    changeHeaders(note, raw);
  },
  'headers after flushHeaders'(raw, note) {
    raw.setHeader('X-Early', '1');
    attempt(note, 'flushHeaders', () => raw.flushHeaders());
    changeHeaders(note, raw);
    raw.end('first');
  },
  'a write after the end'(raw, note) {
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    raw.end('first');
    attempt(note, 'write', () => raw.write('second', called(note, 'write')));
    look(note, raw);
  },
  'a second end with a body'(raw, note) {
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    raw.end('first');
    attempt(note, 'end', () => raw.end('second', 'utf8', called(note, 'end')));
  },
  'a second end without a body'(raw, note) {
    raw.end('first');
    attempt(note, 'end', () => raw.end());
    attempt(note, 'end', () => raw.end('', 'utf8'));
  },
  'a second answer of its own head'(raw, note) {
    raw.writeHead(200, { 'Content-Length': 5 });
    raw.end('first');
    attempt(note, 'writeHead', () => raw.writeHead(200, { 'Content-Length': 6 }));
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    attempt(note, 'end', () => raw.end('second'));
  },
  'a status that is none'(raw, note) {
    for (const status of [99, 1000, 'many', undefined]) {
      attempt(note, `writeHead ${status}`, () => raw.writeHead(status, { 'X-Early': '1' }));
      look(note, raw);
    }
    raw.writeHead(418);
    raw.end('first');
  },
  'a status that is none, in the implicit head'(raw, note) {
    raw.statusCode = 99;
    attempt(note, 'write', () => raw.write('first'));
    attempt(note, 'flushHeaders', () => raw.flushHeaders());
    attempt(note, 'end', () => raw.end('first'));
    look(note, raw);
    raw.statusCode = 500;
    raw.setHeader('X-Early', '1');
    raw.end('sorry');
  },
  'a reason that is none'(raw, note) {
    attempt(note, 'writeHead', () => raw.writeHead(201, 'two\nlines', { 'X-Early': '1' }));
    look(note, raw);
    raw.writeHead(500, 'Sorry', { 'X-Early': '2' });
    raw.end('sorry');
  },
  'a reason that is none, in the implicit head'(raw, note) {
    raw.statusMessage = 'two\nlines';
    attempt(note, 'end', () => raw.end('first'));
    attempt(note, 'writeHead', () => raw.writeHead(200));
    raw.statusMessage = 'Sorry';
    raw.end('sorry');
  },
  'a reason that is none, after the head'(raw, note) {
    raw.writeHead(201);
    raw.statusMessage = 'two\nlines';
    attempt(note, 'write', () => raw.write('fir'));
    raw.end('st');
  },
  'headers that are none'(raw, note) {
    const wrong = [
      { 'X-A': 'two\nlines' },
      { 'X B': '1' },
      { 'X-C': undefined },
      { 'X-D': '1', 'X-E': '\u2028' },
      ['X-F'],
    ];
    for (const headers of wrong) {
      attempt(note, JSON.stringify(headers), () => raw.writeHead(201, headers));
      look(note, raw);
    }
    raw.writeHead(500);
    raw.end('sorry');
  },
  'headers that are none, on a response that has some'(raw, note) {
    raw.setHeader('X-Early', '1');
    attempt(note, 'setHeader', () => raw.setHeader('X-A', 'two\nlines'));
    attempt(note, 'writeHead', () => raw.writeHead(201, { 'X-B': '1', 'X-C': 'two\nlines' }));
    note(`${raw.getHeader('X-B')}`);
    raw.end('sorry');
  },
  'a body that is none'(raw, note) {
    for (const chunk of [123, null, undefined, {}, ['a'], true]) {
      attempt(note, `write ${String(chunk)}`, () => raw.write(chunk));
    }
    attempt(note, 'end 123', () => raw.end(123));
    attempt(note, 'end {}', () => raw.end({}, 'utf8', called(note, 'end')));
    look(note, raw);
    raw.end('sorry');
  },
  'a status that is set after the head'(raw, note) {
    raw.statusCode = 201;
    raw.write('fir');
    raw.statusCode = 500;
    raw.statusMessage = 'Late';
    look(note, raw);
    raw.end('st');
    raw.statusCode = 404;
    raw.on('finish', () => note(`in the end ${raw.statusCode} ${raw.statusMessage}`));
  },
  'a status that is set after the end'(raw, note) {
    raw.end('first');
    raw.statusCode = 500;
    raw.on('finish', () => note(`in the end ${raw.statusCode}`));
  },
  'trailers after the end'(raw) {
    raw.setHeader('Trailer', 'X-Trailer');
    raw.write('first');
    raw.addTrailers({ 'X-Trailer': 'early' });
    raw.end();
    raw.addTrailers({ 'X-Trailer': 'late' });
  },
  'trailers of a body with a length'(raw, note) {
    raw.setHeader('Trailer', 'X-Trailer');
    raw.setHeader('Content-Length', 5);
    attempt(note, 'write', () => raw.write('first'));
    raw.removeHeader('Trailer');
    raw.end('first');
  },
  'trailers of a body with a length, at the end'(raw, note) {
    raw.setHeader('Trailer', 'X-Trailer');
    raw.setHeader('Content-Length', 5);
    attempt(note, 'end', () => raw.end('first'));
    raw.removeHeader('Trailer');
    raw.end('first');
  },
  'trailers of a body with a length, given'(raw, note) {
    for (const name of ['Trailer', 'TRAILER']) {
      attempt(note, 'writeHead', () => raw.writeHead(200, { 'Content-Length': 5, [name]: 'X-Trailer' }));
    }
    raw.removeHeader('Trailer');
    raw.end('first');
  },
  'another length than the body has, strictly'(raw, note) {
    raw.strictContentLength = true;
    raw.writeHead(200, { 'Content-Length': 5 });
    attempt(note, 'end', () => raw.end('second'));
    raw.end('first');
  },
  'more than the length, strictly'(raw, note) {
    raw.strictContentLength = true;
    raw.writeHead(200, { 'Content-Length': 5 });
    attempt(note, 'write', () => raw.write('fir'));
    attempt(note, 'write', () => raw.write('sts'));
    attempt(note, 'end', () => raw.end('sts'));
    raw.end('st');
  },
  'a body that must not be'(raw, note) {
    raw.writeHead(204);
    attempt(note, 'write', () => raw.write('first', called(note, 'write')));
    attempt(note, 'end', () => raw.end('second'));
    look(note, raw);
  },
  'a pipe and an end'(raw, note) {
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    Readable.from(['one', 'two', 'three']).pipe(raw);
    raw.end('first');
  },
  'two pipes'(raw, note) {
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    raw.setHeader('Content-Type', 'text/plain');
    Readable.from(['one']).pipe(raw);
    Readable.from(['two']).pipe(raw);
  },
  'a pipeline and an end'(raw, note) {
    pipeline(Readable.from(['one', 'two']), raw, called(note, 'pipeline'));
    raw.end('first');
  },
  'a write after it was destroyed'(raw, note) {
    raw.destroy();
    attempt(note, 'write', () => raw.write('first', called(note, 'write')));
    attempt(note, 'end', () => raw.end('second'));
    look(note, raw);
  },
};

/** The head is out, and what follows waits for a change of the session to be saved. */
const lateDeeds: Record<string, Deed> = {
  async 'headers after a late end'(raw, note, pause) {
    raw.write('fir');
    await pause();
    raw.end('st');
    changeHeaders(note, raw);
  },
  async 'a write after a late end'(raw, note, pause) {
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    raw.write('fir');
    await pause();
    attempt(note, 'write', () => raw.write(123));
    raw.end('st');
    attempt(note, 'write', () => raw.write('second', called(note, 'write')));
    attempt(note, 'end', () => raw.end('second', called(note, 'end')));
    attempt(note, 'end', () => raw.end());
    look(note, raw);
  },
  async 'headers after a late write'(raw, note, pause) {
    raw.writeHead(200, { 'Content-Length': 5 });
    raw.flushHeaders();
    await pause();
    attempt(note, 'write', () => raw.write('fir'));
    changeHeaders(note, raw);
    raw.end('st');
    look(note, raw);
  },
  async 'more than the length, strictly, late'(raw, note, pause) {
    raw.strictContentLength = true;
    raw.writeHead(200, { 'Content-Length': 5 });
    raw.write('f');
    await pause();
    attempt(note, 'write', () => raw.write('ir'));
    attempt(note, 'write', () => raw.write('sts'));
    attempt(note, 'end', () => raw.end('sts'));
    raw.end('st');
  },
  async 'trailers after a late end'(raw, _note, pause) {
    raw.setHeader('Trailer', 'X-Trailer');
    raw.write('first');
    await pause();
    raw.addTrailers({ 'X-Trailer': 'early' });
    raw.end();
    raw.addTrailers({ 'X-Trailer': 'late' });
  },
};

/** With what the platform offers, the handler's own way or Nest's. */
const ownDeeds: Record<string, Deed> = {
  'answers twice'(response, note) {
    attempt(note, 'send', () => response.send({ first: true }));
    attempt(note, 'send', () => response.status(202).send({ second: true }));
  },
  'answers twice, the second time in text'(response, note) {
    response.type('text/plain').send('first');
    attempt(note, 'send', () => response.status(500).send('second, and longer'));
  },
  'answers and redirects'(response, note) {
    response.send('first');
    attempt(note, 'redirect', () => response.redirect('/elsewhere'));
  },
  'answers and throws'(response) {
    response.send('first');
    throw new Error('too late');
  },
  'answers and throws a status'(response) {
    response.status(201).send('first');
    throw new HttpException('short and stout', 418);
  },
  'answers and rejects'(response) {
    response.send('first');
    return Promise.reject(new Error('too late'));
  },
  'answers and passes an error on'(response) {
    response.send('first');
    response.req?.next?.(new Error('too late'));
  },
  'answers by Node and by the platform'(response, note) {
    const raw = response.raw ?? response;
    raw.end('first');
    attempt(note, 'send', () => response.send('second'));
  },
  'writes by Node and answers by the platform'(response, note) {
    const raw = response.raw ?? response;
    raw.write('first ');
    attempt(note, 'send', () => response.send('second'));
    if (!raw.writableEnded) attempt(note, 'end', () => raw.end('third'));
  },
  'answers by a stream and by Node'(response, note) {
    const raw = response.raw ?? response;
    if (response.raw) response.send(Readable.from(['fi', 'rst']));
    else Readable.from(['fi', 'rst']).pipe(raw);
    raw.on('error', (error: Error) => note(`event ${codeOf(error)}`));
    attempt(note, 'end', () => raw.end('second'));
  },
  'writes and throws'(response) {
    const raw = response.raw ?? response;
    raw.writeHead(200, { 'Content-Length': 5 });
    raw.write('first');
    setImmediate(() => raw.end());
    throw new Error('too late');
  },
};

const valueDeeds: Record<string, Deed> = {
  'answers and returns an object'(response) {
    response.send({ first: true });
    return { second: true };
  },
  'answers and returns text'(response) {
    response.status(201).send('first');
    return 'second';
  },
  'answers and returns nothing'(response) {
    response.send('first');
  },
  'answers by Node and returns text'(response) {
    (response.raw ?? response).end('first');
    return 'second';
  },
  'answers and returns a stream'(response) {
    response.send('first');
    return new StreamableFile(Readable.from(['se', 'cond']));
  },
};

let notes: string[] = [];
/** How many there were when the handler was done. */
let atOnce = 0;
const note: Note = (text) => void notes.push(text);

/** What a request does to its session, where there is one. */
let change: (context: ExecutionContext) => void | Promise<void> = () => undefined;
let changeLater = (): void => undefined;

@Injectable()
class Guard implements CanActivate {
  async canActivate(context: ExecutionContext): Promise<boolean> {
    await change(context);
    return true;
  }
}

async function letTimePass(): Promise<void> {
  await settle();
  changeLater();
}

/** Answers whether or not somebody has. */
@Catch()
class StubbornFilter {
  catch(error: Error, host: ArgumentsHost) {
    const response = host.switchToHttp().getResponse();
    try {
      response.status(500).send({ sorry: error.message });
    } catch (refused) {
      note(`filter threw ${codeOf(refused)}`);
    }
  }
}

function perform(deed: Deed, response: any): unknown {
  try {
    return deed(response, note, letTimePass);
  } finally {
    atOnce = notes.length;
  }
}

@Controller()
@UseGuards(Guard)
class Misuses {
  @Get('raw/:deed') raw(@Param('deed') deed: string, @Res() response: any) {
    return perform(rawDeeds[deed]!, rawResponse(response));
  }
  @Get('late/:deed') late(@Param('deed') deed: string, @Res() response: any) {
    return perform(lateDeeds[deed]!, rawResponse(response));
  }
  @Get('own/:deed') own(@Param('deed') deed: string, @Res() response: any) {
    return perform(ownDeeds[deed]!, response);
  }
  @Get('value/:deed') value(@Param('deed') deed: string, @Res({ passthrough: true }) response: any) {
    return perform(valueDeeds[deed]!, response);
  }
  @Get('filter/:deed') @UseFilters(StubbornFilter) filter(@Param('deed') deed: string, @Res() response: any) {
    return perform(ownDeeds[deed]!, response);
  }
  @Get('unheard') unheard(@Res() response: any) {
    const raw = rawResponse(response);
    raw.end('first');
    raw.write('second');
    raw.end('third');
    Readable.from(['fourth', 'fifth']).pipe(raw);
  }
  @Get('next') next() {
    return 'alive';
  }
}

const pathsOf = (kind: string, deeds: Record<string, Deed>): string[] =>
  Object.keys(deeds).map((deed) => `${kind}/${deed}`);

const paths = [
  ...pathsOf('raw', rawDeeds),
  ...pathsOf('late', lateDeeds),
  ...pathsOf('own', ownDeeds),
  ...pathsOf('filter', ownDeeds),
  ...pathsOf('value', valueDeeds),
];

/** Those that are about HTTP/1 alone. */
const http1Only = /a status that is none|reason|trailer|strictly|destroyed|must not be/;

type Ask = (port: number, path: string) => Promise<unknown>;

/** What a socket got, but for what has to differ. */
const overHttp1: Ask = async (port, path) => {
  const wire = await sendRaw(port, `GET ${path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n`);
  return wire.replace(/^(Date|Set-Cookie|Vary|Cache-Control): .*\r\n/gim, '');
};

const overHttp2: Ask = async (port, path) => {
  const client = new Client(port, { http2: true });
  try {
    const { status, headers, text } = await client.get(path);
    const {
      date: _date,
      'set-cookie': _setCookie,
      vary: _vary,
      'cache-control': _cache,
      ...others
    } = headers;
    return { status, headers: { ...others }, text };
  } catch (error) {
    return codeOf(error);
  } finally {
    client.close();
  }
};

/** All that one request brings. What is told later comes in no particular order. */
async function outcome(ask: Ask, port: number, path: string): Promise<{ answer: unknown; notes: string[] }> {
  notes = [];
  atOnce = 0;
  const answer = await ask(port, `/${path.split('/').map(encodeURIComponent).join('/')}`);
  await settle();
  return { answer, notes: [...notes.slice(0, atOnce), ...notes.slice(atOnce).toSorted()] };
}

const overHttp2Stacks = stacks
  .filter(([, { platform }]) => platform === 'fastify')
  .map(([title, stack]) => [`HTTP/2 ${title}`, { ...stack, http2: true }] as const);

describe.each([
  ...stacks.map(([title, stack]) => [title, { ...stack, http2: false }] as const),
  ...overHttp2Stacks,
])('a response that is used wrongly: %s', (_title, stack) => {
  const ask = stack.http2 ? overHttp2 : overHttp1;
  let app: RunningApp;
  let reference: INestApplication;
  let port: number;

  beforeAll(async () => {
    const adapter =
      stack.platform === 'express'
        ? new ExpressAdapter()
        : new FastifyAdapter((stack.http2 ? { http2: true } : {}) as object);
    const root = { module: class extends Root {}, controllers: [Misuses] };
    reference = await NestFactory.create(root, adapter as ExpressAdapter, { logger: false });
    await reference.listen(0, '127.0.0.1');
    port = reference.getHttpServer().address().port;
    // After the other one, whose logger would be that of both.
    app = await start(stack, { controllers: [Misuses], http2: stack.http2 });
  });
  afterAll(() => Promise.all([app.stop(), reference.close()]));
  beforeEach(() => app.reset());

  it.each(paths.filter((path) => !stack.http2 || !http1Only.test(path)))(
    '%s: as without a session (S58)',
    async (path) => {
      change = changeLater = () => undefined;
      const expected = await outcome(ask, port, path);
      change = async (context) => {
        const session = await app.store.of(context);
        session.set('n', 1);
        changeLater = () => session.set('n', 2);
      };
      expect(await outcome(ask, app.port, path)).toEqual(expected);
      expect(logs.filter((line) => line.includes('could not be saved'))).toEqual([]);
      expect((await app.client().get('/next')).text).toBe('alive');
    },
  );

  if (!stack.http2) {
    it('what is written after the end ends no process, though nobody listens: it is logged (S58)', async () => {
      change = async (context) => (await app.store.of(context)).set('n', 1);
      expect((await app.client().get('/unheard')).text).toBe('first');
      await settle();
      expect(logs.filter((line) => line.includes('write after end')).length).toBeGreaterThanOrEqual(2);
      expect((await app.client().get('/next')).text).toBe('alive');
    });
  }
});
