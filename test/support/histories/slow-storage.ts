import { AsyncLocalStorage } from 'node:async_hooks';
import { after, type Awaitable } from '../../../src/awaitable.js';
import { SessionStorage } from '../../../src/index.js';
import type { SessionRecord } from '../../../src/index.js';
import type {
  Expectation,
  LockOptions,
  SessionChange,
  SessionLease,
} from '../../../src/storage/session-storage.js';
import type { Holder } from './holder.js';
import type { Call, Ledger } from './ledger.js';
import type { History, Operation } from './plan.js';
import type { Random } from './random.js';
import type { Schedule } from './schedule.js';

/** The operation that the code running now belongs to. */
export interface Acting {
  readonly operation: Operation;
  readonly holder: Holder | undefined;
  readonly random: Random;
  /** Of the id that it is about. */
  readonly proof?: string;
}
export const acting = new AsyncLocalStorage<Acting>();

/** What the nodes of one history share. */
export interface World {
  readonly history: History;
  readonly schedule: Schedule;
  readonly ledger: Ledger;
  /** Where the sessions rest. */
  readonly inner: SessionStorage;
  /** The leases that hold now, by handle. */
  readonly leases: Map<string, SessionLease>;
  /** The calls that are carried out, one after another, so that their order is known; undefined where none takes time. */
  line: Promise<unknown> | undefined;
}

/** Turns after which a lease that nobody releases runs out. */
const HOLD = 20;

/** The calls of a storage that takes its time are carried out one after another. */
function inLine<T>(world: World, work: () => Awaitable<T>): Awaitable<T> {
  if (!world.line) return work();
  const done = world.line.then(work);
  world.line = done.catch(() => undefined);
  return done;
}

/**
 * The lock ran out: whoever holds it may not write any more, and the next one in line has it.
 *
 * @param only the lease that ran out; default: whichever there is
 */
export async function loseLock(world: World, handle: string, only?: SessionLease): Promise<void> {
  const { leases, ledger } = world;
  await inLine(world, () => {
    const lease = leases.get(handle);
    if (!lease || (only && lease !== only)) return;
    leases.delete(handle);
    ledger.locksLost.add(handle);
    return lease.release();
  });
}

/**
 * The storage as one node has it. Every call is carried out some turns after it was made, and answered some turns after
 * that; now and then one fails, before it was carried out or after.
 */
export class SlowStorage extends SessionStorage {
  private world!: World;
  private leave = () => {};

  constructor(readonly node: number) {
    super();
  }

  enter(world: World): void {
    this.leave();
    this.world = world;
    this.leave = world.inner.subscribe((event) => this.notify(event));
  }

  override create(record: SessionRecord) {
    return this.call('create', record.handle, record, () => this.world.inner.create(record));
  }
  override read(handle: string) {
    return this.call('read', handle, undefined, () => this.world.inner.read(handle));
  }
  override update(handle: string, change: SessionChange) {
    return this.call('update', handle, change, () => this.world.inner.update(handle, change));
  }
  override destroy(handle: string, expected?: Expectation) {
    return this.call('destroy', handle, expected, () => this.world.inner.destroy(handle, expected));
  }
  override byUser(userId: string) {
    return this.call('byUser', '', userId, () => this.world.inner.byUser!(userId));
  }
  override purgeExpired(limit: number) {
    return this.call('purgeExpired', '', undefined, () => this.world.inner.purgeExpired!(limit));
  }

  override lock(handle: string, options: LockOptions): Awaitable<SessionLease> {
    const { world } = this;
    const { schedule, ledger, history } = world;
    const call = ledger.begin('lock', handle, undefined, this.node, acting.getStore());
    const fault = this.fault(call);
    const granted = (lease: SessionLease): SessionLease => {
      world.leases.set(handle, lease);
      ledger.granted(call);
      if (fault === 'after') {
        schedule.in(HOLD, () => this.runOut(handle, lease));
        throw failed(call, fault);
      }
      return { token: lease.token, release: () => this.release(handle, lease) };
    };
    const acquire = () => {
      if (fault === 'before') throw failed(call, fault);
      return after(world.inner.lock(handle, options), granted);
    };
    if (!history.later) return acquire();
    return schedule
      .wait(turns(call))
      .then(acquire)
      .then(
        (lease) => schedule.wait(turns(call)).then(() => lease),
        (error: unknown) => schedule.wait(turns(call)).then(() => Promise.reject(error)),
      );
  }

  private release(handle: string, lease: SessionLease): Awaitable<void> {
    return after(
      this.call(
        'release',
        handle,
        undefined,
        () => {
          if (this.world.leases.get(handle) === lease) this.world.leases.delete(handle);
          return lease.release();
        },
        () => this.world.schedule.in(HOLD, () => this.runOut(handle, lease)),
      ),
      () => undefined,
    );
  }

  private runOut(handle: string, lease: SessionLease): Promise<void> {
    return loseLock(this.world, handle, lease);
  }

  private call<T>(
    method: Call['method'],
    handle: string,
    given: unknown,
    carryOut: () => Awaitable<T>,
    onFailure?: () => void,
  ): Awaitable<T> {
    const { schedule, ledger, history } = this.world;
    const call = ledger.begin(method, handle, given, this.node, acting.getStore());
    const fault = this.fault(call);
    const apply = (): Awaitable<T> => {
      if (fault === 'before') {
        onFailure?.();
        throw failed(call, fault);
      }
      return inLine(this.world, () =>
        after(carryOut(), (result) => {
          ledger.applied(call, result);
          return result;
        }),
      );
    };
    const answer = (result: T): T => {
      if (fault === 'after') throw failed(call, fault);
      ledger.delivered(call, result);
      return result;
    };
    if (!history.later) return after(apply(), answer);
    return new Promise<T>((resolve, reject) => {
      const late = (error: unknown) => schedule.in(turns(call), () => reject(error));
      schedule.in(turns(call), async () => {
        try {
          const result = await apply();
          schedule.in(turns(call), () => {
            try {
              resolve(answer(result));
            } catch (error) {
              reject(error);
            }
          });
        } catch (error) {
          late(error);
        }
      });
    });
  }

  private fault({ by }: Call): 'before' | 'after' | undefined {
    const { faults } = this.world.history;
    if (!by || by.operation.calm || faults === 0 || !by.random.chance(faults)) return undefined;
    return by.random.chance(0.5) ? 'before' : 'after';
  }
}

const turns = ({ by }: Call): number => by?.random.below(5) ?? 0;

function failed(call: Call, when: string): Error {
  call.failed = true;
  const holder = call.by?.holder;
  if (holder) {
    holder.hadFaults = true;
    if (call.method === 'read' && holder.respondsSince !== undefined) holder.couldNotLook = true;
  }
  return new Error(`${call.method} failed ${when} it was carried out`);
}
