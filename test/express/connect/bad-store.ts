import { EventEmitter } from 'node:events';

type Callback = (error?: unknown, value?: unknown) => void;

/** A store that keeps texts, as most do; the tests make it misbehave by overriding what it does. */
export class PlainStore extends EventEmitter {
  readonly texts = new Map<string, string>();
  readonly calls: string[] = [];

  get(sid: string, callback: Callback): unknown {
    this.calls.push('get');
    const text = this.texts.get(sid);
    return this.answer(callback, null, text === undefined ? undefined : JSON.parse(text));
  }

  set(sid: string, session: object, callback: Callback): unknown {
    this.calls.push('set');
    this.texts.set(sid, JSON.stringify(session));
    return this.answer(callback, null);
  }

  destroy(sid: string, callback: Callback): unknown {
    this.calls.push('destroy');
    this.texts.delete(sid);
    return this.answer(callback, null);
  }

  /** How an answer is given: at once, unless a test says otherwise. */
  answer: (callback: Callback, ...args: unknown[]) => unknown = (callback, ...args) => callback(...args);
}
