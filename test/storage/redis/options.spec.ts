import { describe, expect, it, jest } from '@jest/globals';
import { Cluster, Redis } from 'ioredis';
import { createClient, createCluster } from 'redis';
import { SessionOptionsError } from '../../../src/index.js';
import { type RedisClient, RedisStorage } from '../../../src/storage/redis/index.js';

/** Nothing listens there, and nothing is asked. */
const NOWHERE = { port: 1, host: '127.0.0.1', lazyConnect: true };

const message = (work: () => unknown): string => {
  try {
    work();
  } catch (error) {
    expect(error).toBeInstanceOf(SessionOptionsError);
    return (error as Error).message;
  }
  throw new Error('Nothing was refused');
};

describe('RedisStorage', () => {
  it('takes the clients of both packages', () => {
    const node = { url: 'redis://127.0.0.1:1' };
    const clients = [
      new Redis(NOWHERE),
      new Cluster([NOWHERE], { lazyConnect: true }),
      createClient(node),
      createCluster({ rootNodes: [node] }),
    ];
    for (const client of clients) expect(new RedisStorage(client)).toBeInstanceOf(RedisStorage);
  });

  it.each([undefined, null, 42, {}, new Map(), 'redis://127.0.0.1'])('refuses %p for a client', (client) => {
    expect(message(() => new RedisStorage(client as unknown as RedisClient))).toMatch(
      /takes a client of ioredis/,
    );
  });

  it.each(['', 'a{b', 'a}b', 'a b', 'a\nb', 'a\u0000', 'ä', 'x'.repeat(129), 7, null])(
    'refuses %p for a prefix (S53)',
    (prefix) => {
      const make = () => new RedisStorage(new Redis(NOWHERE), { prefix: prefix as string });
      expect(message(make)).toMatch(/prefix must be/);
    },
  );

  it.each([0, -1, NaN, Infinity, '1s', null])('refuses %p for a command timeout', (commandTimeout) => {
    const make = () => new RedisStorage(new Redis(NOWHERE), { commandTimeout: commandTimeout as number });
    expect(message(make)).toMatch(/commandTimeout must be/);
  });

  it('refuses an option that it does not know', () => {
    const make = (options: object) => () => new RedisStorage(new Redis(NOWHERE), options);
    expect(message(make({ prefx: 'a:' }))).toMatch(/prefx is not an option \(did you mean prefix\?\)/);
    expect(message(make({ events: 'yes' }))).toMatch(/events must be true or false/);
    expect(message(make(null as unknown as object))).toMatch(/options must be an object/);
  });

  it('refuses a client that would make it read what is old, or look for other keys', () => {
    const replicas = new Cluster([NOWHERE], { lazyConnect: true, scaleReads: 'slave' });
    expect(message(() => new RedisStorage(replicas))).toMatch(/read from masters/);
    const prefixed = new Redis({ ...NOWHERE, keyPrefix: 'app:' });
    expect(message(() => new RedisStorage(prefixed))).toMatch(/keyPrefix/);
  });

  it('leaves the client alone but for what it listens to, until it is closed', async () => {
    const client = new Redis(NOWHERE);
    const before = client.listenerCount('ready');
    const storage = new RedisStorage(client);
    expect(client.status).toBe('wait');
    await storage.close();
    expect([client.status, client.listenerCount('ready'), client.listenerCount('error')]).toEqual([
      'wait',
      before,
      0,
    ]);
  });
});

describe('RedisStorage.connect', () => {
  it.each([undefined, 'localhost', 'http://localhost', 'redis:', 7])('refuses %p for a URL', async (url) => {
    await expect(RedisStorage.connect(url as string)).rejects.toThrow(/takes a URL such as/);
  });

  it('never shows the URL in an error: it may hold a password (S50)', async () => {
    const refused: unknown = await RedisStorage.connect('http://user:hunter2@host').catch(
      (error: unknown) => error,
    );
    expect(String(refused)).not.toContain('hunter2');
  });

  it('checks the options of the storage', async () => {
    await expect(RedisStorage.connect('redis://127.0.0.1:1', { prefix: '{' })).rejects.toThrow(/prefix/);
  });

  it('names everything that is wrong with its own and the storage’s options in one error', async () => {
    const options = { prefix: '{', clusters: true, cluster: 'yes', client: 'redis://:hunter2@host' };
    const refused = await RedisStorage.connect('redis://127.0.0.1:1', options as object).catch(String);
    expect(refused).toMatch(/clusters is not an option \(did you mean cluster\?\)/);
    expect(refused).toMatch(
      /prefix must be .*\n.*cluster must be true or false; got "yes"\n.*client must be/,
    );
    expect(refused).not.toContain('hunter2');
  });

  it('connects to nothing before it is used, and frees what it made', async () => {
    const connect = jest.spyOn(Redis.prototype, 'connect');
    const storage = await RedisStorage.connect('redis://127.0.0.1:1');
    await storage.close();
    expect(connect).not.toHaveBeenCalled();
    connect.mockRestore();
  });
});
