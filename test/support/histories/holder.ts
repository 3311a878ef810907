import type { Exchange } from '../../../src/http/exchange.js';
import type { SessionRecord } from '../../../src/index.js';
import { parseId, proofOf } from '../../../src/session/id.js';
import type { AnySession } from '../session-bench.js';
import type { Known, Ledger } from './ledger.js';
import type { Operation } from './plan.js';

/** What a holder wrote and was not told to be stored; null: it removed it. */
export interface Written {
  readonly text: string | null;
  readonly at: number;
}
export type Unsaved = ReadonlyMap<string, Written>;

/** Since when a holder is of a session's present user, and the how manieth user that is. */
interface Base {
  readonly at: number;
  readonly epoch: number;
}

/** A browser: its cookie, and all others that it ever had. */
export interface Client {
  id: string | undefined;
}

/** An id by its parts, of which the second is stored. */
export interface Opener {
  readonly handle: string;
  readonly proof: string;
}

export function openerOf(id: string): Opener {
  const { handle, secret } = parseId(id)!;
  return { handle, proof: proofOf(secret) };
}

/**
 * One that has a session: a request, or a worker. What it has done and been told, so that it can be compared with what
 * is true.
 */
export class Holder {
  session: AnySession | undefined;
  exchange: Exchange | undefined;
  client: Client | undefined;

  /** Since when it is of the session's present user, as far as it knows, and the how manieth user that is. */
  readonly bases = new Map<string, Base>();
  /** When it last had the lock of a session. */
  readonly grants = new Map<string, number>();
  /** When it last saw which secret opens a session. */
  readonly seen = new Map<string, { readonly applied: number; readonly delivered: number }>();
  /** The ids that came with it and were live. */
  came: readonly Opener[] = [];
  /** What was read while it was loaded. */
  readonly reads: {
    readonly began: number;
    readonly record: SessionRecord | undefined;
    readonly isLive: boolean;
  }[] = [];
  /** The session that it has, and its id, once it is stored. */
  has: Opener | undefined;
  /** With what it made that id, if it did not come with it. */
  madeBy: Operation | undefined;
  /** With what it last asked for a new session to be stored. */
  creates: Operation | undefined;
  /** The sessions that it ended, and the ones of which it knows that. */
  readonly ended = new Set<string>();
  readonly knowsEnded = new Set<string>();
  /** The last proof that it asked to be stored. */
  tried: { readonly proof: string; readonly by: Operation } | undefined;
  hadFaults = false;
  isLoading = true;

  unsaved = new Map<string, Written>();
  /** What it was told cannot be stored. */
  refused: Unsaved | undefined;
  /** Since when it is a new visitor's. */
  restarted = 0;
  headersAt: number | undefined;
  respondsSince: number | undefined;
  /** A read failed while its response went out. */
  couldNotLook = false;
  hasLeft = false;

  constructor(
    readonly name: string,
    readonly node: number,
    private readonly ledger: Ledger,
  ) {}

  get known(): Known | undefined {
    return this.has && this.ledger.known(this.has.handle);
  }

  /** @param by with what it came to be so */
  comesAs(handle: string, at: number, epoch: number, by?: Operation): void {
    if (by && !this.basesBefore.has(by)) this.basesBefore.set(by, { handle, base: this.bases.get(handle) });
    this.bases.set(handle, { at, epoch });
  }

  /** A login that failed, and did not learn what it came to: it is whose it was before. */
  staysAsBefore(operation: Operation): void {
    const before = this.basesBefore.get(operation);
    if (!before?.base || this.madeBy === operation) return;
    this.bases.set(before.handle, before.base);
    this.ledger.known(before.handle).disown(this, before.base.at);
  }
  private readonly basesBefore = new Map<
    Operation,
    { readonly handle: string; readonly base: Base | undefined }
  >();

  makes(handle: string, proof: string, by: Operation): void {
    this.has = { handle, proof };
    this.madeBy = by;
  }

  writes(key: string, text: string | null): void {
    const at = this.ledger.now();
    this.unsaved.set(key, { text, at });
    if (text !== null) this.ledger.texts.set(text, { by: this, at });
  }

  /** It is a new visitor's since then: what it had is of no account any more. */
  restarts(since: number): void {
    this.has = undefined;
    this.madeBy = undefined;
    this.restarted = since;
    this.unsaved.clear();
  }

