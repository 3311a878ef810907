/** Opens sockets and sends messages, in a process of its own; every answer is checked. */
import { once } from 'node:events';
import { WebSocket } from 'ws';
import { serve } from './orders.js';

const groups = new Map();

async function open(port, cookie) {
  const socket = new WebSocket(`ws://127.0.0.1:${port}`, { headers: { cookie }, perMessageDeflate: false });
  await once(socket, 'open');
  socket.once('close', (code) => {
    socket.closed = { code, at: performance.timeOrigin + performance.now() };
  });
  return socket;
}

/** One message at a time on a socket, each answered before the next is sent. */
function talk(socket, event, count, expected) {
  return new Promise((resolve, reject) => {
    const message = JSON.stringify({ event });
    let left = count;
    const receive = (text) => {
      const { event: told, data } = JSON.parse(text);
      if (told !== 'answer' || data !== expected(socket)) return reject(new Error(`${event}: got ${text}`));
      if (--left > 0) return void socket.send(message);
      socket.off('message', receive);
      resolve();
    };
    socket.on('message', receive);
    socket.send(message);
  });
}

const expected = {
  plain: () => () => 1,
  read: () => (socket) => (socket.visits ??= 1),
  write: () => (socket) => (socket.visits = (socket.visits ?? 1) + 1),
};

const orders = {
  /** Opens a socket for each cookie. */
  open: async ({ name, port, cookies }) => {
    const sockets = [];
    for (let i = 0; i < cookies.length; i += 50) {
      sockets.push(...(await Promise.all(cookies.slice(i, i + 50).map((cookie) => open(port, cookie)))));
    }
    groups.set(name, sockets);
  },
  talk: async ({ name, event, count }) => {
    const sockets = groups.get(name);
    let working = true;
    // To wake a client that sleeps is not the server's work.
    const turn = () => working && setImmediate(turn);
    turn();
    const each = Math.ceil(count / sockets.length);
    await Promise.all(sockets.map((socket) => talk(socket, event, each, expected[event]())));
    working = false;
    return each * sockets.length;
  },
  /** When the last of these sockets was closed, once all are, with 4401. */
  closed: async ({ name, from, count }) => {
    const sockets = groups.get(name).slice(from, from + count);
    await Promise.all(sockets.map((socket) => socket.closed ?? once(socket, 'close')));
    for (const { closed } of sockets) if (closed.code !== 4401) throw new Error(`closed with ${closed.code}`);
    return Math.max(...sockets.map(({ closed }) => closed.at));
  },
};

serve(orders);
