import type { IncomingMessage } from 'node:http';
import type { Subscription } from 'rxjs';
import type { SessionEvent } from '../session/events.js';
import type { Sessions } from '../session/sessions.js';
import type { SessionRecord } from '../storage/record.js';
import { type AnySocket, type Bound, hangUp, isIo } from './sockets.js';

/** Handles in one call of a storage. */
const PAGE = 500;
/** Single reads at once. */
const AT_ONCE = 10;
/** How long a message that logs out may take to answer before its socket is closed, in milliseconds. */
const LEAVE = 1_000;
/** The longest that a timer of Node can wait, in milliseconds. */
const LONGEST = 2_147_483_647;

/** Milliseconds between two looks at least, however close the deadlines are. */
const GRAIN = 50;

/** The sockets of one session on this node. There are few, and a set of them would take twice the memory. */
interface Held {
  readonly sockets: AnySocket[];
  /** When the session is to be read again: its deadline, as far as it is known. */
  due: number;
}

const registries = new WeakMap<Sessions, SocketRegistry>();

/** The open sockets of this node by their sessions, closed when those end. Nothing of it keeps the process alive. */
export class SocketRegistry {
  /** Milliseconds between two looks at all handles. */
  checkEvery = 30_000;
  /** Ends and logins that were heard of so far. */
  seen = 0;

  private readonly held = new Map<string, Held>();
  private readonly users = new Map<string, AnySocket[]>();
  /** By a request of a handshake, and by its sockets. */
  private readonly bounds = new WeakMap<object, Bound>();
  /** Sockets of connections whose last message logs out. */
  private readonly leaving = new Map<Bound, AnySocket[]>();
  private readonly heard: Subscription;
  private readonly forget: () => void;
  private round: NodeJS.Timeout | undefined;
  /** For the first deadline of all: a timer for each would take 300 bytes. */
  private alarm: NodeJS.Timeout | undefined;
  private alarmAt = Infinity;
  private checking: Promise<void> | undefined;

  private constructor(private readonly sessions: Sessions) {
    // One function for all: emitters say which of them it is.
    const remove = (socket: AnySocket) => this.remove(socket);
    this.forget = function (this: AnySocket) {
      remove(this);
    };
    this.heard = sessions.events.subject.subscribe({
      next: (event) => this.hear(event),
      complete: () => this.stop(),
    });
  }

  static of(sessions: Sessions): SocketRegistry {
    let registry = registries.get(sessions);
    if (!registry) registries.set(sessions, (registry = new SocketRegistry(sessions)));
    return registry;
  }

  /** Remembers what a handshake is for until its sockets are there. */
  bind(request: IncomingMessage, bound: Bound): void {
    this.bounds.set(request, bound);
  }

  /** @param socket also the request of its handshake */
  boundOf(socket: object): Bound | undefined {
    const bound = this.bounds.get(socket);
    if (bound) return bound;
    const { request } = socket as { request?: IncomingMessage };
    return request && this.bounds.get(request);
  }

  /** Takes in a socket that has opened, once. */
  add(socket: AnySocket, request: IncomingMessage): void {
    const bound = this.bounds.get(request);
    if (!bound || this.bounds.has(socket)) return;
    this.bounds.set(socket, bound);
    const { handle, userId } = bound;
    if (handle === undefined) return;
    if (bound.hasEnded) return hangUp([socket]);
    let held = this.held.get(handle);
    // A list that begins with its first one has room for no more, and most have one.
    if (held) held.sockets.push(socket);
    else this.held.set(handle, (held = { sockets: [socket], due: Infinity }));
    if (userId !== undefined) {
      const sockets = this.users.get(userId);
      if (sockets) sockets.push(socket);
      else this.users.set(userId, [socket]);
    }
    if (isIo(socket)) {
      socket.on('disconnect', this.forget);
    } else {
      socket.on('close', this.forget);
      this.bounds.delete(request);
    }
    if (held.due === Infinity) this.arm(handle, held, bound.expiresAt);
    if (!this.round) this.round = setInterval(() => void this.check(), this.checkEvery).unref();
    // What happened since the handshake read the session was nobody's to hear.
    if (bound.seen !== this.seen) void this.look(handle);
  }

  of(handle: string): AnySocket[] {
    return [...(this.held.get(handle)?.sockets ?? [])];
  }

  ofUser(userId: string): AnySocket[] {
    return [...(this.users.get(userId) ?? [])];
  }

  /** Closes the sockets of a session, all or those that `which` says, and says how many. */
  end(handle: string, which: (bound: Bound) => boolean = () => true): number {
    const ended = this.of(handle).filter((socket) => which(this.bounds.get(socket)!));
    const now: AnySocket[] = [];
    for (const socket of ended) {
      const bound = this.bounds.get(socket)!;
      this.remove(socket);
      bound.hasEnded = true;
      if (isLeaving(bound)) this.leave(bound, socket);
      else now.push(socket);
    }
    hangUp(now);
    return ended.length;
  }

