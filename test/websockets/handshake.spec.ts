import http from 'node:http';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import {
  type OnGatewayConnection,
  SubscribeMessage,
  WebSocketGateway,
  WebSocketServer,
} from '@nestjs/websockets';
import { Session } from '../../src/index.js';
import { type AnySession, logs } from '../support/app.js';
import {
  type SocketApp,
  type SocketAppOptions,
  socketStacks,
  stackPerLibrary,
  startSockets,
  statusOf,
} from './support.js';

/** What reached gateways. */
const connections: string[] = [];

beforeEach(() => void (connections.length = 0));

@WebSocketGateway()
class Gateway implements OnGatewayConnection {
  @WebSocketServer() server: any;

  handleConnection() {
    connections.push('connected');
  }

  @SubscribeMessage('who')
  who(@Session() session: AnySession) {
    return { event: 'answer', data: session.userId ?? 'nobody' };
  }
}

describe.each(socketStacks)('handshakes: %s', (_title, stack) => {
  let app: SocketApp;
  afterEach(() => app.stop());

  const run = async (options: Partial<SocketAppOptions> = {}) => {
    app = await startSockets(stack, { gateways: [Gateway], ...options });
    logs.length = 0;
  };
  const status = (cookie: string | undefined, headers: Record<string, string> = {}, polling = false) =>
    statusOf(app.connect(cookie, { headers, polling }));
  const own = () => `http://127.0.0.1:${app.running.port}`;

  it.each([
    ['user', 401, 401, 0],
    ['session', 401, 0, 0],
    [false, 0, 0, 0],
  ] as const)('require %s: a stranger, a visitor, a user', async (require, ...expected) => {
    await run({ sockets: { require } });
    const cookies = [undefined, await app.cookie({}), await app.cookie({ userId: 'ada' })];
    for (const polling of [false, true]) {
      const statuses = await Promise.all(cookies.map((cookie) => status(cookie, {}, polling)));
      expect(statuses).toEqual(expected);
    }
    expect(connections).toHaveLength(2 * expected.filter((one) => one === 0).length);
  });

  it('a session that has ended, or never was, is none', async () => {
    await run({ sockets: { require: 'session' } });
    const ended = await app.cookie();
    await app.store.destroy(ended.slice(4));
    expect(await status(ended)).toBe(401);
    expect(await status(`sid=${'A'.repeat(22)}.${'x'.repeat(43)}`)).toBe(401);
    const [one, other] = [await app.cookie(), await app.cookie()];
    expect(await status(`${one}; ${other}`)).toBe(401);
  });

  it.each([
    ['Origin', 'https://evil.example', {}],
    ['Sec-Fetch-Site', 'null', { 'sec-fetch-site': 'cross-site' }],
    ['Sec-Fetch-Site', 'http://127.0.0.1', { 'sec-fetch-site': 'same-site' }],
  ])(
    'of another origin are refused before anything is read, by %s (S61, S64)',
    async (header, origin, headers) => {
      await run();
      const cookie = await app.cookie();
      app.running.probe.forget();
      for (const polling of [false, true])
        expect(await status(cookie, { origin, ...headers }, polling)).toBe(403);
      expect([connections, app.running.probe.names]).toEqual([[], []]);
      expect(app.running.eventTypes().filter((type) => type === 'refused')).toHaveLength(2);
      expect(logs.join('\n')).toContain(`A cross-origin request was refused: its ${header} is`);
      expect(logs.join('\n')).toContain('Let it in with the option trustedOrigins of withSessions()');
    },
  );

  it('of the own origin, of a trusted one, and of no browser are let in', async () => {
    await run({
      session: { crossOrigin: { trustedOrigins: ['https://shop.example'] } },
      sockets: { trustedOrigins: ['https://app.example:443'] },
    });
    for (const origin of [own(), 'https://shop.example', 'https://app.example']) {
      expect(await status(undefined, { origin })).toBe(0);
      expect(await status(undefined, { origin, 'sec-fetch-site': 'same-origin' })).toBe(0);
    }
    expect(await status(undefined)).toBe(0);
    expect(await status(undefined, { origin: 'https://app.example:444' })).toBe(403);
  });

  it('crossOrigin of the module holds: log, and allow', async () => {
    await run({ session: { crossOrigin: 'log' } });
    expect(await status(undefined, { origin: 'https://evil.example' })).toBe(0);
    expect(logs.join('\n')).toContain('A cross-origin request was refused');
    await app.stop();
    await run({ session: { crossOrigin: 'allow' } });
    expect(await status(undefined, { origin: 'https://evil.example' })).toBe(0);
    expect(logs.join('\n')).not.toContain('cross-origin');
  });

  it('by bearer, where the transport allows it, from whatever origin', async () => {
    await run({ session: { transport: ['cookie', 'bearer'] }, sockets: { require: 'user' } });
    const id = (await app.cookie()).slice(4);
    expect(await status(undefined, { authorization: `Bearer ${id}`, origin: 'https://evil.example' })).toBe(
      0,
    );
    await app.stop();
    await run({ sockets: { require: 'user' } });
    expect(await status(undefined, { authorization: `Bearer ${(await app.cookie()).slice(4)}` })).toBe(401);
  });

  it('a storage that fails is a 503', async () => {
    await run({ sockets: { require: 'user' } });
    const cookie = await app.cookie();
    app.running.probe.fail('read');
    for (const polling of [false, true]) expect(await status(cookie, {}, polling)).toBe(503);
    app.running.probe.reset();
    expect(await status(cookie)).toBe(0);
    expect(connections).toHaveLength(1);
  });
});

