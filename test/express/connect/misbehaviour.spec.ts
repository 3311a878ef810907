import { randomBytes } from 'node:crypto';
import { EventEmitter } from 'node:events';
import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { Logger } from '@nestjs/common';
import { createClient } from 'redis';
import { connectShim } from '../../../src/express/connect/shim.js';
import { ConnectStorage } from '../../../src/express/connect/storage.js';
import type { ConnectStore } from '../../../src/express/connect/store.js';
import type { SessionRecord, StorageEvent } from '../../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../../support/clock.js';
import { Gate, turn } from '../../support/gate.js';
import { PlainStore } from './bad-store.js';

/** Milliseconds that a store which never answers is waited for. */
const timeout = 40;
const HOUR = 3_600_000;

function newRecord(fields: Partial<SessionRecord> = {}): SessionRecord {
  const now = Date.now();
  return {
    handle: randomBytes(16).toString('base64url'),
    proof: randomBytes(32).toString('base64url'),
    createdAt: now,
    touchedAt: now,
    expiresAt: now + HOUR,
    data: { visits: '1' },
    ...fields,
  };
}

/** All that a session goes through. */
async function live(store: ConnectStore): Promise<void> {
  const storage = new ConnectStorage(store, { timeout });
  const record = newRecord();
  const { handle, proof } = record;
  expect(await storage.read(handle)).toBeUndefined();
  expect(await storage.update(handle, { set: { visits: '2' } })).toBe('gone');
  expect(await storage.destroy(handle)).toBe(false);
  expect(await storage.create(record)).toBe(true);
  expect(await storage.create(newRecord({ handle }))).toBe(false);
  expect(await storage.read(handle)).toEqual(record);
  expect(await storage.update(handle, { set: { visits: '2' }, expected: { proof } })).toBe('ok');
  expect(await storage.update(handle, { remove: ['visits'], expected: { userId: 'eve' } })).toBe('conflict');
  expect(await storage.update(handle, { set: { visits: '3' }, lease: 'made-up' })).toBe('lost');
  expect(await storage.read(handle)).toEqual({ ...record, data: { visits: '2' } });
  expect(await storage.destroy(handle, { userId: 'eve' })).toBe(false);
  expect(await storage.destroy(handle)).toBe(true);
  expect(await storage.read(handle)).toBeUndefined();
  expect(await storage.update(handle, { touchedAt: 1 })).toBe('gone');
}

const missing = () => Object.assign(new Error('ENOENT: no such file'), { code: 'ENOENT' });

afterEach(() => void jest.restoreAllMocks());

