import type { SessionStore } from '../../../src/index.js';
import type { Exchanges } from '../../../src/http/exchanges.js';
import type { Bag } from '../session-bench.js';
import { passTime } from '../clock.js';
import { type Client, Holder, openerOf, type Opener, type Unsaved, type Written } from './holder.js';
import { HOLDERS, keyOf, type Operation, timeOf, ttlOf, userOf } from './plan.js';
import { Random } from './random.js';
import { requestOf, Unsent } from './respond.js';
import { type Acting, acting, loseLock, type World } from './slow-storage.js';

/** One node of the application. */
export interface Node {
  readonly store: SessionStore<Bag>;
  readonly exchanges: Exchanges;
}

/** Thrown in a tap, so that nothing of it is saved. */
const CHANGED_MY_MIND = new Error('changed my mind');

/** Carries the operations of one history out, and compares what they come to with what is true. */
export class Deeds {
  readonly ids: string[] = [];
  /** Operations that have not come to an end. */
  readonly underWay = new Set<Operation>();
  private readonly clients: readonly Client[] = [{ id: undefined }, { id: undefined }];
  private readonly holders: (Actor | undefined)[] = Array.from({ length: HOLDERS });
  private names = 0;

  constructor(
    private readonly world: World,
    private readonly nodes: readonly Node[],
  ) {}

  begin(operation: Operation): void {
    const { deed } = operation;
    if (deed === 'request' || deed === 'load') return this.come(operation);
    const actor = this.holders[operation.holder];
    if (!(deed in BESIDE)) return actor?.take(operation);
    this.run(operation, undefined, () => this.beside(operation));
  }

  /** All responses go out. */
  end(): void {
    for (const actor of this.holders) actor?.finish();
  }

  /** Every id there ever was opens the session that it should, and no other does (S11, S14, S26). */
  check(): void {
    const { ledger } = this.world;
    const ids = new Set(this.ids);
    const operation = { ...NOBODY, deed: 'load' } as Operation;
    for (const id of ids)
      this.run(operation, undefined, async () => {
        const { handle, proof } = openerOf(id);
        const found = await this.nodes[0]!.store.load(id);
        if ((found !== undefined) !== ledger.opens(handle, proof))
          ledger.broken(`an id ${found ? 'opens a session, and should not' : 'should open its session'}`);
      });
  }

  /** Runs a piece of work as the operation's; whatever it throws must have a reason. */
  run(operation: Operation, holder: Holder | undefined, work: () => unknown, proof?: string): Promise<void> {
    const by: Acting = { operation, holder, random: new Random(operation.seed), ...(proof && { proof }) };
    this.underWay.add(operation);
    return acting.run(by, async () => {
      try {
        await work();
      } catch (error) {
        const { faults } = this.world.history;
        const isFault = codeOf(error) === 'ERR_SESSION_STORAGE' && faults > 0;
        if (!isFault) this.world.ledger.broken(`${operation.deed} failed without a reason`, String(error));
      } finally {
        this.underWay.delete(operation);
      }
    });
  }

  private come(operation: Operation): void {
    this.holders[operation.holder]?.finish();
    const { ledger } = this.world;
    const holder = new Holder(`${operation.deed}${++this.names}`, operation.node, ledger);
    const actor = new Actor(holder, this.world, this.nodes[operation.node]!, this);
    this.holders[operation.holder] = actor;
    const ids = this.idsFor(operation, holder);
    actor.come(operation, operation.deed === 'load' ? ids.slice(0, 1) : ids);
  }

  /** The cookies of a request: mostly what its client has. */
  private idsFor({ deed, pick }: Operation, holder: Holder): string[] {
    const chance = pick % 20;
    const client = this.clients[chance % 4 === 0 ? 1 : 0]!;
    if (deed === 'request') holder.client = client;
    const another = this.ids.at(pick % Math.max(this.ids.length, 1));
    const own = client.id;
    const ids = chance < 14 ? [own] : chance < 17 ? [another] : chance < 19 ? [own, another] : [];
    return [...new Set(ids.filter((id) => id !== undefined))];
  }

