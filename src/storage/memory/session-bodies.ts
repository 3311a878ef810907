import { RecordData, type SessionRecord } from '../record.js';
import type { Expectation } from '../session-storage.js';
import { Layout, Layouts } from './layouts.js';
import { type Column, IN_PAGE, PAGE_BITS, PAGE_SIZE } from './slots.js';

/** What a session consists of beside the times that every touch may change. */
export type SessionBody = Omit<SessionRecord, 'createdAt' | 'touchedAt' | 'expiresAt'>;

/** Stands between the fields of a text. JSON never contains it unescaped; what does is not kept as a text. */
const SEPARATOR = '\u001f';

/** The most characters a session has that is kept as one text: reading one field goes through all of it. */
const SMALL = 1_024;

/** Tells an optional text that is there, an empty one included, from none. */
const PRESENT = '=';

/** How many fields of a text come before the values of its keys. */
const OWN_FIELDS = 6;

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

  hasHandle(slot: number, handle: string): boolean {
    const stored = this.stored(slot);
    if (typeof stored !== 'string') return stored.handle === handle;
    return stored.startsWith(handle) && stored[handle.length] === SEPARATOR;
  }

  handleOf(slot: number): string {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? stored.slice(0, stored.indexOf(SEPARATOR)) : stored.handle;
  }

  /** Whether the slot holds a session. */
  isUsed(slot: number): boolean {
    const page = this.pages[slot >>> PAGE_BITS];
    return page !== undefined && page[slot & IN_PAGE] !== '';
  }

  hasUser(slot: number): boolean {
    const stored = this.stored(slot);
    if (typeof stored !== 'string') return stored.userId !== undefined;
    return stored[stored.indexOf(SEPARATOR) + 1] === PRESENT;
  }

  userIdOf(slot: number): string | undefined {
    const stored = this.stored(slot);
    if (typeof stored !== 'string') return stored.userId;
    const start = stored.indexOf(SEPARATOR) + 1;
    if (stored[start] !== PRESENT) return undefined;
    return stored.slice(start + 1, stored.indexOf(SEPARATOR, start));
  }

  /** Whether an expectation holds; most ask for the user alone, so the fields are compared where they are. */
  meets(slot: number, { proof, ttl, userId }: Expectation): boolean {
    const stored = this.stored(slot);
    if (typeof stored !== 'string') {
      return (
        (userId === undefined || stored.userId === (userId ?? undefined)) &&
        (proof === undefined || stored.proof === proof) &&
        (ttl === undefined || stored.ttl === (ttl ?? undefined))
      );
    }
    let start = stored.indexOf(SEPARATOR) + 1;
    if (userId !== undefined && !hasOptionalAt(stored, start, userId)) return false;
    if (proof === undefined && ttl === undefined) return true;
    start = stored.indexOf(SEPARATOR, start) + 1;
    if (proof !== undefined && !hasFieldAt(stored, start, proof)) return false;
    if (ttl === undefined) return true;
    start = stored.indexOf(SEPARATOR, stored.indexOf(SEPARATOR, start) + 1) + 1;
    return hasFieldAt(stored, start, ttl === null ? '' : String(ttl));
  }

  /** The data is a new object or a frozen one; it has no prototype that would add keys (S48). */
  read(slot: number): SessionBody {
    const stored = this.stored(slot);
    return typeof stored === 'string' ? unpack(stored, this.layoutOf(slot)!) : stored;
  }

  write(slot: number, body: SessionBody): void {
    const keys = Object.keys(body.data);
    const before = this.layoutOf(slot);
    const text = pack(body, keys);
    const layout = text === undefined ? undefined : this.layouts.use(keys);
    const stored =
      text === undefined || layout === undefined ? detached(body, keys, this.stored(slot)) : text;
    if (before) this.layouts.leave(before);
    this.put(slot, stored, layout);
  }

  /** Sets values of keys that a small session has already, as most writes do; of any other write nothing, and false. */
  patch(slot: number, set: SessionBody['data']): boolean {
    let text = this.stored(slot);
    if (typeof text !== 'string') return false;
    const layout = this.layoutOf(slot)!;
    for (const key of Object.keys(set)) {
      const at = layout.keys.indexOf(key);
      if (at === -1 || set[key].includes(SEPARATOR)) return false;
      text = withField(text, OWN_FIELDS + at, set[key]);
    }
    if (text.length >= SMALL) return false;
    this.put(slot, text, layout);
    return true;
  }

  clear(slot: number): void {
    const layout = this.layoutOf(slot);
    if (layout) this.layouts.leave(layout);
    this.put(slot, '', undefined);
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

function pack({ handle, userId, proof, authenticatedAt, ttl, client, data }: SessionBody, keys: string[]) {
  const fields = [
    handle,
    userId === undefined ? '' : PRESENT + userId,
    proof,
    authenticatedAt === undefined ? '' : String(authenticatedAt),
    ttl === undefined ? '' : String(ttl),
    client === undefined ? '' : PRESENT + client,
  ];
  for (const key of keys) fields.push(data[key]);
  let length = fields.length;
  for (const field of fields) {
    length += field.length;
    if (length > SMALL || field.includes(SEPARATOR)) return undefined;
  }
  // Not `+`: that makes a tree of strings, and holds on to the bigger strings that a field may be a part of.
  return fields.join(SEPARATOR);
}

function unpack(text: string, { keys }: Layout): SessionBody {
  const handleEnd = text.indexOf(SEPARATOR);
  const userIdEnd = text.indexOf(SEPARATOR, handleEnd + 1);
  const proofEnd = text.indexOf(SEPARATOR, userIdEnd + 1);
  const loginEnd = text.indexOf(SEPARATOR, proofEnd + 1);
  const ttlEnd = text.indexOf(SEPARATOR, loginEnd + 1);
  const clientEnd = endOfField(text, ttlEnd + 1);
  let end = clientEnd;
  const data: Record<string, string> = new RecordData();
  for (let i = 0; i < keys.length; i++) {
    const start = end + 1;
    end = endOfField(text, start);
    data[keys[i]] = text.slice(start, end);
  }
  return {
    handle: text.slice(0, handleEnd),
    proof: text.slice(userIdEnd + 1, proofEnd),
    userId: userIdEnd === handleEnd + 1 ? undefined : text.slice(handleEnd + 1 + PRESENT.length, userIdEnd),
    authenticatedAt: loginEnd === proofEnd + 1 ? undefined : Number(text.slice(proofEnd + 1, loginEnd)),
    ttl: ttlEnd === loginEnd + 1 ? undefined : Number(text.slice(loginEnd + 1, ttlEnd)),
    client: clientEnd === ttlEnd + 1 ? undefined : text.slice(ttlEnd + 1 + PRESENT.length, clientEnd),
    data,
  };
}

/** The text with another value in the place of its field number `at`, as one flat string. */
function withField(text: string, at: number, value: string): string {
  let start = 0;
  for (let i = 0; i < at; i++) start = text.indexOf(SEPARATOR, start) + 1;
  return [text.slice(0, start), value, text.slice(endOfField(text, start))].join('');
}

/** Whether this value is the whole field that starts here. */
function hasFieldAt(text: string, start: number, value: string): boolean {
  return text.startsWith(value, start) && endOfField(text, start) === start + value.length;
}

/** The same for a field that may be missing: null stands for that. */
function hasOptionalAt(text: string, start: number, value: string | null): boolean {
  if (value === null) return text[start] === SEPARATOR;
  return text[start] === PRESENT && hasFieldAt(text, start + 1, value);
}

function endOfField(text: string, start: number): number {
  const end = text.indexOf(SEPARATOR, start);
  return end === -1 ? text.length : end;
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
