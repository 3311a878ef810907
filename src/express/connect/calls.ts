import { isThenable } from '../../awaitable.js';
import { timerFor } from '../../storage/local-locks.js';
import type { ConnectStore } from './store.js';

/**
 * A store as it is called, and the only place that does. The stores of express-session were written by a hundred people,
 * so nothing is taken for granted: a store may answer at once, later, twice, by a promise or never, throw, or say that
 * what is not there is an error. The first answer counts, and none is waited for longer than its time.
 *
 * Its events mean nothing here: stores say `disconnect` and forget to say `connect`.
 */
export class StoreCalls {
  readonly name: string;

  constructor(
    private readonly store: ConnectStore,
    /** Longest time of one call of ours in milliseconds, however many of the store's it takes. */
    readonly timeout: number,
  ) {
    this.name = store.constructor?.name || 'the store';
    // An error that a store emits would end the process if nobody listened. What it is about, a call that fails says.
    (store as { on?: (event: string, listener: () => void) => unknown }).on?.('error', () => undefined);
  }

  /** Until when a call that comes now must be answered, by {@link performance.now}. */
  until(): number {
    return performance.now() + this.timeout;
  }

  /** What is stored under an id, a text that is JSON read; undefined if there is nothing. */
  async get(sid: string, until = this.until()): Promise<unknown> {
    try {
      return parsed((await this.call('get', [sid], until)) ?? undefined);
    } catch (error) {
      if (isAbsence(error)) return undefined;
      throw error;
    }
  }

  /** @param onLate is given the answer to a call that was not waited for: it may yet be carried out */
  async set(sid: string, session: object, until = this.until(), onLate?: OnLate): Promise<void> {
    await this.call('set', [sid, session], until, onLate);
  }

  /** Removes what is stored under an id; no error if there is nothing. */
  async destroy(sid: string, until = this.until(), onLate?: OnLate): Promise<void> {
    try {
      await this.call('destroy', [sid], until, onLate);
    } catch (error) {
      if (!isAbsence(error)) throw error;
    }
  }

  /** All that is stored. Some stores have a list of it, some an object by ids, and some nothing where there is nothing. */
  async all(until = this.until()): Promise<unknown[]> {
    const sessions = (await this.call('all', [], until)) ?? [];
    const list = sessions instanceof Map ? [...sessions.values()] : Object.values(sessions);
    return list.map(parsed);
  }

  async length(until = this.until()): Promise<number> {
    const length = await this.call('length', [], until);
    if (Number.isFinite(length)) return length as number;
    throw new TypeError(`${this.name}.length() gave no number`);
  }

  private call(
    method: 'get' | 'set' | 'destroy' | 'all' | 'length',
    args: readonly unknown[],
    until: number,
    onLate?: OnLate,
  ): Promise<unknown> {
    return new Promise((resolve, reject) => {
      const late = () => new Error(`${this.name}.${method}() did not answer within ${this.timeout} ms`);
      const left = until - performance.now();
      if (left <= 0) return reject(late());
      let answered: (() => void) | undefined;
      const timer = setTimeout(() => {
        onLate?.(new Promise((done) => (answered = done)));
        reject(late());
      }, timerFor(left));
      const answer = (error?: unknown, value?: unknown) => {
        clearTimeout(timer);
        if (error) reject(error as Error);
        else resolve(value);
        answered?.();
      };
      try {
        const { store } = this;
        const returned = (store[method] as (...args: unknown[]) => unknown).call(store, ...args, answer);
        if (!isThenable(returned)) return;
        // An async method that takes a callback is done before the callback comes: then its promise says nothing.
        const says = (value: unknown) => value !== undefined || store[method]!.length === args.length;
        returned.then(
          (value) => void (says(value) && answer(undefined, value)),
          (error: unknown) => answer(error ?? new Error(`${this.name}.${method}() rejected`)),
        );
      } catch (error) {
        answer(error);
      }
    });
  }
}

/** Is given a promise that settles when the store answers after all. */
export type OnLate = (answered: Promise<void>) => void;

/** Stores of files say so of what is not there, and express-session understands it. */
const isAbsence = (error: unknown): boolean => (error as { code?: unknown } | null)?.code === 'ENOENT';

/** Some stores give the text that they have. */
function parsed(session: unknown): unknown {
  if (typeof session !== 'string') return session;
  try {
    return JSON.parse(session);
  } catch {
    return session;
  }
}