  private async beside(operation: Operation): Promise<void> {
    const { world } = this;
    const { store } = this.nodes[operation.node]!;
    const { pick } = operation;
    const id = this.ids.at(pick % Math.max(this.ids.length, 1));
    switch (operation.deed) {
      case 'create': {
        const text = JSON.stringify(`made${++this.names}`);
        world.ledger.texts.set(text, { by: undefined, at: world.ledger.now() });
        const data = { a: JSON.parse(text) as string };
        const session = await store.create({ data, userId: pick % 3 === 0 ? userOf(operation) : undefined });
        this.ids.push(session.id);
        this.clients[pick % 2]!.id ??= session.id;
        return;
      }
      case 'pass':
        // A call that is under way began before, and whoever made it has had its answer.
        for (let line; line !== world.line; await new Promise((resolve) => void setImmediate(resolve))) {
          line = world.line;
          await line;
        }
        passTime(timeOf(operation));
        return world.ledger.expire();
      case 'purge':
        return void (await store.purgeExpired());
      case 'destroyByUser':
        return void (await store.destroyByUser(userOf(operation)));
    }
    if (id === undefined) return;
    const { handle, proof } = openerOf(id);
    switch (operation.deed) {
      case 'loseLock':
        return loseLock(world, handle);
      case 'revoke':
        return void (await store.revoke(handle));
      case 'destroy':
        return this.run(operation, undefined, () => store.destroy(id), proof);
      case 'tapById': {
        const holder = new Holder(`tap${++this.names}`, operation.node, world.ledger);
        holder.has = { handle, proof };
        const actor = new Actor(holder, world, this.nodes[operation.node]!, this);
        return actor.tapBy(operation, (fn) => store.tap(id, fn));
      }
    }
  }
}

/** What no holder does. */
const BESIDE = {
  create: 1,
  pass: 1,
  purge: 1,
  destroyByUser: 1,
  loseLock: 1,
  revoke: 1,
  destroy: 1,
  tapById: 1,
};

const NOBODY = { at: 0, seed: 0, holder: 0, node: 0, pick: 0, beside: false, calm: true };

const codeOf = (error: unknown): string => String((error as { code?: unknown } | undefined)?.code);

/** A holder that does things: one after another, unless an operation says otherwise. */
class Actor {
  private line: Promise<unknown> = Promise.resolve();
  private response: Unsent | undefined;
  private active = 0;
  private numbers = 0;
  /** When two of its operations were last under way together. */
  private overlapped = 0;
  /** It had its say: nothing but its response comes any more. */
  private isOver = false;
  private isAlone = false;

  constructor(
    private readonly holder: Holder,
    private readonly world: World,
    private readonly node: Node,
    private readonly deeds: Deeds,
  ) {}

  come(operation: Operation, ids: readonly string[]): void {
    const { holder } = this;
    this.line = this.deeds.run(operation, holder, async () => {
      try {
        if (operation.deed === 'load') {
          const [id] = ids;
          if (id !== undefined) holder.session = await this.node.store.load(id);
        } else {
          const response = new Unsent(requestOf(ids));
          response.tells = (id, status) => this.tells(id, status !== 200);
          this.response = response;
          holder.exchange = await this.node.exchanges.open(response.req, response);
          holder.session = holder.exchange.session;
        }
      } finally {
        holder.isLoading = false;
      }
      this.came(ids.map(openerOf));
    });
  }

  take(operation: Operation): void {
    const { beside, deed } = operation;
    if (beside && deed !== 'locked' && !this.isAlone && this.holder.session) {
      this.line = Promise.all([this.line, this.perform(operation)]);
    } else {
      this.line = this.line.then(() => this.perform(operation));
    }
  }

  finish(): void {
    this.take({ ...NOBODY, deed: 'respond', seed: this.numbers } as Operation);
  }

  /** Only an id that opens a session has one, and two have none (S3, S43). */
  private came(ids: readonly Opener[]): void {
    const { holder, world } = this;
    const reads = holder.reads.toSorted((a, b) => a.began - b.began);
    holder.came = ids.filter(({ proof }, i) => reads[i]?.isLive && reads[i].record!.proof === proof);
    if (holder.came.length === 1) holder.has = holder.came[0];
    const isOpen = holder.session !== undefined && !holder.session.isNew;
    if (isOpen !== (holder.came.length === 1))
      world.ledger.broken(
        'an id opens what it should not, or does not open what it should (S3, S43)',
        `${isOpen}`,
      );
    if (!holder.session) this.isOver = true;
  }

  private async perform(operation: Operation): Promise<void> {
    const { holder } = this;
    const { deed } = operation;
    if (!holder.session || (this.isOver && deed !== 'respond')) return;
    const { ledger } = this.world;
    if (this.active++ > 0) this.overlapped = ledger.now();
    const began = ledger.now();
    const { has } = holder;
    try {
      await this.deeds.run(operation, holder, async () => {
        try {
          await this.act(operation);
        } catch (error) {
          // A login that found its session ended, and could not start another. That the session has ended does not say that
          // the login found it: it may have failed before, and then it leaves all as it was.
          const startsAnew =
            holder.creates === operation || /A new session must be stored/.test(String(error));
          if (deed === 'login' && holder.has && holder.isOutside && startsAnew) holder.restarts(ledger.now());
          if (deed !== 'respond') holder.refused = new Map(holder.unsaved);
          const wasAlone = this.active === 1 && this.overlapped < began;
          if (!this.isDue(operation, error, has, wasAlone)) throw error;
        }
      });
    } finally {
      this.active--;
    }
  }

