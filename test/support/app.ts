import { inspect } from 'node:util';
import type { AddressInfo } from 'node:net';
import type { ServerResponse } from 'node:http';
import type {
  DynamicModule,
  INestApplication,
  LoggerService,
  ModuleMetadata,
  Provider,
  Type,
} from '@nestjs/common';
import { NestFactory } from '@nestjs/core';
import { ExpressAdapter } from '@nestjs/platform-express';
import { FastifyAdapter } from '@nestjs/platform-fastify';
import { SessionModule, SessionStore } from '../../src/index.js';
import type { Session, SessionEvent, SessionModuleOptions } from '../../src/index.js';
import { Client } from './client.js';
import type { Probe, StorageKind } from './storages.js';
import { storageKinds } from './storages.js';

export type Platform = 'express' | 'fastify';
export const platforms: readonly Platform[] = ['express', 'fastify'];

/** Data of any shape, whatever other test files declare their `SessionData` to be. */
export type Bag = Record<string, any>;
export type AnySession = Session<Bag>;

export interface Stack {
  readonly platform: Platform;
  readonly kind: StorageKind;
}

/** Every platform with every storage, for `describe.each`. */
export const stacks: readonly (readonly [title: string, stack: Stack])[] = platforms.flatMap((platform) =>
  storageKinds.map((kind) => [`${platform}, ${kind.name}`, { platform, kind }] as const),
);

/** Every platform, with the storage that answers later: where the storage makes no difference. */
export const stackPerPlatform = stacks.filter(([, { kind }]) => kind.asynchronous);

/** Everything that any logger of the process was given, as text. */
export const logs: string[] = [];

const collect = (...parts: unknown[]): void => {
  const text = parts.map((part) => (typeof part === 'string' ? part : inspect(part, { depth: 8 })));
  logs.push(text.join(' '));
};
const logger: LoggerService = {
  log: collect,
  error: collect,
  warn: collect,
  debug: collect,
  verbose: collect,
  fatal: collect,
};

export interface AppOptions {
  readonly session?: SessionModuleOptions;
  readonly controllers?: Type[];
  readonly providers?: Provider[];
  readonly imports?: NonNullable<ModuleMetadata['imports']>;
  /** As Express takes it; Fastify knows the same forms. */
  readonly trustProxy?: boolean | string;
  readonly http2?: boolean;
  readonly configure?: (app: INestApplication) => void;
}

export class RunningApp {
  readonly events: SessionEvent[] = [];
  readonly port: number;
  readonly store: SessionStore<any>;
  private readonly clients: Client[] = [];

  constructor(
    readonly app: INestApplication,
    readonly probe: Probe,
    private readonly http2: boolean,
  ) {
    this.port = (app.getHttpServer().address() as AddressInfo).port;
    this.store = app.get(SessionStore);
    this.store.events.subscribe((event) => this.events.push(event));
  }

  /** A new browser. */
  client(options: { oneSocket?: boolean } = {}): Client {
    const client = new Client(this.port, { ...options, http2: this.http2 });
    this.clients.push(client);
    return client;
  }

  eventTypes(): string[] {
    return this.events.map((event) => event.type);
  }

  /** Makes ready for the next test. */
  reset(): void {
    this.probe.reset();
    this.events.length = 0;
    logs.length = 0;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.app.close();
  }
}

/** A module of Nest is a class, whatever it holds. */
// oxlint-disable-next-line typescript/no-extraneous-class
export class Root {}

export async function start({ platform, kind }: Stack, options: AppOptions = {}): Promise<RunningApp> {
  const { storage, probe } = kind.make();
  const root: DynamicModule = {
    module: class extends Root {},
    imports: [
      SessionModule.forRoot({ storage, purge: false, ...options.session }),
      ...(options.imports ?? []),
    ],
    controllers: options.controllers ?? [],
    providers: options.providers ?? [],
  };
  const adapter =
    platform === 'express'
      ? new ExpressAdapter()
      : new FastifyAdapter({
          ...(options.trustProxy === undefined ? {} : { trustProxy: options.trustProxy }),
          ...(options.http2 ? { http2: true } : {}),
        } as object);
  const app = await NestFactory.create(root, adapter, { logger, abortOnError: false });
  if (platform === 'express' && options.trustProxy !== undefined) {
    app.getHttpAdapter().getInstance().set('trust proxy', options.trustProxy);
  }
  options.configure?.(app);
  await app.listen(0, '127.0.0.1');
  return new RunningApp(app, probe, options.http2 ?? false);
}

/** Node's own response behind what a handler gets; on Fastify it is taken out of Fastify's hands. */
export function rawResponse(response: any): ServerResponse {
  response.hijack?.();
  return response.raw ?? response;
}
