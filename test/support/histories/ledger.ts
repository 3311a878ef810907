import { isDeepStrictEqual } from 'node:util';
import type { SessionRecord } from '../../../src/index.js';
import type {
  Expectation,
  SessionChange,
  SessionLease,
  UpdateResult,
} from '../../../src/storage/session-storage.js';
import type { Holder } from './holder.js';
import { type Operation, userOf } from './plan.js';
import type { Acting } from './slow-storage.js';

/** One call of the storage. Its times are numbers of the ledger's own, in the order in which things happen. */
export interface Call {
  readonly method: 'create' | 'read' | 'update' | 'destroy' | 'byUser' | 'purgeExpired' | 'lock' | 'release';
  readonly handle: string;
  readonly given: unknown;
  readonly node: number;
  readonly by: Acting | undefined;
  readonly began: number;
  applied?: number;
  failed?: boolean;
}

/** All that is known of one session, whoever knows it. */
export class Known {
  /** What rests in the storage; undefined once it has ended. */
  record: SessionRecord | undefined;
  endedAt: number | undefined;
  /** Whose it was, since when, and by whom it came to be so. */
  readonly users: {
    readonly userId: string | undefined;
    readonly at: number;
    by: Holder | undefined;
  }[] = [];
  /** When each proof died; undefined: it opens the session. */
  readonly proofs = new Map<string, number | undefined>();
  /** The texts that were ever stored, and how often the session had changed hands by then. */
  readonly texts = new Map<string, number>();
  /** How often `tap` and locked routes have counted up. */
  readonly counts = new Map<string, number>();
  /** Which holder last gave it a timeout of its own, or took it away. */
  ttlBy: Holder | undefined;
  /** Whoever created it was told so. */
  isAnswered = false;
  /** When each key was last set. */
  readonly setAt = new Map<string, number>();
  /** Since when each node knows that it has ended. */
  readonly endKnown = new Map<number, number>();

  /** Whether it is of another user than when this holder came. */
  isAnothers(holder: Holder, handle: string): boolean {
    const base = holder.bases.get(handle);
    return base !== undefined && this.users[base.epoch]!.userId !== this.users.at(-1)!.userId;
  }

  /** Whether somebody else logged in on it, or out, since this holder came. */
  hasChangedHands(holder: Holder, handle: string): boolean {
    const since = holder.bases.get(handle)?.at ?? Infinity;
    return this.users.some(({ at, by }, i) => i > 0 && at > since && by !== holder);
  }

  /** That this holder logged in since then it never learnt: to it, somebody else did. */
  disown(holder: Holder, since: number): void {
    for (const user of this.users) if (user.by === holder && user.at > since) user.by = undefined;
  }

  diedAt(proof: string): number | undefined {
    return this.proofs.get(proof) ?? this.endedAt;
  }
}

const TTL = 3_600_000;
const ABSOLUTE = 8 * TTL;
/** The options that {@link Ledger} reckons with. */
export const OPTIONS = { ttl: TTL / 1_000, absoluteTtl: ABSOLUTE / 1_000, touchAfter: 60 };

/**
 * What is true of all sessions: what the storage was told, in the order in which it was carried out, and what must
 * follow from that. It remembers the first rule that was broken.
 */
export class Ledger {
  /** The first rule that was broken, and how. */
  violation: { readonly rule: string; readonly how: string } | undefined;
  readonly sessions = new Map<string, Known>();
  readonly locksLost = new Set<string>();
  /** Which holder wrote a text, and when. Texts are never used twice. */
  readonly texts = new Map<string, { readonly by: Holder | undefined; readonly at: number }>();
  /** The operations whose counting was stored. */
  readonly turnsTaken: Operation[] = [];
  private time = 0;

  constructor(private readonly leases: ReadonlyMap<string, SessionLease>) {}

  now(): number {
    return ++this.time;
  }

  broken(rule: string, how = ''): void {
    this.violation ??= { rule, how };
  }

  known(handle: string): Known {
    let known = this.sessions.get(handle);
    if (!known) this.sessions.set(handle, (known = new Known()));
    return known;
  }

  /** Whether the proof opens the session now. */
  opens(handle: string, proof: string): boolean {
    return this.sessions.get(handle)?.record?.proof === proof;
  }

  /** What is due has ended. */
  expire(): void {
    for (const known of this.sessions.values())
      if (known.record && Date.now() >= known.record.expiresAt) this.end(known);
  }

  begin(method: Call['method'], handle: string, given: unknown, node: number, by: Acting | undefined): Call {
    if (method === 'create' && by?.holder) by.holder.creates = by.operation;
    return { method, handle, given, node, by, began: this.now() };
  }

  granted({ handle, by }: Call): void {
    by?.holder?.grants.set(handle, this.now());
  }