  private async act(operation: Operation): Promise<void> {
    const { holder, world } = this;
    const { ledger } = world;
    const session = holder.session!;
    const unsaved = new Map(holder.unsaved);
    const began = ledger.now();
    switch (operation.deed) {
      case 'get':
        return this.sees(operation);
      case 'set': {
        const value = this.value();
        session.set(keyOf(operation), value);
        return holder.writes(keyOf(operation), JSON.stringify(value));
      }
      case 'push': {
        const list = session.get('list') as string[] | undefined;
        if (list) list.push(this.value());
        else session.set('list', [this.value()]);
        return holder.writes('list', JSON.stringify(session.get('list')));
      }
      case 'remove':
        // What it only wrote itself, and is not stored yet, it takes back.
        if (!session.remove(keyOf(operation)) || holder.unsaved.get(keyOf(operation))?.text)
          return void holder.unsaved.delete(keyOf(operation));
        return holder.writes(keyOf(operation), null);
      case 'flash': {
        const value = this.value();
        session.flash('note', value);
        return holder.writes('flash', value);
      }
      case 'expireIn':
        session.expireIn(ttlOf(operation));
        return holder.writes('ttl', String(ttlOf(operation) * 1_000));
      case 'save': {
        const wasOutside = holder.has !== undefined && this.active === 1 && holder.isOutside;
        await (operation.pick % 2 ? session.save() : this.node.store.save(session));
        if (wasOutside)
          ledger.broken('save() of a session that had ended, or was another’s, resolved (S27, S56)');
        return holder.acknowledged('save() resolved', unsaved);
      }
      case 'start': {
        await session.start();
        if (this.active === 1 && session.handle !== holder.has?.handle)
          ledger.broken('start() resolved, and the session is stored under another handle');
        return holder.acknowledged('start() resolved', new Map());
      }
      case 'tap':
        if (await this.tap(operation, (fn) => session.tap(fn)))
          holder.acknowledged('tap() resolved', unsaved);
        return;
      case 'locked':
        return holder.exchange && this.locked(operation);
      case 'regenerate':
        await session.regenerate();
        return this.hasRotated(operation, unsaved);
      case 'login':
        await this.login(operation, unsaved);
        return this.hasRotated(operation, unsaved);
      case 'logout':
        await session.logout();
        if (!holder.hadFaults && holder.has && !holder.isOutside)
          ledger.broken('logout() resolved, and the session lives (S26)');
        return holder.restarts(began);
      case 'flushHeaders':
        return this.flushHeaders();
      case 'leave':
        holder.hasLeft = this.response !== undefined;
        return void this.response?.emit('close');
      case 'respond':
        return this.respond();
    }
  }

  private async login(operation: Operation, unsaved: Map<string, Written>): Promise<void> {
    const { holder, world } = this;
    if (holder.has) holder.loginsFrom.set(operation, world.ledger.now());
    const options = operation.pick % 5 === 0 ? { ttl: ttlOf(operation) } : {};
    const before = holder.unsaved.get('ttl');
    if (options.ttl !== undefined) {
      holder.writes('ttl', String(options.ttl * 1_000));
      unsaved.set('ttl', holder.unsaved.get('ttl')!);
    }
    const wished = holder.unsaved.get('ttl');
    try {
      await holder.session!.login(userOf(operation), options);
    } catch (error) {
      // What was wished for before a login that failed still is.
      if (holder.unsaved.get('ttl') === wished) holder.unsaved.delete('ttl');
      if (before && !holder.unsaved.has('ttl')) holder.unsaved.set('ttl', before);
      holder.staysAsBefore(operation);
      throw error;
    }
  }

  /** One that came second stored nothing. */
  private hasRotated(operation: Operation, unsaved: Unsaved): void {
    const { holder } = this;
    if (holder.madeBy === operation) holder.acknowledged(`${operation.deed}() resolved`, unsaved);
    this.learn();
  }

  /** A tap by id alone. */
  async tapBy(operation: Operation, tap: (fn: (data: Bag) => unknown) => Promise<unknown>): Promise<void> {
    const { has } = this.holder;
    await this.deeds.run(operation, this.holder, async () => {
      try {
        await this.tap(operation, tap);
      } catch (error) {
        if (!this.isDue(operation, error, has)) throw error;
      }
    });
  }

