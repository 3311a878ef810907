import { RecordData } from '../record.js';
import type { Expectation, SessionChange } from '../session-storage.js';
import { type Layout, Layouts } from './layouts.js';
import * as packed from './packed-text.js';
import type { SessionBody } from './packed-text.js';
import { type Column, IN_PAGE, PAGE_BITS, PAGE_SIZE } from './slots.js';

/**
 * The bodies of all sessions. A small one is one flat string of its fields, and its keys are shared with
 * all sessions that have the same: a string costs 16 bytes before its first character, an object of five
 * properties about 100. A big one is a frozen object, so that reading one of its keys does not go through
 * all the others.
 */
export class SessionBodies implements Column {
  private readonly pages: ((string | SessionBody)[] | undefined)[] = [];
  private readonly pagesOfLayouts: ((Layout | undefined)[] | undefined)[] = [];
  private readonly layouts = new Layouts();

  openPage(page: number): void {
    this.pages[page] = Array.from({ length: PAGE_SIZE }, () => '');
    this.pagesOfLayouts[page] = Array.from({ length: PAGE_SIZE }, () => undefined);
  }

  closePage(page: number): void {
    this.pages[page] = undefined;
    this.pagesOfLayouts[page] = undefined;
  }

  /** Whether the slot holds a session; for any number. */
  isUsed(slot: number): boolean {
    const page = this.pages[slot >>> PAGE_BITS];
    return page !== undefined && page[slot & IN_PAGE] !== '';
  }

  hasHandle(slot: number, handle: string): boolean {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? packed.hasHandle(stored, handle) : stored.handle === handle;
  }

  handleOf(slot: number): string {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? packed.handleOf(stored) : stored.handle;
  }

  hasUser(slot: number): boolean {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? packed.hasUser(stored) : stored.userId !== undefined;
  }

  userIdOf(slot: number): string | undefined {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? packed.userIdOf(stored) : stored.userId;
  }

  meets(slot: number, expected: Expectation): boolean {
    const stored = this.stored(slot);
    if (typeof stored === 'string') return packed.meets(stored, expected);
    const { proof, ttl, userId } = expected;
    return (
      (proof === undefined || stored.proof === proof) &&
      (ttl === undefined || stored.ttl === (ttl ?? undefined)) &&
      (userId === undefined || stored.userId === (userId ?? undefined))
    );
  }

  /** The data is a new object or a frozen one; it has no prototype that would add keys (S48). */
  read(slot: number): SessionBody {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? packed.unpack(stored, this.layoutOf(slot)!.keys) : stored;
  }

  write(slot: number, body: SessionBody): void {
    const keys = Object.keys(body.data);
    const before = this.layoutOf(slot);
    const text = packed.pack(body, keys);
    const layout = text === undefined ? undefined : this.layouts.use(keys);
    const stored =
      text === undefined || layout === undefined ? detached(body, keys, this.stored(slot)) : text;
    if (before) this.layouts.leave(before);
    this.put(slot, stored, layout);
  }

  change(slot: number, change: SessionChange): void {
    const { set, remove, proof, userId, authenticatedAt, ttl, client } = change;
    const onlyData =
      proof === undefined &&
      userId === undefined &&
      authenticatedAt === undefined &&
      ttl === undefined &&
      client === undefined;
    if (onlyData && !remove?.length && (!set || this.patch(slot, set))) return;
    const body = this.read(slot);
    this.write(slot, {
      handle: body.handle,
      proof: proof ?? body.proof,
      userId: changed(body.userId, userId),
      authenticatedAt: changed(body.authenticatedAt, authenticatedAt),
      ttl: changed(body.ttl, ttl),
      client: changed(body.client, client),
      data: set || remove ? changedData(body.data, set, remove) : body.data,
    });
  }

  clear(slot: number): void {
    const layout = this.layoutOf(slot);
    if (layout) this.layouts.leave(layout);
    this.put(slot, '', undefined);
  }

  /** Sets values of keys that a small session has already, as most writes do; of any other write nothing, and false. */
  private patch(slot: number, set: SessionBody['data']): boolean {
    let text: string | SessionBody | undefined = this.stored(slot);
    if (typeof text !== 'string') return false;
    const layout = this.layoutOf(slot)!;
    for (const key of Object.keys(set)) {
      const at = layout.keys.indexOf(key);
      if (at === -1) return false;
      text = packed.withValue(text, at, set[key]);
      if (text === undefined) return false;
    }
    this.put(slot, text, layout);
    return true;
  }

  private put(slot: number, stored: string | SessionBody, layout: Layout | undefined): void {
    this.pages[slot >>> PAGE_BITS]![slot & IN_PAGE] = stored;
    this.pagesOfLayouts[slot >>> PAGE_BITS]![slot & IN_PAGE] = layout;
  }

  private stored(slot: number): string | SessionBody {
    return this.pages[slot >>> PAGE_BITS]![slot & IN_PAGE];
  }

  private layoutOf(slot: number): Layout | undefined {
    return this.pagesOfLayouts[slot >>> PAGE_BITS]![slot & IN_PAGE];
  }
}

/** A field after a change that may leave it alone or, by null, remove it. */
function changed<T>(before: T | undefined, change: T | null | undefined): T | undefined {
  return change === undefined ? before : (change ?? undefined);
}

/** New data: what is stored never changes, because a reader may hold it. */
function changedData(
  data: SessionBody['data'],
  set: SessionChange['set'] = {},
  remove: SessionChange['remove'] = [],
): SessionBody['data'] {
  const result: Record<string, string> = new RecordData();
  const removed = remove.length > 0 ? new Set(remove) : undefined;
  for (const key of Object.keys(data)) if (!removed?.has(key)) result[key] = data[key];
  for (const key of Object.keys(set)) result[key] = set[key];
  return result;
}

/** A copy that holds on to nothing of the caller's: a part of a string keeps the whole string in memory. */
function detached(body: SessionBody, keys: string[], before: string | SessionBody): SessionBody {
  const own = typeof before === 'string' ? undefined : before.data;
  const data: Record<string, string> = new RecordData();
  for (const key of keys) {
    const value = body.data[key];
    data[key] = own !== undefined && own[key] === value ? own[key] : copied(value);
  }
  return Object.freeze({
    handle: copied(body.handle),
    proof: copied(body.proof),
    userId: body.userId === undefined ? undefined : copied(body.userId),
    authenticatedAt: body.authenticatedAt,
    ttl: body.ttl,
    client: body.client === undefined ? undefined : copied(body.client),
    data: Object.freeze(data),
  });
}

function copied(text: string): string {
  return text.length < 2 ? text : [text.slice(0, 1), text.slice(1)].join('');
}
