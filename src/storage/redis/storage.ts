import { randomBytes } from 'node:crypto';
import {
  type LockOptions,
  type SessionChange,
  type SessionLease,
  SessionStorage,
  type UpdateResult,
} from '../session-storage.js';
import { type SessionRecord } from '../record.js';
import { connectClient, connectOptions, type RedisConnectOptions } from './connect.js';
import { Deadlines } from './deadlines.js';
import { type RedisClient, portOf } from './client.js';
import { NodeEvents } from './node-events.js';
import { RedisKeys } from './keys.js';
import { RedisLeases } from './leases.js';
import type { RedisPort, Reply } from './port.js';
import { redisOptions, type RedisStorageOptions } from './options.js';
import * as scripts from './scripts.js';
import { checkProof, fieldOf, metaOf, pushData, recordOf, userText } from './session-hash.js';
import { UserIndex } from './user-index.js';

/** Sessions of a user that are read together. */
const READ_AT_ONCE = 100;

/** How often an update may find that the session was bound to another user meanwhile. */
const MAX_TRIES = 20;

/**
 * Sessions in Redis 7 or Valkey, standalone, behind Sentinel or in a Cluster, shared by any number of processes.
 *
 * A session is one hash that Redis removes by itself when it expires. Reading one is one command, writing to one
 * is another; everything that must not be torn apart is a Lua script on that session's slot.
 *
 * A failure rejects within `commandTimeout`; see `docs/redis.md` for what a failover may lose, and for how to set
 * up the server.
 *
 * @example
 * import { Redis } from 'ioredis';
 * import { RedisStorage } from 'nest-sessions/redis';
 *
 * SessionModule.forRoot({ storage: new RedisStorage(new Redis('redis://localhost:6379')) })
 */
export class RedisStorage extends SessionStorage {
  private readonly port: RedisPort;
  private readonly keys: RedisKeys;
  private readonly users: UserIndex;
  private readonly leases: RedisLeases;
  /** There only if this node is to tell the others, and hear of them. */
  private readonly nodeEvents: NodeEvents | undefined;
  private readonly deadlines: Deadlines | undefined;
  private readonly once = randomBytes(3).toString('base64url');
  private created = 0;

  /**
   * @param client `Redis` or `Cluster` of ioredis, or what `createClient` or `createCluster` of node-redis made. It
   *   stays the caller's: the storage neither closes it nor changes it. One of node-redis is connected when the
   *   application starts if it is not by then, and closed at the end in that case.
   * @throws {SessionOptionsError} when the client is none of these, or an option is unknown or wrong
   */
  constructor(client: RedisClient, options: RedisStorageOptions = {}) {
    super();
    const { prefix, commandTimeout, events } = redisOptions(options);
    this.port = portOf(client, commandTimeout, ownedClients.has(client));
    this.keys = new RedisKeys(prefix);
    this.users = new UserIndex(this.port, this.keys);
    this.leases = new RedisLeases(this.port, this.keys);
    if (!events) return;
    this.deadlines = new Deadlines(this.port, this.keys);
    this.nodeEvents = new NodeEvents(this.port, this.keys, (event) => this.notify(event));
  }

  /**
   * A storage with an ioredis client of its own, which connects when the application starts and is closed when it
   * shuts down.
   *
   * @param url `redis://[[user]:password@]host[:port][/db]`, or `rediss://` for TLS; of a Cluster, any one node
   * @throws {SessionOptionsError} when ioredis is not installed, or the URL or an option is wrong
   *
   * @example
   * SessionModule.forRootAsync({
   *   useFactory: async () => ({ storage: await RedisStorage.connect(process.env.REDIS_URL!) }),
   * })
   */
  static async connect(url: string, options: RedisConnectOptions = {}): Promise<RedisStorage> {
    const { cluster, client: clientOptions, ...rest } = connectOptions(options);
    const { commandTimeout } = redisOptions(rest);
    const client = await connectClient(url, { cluster, client: clientOptions }, commandTimeout);
    ownedClients.add(client);
    return new RedisStorage(client, rest);
  }

  async create(record: SessionRecord): Promise<boolean> {
    const { handle, userId, expiresAt } = record;
    const until = userId === undefined ? undefined : UserIndex.until(expiresAt);
    if (until !== undefined) await this.users.add(userId!, handle, until);
    await this.deadlines?.add(handle, expiresAt);
    const args = [
      String(Date.now()),
      String(Math.ceil(expiresAt)),
      ...metaOf(record, until, this.once + (++this.created % 1_296).toString(36)),
    ];
    pushData(args, record.data);
    return (await scripts.createSession.run(this.port, [this.keys.session(handle)], args)) === 1;
  }

  read(handle: string): Promise<SessionRecord | undefined> {
    const key = this.keys.session(handle);
    return this.port.send(key, 'HGETALL', [key]).then(
      (reply) => this.recordOf(handle, flat(reply)),
      (error: Error) => {
        if (!error.message.startsWith('WRONGTYPE')) throw error;
        this.notify({ type: 'corrupt', handle });
        return undefined;
      },
    );
  }