  /** Adds one to what only taps write. Nothing is lost, nothing counts twice. */
  private async tap(
    operation: Operation,
    tap: (fn: (data: Bag) => unknown) => Promise<unknown>,
  ): Promise<boolean> {
    const { holder, world } = this;
    const { ledger } = world;
    const { pick } = operation;
    const throws = pick % 8 === 0;
    try {
      await tap(async (data) => {
        holder.isLoading = false;
        holder.mayRun();
        data['count'] = Number(data['count'] ?? 0) + 1;
        await world.schedule.wait(pick % 4);
        if (throws) throw CHANGED_MY_MIND;
      });
    } catch (error) {
      if (error === CHANGED_MY_MIND && throws) return false;
      throw error;
    }
    const stored = ledger.turnsTaken.filter((taken) => taken === operation).length;
    if (stored !== 1) ledger.broken('a tap that resolved was not stored once', `${stored} times`);
    return true;
  }

  /** A locked route that reads and writes plainly. */
  private async locked(operation: Operation): Promise<void> {
    const { holder, world } = this;
    const { ledger } = world;
    const session = holder.session!;
    this.isAlone = true;
    try {
      await holder.exchange!.locked(async () => {
        holder.mayRun();
        const n = Number(session.get('locked') ?? 0);
        await world.schedule.wait(operation.pick % 4);
        session.set('locked', n + 1);
      });
    } catch (error) {
      this.isOver = true;
      throw error;
    } finally {
      this.isAlone = false;
    }
    if (!ledger.turnsTaken.includes(operation) && !holder.isOutside)
      ledger.broken('a locked route that resolved was not stored (S51)');
  }

  /** What it is shown is its own, or of before the session changed hands (S56). */
  private sees(operation: Operation): void {
    const { holder, world } = this;
    const { has, known, session } = holder;
    const value = session!.get(keyOf(operation));
    if (!has || !known || this.active > 1) return;
    const { epoch } = holder.bases.get(has.handle)!;
    if (value !== undefined && (known.texts.get(JSON.stringify(value)) ?? 0) > epoch)
      world.ledger.broken('a holder of before the session changed hands sees what came later (S56)');
    if (session!.userId !== known.users[epoch]!.userId)
      world.ledger.broken('a session shows another user than its own (S56)', `${session!.userId}`);
  }

  private async flushHeaders(): Promise<void> {
    if (!this.response || this.holder.respondsSince !== undefined) return;
    this.holder.respondsSince = this.world.ledger.now();
    this.response.flushHeaders();
    await this.response.head;
  }

  private async respond(): Promise<void> {
    const { holder, response, world } = this;
    const wasRefused = this.isOver;
    this.isOver = true;
    if (!response || response.writableEnded) return;
    const unsaved = new Map(holder.unsaved);
    holder.respondsSince ??= world.ledger.now();
    response.end();
    await response.whole;
    if (response.sentStatus === 200) {
      const same =
        holder.refused?.size === unsaved.size &&
        [...unsaved.keys()].every((key) => holder.refused!.get(key) === unsaved.get(key));
      // To a client that left nobody tells anything: what a fault kept from being saved then, the log says.
      const isTold = !holder.hasLeft || !holder.hadFaults;
      if (isTold && !wasRefused && !same) holder.acknowledged('a response went out', unsaved);
    } else if (!holder.hadFaults) {
      world.ledger.broken('a response was replaced without a reason', `by a ${response.sentStatus}`);
    }
    this.learn();
    world.schedule.in(2, () => response.emit('close'));
  }

  /** An id that is known now can be used in later operations. */
  private learn(): void {
    const { session, madeBy } = this.holder;
    if (madeBy && session) this.deeds.ids.push(session.id);
  }

  private tells(id: string | undefined, isReplaced: boolean): void {
    this.holder.tells(id, isReplaced);
    if (id) this.deeds.ids.push(id);
  }

  private value(): string {
    return `${this.holder.name}.${++this.numbers}`;
  }

  /** Whether an error has the reason that it gives. */
  private isDue({ deed }: Operation, error: unknown, has: Opener | undefined, wasAlone = true): boolean {
    const { holder, world } = this;
    const { ledger } = world;
    const known = has && ledger.known(has.handle);
    const isOutside =
      known !== undefined && (known.endedAt !== undefined || known.hasChangedHands(holder, has!.handle));
    const isDead = known?.diedAt(has!.proof) !== undefined;
    switch (codeOf(error)) {
      case 'ERR_SESSION_GONE':
        return isOutside || (deed !== 'save' && deed !== 'start' && isDead) || !wasAlone;
      case 'ERR_SESSION_CONFLICT':
        return deed === 'login' && isDead;
      case 'ERR_SESSION_LOCK':
        return has !== undefined && ledger.locksLost.has(has.handle);
      case 'ERR_SESSION_STORAGE':
        return holder.hadFaults;
      case 'ERR_SESSION':
        return holder.headersAt !== undefined && /before the headers go out/.test(String(error));
      default:
        return false;
    }
  }
}
