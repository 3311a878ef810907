import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, expect, it, jest } from '@jest/globals';
import type { ModuleMetadata } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { SessionStore } from 'nest-sessions';
import { sessionCookie } from 'nest-sessions/testing';
import { io, type Socket } from 'socket.io-client';
import { WebSocket, WebSocketServer } from 'ws';
import { socketSettings } from '../../src/websockets/options.js';
import { until } from '../support/gate.js';
import { tableOf } from './documents.js';
import { AppModule } from './recipes/sockets/app.module.js';
import { follow, open } from './recipes/sockets/client.js';
import { useSocketIo, useWs } from './recipes/sockets/main.js';
import { run, sessions, stop, urlOf } from './support.js';

/** What docs/sockets.md shows, at work. That it is the same code is for readme.spec.ts to say. */
const opened: Socket[] = [];
let left: unknown[][];

beforeEach(() => {
  const log = jest.spyOn(console, 'log').mockReturnValue();
  left = log.mock.calls;
});
afterEach(async () => {
  for (const socket of opened.splice(0)) socket.close();
  await stop();
});

async function start(use: typeof useSocketIo, metadata: ModuleMetadata = { imports: [AppModule] }) {
  const module = await Test.createTestingModule(metadata).compile();
  const app = run(module.createNestApplication({ logger: false }));
  use(app);
  await app.listen(0, '127.0.0.1');
  return app;
}

it('two windows see one note, and a logout closes both', async () => {
  const app = await start(useSocketIo);
  const cookie = await sessionCookie(app, { userId: 'ada' });
  const ended: string[] = [];
  const connect = async (name: string, headers: Record<string, string> = { cookie }) => {
    const notes: string[] = [];
    const socket = io(urlOf(app), { extraHeaders: headers, transports: ['websocket'], reconnectionDelay: 1 });
    opened.push(socket);
    follow(socket, () => ended.push(name));
    socket.on('note', (text) => notes.push(text));
    await until(() => socket.connected || ended.includes(name), 'it is open or refused');
    return { socket, notes };
  };
  const [one, two] = [await connect('one'), await connect('two')];
  expect(await one.socket.emitWithAck('note', 'flour')).toBe('saved');
  await until(() => two.notes.includes('flour'), 'the other one sees it');
  expect((await connect('three')).notes).toEqual(['flour']);
  await fetch(`${urlOf(app)}/logout`, { method: 'POST', headers: { cookie } });
  await until(() => ended.length === 3, 'all are told');
  await until(() => left.length === 3, 'the gateway is told');
  expect(left).toEqual(Array(3).fill(['ada', 'has left']));
});

it('who is refused is shown the login once, and tries no more', async () => {
  const app = await start(useSocketIo);
  let shown = 0;
  const socket = io(urlOf(app), { reconnectionDelay: 1 });
  opened.push(socket);
  follow(socket, () => shown++);
  await until(() => shown > 0, 'the login is shown');
  expect(shown).toBe(1);
  expect(socket.active).toBe(false); // else it would try again
});

it('with ws, and what a client does about 4401', async () => {
  @WebSocketGateway()
  class Gateway {
    @SubscribeMessage('any')
    any() {}
  }
  const app = await start(useWs, { imports: [sessions()], providers: [Gateway] });
  const url = urlOf(app).replace('http', 'ws');
  const headers = { cookie: await sessionCookie(app, { userId: 'ada' }) };
  const socket = new WebSocket(url, { headers });
  await once(socket, 'open');
  await app.get(SessionStore).destroyByUser('ada');
  expect((await once(socket, 'close'))[0]).toBe(4401);

  const server = new WebSocketServer({ port: 0 }).on('connection', (one) => one.close(4401));
  const { port } = server.address() as AddressInfo;
  await new Promise<void>((showLogin) => open(`ws://127.0.0.1:${port}`, showLogin));
  server.close();
});

it('the table of options has each with its default', () => {
  const rows = tableOf('docs/sockets.md', 'option', 'type', 'default').map(([name, , value]) => [
    name!.replaceAll('`', ''),
    value!.replaceAll('`', ''),
  ]);
  const { trustedOrigins, ...settings } = socketSettings();
  expect(trustedOrigins.size).toBe(0);
  const shown = Object.fromEntries(rows) as Record<string, string>;
  expect(shown).toEqual({
    require: String(settings.require),
    trustedOrigins: 'none',
    touch: String(settings.touch),
    checkEvery: "'30s'",
  });
  expect(settings.checkEvery).toBe(30_000);
});
