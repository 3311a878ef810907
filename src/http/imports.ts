import { SessionStorageError } from '../errors.http.js';
import { adopt, type ForeignContent, mark } from '../session/adopt.js';
import { parseId } from '../session/id.js';
import type { Sessions } from '../session/sessions.js';
import type { SessionState, StateExchange } from '../session/state.js';
import type { ForeignSession, SessionImporter } from './importer.js';
import type { CookieRequest } from './request.js';

/** How long a marker lasts where nothing says how long the other session does: as long as browsers keep a cookie. */
const LONGEST_COOKIE = 34_560_000_000;

/** Of how many imports that could not be finished this process keeps a note. */
const MAX_UNFINISHED = 10_000;

interface Found {
  readonly foreign: ForeignSession;
  /** The session of ours. */
  readonly state?: SessionState;
  /** The other session, which was not imported yet. */
  readonly content?: ForeignContent;
}

/** The sessions of another library that one request brings. */
export class Brought {
  /** The `Set-Cookie` text that has the browser forget their cookie; undefined while it is to stay. */
  clears: string | undefined;

  constructor(
    private readonly imports: Imports,
    private readonly foreign: readonly ForeignSession[],
  ) {}

  /** {@link Imports.take} */
  take(exchange: StateExchange): Promise<SessionState | undefined> {
    return this.imports.take(this.foreign, exchange);
  }

  /** The browser has shown a live one of ours: it needs the other cookie no more, unless other servers do. */
  besideOurs(ours: SessionState): void {
    if (!this.imports.needsCookie) this.clear(ours);
  }

  /** {@link Imports.end}, for who logs out. */
  async end(ours: SessionState): Promise<void> {
    await this.imports.end(this.foreign);
    this.clear(ours);
  }

  private clear(ours: SessionState): void {
    this.clears = this.imports.importer.clear(ours.values.foreignCookie);
  }
}

/**
 * Sessions of another library that become ours (S70).
 *
 * The id of ours is derived from the other one, so that any number of requests at once meet in one session without having
 * to wait for each other. Whoever creates that session looks once more whether the other one is there and was not
 * imported before: a request that was slow between its look and its creation must not bring back what has ended since.
 */
export class Imports {
  /** Markers of sessions that were created, and neither finished nor taken back. */
  private readonly unfinished = new Set<string>();

  constructor(
    readonly importer: SessionImporter,
    private readonly sessions: Sessions,
  ) {}

  /** What a request brings, for nothing; undefined where that is nothing. */
  receive(request: CookieRequest): Brought | undefined {
    const foreign = this.importer.received(request);
    return foreign.length === 0 ? undefined : new Brought(this, foreign);
  }

  /** Whether the browser still needs the other library's cookie. */
  get needsCookie(): boolean {
    return this.importer.keep && this.isOpen;
  }

  /**
   * The session of ours for those of the other library that a request brings. Two that are live count as none (S43).
   *
   * @throws {SessionStorageError} if what there is cannot be read or created; the other session is as it was (503)
   */
  async take(brought: readonly ForeignSession[], exchange: StateExchange): Promise<SessionState | undefined> {
    if (!this.isOpen) return undefined;
    try {
      const found = (await Promise.all(brought.map((foreign) => this.look(foreign)))).filter(
        (each) => each !== undefined,
      );
      if (found.length > 1) this.sessions.events.emit('rejected');
      if (found.length !== 1) return undefined;
      const { foreign, state, content } = found[0]!;
      return state ?? (await this.import(foreign, content!, exchange));
    } catch (error) {
      return this.fail('A session of another library could not be imported', error);
    }
  }

  /**
   * Ends the sessions of the other library that a request brings: there is nothing left to import.
   *
   * @throws {SessionStorageError} if that is not certain
   */
  async end(brought: readonly ForeignSession[]): Promise<void> {
    const longest = Date.now() + LONGEST_COOKIE;
    await Promise.all(
      brought.map(async (foreign) => {
        // A request that still runs on a server with the other library stores its session again.
        if (this.importer.keep) await this.mark(foreign, longest);
        await this.remove(foreign, longest);
      }),
    );
  }