describe('a store', () => {
  it.each<[string, (store: PlainStore) => unknown]>([
    ['answers at once', () => undefined],
    ['answers later', (s) => (s.answer = (callback, ...args) => void setImmediate(callback, ...args))],
    [
      'answers twice',
      (s) =>
        (s.answer = (callback, ...args) => {
          callback(...args);
          callback(...args);
          setImmediate(callback, new Error('and now an error'));
        }),
    ],
    [
      'gives promises beside callbacks, that are done before them',
      (s) =>
        (s.answer = async (callback, ...args) => {
          setTimeout(callback, 2, ...args);
        }),
    ],
    [
      'calls back inside an async function, as connect-redis does',
      (s) =>
        (s.answer = async (callback, ...args) => {
          await turn();
          return callback(...args);
        }),
    ],
    [
      'has null for absent, and for no error, or says nothing of it',
      (s) =>
        (s.answer = (callback, ...args) => callback(undefined, ...args.slice(1).map((one) => one ?? null))),
    ],
    ['gives the text that it has', (s) => (s.get = (sid, callback) => callback(null, s.texts.get(sid)))],
    [
      'says that what is not there is an error (ENOENT)',
      (s) => {
        const { get, destroy } = s;
        s.get = (sid, callback) => (s.texts.has(sid) ? get.call(s, sid, callback) : callback(missing()));
        s.destroy = (sid, callback) =>
          s.texts.has(sid) ? destroy.call(s, sid, callback) : callback(missing());
      },
    ],
    [
      'adds fields, and loses the cookie',
      (s) =>
        (s.get = (sid, callback) => {
          const { cookie: _, ...session } = JSON.parse(s.texts.get(sid) ?? '{}') as Record<string, unknown>;
          callback(null, s.texts.has(sid) ? { ...session, id: sid, lastModified: new Date(), __v: 1 } : null);
        }),
    ],
    [
      'fails at touching, which it is not asked for',
      (s) =>
        Object.assign(s, {
          touch: () => {
            throw new Error('Unable to find the session to touch');
          },
        }),
    ],
    [
      'says that it is disconnected, and never that it is back',
      (s) => {
        s.emit('disconnect');
        s.answer = (callback, ...args) => {
          s.emit('disconnect');
          callback(...args);
        };
      },
    ],
    [
      'emits errors that nobody listens to',
      (s) =>
        (s.answer = (callback, ...args) => {
          s.emit('error', new Error('the connection was lost'));
          callback(...args);
        }),
    ],
  ])('that %s is one to rely on', async (_, misbehave) => {
    const store = new PlainStore();
    misbehave(store);
    await live(store);
  });

  it('that has promises alone is one to rely on', async () => {
    const sessions = new Map<string, object>();
    await live({
      get: async (sid: string) => sessions.get(sid),
      set: async (sid: string, session: object) => void sessions.set(sid, session),
      destroy: async (sid: string) => void sessions.delete(sid),
    });
  });

  it('that keeps the very object, changes it and hands it out again is one to rely on', async () => {
    const sessions = new Map<string, Record<string, unknown>>();
    await live({
      get: (sid, callback) => {
        const session = sessions.get(sid);
        if (session) session['lastRead'] = new Date();
        callback(null, session);
      },
      set: (sid, session, callback) => {
        session.lastModified = new Date();
        session.cookie.seen = true;
        sessions.set(sid, session);
        callback();
      },
      destroy: (sid, callback) => {
        for (const key of Object.keys(sessions.get(sid) ?? {})) delete sessions.get(sid)![key];
        sessions.delete(sid);
        callback();
      },
    });
  });

  it.each<[string, (store: PlainStore) => unknown, RegExp]>([
    [
      'throws',
      (s) => {
        s.answer = () => {
          throw new Error('thrown');
        };
      },
      /thrown/,
    ],
    ['gives an error', (s) => (s.answer = (callback) => callback(new Error('given'))), /given/],
    ['rejects', (s) => (s.answer = () => Promise.reject(new Error('rejected'))), /rejected/],
    ['never answers', (s) => (s.answer = () => undefined), /PlainStore\.get\(\) did not answer within 40 ms/],
    [
      'never answers, and gives a promise',
      (s) => (s.answer = () => new Promise(() => undefined)),
      /within 40 ms/,
    ],
  ])('that %s is a failure, in time and for every call, and is asked anew', async (_, misbehave, reason) => {
    const store = new PlainStore();
    const storage = new ConnectStorage(store, { timeout });
    const record = newRecord();
    const sound = store.answer;
    await storage.create(record);
    misbehave(store);
    const started = performance.now();
    const calls = [
      storage.read(record.handle),
      storage.create(newRecord()),
      storage.update(record.handle, { set: { visits: '2' } }),
      storage.update(record.handle, { set: { visits: '3' } }),
      storage.destroy(record.handle),
    ];
    const answers = await Promise.allSettled(calls);
    expect(performance.now() - started).toBeLessThan(timeout * 3);
    for (const answer of answers) expect(answer.status).toBe('rejected');
    expect(String((answers[0] as PromiseRejectedResult).reason)).toMatch(reason);
    store.answer = sound;
    expect(await storage.read(record.handle)).toEqual(record);
    expect(await storage.update(record.handle, { set: { visits: '4' } })).toBe('ok');
    expect((await storage.read(record.handle))?.data).toEqual({ visits: '4' });
  });
});

