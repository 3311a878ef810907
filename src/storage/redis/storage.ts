import {
  type Expectation,
  type LockOptions,
  type RecordPage,
  type SessionChange,
  type SessionLease,
  SessionStorage,
  type UpdateResult,
} from '../session-storage.js';
import type { SessionRecord } from '../record.js';
import { connectClient, connectOptions, type RedisConnectOptions } from './connect.js';
import { Deadlines, LINGER } from './deadlines.js';
import { type RedisClient, portOf } from './client.js';
import { NodeEvents } from './node-events.js';
import { RedisKeys } from './keys.js';
import { RedisLeases } from './leases.js';
import type { RedisPort, Reply } from './port.js';
import { redisOptions, type RedisStorageOptions } from './options.js';
import {
  changeArgs,
  expectationArgs,
  fieldsOf,
  type Listing,
  recordOf,
  removalTime,
  userOf,
} from './session-hash.js';
import { countKeys, pageOfKeys } from './session-scan.js';
import * as scripts from './session-scripts.js';
import { UserIndex } from './user-index.js';

/** How many sessions are asked for at once: the answers are in memory together, and keep others waiting. */
const AT_ONCE = 100;

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
  /** These two are there only if this node is to tell the others, and hear of them. */
  private readonly nodeEvents: NodeEvents | undefined;
  private readonly deadlines: Deadlines | undefined;

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
    const listed = userId === undefined ? undefined : await this.addToUser(userId, handle, expiresAt);
    await this.deadlines?.add(handle, expiresAt);
    const fields = fieldsOf(record, listed);
    const args = [String(Date.now()), removalTime(expiresAt, this.linger), ...fields];
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
    const write = (listed: Listing | undefined) => {
      const args = [String(Date.now()), ...changeArgs(change, listed, this.linger)];
      return scripts.updateSession.run(this.port, keys, args);
    };
    let listed: Listing | undefined;
    if (typeof userId === 'string' && expiresAt !== undefined) {
      listed = await this.addToUser(userId, handle, expiresAt);
    }
    let answer = await write(listed);
    // Once is enough where the change says the deadline, and names or expects the user. Else another write may come
    // in between that binds the session or prolongs it, and each of those costs one more.
    while (typeof answer !== 'number') {
      const [user, deadline] = [userOf(answer[0])!, Number(answer[1])];
      // Listed already: the stored user is no Unicode, and differs from the one that was decoded from it.
      if (user === listed?.userId && deadline <= listed.until) answer = scripts.DAMAGED;
      else answer = await write((listed = await this.addToUser(user, handle, deadline)));
    }
    if (answer === scripts.DAMAGED) this.notify({ type: 'corrupt', handle });
    if (answer === scripts.OK_EARLIER) await this.deadlines?.add(handle, expiresAt!);
    const result = scripts.RESULTS[answer];
    if (result === 'ok' && userId !== undefined && change.proof !== undefined)
      this.nodeEvents?.tellLogin(handle, userId);
    return result;
  }

  async destroy(handle: string, expected?: Expectation): Promise<boolean> {
    const message = this.nodeEvents?.destroyedMessage(handle);
    const args = [
      String(Date.now()),
      ...expectationArgs(expected),
      message ? this.keys.eventChannel : '',
      message ?? '',
    ];
    const reply = await scripts.destroySession.run(this.port, [this.keys.session(handle)], args);
    if (reply === 0) return false;
    // The session has ended, whatever becomes of this: an entry that stays does no harm.
    const tidied = [this.deadlines?.remove(handle)];
    if (typeof reply !== 'number') tidied.push(this.users.remove(userOf(reply[0])!, handle, reply[1]));
    await Promise.allSettled(tidied);
    return true;
  }

  /**
   * Redis removes expired sessions itself. What is left to do is to tell of them, if `events` is on: each is told,
   * and counted here, by one node only.
   */
  override async purgeExpired(limit: number): Promise<number> {
    if (!this.deadlines || limit <= 0) return 0;
    let count = 0;
    for await (const { handle, userId } of this.deadlines.expired(limit)) {
      await this.nodeEvents!.tellExpired(handle, userId);
      count++;
    }
    return count;
  }

  /**
   * Goes through all keys of the database, a thousand at a time, without keeping the server from others. It is not
   * for every request. While Redis shrinks its tables, it may count a session twice.
   */
  override count(): Promise<number> {
    return countKeys(this.port, this.keys.sessionPattern);
  }

  override async byUser(userId: string): Promise<SessionRecord[]> {
    const records = await this.readAll(await this.users.handles(userId));
    return records.filter((record) => record.userId === userId);
  }

  override async alive(handles: readonly string[]): Promise<string[]> {
    const alive: string[] = [];
    for (const page of pagesOf(handles)) {
      const now = [String(Date.now())];
      const keys = page.map((handle) => this.keys.session(handle));
      const groups = this.port.isCluster ? keys.map((key) => [key]) : [keys];
      const answers = await Promise.all(groups.map((group) => scripts.findLive.run(this.port, group, now)));
      for (const key of answers.flat() as string[]) alive.push(this.keys.handleOf(key));
    }
    return alive;
  }

  /**
   * Goes through the keys of the database like {@link count}. A page may have some more records than `limit`, or
   * fewer; a session may be on two pages, while Redis shrinks its tables or after a failover.
   */
  override async list({ limit, cursor }: { limit: number; cursor?: string }): Promise<RecordPage> {
    const page = await pageOfKeys(this.port, this.keys.sessionPattern, limit, cursor);
    const records = await this.readAll(Array.from(page.keys, (key) => this.keys.handleOf(key)));
    return { records, cursor: page.cursor };
  }

  /** Asks every master: each has sessions of its own. */
  override async ping(): Promise<void> {
    const masters = await this.port.masters();
    await Promise.all(masters.map((master) => master.send('ping', [])));
  }

  override lock(handle: string, options: LockOptions): Promise<SessionLease> {
    return this.leases.acquire(handle, options);
  }

  /** Not asked here: the fence is in the script of an update. What holds a session, Redis alone knows. */
  protected override holds(): never {
    throw new Error('RedisStorage: only Redis knows what holds a session; give the lease to update().');
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

  /** The live ones of these sessions. */
  private async readAll(handles: readonly string[]): Promise<SessionRecord[]> {
    const records: SessionRecord[] = [];
    for (const page of pagesOf(handles)) {
      const found = await Promise.all(page.map((handle) => this.read(handle)));
      for (const record of found) if (record) records.push(record);
    }
    return records;
  }

  /** Has the index list a session of this deadline. */
  private async addToUser(userId: string, handle: string, deadline: number): Promise<Listing> {
    const until = UserIndex.until(deadline);
    await this.users.add(userId, handle, until);
    return { userId, until };
  }

  /** Milliseconds that Redis keeps a session past its deadline. */
  private get linger(): number {
    return this.deadlines ? LINGER : 0;
  }
}

/** Clients that were made here. */
const ownedClients = new WeakSet<RedisClient>();

function* pagesOf(handles: readonly string[]): Generator<readonly string[]> {
  for (let i = 0; i < handles.length; i += AT_ONCE) yield handles.slice(i, i + AT_ONCE);
}

/** A client may be set to make an object of a hash. */
function flat(reply: Reply): readonly string[] {
  return Array.isArray(reply) ? reply : Object.entries(Object(reply) as Record<string, string>).flat();
}
