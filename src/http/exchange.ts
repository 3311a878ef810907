import { inspect } from 'node:util';
import { after, type Awaitable, isThenable } from '../awaitable.js';
import { SessionStorageError } from '../errors.http.js';
import { alone, commit, touchIsDue } from '../session/save.js';
import { Session } from '../session/session.js';
import type { Sessions } from '../session/sessions.js';
import type { SessionState, StateExchange } from '../session/state.js';
import { look } from '../session/write.js';
import type { Brought, Imports } from './imports.js';
import { type CookieRequest, isHandshake, rawOf } from './request.js';
import type { ReceivedIds } from './cookie.js';
import type { SessionHeaders } from './response-headers.js';
import type { Outgoing, SaveBeforeSend } from './save-before-send.js';
import type { HttpSettings, TransportName } from './settings.js';
import type { SessionTransport } from './transport.js';
import { whatToTell } from './what-to-tell.js';

/** What the exchanges of one module have in common. */
export interface ExchangeParts {
  readonly sessions: Sessions;
  readonly transport: SessionTransport;
  readonly settings: HttpSettings;
  /** Undefined: no other library's sessions are imported. */
  readonly imports: Imports | undefined;
}

/**
 * One request together with its response: it loads the session once, writes its use once, saves before anything leaves,
 * and decides what the client is told.
 */
export class Exchange<Module extends ExchangeParts = ExchangeParts> implements Outgoing, StateExchange {
  /** Undefined until it is loaded. */
  session: Session<any> | undefined;
  /** Stands before the response; set when the exchange is attached to it. */
  out: SaveBeforeSend | undefined;
  /** The request may open a session, wherever it comes from. */
  originPassed = false;
  /** The use is written also before `touchAfter` has passed. */
  touchesNow = false;
  /** The client is told its id again, as other attributes of its cookie changed. */
  retells = false;
  /** What is done before each save at the response, which fails with it. */
  beforeSave: (() => Awaitable<unknown>) | undefined;

  private readonly received: ReceivedIds;
  private state: SessionState | undefined;
  /** Proofs of the ids that came with the request and were live. */
  private came: readonly string[] = [];
  /** What came of another library. */
  private brought: Brought | undefined;
  private touch: 'tried' | 'written' | undefined;
  /** How many sessions had ended when this one was last seen to be there. */
  private endsSeen = 0;
  private used: boolean | undefined;
  private loading: PromiseLike<this> | undefined;
  private settling: PromiseLike<void> | undefined;

  constructor(
    readonly module: Module,
    readonly request: CookieRequest,
  ) {
    this.received = module.transport.receive(request);
  }

  /** How the id came. */
  get via(): TransportName {
    return this.received.via;
  }

  get headersSent(): boolean {
    return this.out ? this.out.headersSent : isHandshake(rawOf(this.request));
  }

  get counts(): boolean {
    return this.used === true;
  }

  async ending(): Promise<void> {
    await this.brought?.end(this.state!);
  }

  describeClient(): unknown {
    return this.module.settings.describeClient?.(this.request);
  }

  /** Whether this request counts as use: whoever asks first decides, and later only an explicit yes changes a no. */
  count(touch: boolean | undefined): void {
    if (this.used || (touch !== true && this.used !== undefined)) return;
    const { touchWhen } = this.module.settings;
    this.used = touch !== false && (touchWhen === undefined || touchWhen(this.request));
  }

  /** Reads the session once; whoever asks meanwhile waits for the same, and after a failure it is tried again. */
  load(): Awaitable<this> {
    if (this.session) return this;
    if (this.loading) return this.loading;
    const loaded = this.find();
    if (!isThenable(loaded)) return loaded;
    const done = () => void (this.loading = undefined);
    this.loading = loaded;
    loaded.then(done, done);
    return loaded;
  }

  /**
   * Saves what is not saved yet, and the use of the session if it is to be written.
   *
   * @param sends false: the answer does not go out yet, and what the client is told of has time until then
   */
  settle(sends = true): Awaitable<void> {
    const { state } = this;
    if (this.loading) return this.handlerStarted(this.loading).then(() => this.settle(sends));
    if (!state) return;
    // Whoever sends meanwhile fails with it: a stream that a handler left running must not become a success.
    if (this.settling) return this.settling.then(() => this.settle(sends));
    if (sends && this.used === undefined) this.count(undefined);
    const settled = this.beforeSave
      ? after(this.beforeSave(), () => this.write(state, sends))
      : this.write(state, sends);
    if (!isThenable(settled)) return;
    const done = () => void (this.settling = undefined);
    this.settling = settled;
    settled.then(done, done);
    return settled;
  }

  private write(state: SessionState, sends: boolean): Awaitable<void> {
    const { ends } = this.module.sessions.storage;
    const touches = sends && this.mustTouch(state);
    if (touches) this.touch = 'tried';
    return after(commit(state, touches), (written): Awaitable<void> => {
      if (written) this.endsSeen = ends;
      if (written === 'touch' && sends) {
        this.touch = 'written';
        state.hasMoved = false;
      }
      // An id that is handed out must open a session. One that was made before may have been ended since. The id of an
      // imported session is that of other requests too, which may have rotated it.
      const mayBeDead = this.endsSeen !== this.module.sessions.storage.ends || this.brought !== undefined;
      if (mayBeDead && !this.headersSent && this.isToldItsId()) return this.lookAgain();
    });
  }

