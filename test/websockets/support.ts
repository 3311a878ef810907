import { once } from 'node:events';
import type { INestApplication, Provider } from '@nestjs/common';
import { IoAdapter } from '@nestjs/platform-socket.io';
import { WsAdapter } from '@nestjs/platform-ws';
import { io, type Socket } from 'socket.io-client';
import { WebSocket } from 'ws';
import {
  SessionSockets,
  SessionSocketsModule,
  type SessionSocketsOptions,
  withSessions,
} from 'nest-sessions/websockets';
import { type AppOptions, type RunningApp, type Stack, stackPerPlatform, start } from '../support/app.js';
import { until } from '../support/gate.js';

export type Library = 'socket.io' | 'ws';
export const libraries: readonly Library[] = ['socket.io', 'ws'];

export interface SocketStack extends Stack {
  readonly library: Library;
}

/** Both libraries on both platforms, with the storage that answers later. */
export const socketStacks = libraries.flatMap((library) =>
  stackPerPlatform.map(([title, stack]): [string, SocketStack] => [
    `${library}, ${title}`,
    { ...stack, library },
  ]),
);

/** Both libraries, where the platform makes no difference. */
export const stackPerLibrary = socketStacks.filter(([, { platform }]) => platform === 'express');

export const adapterOf = (library: Library, app: INestApplication): any =>
  library === 'ws' ? new WsAdapter(app) : new IoAdapter(app);

export interface SocketAppOptions extends AppOptions {
  readonly gateways: Provider[];
  readonly sockets?: SessionSocketsOptions;
}

/** An application with gateways, and who connects to it. */
export class SocketApp {
  readonly sockets: SessionSockets;
  private readonly clients: Client[] = [];

  constructor(
    readonly running: RunningApp,
    readonly library: Library,
  ) {
    this.sockets = running.app.get(SessionSockets);
  }

  get store() {
    return this.running.store;
  }

  /** The Cookie header of a new session. */
  async cookie(options: object = { userId: 'ada' }): Promise<string> {
    return `sid=${(await this.store.create(options)).id}`;
  }

  /** Opens a socket, or fails with the status of the answer. */
  connect(cookie?: string, options: ConnectOptions = {}): Promise<Client> {
    const client = new Client(this.library, options.port ?? this.running.port, {
      ...options,
      headers: { ...(cookie && { cookie }), ...options.headers },
    });
    this.clients.push(client);
    return client.opened.then(() => client);
  }

  /** Lets go of the clients so far. */
  forget(): void {
    this.clients.length = 0;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.running.stop();
  }
}

export async function startSockets(
  stack: SocketStack,
  options: SocketAppOptions,
  adapter = (app: INestApplication): any => adapterOf(stack.library, app),
): Promise<SocketApp> {
  const { gateways, sockets, providers = [], imports = [], configure, ...rest } = options;
  const running = await start(stack, {
    ...rest,
    providers: [...providers, ...gateways],
    imports: [...imports, SessionSocketsModule],
    configure: (app) => {
      configure?.(app);
      app.useWebSocketAdapter(withSessions(adapter(app), app, sockets));
    },
  });
  return new SocketApp(running, stack.library);
}

export interface ConnectOptions {
  readonly headers?: Record<string, string>;
  readonly namespace?: string;
  readonly path?: string;
  readonly port?: number;
  /** socket.io begins with polling. */
  readonly polling?: boolean;
}

export interface Told {
  readonly event: string;
  readonly data: any;
}

/** A client of either library. */
export class Client {
  readonly opened: Promise<void>;
  readonly told: Told[] = [];
  /** 4401 or `session:ended` came before the end. */
  wasTold = false;
  isClosed = false;
  readonly raw: Socket | WebSocket;

  constructor(library: Library, port: number, options: ConnectOptions) {
    this.raw = library === 'ws' ? this.openWs(port, options) : this.openIo(port, options);
    this.opened = this.raw instanceof WebSocket ? openedWs(this.raw) : openedIo(this.raw);
  }

  /** Sends a message and waits for what comes back: an answer, or an exception. */
  async ask(event: string, data?: unknown): Promise<Told> {
    const before = this.told.length;
    this.send(event, data);
    await until(() => this.told.length > before || this.isClosed, `"${event}" is answered`);
    return this.told[before] ?? { event: 'closed', data: undefined };
  }

  send(event: string, data?: unknown): void {
    if (this.raw instanceof WebSocket) this.raw.send(JSON.stringify({ event, data }));
    else this.raw.emit(event, data);
  }

  /** Waits until the server has closed it, and says whether it was told that the session has ended. */
  async ended(): Promise<boolean> {
    await until(() => this.isClosed, 'the socket is closed');
    return this.wasTold;
  }

  close(): void {
    if (this.raw instanceof WebSocket) this.raw.terminate();
    else this.raw.close();
  }

  private openIo(port: number, { namespace = '', path, headers = {}, polling }: ConnectOptions): Socket {
    const socket = io(`http://127.0.0.1:${port}${namespace}`, {
      extraHeaders: headers,
      forceNew: true,
      reconnection: false,
      transports: polling ? ['polling', 'websocket'] : ['websocket'],
      ...(path && { path }),
    });
    socket.onAny((event: string, data: unknown) => {
      if (event === 'session:ended') this.wasTold = true;
      else this.told.push({ event, data });
    });
    socket.on('disconnect', () => (this.isClosed = true));
    return socket;
  }

  private openWs(port: number, { path = '/', headers = {} }: ConnectOptions): WebSocket {
    const socket = new WebSocket(`ws://127.0.0.1:${port}${path}`, { headers });
    socket.on('message', (text: Buffer) => this.told.push(JSON.parse(text.toString())));
    socket.on('close', (code) => {
      this.isClosed = true;
      this.wasTold = code === 4401;
    });
    return socket;
  }
}

/** A connection that was refused. */
export class RefusedError extends Error {
  constructor(readonly status: number) {
    super(`refused with ${status}`);
  }
}

async function openedWs(socket: WebSocket): Promise<void> {
  const refused = new Promise<never>((_, reject) => {
    socket.on('error', () => undefined);
    socket.once('unexpected-response', (request, response) => {
      request.destroy();
      reject(new RefusedError(response.statusCode!));
    });
  });
  refused.catch(() => undefined);
  await Promise.race([once(socket, 'open'), refused]);
}

function openedIo(socket: Socket): Promise<void> {
  return new Promise((resolve, reject) => {
    socket.once('connect', resolve);
    socket.once('connect_error', (error) => {
      const { description, context } = error as { description?: any; context?: any };
      const text = description?.message ?? description?.error?.message ?? '';
      const status = /response: (\d+)/.exec(text)?.[1] ?? context?.status ?? description;
      socket.close();
      reject(new RefusedError(Number(status)));
    });
  });
}

/** The status that a socket is refused with; 0: it opened. */
export async function statusOf(opening: Promise<Client>): Promise<number> {
  try {
    await opening;
    return 0;
  } catch (error) {
    if (error instanceof RefusedError) return error.status;
    throw error;
  }
}

/** How both libraries answer alike: as an event. */
export const answer = (data: unknown) => ({ event: 'answer', data });
