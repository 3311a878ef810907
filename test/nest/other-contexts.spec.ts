import { once } from 'node:events';
import type { AddressInfo, Server } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, UseGuards } from '@nestjs/common';
import { APP_GUARD, APP_INTERCEPTOR } from '@nestjs/core';
import {
  ClientProxyFactory,
  MessagePattern,
  type MicroserviceOptions,
  Payload,
  Transport,
} from '@nestjs/microservices';
import { WsAdapter } from '@nestjs/platform-ws';
import { MessageBody, SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { lastValueFrom } from 'rxjs';
import { WebSocket } from 'ws';
import {
  CrossOriginGuard,
  Session,
  SessionGuard,
  SessionInterceptor,
  SessionLock,
  UseSession,
} from '../../src/index.js';
import { type AnySession, logs, type RunningApp, stackPerPlatform, start } from '../support/app.js';

/** What handlers ran. */
const ran: string[] = [];

@Controller()
class Messages {
  @MessagePattern('plain')
  plain(@Payload() text: string) {
    return `got ${text}`;
  }

  @MessagePattern('used')
  @UseSession()
  used(@Payload() text: string) {
    return `used ${text}`;
  }

  @MessagePattern('asking')
  asking(@Session() session: AnySession) {
    ran.push(session.handle);
  }

  @MessagePattern('guarded')
  @UseGuards(SessionGuard)
  guarded() {
    ran.push('guarded');
  }

  @MessagePattern('locked')
  @SessionLock()
  locked() {
    ran.push('locked');
  }

  @Get('over-http')
  overHttp(@Session() session: AnySession) {
    session.set('n', 1);
    return 'over HTTP';
  }
}

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('plain')
  plain(@MessageBody() text: string) {
    return { event: 'answer', data: `got ${text}` };
  }

  @SubscribeMessage('used')
  @UseSession()
  used(@MessageBody() text: string) {
    return { event: 'answer', data: `used ${text}` };
  }
}

describe.each(stackPerPlatform)('contexts that have no session: %s', (_title, stack) => {
  let app: RunningApp;
  const closing: (() => unknown)[] = [];

  beforeEach(async () => {
    ran.length = 0;
    app = await start(stack, {
      controllers: [Messages],
      providers: [
        Gateway,
        { provide: APP_INTERCEPTOR, useClass: SessionInterceptor },
        { provide: APP_GUARD, useClass: CrossOriginGuard },
      ],
      configure: (nest) => {
        nest.useWebSocketAdapter(new WsAdapter(nest));
        nest.connectMicroservice<MicroserviceOptions>(
          { transport: Transport.TCP, options: { host: '127.0.0.1', port: 0 } },
          { inheritAppConfig: true },
        );
      },
    });
    await app.app.startAllMicroservices();
  });
  afterEach(async () => {
    for (const close of closing.splice(0)) await close();
    await app.stop();
  });

  /** Sends a message over TCP, and says what came back. */
  async function send(pattern: string, data: unknown = 'x'): Promise<unknown> {
    const server = app.app.getMicroservices()[0]!.unwrap<Server>();
    const client = ClientProxyFactory.create({
      transport: Transport.TCP,
      options: { host: '127.0.0.1', port: (server.address() as AddressInfo).port },
    });
    closing.push(() => client.close());
    return lastValueFrom(client.send(pattern, data)).catch((error: unknown) => error);
  }

  it('a global SessionInterceptor and @UseSession() leave messages of a microservice alone', async () => {
    expect(await send('plain')).toBe('got x');
    expect(await send('used')).toBe('used x');
    expect(app.probe.names).toEqual([]);
    expect((await app.client().get('/over-http')).setCookies).toHaveLength(1);
  });

  it.each([
    ['asking', 'Messages.asking: @Session() needs a request, and a context of type "rpc" has none'],
    ['guarded', 'A session comes with a request, and a context of type "rpc" has none'],
    ['locked', 'A session comes with a request, and a context of type "rpc" has none'],
  ])('a message handler that wants one all the same is a clear error: %s', async (pattern, message) => {
    expect(await send(pattern)).toMatchObject({ status: 'error' });
    expect(logs.join('\n')).toContain(message);
    expect([ran, app.probe.names]).toEqual([[], []]);
  });

  it('they leave messages of a gateway alone', async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${app.port}`, { headers: { cookie: 'sid=x' } });
    closing.push(() => socket.terminate());
    await once(socket, 'open');
    for (const event of ['plain', 'used']) {
      socket.send(JSON.stringify({ event, data: 'x' }));
      const [text] = (await once(socket, 'message')) as [Buffer];
      expect(JSON.parse(text.toString()).data).toBe(`${event === 'plain' ? 'got' : event} x`);
    }
    expect([app.probe.names, app.eventTypes()]).toEqual([[], []]);
  });
});
