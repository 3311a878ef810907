import { inspect } from 'node:util';
import { parseId } from '../session/id.js';
import type { Sessions } from '../session/sessions.js';
import { answer, type Callback } from './callback.js';

/** What libraries find as `req.sessionStore`. With a callback the methods return the store, without one a promise. */
export class ReqSessionStore {
  readonly #sessions: Sessions;

  /** Stores come from `useReqSession`, never from here. */
  constructor(sessions: Sessions) {
    this.#sessions = sessions;
  }

  /** A plain copy of the data of the session of an id; undefined if there is none. */
  get(id: string, callback?: Callback<object | undefined>): this | Promise<object | undefined> {
    return answer(this, callback, this.#read(id));
  }

  /** Ends the session of an id; it is no error if there is none. */
  destroy(id: string, callback?: Callback): this | Promise<void> {
    return answer(this, callback, this.#end(id)) as this | Promise<void>;
  }

  async #read(id: string): Promise<object | undefined> {
    const state = await this.#sessions.find(parseId(id));
    if (!state) return undefined;
    const { expiresAt, ttl } = state.record!;
    const cookie = {
      expires: new Date(expiresAt),
      originalMaxAge: ttl ?? this.#sessions.settings.ttl,
    };
    return { ...state.values.toJSON(), cookie };
  }

  async #end(id: string): Promise<void> {
    const state = await this.#sessions.find(parseId(id));
    if (state) await this.#sessions.destroy(state);
  }

  [inspect.custom](): string {
    return 'ReqSessionStore';
  }
}