  applied(call: Call, result: unknown): void {
    const { method, handle } = call;
    const known = this.known(handle);
    this.expire();
    call.applied = this.now();
    note(
      'applied',
      call.applied,
      method,
      handle,
      call.by?.holder?.name,
      call.by?.operation.deed,
      call.given,
      '=>',
      result,
    );
    if (method === 'create') this.created(call, known, call.given as SessionRecord, result as boolean);
    if (method === 'read') this.wasRead(call, known, result as SessionRecord | undefined);
    if (method === 'update') this.updated(call, known, call.given as SessionChange, result as UpdateResult);
    if (method === 'destroy') this.destroyed(call, known, call.given as Expectation, result as boolean);
    if (method === 'byUser') this.wasListed(call, result as readonly SessionRecord[]);
    this.expire();
  }

  delivered(call: Call, result: unknown): void {
    const { method, handle, by, node } = call;
    const holder = by?.holder;
    if (method === 'create' && result === true) this.known(handle).isAnswered = true;
    if (method === 'destroy' && result === true) {
      const { endKnown } = this.known(handle);
      if (!endKnown.has(node)) endKnown.set(node, this.now());
      holder?.knowsEnded.add(handle);
    }
    if (!holder) return;
    if (holder.isLoading && method === 'read') {
      const record = result as SessionRecord | undefined;
      holder.reads.push({
        began: call.began,
        record,
        isLive: record !== undefined && Date.now() < record.expiresAt,
      });
    }
    if (method === 'read' && result) this.tellsWhose(call, holder, result as SessionRecord);
    const change = (method === 'update' ? call.given : {}) as SessionChange;
    const seesTheProof = method === 'read' || change.expected?.proof !== undefined || result === 'gone';
    if (seesTheProof || (method === 'create' && result === true))
      holder.seen.set(handle, { applied: call.applied!, delivered: this.now() });
    if (method === 'create' && result === true) {
      holder.makes(handle, (call.given as SessionRecord).proof, by.operation);
      // What it wrote to the session that ended went with that.
      if (holder.loginsFrom.has(by.operation)) holder.unsaved.clear();
    }
    if (change.proof !== undefined && result === 'ok') holder.makes(handle, change.proof, by.operation);
    // A rotation whose answer was lost is learnt by reading.
    const { tried } = holder;
    if (
      method === 'read' &&
      tried?.by === by.operation &&
      (result as SessionRecord | undefined)?.proof === tried.proof
    )
      holder.makes(handle, tried.proof, by.operation);
  }

  /** What makes a holder the one of now: its own request or load, and a login of the user who is in. */
  private tellsWhose({ handle, by, applied }: Call, holder: Holder, { userId }: SessionRecord): void {
    const { operation } = by!;
    const joins = operation.deed === 'login' && userOf(operation) === userId;
    const epoch = this.known(handle).users.findLastIndex(({ at }) => at <= applied!);
    if (holder.isLoading || joins) holder.comesAs(handle, applied!, epoch, operation);
  }

  private created(call: Call, before: Known, record: SessionRecord, result: boolean): void {
    if (result !== !before.record) this.broken('create() gave a wrong answer', String(result));
    if (!result) return;
    const holder = call.by?.holder;
    const hasEnded = before.endedAt !== undefined;
    if (hasEnded && (before.isAnswered || before.users[0]!.by !== holder))
      this.broken('a session that ended came back (S27)');
    // A creation whose answer was lost is of no account: where it has ended, the same holder may store another session
    // under the id, which nobody else ever knew, and what is known of the first is not true of that.
    if (hasEnded) this.sessions.delete(call.handle);
    const known = this.known(call.handle);
    known.record = record;
    known.users.push({ userId: record.userId, at: call.applied!, by: holder });
    known.proofs.set(record.proof, undefined);
    holder?.comesAs(record.handle, call.applied!, 0);
    if (holder) {
      const since = holder.newSince(call.by!.operation);
      for (const text of Object.values(record.data))
        if ((this.texts.get(text)?.at ?? Infinity) < since)
          this.broken('a new session has data of the one before (S12, S27)');
    }
    this.wrote(call, known, record.data);
  }

  private wasRead({ handle }: Call, known: Known, result: SessionRecord | undefined): void {
    if (!same(result, known.record)) this.broken('read() gave other data than were stored', handle);
  }

  private updated(call: Call, known: Known, change: SessionChange, result: UpdateResult): void {
    const should = this.resultOf(call.handle, known.record, change);
    if (result !== should) this.broken('update() gave a wrong answer', `${result}, not ${should}`);
    const holder = call.by?.holder;
    if (holder && change.proof !== undefined) holder.tried = { proof: change.proof, by: call.by!.operation };
    if (result !== 'ok' || !known.record) return;
    if (holder && known.isAnothers(holder, call.handle))
      this.broken('a holder of before the session changed hands wrote to it (S56)');
    this.flashesUsed(call, known.record, change);
    known.record = changed(known.record, change);
    if (change.userId !== undefined && change.userId !== known.users.at(-1)!.userId)
      known.users.push({ userId: change.userId ?? undefined, at: call.applied!, by: holder });
    if (change.proof !== undefined) {
      for (const [proof, died] of known.proofs) if (died === undefined) known.proofs.set(proof, call.applied);
      known.proofs.set(change.proof, undefined);
      holder?.comesAs(call.handle, call.applied!, known.users.length - 1, call.by!.operation);
    }
    this.wrote(call, known, change.set ?? {});
  }