describe('a write that a store answers late', () => {
  /** A store whose next set waits at a gate, and is carried out then. */
  function slowOnce(store: PlainStore): Gate {
    const gate = new Gate();
    const { set } = store;
    store.set = (sid, session, callback) => {
      store.set = set;
      void gate.pass().then(() => set.call(store, sid, session, callback));
    };
    return gate;
  }

  it('does not bring back a session that was logged out meanwhile (S27)', async () => {
    const store = new PlainStore();
    const storage = new ConnectStorage(store, { timeout });
    const record = newRecord();
    const { handle } = record;
    await storage.create(record);
    const gate = slowOnce(store);
    await expect(storage.update(handle, { set: { visits: '2' } })).rejects.toThrow(/set\(\) did not answer/);
    expect(await storage.destroy(handle)).toBe(true);
    gate.open();
    await turn();
    expect(store.texts.size).toBe(0);
    expect(await storage.read(handle)).toBeUndefined();
    expect(await storage.update(handle, { touchedAt: 1 })).toBe('gone');
  });

  it('shows nobody the session in between, and lets the handle be taken again', async () => {
    const store = new PlainStore();
    const storage = new ConnectStorage(store, { timeout });
    const record = newRecord();
    const { handle } = record;
    await storage.create(record);
    const text = store.texts.get(handle)!;
    slowOnce(store);
    await expect(storage.update(handle, { set: { visits: '2' } })).rejects.toThrow(/did not answer/);
    expect(await storage.destroy(handle)).toBe(true);
    // Carried out, and not answered yet.
    store.texts.set(handle, text);
    expect(await storage.read(handle)).toBeUndefined();
    expect(await storage.destroy(handle)).toBe(false);
    const next = newRecord({ handle });
    expect(await storage.create(next)).toBe(true);
    expect(await storage.read(handle)).toEqual(next);
  });

  it('does not undo what was written after it', async () => {
    const store = new PlainStore();
    const storage = new ConnectStorage(store, { timeout });
    const record = newRecord();
    await storage.create(record);
    const gate = slowOnce(store);
    await expect(storage.update(record.handle, { set: { visits: '2' } })).rejects.toThrow(/did not answer/);
    expect(await storage.update(record.handle, { set: { visits: '3' } })).toBe('ok');
    gate.open();
    await turn();
    expect((await storage.read(record.handle))?.data).toEqual({ visits: '3' });
  });
});

describe('the lifetime', () => {
  afterEach(unfreezeTime);

  it('is told in every way that stores read it, with every write, and never left to them', async () => {
    freezeTime();
    const cookies: any[] = [];
    const store = new PlainStore();
    const { set } = store;
    store.set = (sid, session: any, callback) => {
      cookies.push({ ...session.cookie.toJSON(), maxAge: session.cookie.maxAge });
      return set.call(store, sid, session, callback);
    };
    const storage = new ConnectStorage(store);
    const record = newRecord({ expiresAt: Date.now() + HOUR });
    await storage.create(record);
    passTime(60_000);
    await storage.update(record.handle, { set: { visits: '2' } });
    await storage.update(record.handle, { expiresAt: Date.now() + 2 * HOUR, touchedAt: Date.now() });
    const cookie = (expiresAt: number, maxAge: number) => ({
      path: '/',
      httpOnly: true,
      expires: new Date(expiresAt),
      originalMaxAge: maxAge,
      maxAge,
    });
    expect(cookies).toEqual([
      cookie(record.expiresAt, HOUR),
      cookie(record.expiresAt, HOUR - 60_000),
      cookie(Date.now() + 2 * HOUR, 2 * HOUR),
    ]);
  });

  it('that is over is a removal: stores give what has none a lifetime of their own', async () => {
    const store = new PlainStore();
    const storage = new ConnectStorage(store);
    const record = newRecord();
    await storage.create(record);
    expect(await storage.update(record.handle, { expiresAt: Date.now() - 1 })).toBe('ok');
    expect(store.texts.size).toBe(0);
  });

  it('is our own clock’s, whatever the store still has', async () => {
    freezeTime();
    const store = new PlainStore();
    const storage = new ConnectStorage(store);
    const record = newRecord();
    await storage.create(record);
    passTime(HOUR);
    expect(await storage.read(record.handle)).toBeUndefined();
    expect(await storage.update(record.handle, { touchedAt: 1 })).toBe('gone');
    expect(await storage.destroy(record.handle)).toBe(false);
    expect(store.texts.size).toBe(0);
  });
});