  get wasUsed(): boolean {
    const { state } = this;
    return !state || state.ttl !== undefined || state.values.wasUsed;
  }

  /** @throws {SessionOptionsError} if the application's cookie function gives something wrong */
  headers(): SessionHeaders {
    const clears = this.brought?.clears;
    return clears === undefined ? this.ownHeaders() : { ...this.ownHeaders(), clears };
  }

  private ownHeaders(): SessionHeaders {
    const { via, state, request } = this;
    const { transport } = this.module;
    const renewed = this.touch === 'written' || this.retells;
    const told = state ? whatToTell(this.came, renewed, state) : 'nothing';
    if (told === 'nothing') return transport.headers(via, undefined, request);
    if (told === 'ended') return transport.headers(via, 'ended', request, state!.endedCookie);
    const { id, record, values } = state!;
    const tells = told === 'new id' || this.retells || transport.renews(via, request, values.cookie);
    const issued = tells ? { id: id!, expiresAt: record!.expiresAt } : undefined;
    return transport.headers(via, issued, request, values.cookie);
  }

  report(error: unknown): number {
    const status = (error as { getStatus?(): number }).getStatus?.();
    // What failed in the storage is in the log already.
    if (!(error instanceof SessionStorageError)) {
      this.module.sessions.events.error('A response was not sent, as its session could not be saved', error);
    }
    return status ?? 500;
  }

  mistake(error: unknown): void {
    this.module.sessions.events.error('A response was answered wrongly', error);
  }

  /** Runs a route while it holds the session; what it wrote is saved before anybody else has its turn. */
  locked<R>(run: () => Promise<R>): Promise<R> {
    const state = this.state!;
    return this.module.sessions.turns.locked(state, async () => {
      let value: R;
      try {
        value = await run();
      } catch (error) {
        // What the handler wrote before it threw is saved too; where it cannot be, that is what the client is told.
        await this.settle(false);
        throw error;
      }
      try {
        await this.settle(false);
      } catch (error) {
        // Nothing but the response itself can put an error in the place of an answer that the handler sent.
        if (this.isSent(value)) this.out?.replace(error);
        throw error;
      }
      return value;
    });
  }

  /** Whether a handler that gave this has sent its answer itself. */
  private isSent(value: unknown): boolean {
    const response = this.out?.response;
    return value === undefined || value === response || (value as { raw?: unknown } | null)?.raw === response;
  }

  /** Where a request is logged with all that hangs on it, no id shows (S50). */
  [inspect.custom](): string {
    return 'Exchange';
  }

  private find(): Awaitable<this> {
    const { sessions } = this.module;
    const { ids, rejected } = this.received;
    if (rejected) sessions.events.emit('rejected');
    if (ids.length === 0) return this.found([]);
    if (ids.length === 1) return after(sessions.find(ids[0]!), (state) => this.found(state ? [state] : []));
    return Promise.all(ids.map((id) => sessions.find(id))).then((states) =>
      this.found(states.filter((state) => state !== undefined)),
    );
  }

  /**
   * A session of another library may have come instead of one of ours, or beside it.
   *
   * @param live sessions of the ids that came: two or more count as none (S43)
   */
  private found(live: readonly SessionState[]): Awaitable<this> {
    const { imports } = this.module;
    if (!imports) return this.begin(live);
    this.brought = this.via === 'cookie' ? imports.receive(this.request) : undefined;
    if (this.brought && live.length === 0) {
      return after(this.brought.take(this), (state) => this.begin(state ? [state] : [], []));
    }
    if (live.length === 1) this.brought?.besideOurs(live[0]!);
    return this.begin(live);
  }

  /** @param came the live sessions whose ids came */
  private begin(live: readonly SessionState[], came = live): this {
    const { sessions } = this.module;
    const state = live.length === 1 ? live[0]! : sessions.begin();
    state.exchange = this;
    state.hadSession = live.length === 0 && this.received.ids.length > 0;
    if (live.length > 1) {
      state.rivals = live;
      sessions.events.emit('rejected');
    }
    this.came = came.map(({ proof }) => proof);
    this.endsSeen = sessions.storage.ends;
    this.state = state;
    this.session = new Session(state, sessions);
    return this;
  }

  /**
   * Either a use is due; or the handler moved the deadline before, and the client is to be told: the touch makes sure that
   * its id still opens the session (S11).
   */
  private mustTouch(state: SessionState): boolean {
    const isDue = this.counts && !this.touch && (this.touchesNow || touchIsDue(state));
    if (!isDue && !(state.hasMoved && !this.headersSent)) return false;
    return state.isOwner && !this.isToldItsId() && !(state.refused?.error instanceof SessionStorageError);
  }

  private isToldItsId(): boolean {
    return whatToTell(this.came, false, this.state!) === 'new id';
  }

  private async lookAgain(): Promise<void> {
    try {
      await alone(this.state!, async () => look(this.state!));
    } catch (error) {
      // What cannot be asked is believed: an id that may be dead is better than a login that is lost (S18).
      if (!(error instanceof SessionStorageError)) throw error;
    }
  }

  /**
   * Nest sends the headers of an SSE stream on the next macrotask, while the session may still be read. They
   * wait for it, and then for one macrotask more, as without a session, in which the handler starts.
   */
  private async handlerStarted(loading: PromiseLike<unknown>): Promise<void> {
    await loading.then(undefined, () => undefined);
    await new Promise(setImmediate);
  }
}