  private get isOpen(): boolean {
    return Date.now() < this.importer.until;
  }

  private async look(foreign: ForeignSession): Promise<Found | undefined> {
    const state = await this.find(foreign);
    if (state) return { foreign, state };
    const content = await foreign.read();
    if (content) return (await this.isMarked(foreign)) ? undefined : { foreign, content };
    // Another request may have imported it in between.
    const imported = await this.find(foreign);
    return imported && { foreign, state: imported };
  }

  private async find(foreign: ForeignSession): Promise<SessionState | undefined> {
    for (const { id } of foreign.names) {
      const state = await this.sessions.find(parseId(id), 'quietly');
      if (!state) continue;
      if (this.unfinished.has(foreign.names[0].marker)) await this.finish(foreign, state.record!.expiresAt);
      return state;
    }
    return undefined;
  }

  private async import(
    foreign: ForeignSession,
    content: ForeignContent,
    exchange: StateExchange,
  ): Promise<SessionState | undefined> {
    const state = this.sessions.begin();
    state.exchange = exchange;
    // Taken: another request was quicker, and that one is the session, if it has not ended already.
    if (!(await adopt(state, foreign.names[0].id, content))) return this.find(foreign);
    try {
      if (await this.isFirst(foreign, state)) {
        if (!this.importer.keep) await this.finish(foreign, state.record!.expiresAt, content);
        this.sessions.events.emit('imported', state.handle, content.userId);
        return state;
      }
    } catch (error) {
      await this.takeBack(foreign, state);
      throw error;
    }
    await this.sessions.destroy(state);
    return undefined;
  }

  /** Whether the session that was created now is the first that was made of the other one. */
  private async isFirst(foreign: ForeignSession, state: SessionState): Promise<boolean> {
    if (this.importer.keep) return this.mark(foreign, state.record!.expiresAt);
    const [content, isMarked] = await Promise.all([foreign.read(), this.isMarked(foreign)]);
    return content !== undefined && !isMarked;
  }

  /** Sees to it that the other session is imported no second time. */
  private async finish(foreign: ForeignSession, expiresAt: number, content?: ForeignContent): Promise<void> {
    if (this.importer.keep) await this.mark(foreign, expiresAt);
    else await this.remove(foreign, Math.max(expiresAt, content?.expiresAt ?? Date.now() + LONGEST_COOKIE));
    this.unfinished.delete(foreign.names[0].marker);
  }

  /** @param until how long it may be there, if it cannot be removed */
  private async remove(foreign: ForeignSession, until: number): Promise<void> {
    try {
      await foreign.destroy();
    } catch (error) {
      const { events, storage } = this.sessions;
      events.error('A session of another library could not be removed; it will not be imported again', error);
      await mark(storage, foreign.names[0].marker, until);
    }
  }

  /** With servers that use the other library its session may go on and on: the marker has to outlast it. */
  private mark(foreign: ForeignSession, expiresAt: number): Promise<boolean> {
    const { until } = this.importer;
    const last = until < Infinity ? until : Date.now() + LONGEST_COOKIE;
    return mark(this.sessions.storage, foreign.names[0].marker, Math.max(expiresAt, last));
  }

  private async isMarked({ names }: ForeignSession): Promise<boolean> {
    for (const { marker } of names) if (await this.sessions.storage.read(marker)) return true;
    return false;
  }

  private async takeBack(foreign: ForeignSession, state: SessionState): Promise<void> {
    try {
      await this.sessions.destroy(state);
    } catch {
      // It is in the log, and the session stays: who finds it goes on from here.
      if (this.unfinished.size < MAX_UNFINISHED) this.unfinished.add(foreign.names[0].marker);
    }
  }

  private fail(text: string, error: unknown): never {
    // What failed in the storage is in the log already.
    if (error instanceof SessionStorageError) throw error;
    this.sessions.events.error(text, error);
    throw new SessionStorageError(error);
  }
}