describe('what lies in the store and is none of ours', () => {
  const foreign = JSON.stringify({ cookie: { expires: null }, userId: 'ada' });

  it('reads as absent, with an event, and is not overwritten (S7, S49)', async () => {
    const store = new PlainStore();
    const storage = new ConnectStorage(store);
    const events: StorageEvent[] = [];
    storage.subscribe((event) => events.push(event));
    const record = newRecord();
    const { handle } = record;
    for (const text of [foreign, '{"cookie":{},"record":"{"}', '{"record":"{}"}', '[]', '"{"']) {
      store.texts.set(handle, text);
      expect(await storage.read(handle)).toBeUndefined();
      expect(await storage.update(handle, { touchedAt: 1 })).toBe('gone');
      expect(await storage.create(record)).toBe(false);
      expect(store.texts.get(handle)).toBe(text);
      expect(await storage.destroy(handle, { userId: 'ada' })).toBe(false);
      expect(await storage.destroy(handle)).toBe(true);
    }
    expect(events).toEqual(Array.from({ length: 10 }, () => ({ type: 'corrupt', handle })));
  });

  it.each<[string, (store: PlainStore) => unknown]>([
    ['a list', (s) => [...s.texts.values()].map((text) => JSON.parse(text) as unknown)],
    ['texts', (s) => [...s.texts.values()]],
    ['an object', (s) => Object.fromEntries([...s.texts].map(([sid, text]) => [sid, JSON.parse(text)]))],
    ['a Map', (s) => new Map([...s.texts].map(([sid, text]) => [sid, JSON.parse(text)]))],
  ])('is left out where all() gives %s', async (_, all) => {
    const store = new PlainStore();
    Object.assign(store, {
      all: (callback: (error: null, all: unknown) => void) => callback(null, all(store)),
    });
    const storage = new ConnectStorage(store);
    store.texts.set('theirs', foreign);
    const records = [newRecord({ userId: 'ada' }), newRecord({ userId: 'ada' }), newRecord()];
    for (const record of records) await storage.create(record);
    const sorted = (found: readonly SessionRecord[]) => found.map(({ handle }) => handle).toSorted();
    expect(sorted(await storage.byUser!('ada'))).toEqual(sorted(records.slice(0, 2)));
    expect(sorted((await storage.list!({ limit: 10 })).records)).toEqual(sorted(records));
    expect(await storage.count!()).toBe(3);
  });

  it('is nothing where all() gives nothing', async () => {
    const store = Object.assign(new PlainStore(), { all: (callback: () => void) => callback() });
    const storage = new ConnectStorage(store);
    expect([await storage.byUser!('ada'), await storage.count!()]).toEqual([[], 0]);
  });
});

describe('ConnectStorage', () => {
  it.each([
    [undefined, /got undefined/],
    [class RedisStore {}, /got a function/],
    [{ get: () => undefined, set: () => undefined }, /got an object without destroy\.$/],
    [createClient(), /got a client of Redis, which RedisStorage of nest-sessions\/redis takes\.$/],
    ['redis://:secret@host', /got a string/],
  ])('says of what is no store what it takes', (store, got) => {
    const make = () => new ConnectStorage(store as unknown as ConnectStore);
    expect(make).toThrow(
      /ConnectStorage takes a store of express-session: an object with get, set and destroy/,
    );
    expect(make).toThrow(got);
  });

  it('says what is wrong with its options', () => {
    for (const options of [{ timeout: 0 }, { timeout: '1s' }, { timeOut: 5 }, null])
      expect(() => new ConnectStorage(new PlainStore(), options as object)).toThrow(/ConnectStorage: /);
  });

  it('says once what such a store cannot', () => {
    const warn = jest.spyOn(Logger.prototype, 'warn').mockReturnValue();
    const storage = new ConnectStorage(new PlainStore());
    storage.open();
    storage.open();
    expect(warn.mock.calls.flat()).toEqual([
      expect.stringMatching(
        /^PlainStore writes whole sessions: .* within this process only\. It has no all\(\)/,
      ),
    ]);
    new ConnectStorage(Object.assign(new PlainStore(), { all: () => undefined })).open();
    expect(String(warn.mock.calls[1])).not.toMatch(/all\(\)/);
  });
});

describe('connectShim', () => {
  it('has the Store that classes extend and older ones call', () => {
    class Modern extends connectShim.Store {}
    function Older(this: object) {
      connectShim.Store.call(this);
    }
    Object.setPrototypeOf(Older.prototype, connectShim.Store.prototype);
    for (const store of [new Modern(), new (Older as any)()]) {
      expect(store).toBeInstanceOf(EventEmitter);
      expect(store).toBeInstanceOf(connectShim.Store);
      const heard: unknown[] = [];
      store.on('connect', () => heard.push('connect'));
      store.emit('connect');
      expect(heard).toEqual(['connect']);
    }
  });

  it('has the Cookie that some make of what they read', () => {
    const cookie = new connectShim.Cookie({ path: '/app', maxAge: 1_000 });
    expect(cookie.expires.getTime()).toBeGreaterThan(Date.now());
    expect(cookie.toJSON()).toEqual({
      path: '/app',
      httpOnly: true,
      expires: cookie.expires,
      originalMaxAge: 1_000,
    });
    cookie.maxAge = null;
    expect([cookie.maxAge, cookie.expires, cookie.data.expires]).toEqual([null, null, null]);
  });
});