describe.each(stackPerLibrary)('the host behind a proxy: %s', (_title, stack) => {
  let app: SocketApp;
  afterEach(() => app.stop());
  const headers = { origin: 'https://shop.example', 'x-forwarded-host': 'shop.example' };

  it.each([
    [undefined, 403],
    ['loopback', 0],
    ['10.0.0.1', 403],
  ])('is believed as far as Express trusts it: %s', async (trustProxy, expected) => {
    app = await startSockets(stack, { gateways: [Gateway], ...(trustProxy && { trustProxy }) });
    expect(await statusOf(app.connect(undefined, { headers }))).toBe(expected);
  });
});

describe('polling then upgrade', () => {
  const stack = socketStacks[0]![1];
  let app: SocketApp;
  afterEach(() => app.stop());

  /** A request of engine.io by hand. */
  const ask = (query: string, headers: Record<string, string>, upgrade = false) =>
    new Promise<{ status: number; text: string }>((resolve, reject) => {
      const transport = upgrade ? 'websocket' : 'polling';
      const more = upgrade && {
        connection: 'Upgrade',
        upgrade: 'websocket',
        'sec-websocket-version': '13',
        'sec-websocket-key': 'AAAAAAAAAAAAAAAAAAAAAA==',
      };
      const request = http.get({
        host: '127.0.0.1',
        port: app.running.port,
        path: `/socket.io/?EIO=4&transport=${transport}${query}`,
        headers: { ...headers, ...more },
      });
      request.on('error', reject);
      request.on('upgrade', (response, socket) => {
        socket.destroy();
        resolve({ status: response.statusCode!, text: '' });
      });
      request.on('response', (response) => {
        let text = '';
        response
          .on('data', (chunk) => (text += chunk))
          .on('end', () => resolve({ status: response.statusCode!, text }));
      });
    });

  it('the upgrade is checked again: origin, session, and whose it is (S64)', async () => {
    app = await startSockets(stack, { gateways: [Gateway], sockets: { require: 'user' } });
    const cookie = await app.cookie();
    const open = async () => {
      const { text } = await ask('', { cookie });
      return `&sid=${JSON.parse(text.slice(1)).sid}`;
    };
    const evil = { cookie, origin: 'https://evil.example' };
    expect((await ask(await open(), evil, true)).status).toBe(403);
    expect((await ask(await open(), evil)).status).toBe(403);
    expect((await ask(await open(), { cookie: await app.cookie() }, true)).status).toBe(401);
    expect((await ask(await open(), {}, true)).status).toBe(401);
    expect((await ask(await open(), { cookie }, true)).status).toBe(101);
    const rotated = await app.store.load(cookie.slice(4));
    const query = await open();
    await rotated!.regenerate();
    expect((await ask(query, { cookie }, true)).status).toBe(401);
    expect((await ask(query, { cookie: `sid=${rotated!.id}` }, true)).status).toBe(101);
  });

  it('WebTransport, which has no request, is refused', async () => {
    app = await startSockets(stack, { gateways: [Gateway] });
    const { server } = app.running.app.get(Gateway);
    const closed: string[] = [];
    await server.engine.onWebTransportSession({ close: () => closed.push('closed') });
    expect([closed, connections]).toEqual([['closed'], []]);
  });
});
