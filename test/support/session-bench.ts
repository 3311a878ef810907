import { IncomingMessage, ServerResponse } from 'node:http';
import { Socket } from 'node:net';
import { inspect } from 'node:util';
import { afterEach } from '@jest/globals';
import type { LoggerService } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { MemoryStorage, SessionModule, SessionStore } from '../../src/index.js';
import type { Session, SessionEvent, SessionModuleOptions, SessionStorage } from '../../src/index.js';
import { AsyncStorage, Probe } from './storages.js';

/** Data of any shape. */
export type Bag = Record<string, any>;
export type AnySession = Session<Bag>;

/** The storage that answers at once, and the one that answers later. */
export const kinds = [['memory storage'], ['asynchronous storage']] as const;
export type Kind = (typeof kinds)[number][0];

/** Everything that Nest's loggers were given, as text. */
export const logs: string[] = [];
const collect = (...parts: unknown[]): void =>
  void logs.push(parts.map((part) => (typeof part === 'string' ? part : inspect(part))).join(' '));
export const logger: LoggerService = {
  log: collect,
  error: collect,
  warn: collect,
  debug: collect,
  verbose: collect,
  fatal: collect,
};

/** One application without HTTP, its store, and what rests in its storage. */
export interface Bench {
  readonly module: TestingModule;
  readonly store: SessionStore<Bag>;
  readonly storage: SessionStorage;
  readonly probe: Probe;
  readonly events: SessionEvent[];
}

const opened: TestingModule[] = [];

afterEach(async () => {
  logs.length = 0;
  for (const module of opened.splice(0)) await module.close();
});

interface Watched {
  readonly storage: SessionStorage;
  readonly probe: Probe;
}

/** A storage of a kind, watched. */
export function storageOf(kind: Kind, memory = new MemoryStorage()): Watched {
  const storage: SessionStorage = kind === 'memory storage' ? memory : new AsyncStorage(memory);
  return { storage, probe: new Probe(storage, memory) };
}

/** An application over a storage; closed after the test. */
export async function open(
  kind: Kind,
  options: SessionModuleOptions = {},
  watched: Watched = storageOf(kind),
): Promise<Bench> {
  const module = await Test.createTestingModule({
    imports: [SessionModule.forRoot({ storage: watched.storage, purge: false, ...options })],
  })
    .setLogger(logger)
    .compile();
  await module.init();
  opened.push(module);
  const store = module.get<SessionStore<Bag>>(SessionStore);
  const events: SessionEvent[] = [];
  store.events.subscribe((event) => events.push(event));
  return { module, store, storage: watched.storage, probe: watched.probe, events };
}

/** Another node: its own application over the storage of the first. */
export const secondNode = (
  kind: Kind,
  { storage, probe }: Bench,
  options: SessionModuleOptions = {},
): Promise<Bench> => open(kind, options, { storage, probe });

/** The session of a request that nobody sent, as a middleware would get it. */
export async function visitor({ store }: Bench, cookie?: string): Promise<AnySession> {
  const request = new IncomingMessage(new Socket());
  request.method = 'GET';
  request.url = '/';
  if (cookie !== undefined) request.headers.cookie = cookie;
  return store.of<Bag>(request, new ServerResponse(request));
}

/** The session of an id as a request of its own would see it; fails if there is none. */
export async function loaded({ store }: Bench, id: string): Promise<AnySession> {
  const session = await store.load(id);
  if (!session) throw new Error('There is no session of this id');
  return session;
}

/** What rests under a session's handle, decoded as JSON. */
export function stored({ probe }: Bench, { handle }: AnySession): Bag | undefined {
  const data = probe.peek(handle)?.data;
  return data && Object.fromEntries(Object.entries(data).map(([key, text]) => [key, JSON.parse(text)]));
}

export const secretOf = (id: string): string => id.slice(id.indexOf('.') + 1);

/** The error that a piece of work ends with, thrown or rejected. */
export async function failureOf(work: () => unknown): Promise<Error & Record<string, any>> {
  try {
    await work();
  } catch (error) {
    return error as Error & Record<string, any>;
  }
  throw new Error('It should have failed');
}

/** Everything about a value that a log could show, hidden properties, getters and causes included. */
export const everythingOf = (value: unknown): string =>
  [
    String(value),
    inspect(value, { depth: Infinity, showHidden: true, getters: true }),
    (value as Error | undefined)?.stack,
    (value as Error | undefined)?.message,
    JSON.stringify(value),
    JSON.stringify(value, Object.getOwnPropertyNames(value ?? {})),
  ].join('\n');