  private destroyed(call: Call, known: Known, expected: Expectation | undefined, result: boolean): void {
    const should = known.record !== undefined && meets(known.record, expected);
    if (result !== should) this.broken('destroy() gave a wrong answer', `${result}, not ${should}`);
    if (!result) return;
    const { holder, operation, proof } = call.by!;
    if (operation.deed === 'logout' && known.isAnothers(holder!, call.handle))
      this.broken('a holder of before the session changed hands ended it (S56)');
    if (operation.deed === 'destroyByUser' && known.record!.userId !== userOf(operation))
      this.broken('destroyByUser() ended the session of another user (S30)');
    if (operation.deed === 'destroy' && known.record!.proof !== proof)
      this.broken('destroy() ended a session by an id that is dead (S11)');
    holder?.ended.add(call.handle);
    this.end(known, call.applied);
  }

  private wasListed({ given }: Call, result: readonly SessionRecord[]): void {
    const own = [...this.sessions.values()].flatMap(({ record }) =>
      record && record.userId === given ? [record] : [],
    );
    const byHandle = (a: SessionRecord, b: SessionRecord) => (a.handle < b.handle ? -1 : 1);
    if (!same([...result].sort(byHandle), own.sort(byHandle)))
      this.broken('byUser() gave other sessions', String(given));
  }

  private end(known: Known, at = this.now()): void {
    known.record = undefined;
    known.endedAt = at;
  }

  private resultOf(handle: string, record: SessionRecord | undefined, change: SessionChange): UpdateResult {
    if (!record) return 'gone';
    if (change.lease !== undefined && this.leases.get(handle)?.token !== change.lease) return 'lost';
    return meets(record, change.expected) ? 'ok' : 'conflict';
  }

  /** What was stored is the writer's own, counts exactly, and goes with deadlines that were reckoned of what is stored. */
  private wrote(call: Call, known: Known, set: Readonly<Record<string, string>>): void {
    const record = known.record!;
    for (const [key, text] of Object.entries(set)) {
      if (key === 'count' || key === 'locked') {
        const before = known.counts.get(key) ?? 0;
        if (Number(text) !== before + 1)
          this.broken(
            'a turn of tap or a locked route was lost (S54)',
            `${key} went from ${before} to ${text}`,
          );
        known.counts.set(key, Number(text));
        if (call.by) this.turnsTaken.push(call.by.operation);
      } else if (!key.startsWith('~')) {
        const writer = this.texts.get(text);
        if (!writer || writer.by !== call.by?.holder)
          this.broken('data were stored by another than wrote them', `${key}=${text}`);
      }
      known.texts.set(text, known.users.length - 1);
      known.setAt.set(key, call.applied!);
    }
    const given = (call.given as SessionChange).ttl;
    if (given !== undefined) known.ttlBy = call.by?.holder;
    const { touchedAt, expiresAt, ttl, authenticatedAt, createdAt } = record;
    const deadline = Math.min(touchedAt + (ttl ?? TTL), (authenticatedAt ?? createdAt) + ABSOLUTE);
    if (expiresAt !== deadline)
      this.broken(
        'a deadline was reckoned of other timeouts than are stored (S19, S20)',
        `${(expiresAt - deadline) / 60_000} min too late`,
      );
  }

  /** A flash goes with the next request that uses the session, and with nothing else. */
  private flashesUsed({ by, handle }: Call, before: SessionRecord, { remove = [] }: SessionChange): void {
    for (const field of remove) {
      if (!field.startsWith('~flash:') || before.data[field] === undefined) continue;
      if (!by?.holder?.reads.some(({ record }) => record?.handle === handle && record.data[field]))
        this.broken('a flash was used up by another than the next request');
    }
  }
}

function changed(record: SessionRecord, change: SessionChange): SessionRecord {
  const { set, remove = [], expected: _expected, lease: _lease, ...fields } = change;
  const data = { ...record.data, ...set };
  for (const key of remove) delete data[key];
  const given = Object.entries(fields).filter(([, value]) => value !== undefined);
  return { ...record, ...Object.fromEntries(given.map(([name, value]) => [name, value ?? undefined])), data };
}

function meets(record: SessionRecord, { proof, ttl, userId }: Expectation = {}): boolean {
  return (
    (proof === undefined || proof === record.proof) &&
    (ttl === undefined || ttl === (record.ttl ?? null)) &&
    (userId === undefined || userId === (record.userId ?? null))
  );
}

/** Absent, or undefined: that is the same. */
const plain = (value: unknown): unknown => JSON.parse(JSON.stringify(value ?? null));
const same = (a: unknown, b: unknown): boolean => isDeepStrictEqual(plain(a), plain(b));

let tracing = false;
export function trace() {
  tracing = true;
}
export function note(...what: unknown[]) {
  if (tracing)
    process.stderr.write(what.map((w) => (typeof w === 'string' ? w : JSON.stringify(w))).join(' ') + '\n');
}