  async update(handle: string, change: SessionChange): Promise<UpdateResult> {
    const { lease, userId, expiresAt } = change;
    const keys = [this.keys.session(handle)];
    if (lease !== undefined) keys.push(this.keys.lock(handle));
    let listed: Listing | undefined;
    if (userId !== undefined && expiresAt !== undefined) {
      listed = await this.list(userId, handle, expiresAt);
    }
    for (let tries = 0; tries < MAX_TRIES; tries++) {
      const reply = await scripts.updateSession.run(this.port, keys, updateArgs(change, listed));
      switch (reply) {
        case scripts.OK:
          return 'ok';
        case scripts.OK_EARLIER:
          await this.deadlines?.add(handle, expiresAt!);
          return 'ok';
        case scripts.CONFLICT:
          return 'conflict';
        case scripts.CORRUPT:
          this.notify({ type: 'corrupt', handle });
          return 'gone';
        case scripts.GONE:
          return 'gone';
      }
      const [user, deadline] = reply as [string, string];
      listed = await this.list(user.slice(1), handle, Number(deadline));
    }
    throw new Error(
      `RedisStorage: session ${handle} was bound to another user ${MAX_TRIES} times meanwhile.`,
    );
  }

  async destroy(handle: string): Promise<boolean> {
    const message = this.nodeEvents?.destroyedMessage(handle);
    const args = [String(Date.now()), message ? this.keys.eventChannel : '', message ?? ''];
    const reply = await scripts.destroySession.run(this.port, [this.keys.session(handle)], args);
    if (reply === 0) return false;
    // The session has ended, whatever becomes of this: an entry that stays does no harm.
    const tidied = [this.deadlines?.remove(handle)];
    if (reply !== 1) {
      const [user, until] = reply as [string, string];
      tidied.push(this.users.remove(user.slice(1), handle, until));
    }
    await Promise.allSettled(tidied);
    return true;
  }

  /**
   * Redis removes expired sessions itself. What is left to do is to tell of them, if `events` is on: each is told,
   * and counted here, by one node only.
   */
  async purgeExpired(limit: number): Promise<number> {
    if (!this.deadlines || limit <= 0) return 0;
    let count = 0;
    for await (const handle of this.deadlines.expired(limit, (each) => this.deadlineOf(each))) {
      await this.nodeEvents!.tellExpired(handle);
      count++;
    }
    return count;
  }

  /**
   * Goes through all keys of the database, a thousand at a time, without keeping the server from others. It is not
   * for every request. While Redis shrinks its tables, it may count a session twice.
   */
  async count(): Promise<number> {
    let count = 0;
    await this.port.scan(this.keys.sessionPattern, (keys) => void (count += keys.length));
    return count;
  }

  async byUser(userId: string): Promise<SessionRecord[]> {
    const handles = await this.users.handles(userId);
    const records: SessionRecord[] = [];
    for (let i = 0; i < handles.length; i += READ_AT_ONCE) {
      const page = await Promise.all(handles.slice(i, i + READ_AT_ONCE).map((handle) => this.read(handle)));
      for (const record of page) if (record?.userId === userId) records.push(record);
    }
    return records;
  }

  override lock(handle: string, options: LockOptions): Promise<SessionLease> {
    return this.leases.acquire(handle, options);
  }

  /** @throws {Error} when the server cannot be reached within ten times the `commandTimeout` */
  override async open(): Promise<void> {
    await this.port.open();
    await this.nodeEvents?.open();
  }

  override async close(): Promise<void> {
    this.leases.close();
    this.nodeEvents?.close();
    await this.port.close();
  }

  private recordOf(handle: string, hash: readonly string[]): SessionRecord | undefined {
    if (hash.length === 0) return undefined;
    const record = recordOf(handle, hash);
    if (!record) this.notify({ type: 'corrupt', handle });
    // Redis goes by its own clock: the one of this process may be ahead.
    return record && Date.now() < record.expiresAt ? record : undefined;
  }

  private async list(userId: string, handle: string, deadline: number): Promise<Listing> {
    const until = UserIndex.until(deadline);
    await this.users.add(userId, handle, until);
    return { userId, until };
  }

  private async deadlineOf(handle: string): Promise<number | undefined> {
    return (await this.read(handle))?.expiresAt;
  }
}

/** Clients that were made here. */
const ownedClients = new WeakSet<RedisClient>();

/** What the index says of the session by now. */
interface Listing {
  readonly userId: string;
  readonly until: number;
}

function updateArgs(change: SessionChange, listed: Listing | undefined): string[] {
  const { set, remove, proof, userId, authenticatedAt, touchedAt, expiresAt, ttl, expectedVersion } = change;
  // What is removed and set ends up set.
  const removed = remove?.filter((key) => !set || !Object.hasOwn(set, key)) ?? [];
  const args = [
    String(Date.now()),
    text(expectedVersion),
    text(touchedAt),
    text(expiresAt),
    text(ttl),
    proof === undefined ? '' : checkProof(proof),
    text(authenticatedAt),
    userText(userId),
    text(listed?.until),
    userText(listed?.userId),
    String(removed.length),
    change.lease ?? '',
  ];
  for (const key of removed) args.push(fieldOf(key));
  if (set) pushData(args, set);
  return args;
}

/** A client may be set to make an object of a hash. */
function flat(reply: Reply): readonly string[] {
  return Array.isArray(reply) ? reply : Object.entries(Object(reply) as Record<string, string>).flat();
}

const text = (value: number | undefined): string => (value === undefined ? '' : String(value));
