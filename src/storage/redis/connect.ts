import { SessionOptionsError } from '../../errors.js';
import { checkedOptions, flag, isOptions, kindOf, type OptionRules } from '../../rules.js';
import type { IoredisClient } from './ioredis-port.js';
import { REDIS_OPTIONS, type RedisStorageOptions } from './options.js';

/** What `RedisStorage.connect(url, options)` takes besides the storage's own options. */
export interface RedisConnectOptions extends RedisStorageOptions {
  /** Whether the URL is that of a node of a Cluster. Default false. */
  readonly cluster?: boolean | undefined;
  /** Options for ioredis, for what the URL cannot say: `{ tls: { ca }, sentinels, name }`. */
  readonly client?: Readonly<Record<string, unknown>> | undefined;
}

const OPTIONS: OptionRules<RedisConnectOptions> = {
  ...REDIS_OPTIONS,
  cluster: flag,
  // It may hold a password.
  client: { takes: 'an object of options for ioredis', accepts: isOptions, shows: kindOf },
};

/** @throws {SessionOptionsError} one error that names every option that is unknown or wrong */
export const connectOptions = (options: RedisConnectOptions): RedisConnectOptions =>
  checkedOptions('RedisStorage.connect', options, OPTIONS);

/**
 * An ioredis client that suits sessions; it connects when it is used first.
 *
 * @throws {SessionOptionsError} when ioredis is not installed, or the URL is none of Redis
 */
export async function connectClient(
  url: string,
  { cluster, client }: Pick<RedisConnectOptions, 'cluster' | 'client'>,
  commandTimeout: number,
): Promise<IoredisClient> {
  checkUrl(url);
  const { Redis, Cluster } = await load();
  const node = {
    connectionName: 'nest-sessions',
    connectTimeout: 5_000,
    // Back within a second after the server is.
    retryStrategy: (times: number) => Math.min(times * 50, 1_000),
    // A host that vanished without a word would keep the connection for a quarter of an hour.
    socketTimeout: 5 * commandTimeout,
    // A former master that is a replica by now.
    reconnectOnError: (error: Error) => error.message.startsWith('READONLY'),
  };
  const connection = cluster
    ? new Cluster([url], {
        lazyConnect: true,
        clusterRetryStrategy: (times) => Math.min(times * 50, 1_000),
        slotsRefreshInterval: 5_000,
        ...client,
        redisOptions: { ...node, ...secretsOf(url), ...(client?.['redisOptions'] as object | undefined) },
      })
    : new Redis(url, { ...node, lazyConnect: true, ...client });
  // The request that meets a failure reports it; without a listener, ioredis writes to the console as well.
  connection.on('error', () => undefined);
  return connection;
}

/** Of a Cluster's URL, ioredis uses user, password and TLS for that node alone. */
function secretsOf(url: string) {
  const { protocol, username, password, hostname } = new URL(url);
  return {
    ...(username && { username: decodeURIComponent(username) }),
    ...(password && { password: decodeURIComponent(password) }),
    ...(protocol === 'rediss:' && { tls: { servername: hostname } }),
  };
}

function checkUrl(url: unknown): void {
  if (typeof url === 'string' && /^rediss?:\/\/./.test(url) && URL.canParse(url)) return;
  // Never the URL itself: it may hold a password.
  throw new SessionOptionsError(
    'RedisStorage.connect takes a URL such as "redis://user:password@host:6379/0", or "rediss://" for TLS; got ' +
      (typeof url === 'string' ? 'a text that is none.' : `${kindOf(url)}.`),
  );
}

async function load() {
  try {
    return await import('ioredis');
  } catch (error) {
    throw new SessionOptionsError(
      'RedisStorage.connect needs the package ioredis: npm install ioredis. With a client of the package redis, ' +
        'use new RedisStorage(client).',
      { cause: error },
    );
  }
}
