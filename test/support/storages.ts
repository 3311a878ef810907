import { MemoryStorage, SessionStorage } from '../../src/index.js';
import type { SessionRecord } from '../../src/index.js';
import type { Expectation, SessionChange } from '../../src/storage/session-storage.js';
import { Gate, turn } from './gate.js';

/** A storage as a network has it: every answer is a promise, kept some turns of the event loop later. */
export class AsyncStorage extends SessionStorage {
  constructor(readonly inner = new MemoryStorage()) {
    super();
  }

  override create(record: SessionRecord) {
    return this.answer(() => this.inner.create(record));
  }
  override read(handle: string) {
    return this.answer(() => this.inner.read(handle));
  }
  override update(handle: string, change: SessionChange) {
    return this.answer(() => this.inner.update(handle, change));
  }
  override destroy(handle: string, expected?: Expectation) {
    return this.answer(() => this.inner.destroy(handle, expected));
  }
  override purgeExpired(limit: number) {
    return this.answer(() => this.inner.purgeExpired(limit));
  }
  override count() {
    return this.answer(() => this.inner.count());
  }
  override byUser(userId: string) {
    return this.answer(() => this.inner.byUser(userId));
  }
  override alive(handles: readonly string[]) {
    return this.answer(() => this.inner.alive(handles));
  }
  override list(page: Parameters<MemoryStorage['list']>[0]) {
    return this.answer(() => this.inner.list(page));
  }
  override ping() {
    return this.answer(() => this.inner.ping());
  }
  override lock(...args: Parameters<SessionStorage['lock']>) {
    return this.answer(() => this.inner.lock(...args));
  }
  override subscribe(...args: Parameters<SessionStorage['subscribe']>) {
    return this.inner.subscribe(...args);
  }

  private async answer<T>(call: () => T): Promise<Awaited<T>> {
    await turn();
    const answer = await call();
    await turn();
    return answer;
  }
}

const METHODS = [
  'create',
  'read',
  'update',
  'destroy',
  'purgeExpired',
  'count',
  'byUser',
  'alive',
  'list',
  'ping',
] as const;
export type Method = (typeof METHODS)[number];

export interface Call {
  readonly method: Method;
  readonly args: readonly any[];
}

/** The reason that the tests give for a failure: no client may ever read any of it. */
export const FAULT = 'connect ECONNREFUSED db.internal:6379';

/** Watches the calls that one storage gets, and interferes with those that a test names. */
export class Probe {
  readonly calls: Call[] = [];
  private readonly faults = new Map<Method, { error: Error; skip: number; times: number }>();
  private readonly holds = new Map<Method, { gate: Gate; times: number }>();
  private readonly readUnseen: (handle: string) => SessionRecord | undefined;
  private readonly countUnseen: () => number;
  private depth = 0;

  constructor(storage: SessionStorage, memory: MemoryStorage) {
    this.readUnseen = memory.read.bind(memory) as typeof this.readUnseen;
    this.countUnseen = memory.count.bind(memory) as typeof this.countUnseen;
    for (const method of METHODS) {
      const original = (storage[method] as (...args: any[]) => unknown).bind(storage);
      Object.defineProperty(storage, method, {
        value: (...args: any[]) => this.call(storage, method, args, () => original(...args)),
      });
    }
  }

  /** What rests under a handle right now; not counted as a call. */
  peek(handle: string): SessionRecord | undefined {
    return this.readUnseen(handle);
  }

  /** One decoded value of what rests under a handle right now. */
  value(handle: string, key: string): unknown {
    const text = this.peek(handle)?.data[key];
    return text === undefined ? undefined : JSON.parse(text);
  }

  /** How many records there are; not counted as a call. */
  get size(): number {
    return this.countUnseen();
  }

  of(method: Method): Call[] {
    return this.calls.filter((call) => call.method === method);
  }

  /** The names of the calls so far, in order. */
  get names(): Method[] {
    return this.calls.map((call) => call.method);
  }

  /** Makes the next `times` calls of the method fail, after `skip` that still succeed. */
  fail(method: Method, { skip = 0, times = Infinity } = {}): void {
    this.faults.set(method, { error: new Error(FAULT), skip, times });
  }

  /** Makes the next `times` calls of the method wait before they are carried out. */
  hold(method: Method, { times = Infinity } = {}): Gate {
    const gate = new Gate();
    this.holds.set(method, { gate, times });
    return gate;
  }

  /** Forgets the calls so far. */
  forget(): void {
    this.calls.length = 0;
  }

  /** Ends all interference and forgets the calls. */
  reset(): void {
    this.forget();
    this.faults.clear();
    for (const { gate } of this.holds.values()) gate.open();
    this.holds.clear();
  }

  private call(storage: SessionStorage, method: Method, args: any[], original: () => unknown): unknown {
    // A storage's own use of its methods is none of the callers' calls.
    if (this.depth > 0) return original();
    this.calls.push({ method, args });
    const fault = this.faults.get(method);
    if (fault && fault.skip-- <= 0 && fault.times-- > 0) {
      if (storage instanceof AsyncStorage) return turn().then(() => Promise.reject(fault.error));
      throw fault.error;
    }
    const hold = this.holds.get(method);
    return hold && hold.times-- > 0 ? hold.gate.pass().then(original) : this.direct(original);
  }

  private direct(original: () => unknown): unknown {
    this.depth++;
    try {
      return original();
    } finally {
      this.depth--;
    }
  }
}

export interface StorageKind {
  readonly name: string;
  readonly asynchronous: boolean;
  make(): { storage: SessionStorage; probe: Probe };
}

export const storageKinds: readonly StorageKind[] = [
  {
    name: 'memory storage',
    asynchronous: false,
    make() {
      const memory = new MemoryStorage();
      return { storage: memory, probe: new Probe(memory, memory) };
    },
  },
  {
    name: 'asynchronous storage',
    asynchronous: true,
    make() {
      const storage = new AsyncStorage();
      return { storage, probe: new Probe(storage, storage.inner) };
    },
  },
];
