/**
 * The load generator, in a process of its own: keep-alive HTTP/1.1 over plain sockets, one request
 * at a time on each of 32 connections. It does next to nothing per request, so that the server is
 * the one that is busy, and it checks every answer: a status that is not 200 or a body that is not
 * the one expected ends the run.
 *
 * Connection `c` uses the sessions `c`, `c + 32`, `c + 64`, …, in turn, so no session has two
 * requests under way and the number that a counting route must answer with is known.
 */
import { connect } from 'node:net';
import { serve } from './orders.js';

const CONNECTIONS = 32;

class Connection {
  constructor(port) {
    this.buffer = '';
    this.socket = connect({ port, host: '127.0.0.1', noDelay: true });
    this.socket.setEncoding('latin1');
    this.socket.on('data', (chunk) => this.receive(chunk));
    this.socket.on('error', (error) => this.fail(error));
    this.socket.on('close', () => this.fail(new Error('the server closed a connection')));
  }

  /** Calls `next()` for a request until it answers with undefined; `done(response)` for each answer. */
  drive(next, done) {
    return new Promise((resolve, reject) => {
      this.finish = resolve;
      this.fail = reject;
      this.next = next;
      this.done = done;
      this.advance();
    });
  }

  fail() {}

  advance() {
    const request = this.next();
    if (request === undefined) this.finish();
    else this.socket.write(request, 'latin1');
  }

  receive(chunk) {
    const text = this.buffer === '' ? chunk : this.buffer + chunk;
    const end = text.indexOf('\r\n\r\n');
    if (end === -1) return void (this.buffer = text);
    const length = lengthOf(text, end);
    if (text.length < end + 4 + length) return void (this.buffer = text);
    this.buffer = '';
    try {
      this.done(text, end + 4, length);
      this.advance();
    } catch (error) {
      this.fail(error);
    }
  }

  close() {
    this.fail = () => {};
    this.socket.destroy();
  }
}

function lengthOf(text, end) {
  for (const name of ['\r\ncontent-length: ', '\r\nContent-Length: ']) {
    const at = text.indexOf(name);
    if (at !== -1 && at < end)
      return Number.parseInt(text.slice(at + name.length, at + name.length + 10), 10);
  }
  throw new Error(`an answer without Content-Length:\n${text}`);
}

function check(text, at, length, expected) {
  if (text.startsWith('HTTP/1.1 200 ') && text.slice(at, at + length) === expected) return;
  throw new Error(`expected 200 and "${expected}", got:\n${text}`);
}

/**
 * Does some work without this process ever falling asleep. To wake one that sleeps costs the server 10 µs and more
 * in a virtual machine, and the slower the server, the more often its client sleeps: that is not the server's work.
 */
async function awake(work) {
  let working = true;
  const turn = () => working && setImmediate(turn);
  turn();
  try {
    return await work();
  } finally {
    working = false;
  }
}

const requestText = (path, cookie) =>
  `GET ${path} HTTP/1.1\r\nHost: 127.0.0.1\r\nAccept: */*\r\nCookie: ${cookie}\r\n\r\n`;

const cookieOf = (text) => /^set-cookie: ([^;\r]+)/im.exec(text)?.[1];

/** Connections stay open between orders: opening them is not what is measured. */
const pools = new Map();

function connectionsTo(port) {
  let pool = pools.get(port);
  if (!pool) pools.set(port, (pool = Array.from({ length: CONNECTIONS }, () => new Connection(port))));
  return pool;
}

/** Live sessions by name: their cookies, and the number that each has counted to. */
const sessionsOf = new Map();

const orders = {
  /** Starts `count` sessions under `name`, each with one request to `path`. */
  start: async ({ port, path, count, name, stateless }) => {
    const cookies = [];
    await Promise.all(
      connectionsTo(port).map((connection, c) => {
        let at = c - CONNECTIONS;
        return connection.drive(
          () => ((at += CONNECTIONS) < count ? requestText(path, 'theme=dark') : undefined),
          (text, body, length) => {
            check(text, body, length, '1 visits');
            // A server without sessions is sent a cookie of the same size as the others.
            const cookie = stateless ? `sid=${'x'.repeat(66)}` : cookieOf(text);
            if (!cookie) throw new Error(`no cookie in:\n${text}`);
            cookies[at] = cookie;
          },
        );
      }),
    );
    sessionsOf.set(name, { cookies, visits: new Array(count).fill(1) });
  },

  /** Takes over sessions that were made elsewhere. */
  adopt: ({ name, cookies }) => {
    sessionsOf.set(name, { cookies, visits: new Array(cookies.length).fill(1) });
  },

  /**
   * Sends `count` requests to `path`, with the cookies of the sessions `name`.
   * `answer`: 'counts' (one more each time), 'same' (the number as it is) or a fixed number. `connections`: how many of
   * the connections, so how many requests at once.
   */
  run: ({ port, path, count, name, answer, connections = CONNECTIONS }) => {
    const { cookies, visits } = sessionsOf.get(name);
    const requests = cookies.map((cookie) => requestText(path, cookie));
    let left = count;
    const drive = (connection, c) => {
      let at = c - CONNECTIONS;
      return connection.drive(
        () => {
          if (left === 0) return undefined;
          left--;
          at += CONNECTIONS;
          if (at >= requests.length) at = c;
          return requests[at];
        },
        (text, body, length) => {
          if (answer === 'counts') visits[at]++;
          const expected = typeof answer === 'number' ? answer : visits[at];
          check(text, body, length, `${expected} visits`);
        },
      );
    };
    return awake(() => Promise.all(connectionsTo(port).slice(0, connections).map(drive)));
  },

  /** Closes the connections to a server that is about to stop. */
  leave: ({ port }) => {
    for (const connection of pools.get(port) ?? []) connection.close();
    pools.delete(port);
  },
};

serve(orders);