  /** Closes the sockets of a connection that waited for the answer to a logout. */
  release(bound: Bound): void {
    const sockets = this.leaving.get(bound);
    if (!sockets) return;
    this.leaving.delete(bound);
    hangUp(sockets);
  }

  /** Closes what does not belong to the session as it is stored now. */
  async look(handle: string): Promise<void> {
    const held = this.held.get(handle);
    if (!held) return;
    let record: SessionRecord | undefined;
    try {
      record = await this.sessions.storage.read(handle);
    } catch {
      // It is in the log. Until the storage answers again the sockets live.
      return this.arm(handle, held, Date.now() + this.checkEvery);
    }
    if (!record) return void this.end(handle);
    const { userId, expiresAt } = record;
    this.end(handle, (bound) => bound.userId !== userId);
    this.arm(handle, held, expiresAt);
  }

  /** Looks at all handles: in pages whether they live, and one by one at those on which a login may have come. */
  private check(): Promise<void> {
    this.checking ??= this.checkAll().finally(() => (this.checking = undefined));
    return this.checking;
  }

  private async checkAll(): Promise<void> {
    const handles = [...this.held.keys()];
    for (let i = 0; i < handles.length; i += PAGE) {
      const page = handles.slice(i, i + PAGE);
      try {
        const alive = new Set(await this.sessions.storage.alive(page));
        for (const handle of page) if (!alive.has(handle)) this.end(handle);
      } catch {
        return; // It is in the log, and the next look tries again.
      }
    }
    const visitors = [...this.held].filter(([, { sockets }]) => sockets.some((one) => this.isVisitor(one)));
    for (let i = 0; i < visitors.length; i += AT_ONCE) {
      await Promise.all(visitors.slice(i, i + AT_ONCE).map(([handle]) => this.look(handle)));
    }
  }

  private isVisitor(socket: AnySocket): boolean {
    return this.bounds.get(socket)?.userId === undefined;
  }

  private hear({ type, handle, userId }: SessionEvent): void {
    switch (type) {
      case 'destroyed':
      case 'expired':
      case 'evicted':
        this.seen++;
        // Not before the message that logs out knows that it has.
        if (handle !== undefined && this.held.has(handle)) setImmediate(() => this.end(handle));
        break;
      case 'rotated':
        this.seen++;
        if (handle !== undefined) this.end(handle, (bound) => bound.userId !== userId);
        break;
      case 'gone':
      case 'corrupt':
        if (handle !== undefined) void this.look(handle);
        break;
      default:
    }
  }

  /** Reads the session again at its deadline, which its use over HTTP may have moved. */
  private arm(handle: string, held: Held, at: number): void {
    if (this.held.get(handle) !== held) return;
    held.due = at;
    if (at < this.alarmAt) this.wake(at);
  }

  private wake(at: number): void {
    clearTimeout(this.alarm);
    this.alarmAt = at;
    const wait = Math.min(Math.max(at - Date.now() + 1, 1), LONGEST);
    this.alarm = setTimeout(() => this.lookAtDue(), wait).unref();
  }

  private lookAtDue(): void {
    const now = Date.now();
    let next = Infinity;
    for (const [handle, held] of this.held) {
      if (held.due > now) next = Math.min(next, held.due);
      else {
        held.due = Infinity;
        void this.look(handle);
      }
    }
    this.alarmAt = Infinity;
    if (next < Infinity) this.wake(Math.max(next, now + GRAIN));
  }

  private leave(bound: Bound, socket: AnySocket): void {
    const sockets = this.leaving.get(bound);
    if (sockets) return void sockets.push(socket);
    this.leaving.set(bound, [socket]);
    setTimeout(() => this.release(bound), LEAVE).unref();
  }

  private remove(socket: AnySocket): void {
    const { handle, userId } = this.bounds.get(socket)!;
    const held = this.held.get(handle!);
    if (!held || !takeOut(held.sockets, socket)) return;
    if (held.sockets.length === 0) this.held.delete(handle!);
    const others = userId === undefined ? undefined : this.users.get(userId);
    if (others && takeOut(others, socket) && others.length === 0) this.users.delete(userId!);
    if (this.held.size === 0) this.rest();
  }

  private rest(): void {
    clearInterval(this.round);
    clearTimeout(this.alarm);
    this.round = undefined;
    this.alarmAt = Infinity;
  }

  private stop(): void {
    this.heard.unsubscribe();
    this.rest();
    this.held.clear();
    this.users.clear();
  }
}

/** Whether it was there; the order of the others may change. */
function takeOut(sockets: AnySocket[], socket: AnySocket): boolean {
  const at = sockets.lastIndexOf(socket);
  if (at < 0) return false;
  const last = sockets.pop()!;
  if (at < sockets.length) sockets[at] = last;
  return true;
}

function isLeaving({ running }: Bound): boolean {
  for (const message of running ?? []) if (message.isLeaving) return true;
  return false;
}
