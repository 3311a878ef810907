/**
 * A gateway on ws in a process of its own: `node socket-server.js ours|bare`. Takes orders over IPC.
 *
 *   plain   asks for no session
 *   read    reads `visits` and answers with it
 *   write   reads `visits`, adds one, writes it, answers with it
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Module } from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { WsAdapter } from '@nestjs/platform-ws';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { MemoryStorage, Session, SessionModule, SessionStore } from 'nest-sessions';
import { withSessions } from 'nest-sessions/websockets';
import { cpu, serve } from './orders.js';

const ours = process.argv[2] === 'ours';
const answer = (data) => ({ event: 'answer', data });

class Gateway {
  plain() {
    return answer(1);
  }
  read(session) {
    return answer(session.get('visits'));
  }
  write(session) {
    const visits = session.get('visits') + 1;
    session.set('visits', visits);
    return answer(visits);
  }
}
// As many handlers in both: Nest keeps something of each for every socket.
for (const name of ['plain', 'read', 'write']) {
  const { prototype } = Gateway;
  if (ours && name !== 'plain') Session()(prototype, name, 0);
  SubscribeMessage(name)(prototype, name, Object.getOwnPropertyDescriptor(prototype, name));
}
WebSocketGateway()(Gateway);

/** Sizes of the calls for all handles of the open sockets. */
const looks = [];
class CountingStorage extends MemoryStorage {
  alive(handles) {
    looks.push(handles.length);
    return super.alive(handles);
  }
}

// oxlint-disable-next-line typescript/no-extraneous-class -- a Nest module has nothing in it
class AppModule {}
const sessions = SessionModule.forRoot({ ttl: '1h', storage: new CountingStorage() });
Module({ imports: [sessions], providers: [Gateway] })(AppModule);

const app = await NestFactory.create(AppModule, new ExpressAdapter(), { logger: ['error'] });
const adapter = new WsAdapter(app);
app.useWebSocketAdapter(
  ours ? withSessions(adapter, app, { require: 'user', checkEvery: process.argv[3] ?? '10m' }) : adapter,
);
await app.listen(0, '127.0.0.1');
const store = app.get(SessionStore);

function memory() {
  globalThis.gc();
  globalThis.gc();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

const orders = {
  cpu,
  memory,
  /** Cookies of new sessions, each a user's own. */
  create: async (count) => {
    const cookies = [];
    for (let i = 0; i < count; i++) {
      const { id } = await store.create({ userId: `user-${i}`, data: { visits: 1 } });
      cookies.push(`sid=${id}`);
    }
    return cookies;
  },
  /** Milliseconds of CPU, and calls of the storage, that so many seconds take. */
  rest: async (seconds) => {
    looks.length = 0;
    const before = cpu();
    await sleep(seconds * 1000);
    return { cpu: (cpu() - before) / 1000, looks: [...looks] };
  },
  /** Logs a user out, and says when. */
  end: async (userId) => {
    const at = performance.timeOrigin + performance.now();
    await store.destroyByUser(userId);
    return at;
  },
};

serve(orders, app.getHttpServer().address().port);