  /** Whether its session has ended, or is another's. */
  get isOutside(): boolean {
    const { known, has } = this;
    return !known || known.endedAt !== undefined || known.hasChangedHands(this, has!.handle);
  }

  /** Whether what this operation creates has to be free of what was before it, and since when. */
  newSince(operation: Operation): number {
    return this.loginsFrom.get(operation) ?? this.restarted;
  }
  /** When the logins on a session that was stored began: there may be several at once. */
  readonly loginsFrom = new Map<Operation, number>();

  /** What it was told to be stored must have been: nobody else but its own later writes can have come before it. */
  acknowledged(what: string, unsaved: Unsaved): void {
    this.refused = undefined;
    for (const [key, written] of unsaved) {
      if (this.unsaved.get(key) !== written) continue;
      this.unsaved.delete(key);
      // A new visitor's, once the headers are out.
      if (!this.has && this.headersAt !== undefined && this.headersAt < written.at) continue;
      // Neither a timeout alone nor a removal makes a session of a new visitor's.
      if (!this.has && (key === 'ttl' || written.text === null)) continue;
      if (!this.has || (!this.isOutside && !this.isStored(key, written)))
        this.ledger.broken(
          `${what}, but what it wrote was not stored`,
          `${key}=${written.text} of ${this.name}`,
        );
    }
  }

  private isStored(key: string, { text, at }: Written): boolean {
    const { record, texts, setAt, ttlBy } = this.known!;
    if (key === 'ttl') return record!.ttl === Number(text) || (ttlBy !== undefined && ttlBy !== this);
    if (key === 'flash') return [...texts.keys()].some((stored) => stored.includes(text!));
    if (text === null) return record!.data[key] === undefined || setAt.get(key)! > at;
    return texts.has(text);
  }

  /** Once its turn has come, the id that it came with must still be live (S57). */
  mayRun(has: Opener | undefined = this.has): void {
    const granted = has && this.grants.get(has.handle);
    if (granted === undefined) return;
    const known = this.ledger.known(has!.handle);
    if ((known.diedAt(has!.proof) ?? Infinity) < granted)
      this.ledger.broken('it ran although its id was dead (S57)');
    if (known.users.some(({ at, by }) => at > this.bases.get(has!.handle)!.at && at < granted && by !== this))
      this.ledger.broken('it ran although another had logged in (S57)');
  }

  /**
   * What the client is told with the headers: an id, that the session has ended (empty), or nothing.
   *
   * @param isReplaced with an error, as the session could not be saved
   */
  tells(id: string | undefined, isReplaced: boolean): void {
    const { ledger, has, madeBy } = this;
    this.headersAt = ledger.now();
    if (this.client && id !== undefined && !this.hasLeft) this.client.id = id || undefined;
    const isLive = has !== undefined && ledger.opens(has.handle, has.proof);
    if (id) this.tellsId(openerOf(id), isReplaced);
    else if (id === '') {
      if (!this.came.some(({ handle }) => this.ended.has(handle)))
        ledger.broken('a client was told that a session has ended which this request did not end (S29)');
    } else if (madeBy && isLive && !this.came.some(({ proof }) => proof === has.proof))
      ledger.broken('a client was not told its new id (S18)');
    else if (!isLive && this.came.some(({ handle }) => this.knowsEnded.has(handle)))
      ledger.broken('a client was not told that its session has ended (S28)');
  }

  private tellsId({ handle, proof }: Opener, isReplaced: boolean): void {
    const { ledger } = this;
    const known = ledger.known(handle);
    if (!known.proofs.has(proof)) return ledger.broken('a client was told an id that never opened a session');
    if (!this.came.some((each) => each.proof === proof) && this.has?.proof !== proof)
      ledger.broken('a client was told an id that is not this request’s');
    const died = known.diedAt(proof);
    if (died === undefined) return;
    const { applied, delivered } = this.seen.get(handle)!;
    if (died < applied) ledger.broken('a client was told an id whose death this request has seen (S11, S27)');
    const endKnown = known.endKnown.get(this.node) ?? Infinity;
    // Whoever left is told nothing. And where the session could not be saved the storage is not asked again: an id that may
    // be dead is better than a login that is lost (S18).
    const couldLook = !this.couldNotLook && !this.hasLeft && !isReplaced;
    if (couldLook && (endKnown < this.respondsSince! || (this.madeBy && endKnown < delivered)))
      ledger.broken('a client was told the id of a session that this node knew to have ended (S27)');
  }
}
