import http from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { attachExchange, exchangeOf } from '../../src/http/response-patch.js';
import type { Outgoing, SaveBeforeSend, SessionHeaders } from '../../src/http/save-before-send.js';
import { type Asking, Client, sendRaw } from '../support/client.js';
import { Gate, settle, until } from '../support/gate.js';

/** One response of a bare server of Node, and an exchange that is no more than a counter. */

const COOKIE = 'sid=1; Path=/';

class Counting implements Outgoing {
  wasUsed = false;
  saved = 0;
  failure: Error | undefined;
  told: SessionHeaders | Error = { vary: 'Cookie', cookie: COOKIE, token: undefined };
  readonly reported: unknown[] = [];
  readonly mistakes: unknown[] = [];
  /** Where a save waits, if it answers later. */
  gate: Gate | undefined;

  settle(): void | Promise<void> {
    if (!this.wasUsed) return;
    this.wasUsed = false;
    const { failure } = this;
    const save = () => {
      if (failure) throw failure;
      this.saved++;
    };
    return this.gate ? this.gate.pass().then(save) : save();
  }

  headers(): SessionHeaders {
    if (this.told instanceof Error) throw this.told;
    return this.told;
  }

  report(error: unknown): number {
    this.reported.push(error);
    return 503;
  }

  mistake(error: unknown): void {
    this.mistakes.push(error);
  }
}

type Handler = (response: http.ServerResponse, exchange: Counting, link: SaveBeforeSend) => unknown;

describe.each([
  ['a save that is done at once', false],
  ['a save that is done later', true],
])('%s', (_title, isLater) => {
  let server: http.Server;
  let client: Client;
  let exchange: Counting;
  let link: SaveBeforeSend;
  let handler: Handler;
  /** Before the exchange comes. */
  let prepare: (response: http.ServerResponse) => void;
  let closed: boolean;

  beforeEach(async () => {
    prepare = () => undefined;
    closed = false;
    server = http.createServer((request, response) => {
      exchange = new Counting();
      if (isLater) exchange.gate = new Gate();
      exchange.wasUsed = true;
      prepare(response);
      link = attachExchange(response, exchange);
      response.on('close', () => (closed = true));
      expect(exchangeOf(request)).toBe(exchange);
      void handler(response, exchange, link);
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = new Client((server.address() as AddressInfo).port);
  });
  afterEach(async () => {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  /** Answers the request; a save that is done later is done when all that can happen before has happened. */
  async function ask(how: Handler, asking: Asking = {}) {
    handler = how;
    const { done } = client.open('/', asking);
    if (isLater) await letSave();
    return done;
  }

  async function letSave(): Promise<void> {
    await until(() => Boolean(exchange?.gate), 'the request is there');
    await exchange.gate!.reached();
    await settle();
    exchange.gate!.open();
  }

  it('the head has what the session tells, and goes out when it is saved', async () => {
    let savedBefore = 0;
    prepare = (response) => {
      const { writeHead } = response;
      response.writeHead = function (this: any, ...args: any[]) {
        savedBefore = exchange.saved;
        return (writeHead as any).apply(this, args);
      };
    };
    const reply = await ask((response) => response.end('hello'));
    expect(reply.text).toBe('hello');
    expect(reply.headers['set-cookie']).toEqual([COOKIE]);
    expect(savedBefore).toBe(1);
  });

  it('says of the real headers whether they are out', async () => {
    const states: boolean[] = [];
    await ask((response, _exchange, { headersSent }) => {
      states.push(headersSent);
      response.write('hel');
      states.push(link.headersSent);
      response.on('finish', () => states.push(link.headersSent));
      response.end('lo');
    });
    expect(states).toEqual([false, !isLater, true]);
  });

  it('what is used between the end and the close is saved at the close', async () => {
    await ask((response) => {
      response.end('hello');
      response.on('finish', () => (exchange.wasUsed = true));
    });
    await until(() => exchange.saved === 2, 'it is saved');
    expect(exchange.reported).toEqual([]);
  });

  it('what is not used after the end is not saved again', async () => {
    await ask((response) => response.end('hello'));
    await until(() => closed, 'the response is closed');
    await settle();
    expect(exchange.saved).toBe(1);
  });

  it('what cannot be saved at the close is reported', async () => {
    const failure = new Error('full');
    await ask((response) => {
      response.end('hello');
      response.on('finish', () => Object.assign(exchange, { wasUsed: true, failure }));
    });
    await until(() => exchange.reported.length > 0, 'it is reported');
    expect(exchange.reported).toEqual([failure]);
  });

  describe('that fails', () => {
    it('puts an opaque answer in the place of the other, by its own words', async () => {
      const reply = await ask((response) => {
        exchange.failure = new Error('down');
        response.setHeader('Access-Control-Allow-Origin', '*');
        response.setHeader('ETag', '"1"');
        response.statusMessage = 'Much';
        response.writeHead(201, 'Very much', { 'X-Mine': '1', 'Content-Length': 6 });
        response.end('secret');
      });
      expect(reply.status).toBe(503);
      expect(reply.json()).toEqual({ statusCode: 503, message: 'Service Unavailable' });
      expect(reply.headers).toMatchObject({
        'access-control-allow-origin': '*',
        'x-mine': '1',
        vary: 'Cookie',
      });
      expect(reply.headers.etag).toBeUndefined();
      expect(exchange.reported).toHaveLength(1);
    });

    it('has the status line of its status', async () => {
      handler = (response) => {
        exchange.failure = new Error('down');
        response.statusMessage = 'Much';
        response.end('secret');
      };
      const { port } = server.address() as AddressInfo;
      const text = sendRaw(port, 'GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n');
      if (isLater) await letSave();
      expect(await text).toMatch(/^HTTP\/1\.1 503 Service Unavailable\r\n/);
    });

    it('calls back all that waited, and lets what waits write on into nowhere', async () => {
      const calls: string[] = [];
      const reply = await ask((response) => {
        exchange.failure = new Error('down');
        const isFull = !response.write('x'.repeat(100_000), () => calls.push('write'));
        if (isFull) response.once('drain', () => calls.push('drain'));
        response.end('y', () => calls.push('end'));
        response.on('finish', () => {
          expect(response.write('later', () => calls.push('later'))).toBe(true);
        });
      });
      expect(reply.status).toBe(503);
      await until(() => calls.includes('later'), 'the last callback was called');
      expect(calls.toSorted()).toEqual(
        isLater ? ['drain', 'end', 'later', 'write'] : ['end', 'later', 'write'],
      );
    });

    it('breaks the connection off when the head is out', async () => {
      handler = async (response) => {
        exchange.wasUsed = false;
        response.write('hello');
        await settle();
        Object.assign(exchange, { wasUsed: true, failure: new Error('down') });
        response.end('secret');
      };
      const { firstData, done } = client.open('/');
      expect((await firstData).toString()).toBe('hello');
      if (isLater) await letSave();
      await expect(done).rejects.toThrow();
      expect(exchange.reported).toHaveLength(1);
    });

    it('does not make the session mute: what is used after it is saved at the close', async () => {
      await ask((response) => {
        exchange.failure = new Error('down');
        response.end('secret');
        response.on('finish', () => Object.assign(exchange, { wasUsed: true, failure: undefined }));
      });
      await until(() => exchange.saved === 1, 'it is saved');
      expect(exchange.reported).toHaveLength(1);
    });

    it('nor is it silent about what cannot be saved then either', async () => {
      const second = new Error('still down');
      await ask((response) => {
        exchange.failure = new Error('down');
        response.end('secret');
        response.on('finish', () => Object.assign(exchange, { wasUsed: true, failure: second }));
      });
      await until(() => exchange.reported.length === 2, 'it is reported');
      expect(exchange.reported[1]).toBe(second);
    });
  });

  it.each(['end', 'writeHead', 'write', 'flushHeaders'] as const)(
    'a session that cannot say what it tells is no mistake of the handler that calls %s',
    async (method) => {
      const failure = new Error('no such tenant');
      const reply = await ask((response) => {
        exchange.told = failure;
        if (method === 'writeHead') response.writeHead(200, { 'Access-Control-Allow-Origin': '*' });
        if (method === 'write') response.write('hel');
        if (method === 'flushHeaders') response.flushHeaders();
        response.end('hello');
      });
      expect(reply.status).toBe(503);
      expect(reply.text).not.toContain('hello');
      expect(reply.headers.vary).toBe('Cookie');
      if (method === 'writeHead') expect(reply.headers['access-control-allow-origin']).toBe('*');
      expect(exchange.reported).toEqual([failure]);
      expect(exchange.mistakes).toEqual([]);
    },
  );

  it('a head that Node refused takes nothing of the session with it: the next one tells what is so then', async () => {
    const reply = await ask((response) => {
      response.setHeader('X-Mine', '1');
      expect(() => response.writeHead(200, { 'X-Wrong': 'two\nlines' })).toThrow(/Invalid character/);
      exchange.told = { vary: 'Cookie', cookie: 'sid=2', token: undefined };
      response.end('hello');
    });
    expect(reply.headers['set-cookie']).toEqual(['sid=2']);
  });

  it('a head that a middleware puts off tells what is so when it goes', async () => {
    prepare = (response) => {
      const { end, writeHead } = response;
      response.write = (() => true) as typeof response.write;
      response.end = (() => {
        // Its own copy of the method: nobody stands before that.
        writeHead.call(response, 200, { 'X-Mine': '1' });
        return (end as any).call(response, 'hello');
      }) as typeof end;
    };
    const reply = await ask((response) => {
      response.setHeader('X-Early', '1');
      response.write('hel');
      response.write('lo');
      exchange.told = { vary: 'Cookie', cookie: 'sid=2', token: undefined };
      response.end();
    });
    expect(reply.text).toBe('hello');
    expect(reply.headers['set-cookie']).toEqual(['sid=2']);
  });

  it('a middleware around write() alone changes nothing of what is refused', async () => {
    prepare = (response) => {
      const { write } = response;
      response.write = ((...args: any[]) => (write as any).apply(response, args)) as typeof write;
    };
    const heard: unknown[] = [];
    const reply = await ask((response) => {
      response.on('error', (error) => heard.push(error));
      response.end('hello');
      expect(response.write('x')).toBe(false);
    });
    expect(reply.text).toBe('hello');
    await settle();
    expect(heard).toEqual([expect.objectContaining({ code: 'ERR_STREAM_WRITE_AFTER_END' })]);
  });

  it('a body that must not be is refused where the server says so', async () => {
    server.close();
    server = http.createServer(
      { rejectNonStandardBodyWrites: true } as object,
      server.listeners('request')[0] as any,
    );
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client.close();
    client = new Client((server.address() as AddressInfo).port);
    const errors: unknown[] = [];
    const reply = await ask((response) => {
      response.statusCode = 204;
      for (const method of ['end', 'write'] as const) {
        try {
          response[method]('x');
        } catch (error) {
          errors.push((error as { code: unknown }).code);
        }
      }
      response.end();
    });
    expect(reply.status).toBe(204);
    expect(errors).toEqual(['ERR_HTTP_BODY_NOT_ALLOWED', 'ERR_HTTP_BODY_NOT_ALLOWED']);
  });

  it('another answer can be put in place from outside, once', async () => {
    const reply = await ask((response) => {
      link.replace(new Error('lost'));
      link.replace(new Error('lost again'));
      response.end('secret');
    });
    expect(reply.status).toBe(503);
    expect(exchange.reported).toHaveLength(1);
  });

  describe('late calls (S58)', () => {
    const late: [string, Handler][] = [
      ['a write after the end', (response) => (response.end('hello'), response.write('x'))],
      [
        'two writes after the end',
        (response) => (response.end('hello'), response.write('x'), response.write('y')),
      ],
      ['a second end', (response) => (response.end('hello'), response.end('x'))],
      [
        'a pipe that goes on',
        (response) => {
          const pipe = new http.IncomingMessage(null as never);
          pipe._read = () => undefined;
          pipe.pipe(response);
          response.end('hello');
          pipe.push('x');
          pipe.push('y');
        },
      ],
    ];

    it.each(late)('%s ends no process, and is logged where nobody listens', async (what, how) => {
      const reply = await ask(how);
      expect(reply.text).toBe('hello');
      await settle();
      for (const mistake of exchange.mistakes)
        expect(mistake).toMatchObject({ code: 'ERR_STREAM_WRITE_AFTER_END' });
      expect(exchange.reported).toEqual([]);
      // A pipe is told of the end, and may stop in time.
      if (what !== 'a pipe that goes on') expect(exchange.mistakes).not.toEqual([]);
      expect((await ask((response) => response.end('again'))).text).toBe('again');
    });

    it('whoever listens hears of it, and the log does not', async () => {
      const heard: unknown[] = [];
      await ask((response) => {
        response.on('error', (error) => heard.push(error));
        response.end('hello');
        response.write('x');
      });
      await settle();
      expect(heard).toEqual([expect.objectContaining({ code: 'ERR_STREAM_WRITE_AFTER_END' })]);
      expect(exchange.mistakes).toEqual([]);
    });

    it('a second end that only asks to be called back is', async () => {
      let calls = 0;
      await ask((response) => {
        response.end('hello', () => calls++);
        response.end(() => calls++);
      });
      await until(() => calls === 2, 'both were called');
    });
  });

  it('a middleware that throws throws as it would, or is logged and answered for', async () => {
    const failure = new Error('of the middleware');
    prepare = (response) => {
      const { writeHead } = response;
      let fired = false;
      response.writeHead = function (this: any, ...args: any[]) {
        if (!fired) {
          fired = true;
          throw failure;
        }
        return (writeHead as any).apply(this, args);
      };
    };
    let calls = 0;
    const reply = await ask((response) => {
      const call = () => response.end('hello', () => calls++);
      if (isLater) return call();
      expect(call).toThrow(failure);
      response.writeHead(500, { 'Content-Length': 0 }).end();
    });
    expect(reply.status).toBe(500);
    expect(reply.text).not.toContain('hello');
    expect(exchange.mistakes).toEqual(isLater ? [failure] : []);
    expect(exchange.reported).toEqual([]);
    if (isLater) await until(() => calls === 1, 'the callback was called');
  });
});

describe('while a save takes its time', () => {
  let server: http.Server;
  let client: Client;
  let exchange: Counting;
  let handler: Handler;

  beforeEach(async () => {
    exchange = new Counting();
    exchange.gate = new Gate();
    exchange.wasUsed = true;
    server = http.createServer((_request, response) => {
      void handler(response, exchange, attachExchange(response, exchange));
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    client = new Client((server.address() as AddressInfo).port);
  });
  afterEach(async () => {
    client.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  it('a server that closes waits for the answer', async () => {
    handler = (response) => response.end('hello');
    const { done } = client.open('/');
    await exchange.gate!.reached();
    server.close();
    await settle();
    exchange.gate!.open();
    expect((await done).text).toBe('hello');
    // A second one of the same server, which knows already.
    expect(server.listening).toBe(false);
  });

  it('a client that leaves has all saved, and nothing is thrown', async () => {
    handler = (response) => {
      response.write('hel');
      response.end('lo');
    };
    const { abort } = client.open('/');
    await exchange.gate!.reached();
    abort();
    await settle();
    exchange.gate!.open();
    await until(() => exchange.saved === 1, 'it is saved');
    await settle();
    expect([exchange.reported, exchange.mistakes]).toEqual([[], []]);
  });

  it('what changes meanwhile is saved too, once, and before the answer', async () => {
    let savedBefore = 0;
    handler = (response) => {
      response.on('finish', () => (savedBefore = exchange.saved));
      response.end('hello');
    };
    const { done } = client.open('/');
    await exchange.gate!.reached();
    exchange.wasUsed = true;
    exchange.gate!.open();
    await done;
    expect([savedBefore, exchange.saved]).toEqual([2, 2]);
  });

  it('the response is what it would be: sent, and of a status of its own', async () => {
    let later: unknown;
    handler = (response) => {
      response.statusCode = 201;
      response.end('hello');
      response.statusCode = 500;
      response.on('finish', () => (later = response.statusCode));
    };
    const { done } = client.open('/');
    await exchange.gate!.reached();
    exchange.gate!.open();
    expect((await done).status).toBe(201);
    expect(later).toBe(500);
  });

  it('writes are answered as a socket would, and drain comes when there is room', async () => {
    const answers: boolean[] = [];
    let drained = 0;
    handler = (response) => {
      response.on('drain', () => {
        drained++;
        setImmediate(() => response.end());
      });
      answers.push(response.write('x'), response.write('y'.repeat(100_000)));
    };
    const { done } = client.open('/');
    await exchange.gate!.reached();
    await settle();
    expect(drained).toBe(0);
    exchange.gate!.open();
    expect((await done).bytes.length).toBe(100_001);
    expect(answers).toEqual([true, false]);
    expect(drained).toBe(1);
  });

  it('whoever was told to wait may go on, also if a middleware takes all that there is', async () => {
    server.prependListener('request', (_request, response) => {
      const { write, end } = response;
      const chunks: Buffer[] = [];
      response.write = ((chunk: string) => chunks.push(Buffer.from(chunk)) > 0) as typeof write;
      response.end = (() => {
        (write as any).call(response, Buffer.concat(chunks));
        return (end as any).call(response);
      }) as typeof end;
    });
    handler = (response) => {
      response.on('drain', () => response.end());
      expect(response.write('x'.repeat(100_000))).toBe(false);
    };
    const { done } = client.open('/');
    await exchange.gate!.reached();
    exchange.gate!.open();
    expect((await done).bytes.length).toBe(100_000);
  });

  it('an exchange that comes when the head is out holds the rest alone', async () => {
    const states: boolean[] = [];
    server.prependListener('request', (_request, response) => {
      response.writeHead(201, { 'Content-Length': 5 });
      response.write('hel');
    });
    handler = (response, _exchange, link) => {
      response.end('lo');
      states.push(link.headersSent);
      expect(() => response.setHeader('X-Late', '1')).toThrow(/after they are sent/);
    };
    const { done } = client.open('/');
    await exchange.gate!.reached();
    exchange.gate!.open();
    const reply = await done;
    expect([reply.status, reply.text, reply.setCookies]).toEqual([201, 'hello', []]);
    expect(states).toEqual([true]);
  });

  it('nothing of a response is remembered when it was let go', async () => {
    let response: any;
    handler = (given) => {
      response = given;
      given.end('hello');
    };
    const { done } = client.open('/');
    await exchange.gate!.reached();
    exchange.gate!.open();
    await done;
    let touched = 0;
    Object.defineProperty(response, 'finished', {
      set() {
        touched++;
      },
    });
    server.closeIdleConnections();
    expect(touched).toBe(0);
  });

  it('held bytes count towards the Content-Length: with the last of them all is saved', async () => {
    const held = new Gate();
    handler = async (response) => {
      response.setHeader('Content-Length', 5);
      response.write('hel');
      await held.pass();
      exchange.gate = undefined;
      // In place, so that nobody is told of a use.
      exchange.settle = () => void exchange.saved++;
      response.write('lo');
      expect(exchange.saved).toBe(2);
      response.end();
    };
    const { done, firstData } = client.open('/');
    await exchange.gate!.reached();
    exchange.gate!.open();
    await firstData;
    held.open();
    await done;
    expect(exchange.saved).toBe(3);
  });

  it('an answer by a method that somebody had kept is whole, and the last one of its connection', async () => {
    const { port } = server.address() as AddressInfo;
    let calls = 0;
    server.prependListener('request', (_request, response) => {
      const end = response.end.bind(response);
      setImmediate(() => end('timeout'));
    });
    handler = (response) => {
      response.writeHead(200, { 'Content-Length': 5 });
      response.write('hello', () => calls++);
    };
    const text = sendRaw(port, 'GET / HTTP/1.1\r\nHost: x\r\n\r\n');
    await exchange.gate!.reached();
    await settle();
    exchange.gate!.open();
    const answer = await text;
    expect(answer).toMatch(/^HTTP\/1\.1 500 [^]*\r\n\r\ntimeout$/);
    expect(answer).not.toMatch(/content-length/i);
    expect(calls).toBe(1);
    expect([exchange.reported, exchange.mistakes]).toEqual([[], []]);
  });
});
