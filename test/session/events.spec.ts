import { inspect } from 'node:util';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { HttpException } from '@nestjs/common';
import { MemoryStorage, SessionGoneError, SessionStorageError } from '../../src/index.js';
import type { SessionEvent, SessionEventType, SessionRecord } from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { Gate } from '../support/gate.js';
import { FAULT, type Method } from '../support/storages.js';
import {
  type AnySession,
  type Bench,
  everythingOf,
  failureOf,
  kinds,
  loaded,
  logs,
  open,
  secretOf,
  storageOf,
  visitor,
} from '../support/session-bench.js';

/** Hands out records that are not of the contract's shape. */
class DamagedStorage extends MemoryStorage {
  damage: object | undefined;

  override read(handle: string): SessionRecord | undefined {
    const record = super.read(handle);
    return record && ({ ...record, ...this.damage } as SessionRecord);
  }
}

describe.each(kinds)('events: %s', (kind) => {
  let bench: Bench;

  beforeEach(async () => {
    freezeTime();
    bench = await open(kind);
  });
  afterEach(unfreezeTime);

  const types = () => bench.events.map(({ type }) => type);
  const of = (type: SessionEventType) => bench.events.filter((event) => event.type === type);

  it('unavailable, for every call of a storage that failed, with the session if it was about one', async () => {
    const session = await bench.store.create({ userId: 'ada' });
    bench.events.length = 0;
    const { handle, id } = session;
    const ways: [Method, () => Promise<unknown>, string?][] = [
      ['read', () => bench.store.load(id), handle],
      ['update', () => session.regenerate(), handle],
      ['destroy', () => session.logout(), handle],
      ['byUser', () => bench.store.listByUser('ada')],
      ['count', () => bench.store.count()],
      ['purgeExpired', () => bench.store.purgeExpired()],
      ['ping', () => bench.store.ping()],
    ];
    for (const [method, way] of ways) {
      bench.probe.fail(method, { times: 1 });
      expect(await failureOf(way)).toBeInstanceOf(SessionStorageError);
    }
    expect(of('unavailable').map((event) => event.handle)).toEqual(ways.map(([, , its]) => its));
    expect(types()).toEqual(ways.map(() => 'unavailable'));
    await bench.store.ping();
    expect(types()).toHaveLength(ways.length);
  });

  it('created, by the store and by a visitor who writes', async () => {
    const one = await bench.store.create({ userId: 'ada' });
    const two = await visitor(bench);
    two.set('n', 1);
    await two.save();
    expect(bench.events).toEqual([
      { type: 'created', handle: one.handle, userId: 'ada', at: new Date() },
      { type: 'created', handle: two.handle, userId: undefined, at: new Date() },
    ]);
  });

  it('rotated, by regenerate and by login, at its time', async () => {
    const session = await bench.store.create();
    bench.events.length = 0;
    passTime(5_000);
    await session.regenerate();
    await session.login('ada');
    expect(of('rotated')).toEqual([
      { type: 'rotated', handle: session.handle, userId: undefined, at: new Date() },
      { type: 'rotated', handle: session.handle, userId: 'ada', at: new Date() },
    ]);
    expect(types()).toEqual(['rotated', 'rotated']);
  });

  it.each<[title: string, end: (session: AnySession) => unknown]>([
    ['session.destroy', (session) => session.destroy()],
    ['session.logout', (session) => session.logout()],
    ['store.destroy', (session) => bench.store.destroy(session.id)],
    ['store.destroyByUser', () => bench.store.destroyByUser('ada')],
  ])('destroyed, once, by %s', async (_title, end) => {
    const session = await bench.store.create({ userId: 'ada' });
    const { handle } = session;
    bench.events.length = 0;
    await end(session);
    expect(bench.events).toEqual([{ type: 'destroyed', handle, userId: 'ada', at: new Date() }]);
  });

  it('destroyed, once, by store.revoke', async () => {
    const { handle } = await bench.store.create({ userId: 'ada' });
    bench.events.length = 0;
    await bench.store.revoke(handle);
    await bench.store.revoke(handle);
    expect(bench.events).toMatchObject([{ type: 'destroyed', handle }]);
  });

  it('expired, when a purge finds it', async () => {
    const { handle } = await bench.store.create({ userId: 'ada', ttl: '1m' });
    await bench.store.create();
    bench.events.length = 0;
    passTime(60_000);
    await bench.store.purgeExpired();
    await bench.store.purgeExpired();
    expect(bench.events).toEqual([{ type: 'expired', handle, userId: 'ada', at: new Date() }]);
  });

  it('evicted, when a full memory makes room, and the log says so once (S55)', async () => {
    const small = await open(kind, {}, storageOf(kind, new MemoryStorage({ maxSessions: 2 })));
    const { handle } = await small.store.create({ ttl: '1m' });
    for (let i = 0; i < 4; i++) await small.store.create({ userId: 'ada' });
    const evicted = small.events.filter(({ type }) => type === 'evicted');
    expect(evicted).toHaveLength(3);
    expect(evicted[0]).toEqual({ type: 'evicted', handle, userId: undefined, at: new Date() });
    expect(evicted[1]).toMatchObject({ type: 'evicted', userId: 'ada' });
    expect(await small.store.count()).toBe(2);
    expect(logs.filter((line) => line.includes('evict'))).toHaveLength(1);
  });

  it.each<[title: string, forge: (session: AnySession) => string]>([
    ['unknown', () => `${'A'.repeat(22)}.${'B'.repeat(43)}`],
    ['forged', ({ handle }) => `${handle}.${'B'.repeat(43)}`],
    ['malformed', () => '../../etc/passwd'],
  ])('rejected, when a request comes with an id that is %s, without the id (S5)', async (_title, forge) => {
    const session = await bench.store.create();
    const id = forge(session);
    bench.events.length = 0;
    const anonymous = await visitor(bench, `sid=${id}`);
    expect(anonymous.isNew).toBe(true);
    expect(types()).toEqual(['rejected']);
    expect(inspect(bench.events)).not.toContain(id);
    expect(inspect(bench.events)).not.toContain('BBBB');
  });

  it('rejected names a session only where there is one: what a client made up is not repeated (S5)', async () => {
    const { handle } = await bench.store.create();
    await visitor(bench, `sid=${'A'.repeat(22)}.${'B'.repeat(43)}`);
    await visitor(bench, `sid=${handle}.${'B'.repeat(43)}`);
    expect(of('rejected').map((event) => event.handle)).toEqual([undefined, handle]);
  });

  it('rejected, when a request comes with the id of a session that has expired', async () => {
    const { id } = await bench.store.create({ ttl: '1m' });
    passTime(60_000);
    await visitor(bench, `sid=${id}`);
    expect(of('rejected')).toHaveLength(1);
  });

  it('gone, when something was to be written to a session that had ended (S27)', async () => {
    const session = await bench.store.create({ userId: 'ada' });
    await bench.store.revoke(session.handle);
    session.set('n', 1);
    await failureOf(() => session.save());
    expect(of('gone')).toMatchObject([{ type: 'gone', handle: session.handle, at: new Date() }]);
  });

  it('conflict, when a rotation comes second (S14)', async () => {
    const { id, handle } = await bench.store.create();
    const [one, two] = [await loaded(bench, id), await loaded(bench, id)];
    await Promise.allSettled([one.regenerate(), two.regenerate()]);
    expect(of('rotated')).toHaveLength(1);
    expect(of('conflict')).toMatchObject([{ type: 'conflict', handle }]);
  });

  it('corrupt, when a stored value cannot be read (S49)', async () => {
    const { id, handle } = await bench.store.create({ data: { n: 1 } });
    await bench.storage.update(handle, { set: { n: '{' } });
    (await loaded(bench, id)).get('n');
    expect(of('corrupt')).toMatchObject([{ type: 'corrupt', handle, at: new Date() }]);
  });

  it.each<[damaged: string, damage: object]>([
    ['proof', { proof: undefined }],
    ['deadline', { expiresAt: '2030-01-01' }],
    ['start', { createdAt: NaN }],
    ['last use', { touchedAt: undefined }],
    ['login', { authenticatedAt: Infinity }],
    ['timeout', { ttl: NaN }],
    ['user', { userId: 7 }],
    ['client', { client: {} }],
    ['handle', { handle: 'A'.repeat(22) }],
    ['data', { data: null }],
  ])(
    'corrupt, when the %s of a record is damaged: it counts as absent, for who holds it too (S49)',
    async (_what, damage) => {
      const storage = new DamagedStorage();
      bench = await open(kind, {}, storageOf(kind, storage));
      const session = await bench.store.create({ data: { n: 1 } });
      const { id, handle } = session;
      storage.damage = damage;
      expect(await bench.store.load(id)).toBeUndefined();
      expect((await visitor(bench, `sid=${id}`)).isNew).toBe(true);
      expect(await bench.store.destroy(id)).toBe(false);
      expect(of('corrupt')).toMatchObject([{ handle }, { handle }, { handle }]);
      expect(await failureOf(() => session.tap(() => undefined))).toBeInstanceOf(SessionGoneError);
      expect(of('corrupt')).toHaveLength(4);
    },
  );

  it('a name that every object has is not there, and no codec gets what it is (S48)', async () => {
    const codec = { encode: String, decode: (text: string) => text };
    bench = await open(kind, { codec });
    for (const session of [await visitor(bench), await bench.store.create({ data: { n: 1 } })]) {
      for (const key of ['constructor', 'toString', 'hasOwnProperty', 'valueOf.name']) {
        expect([session.get(key), session.has(key), session.remove(key)]).toEqual([undefined, false, false]);
      }
    }
  });

  it('a whole life: every event has a type and a time, and none an id, secret or proof (S5, S50)', async () => {
    const secrets: string[] = [];
    const session = await bench.store.create({ data: { n: 1 }, userId: 'ada' });
    const keep = () => {
      secrets.push(session.id, secretOf(session.id), bench.probe.peek(session.handle)?.proof ?? session.id);
    };
    keep();
    await session.regenerate();
    keep();
    await session.login('grace');
    keep();
    await bench.store.load(`${session.handle}.${'B'.repeat(43)}`);
    await visitor(bench, `sid=${session.handle}.${'B'.repeat(43)}`);
    await session.tap((data) => void data.n++);
    await session.logout();
    session.set('n', 1);
    await session.save();
    keep();
    expect(bench.events.length).toBeGreaterThanOrEqual(6);
    for (const event of bench.events) {
      expect(Object.keys(event).every((key) => ['type', 'handle', 'userId', 'at'].includes(key))).toBe(true);
      expect(event.at).toBeInstanceOf(Date);
    }
    const shown = [inspect(bench.events, { depth: Infinity, showHidden: true }), ...logs].join('\n');
    for (const secret of [...secrets, 'B'.repeat(43)]) expect(shown).not.toContain(secret);
  });

  it('who unsubscribes hears no more, the others still do', async () => {
    const heard: SessionEvent[] = [];
    const subscription = bench.store.events.subscribe((event) => heard.push(event));
    await bench.store.create();
    subscription.unsubscribe();
    await bench.store.create();
    expect(heard).toHaveLength(1);
    expect(bench.events).toHaveLength(2);
  });

  it('the stream ends with the application', async () => {
    let complete = false;
    bench.store.events.subscribe({ complete: () => (complete = true) });
    await bench.module.close();
    expect(complete).toBe(true);
  });
});

describe.each(kinds)('a storage that fails (S51): %s', (kind) => {
  let bench: Bench;
  let session: AnySession;

  beforeEach(async () => {
    bench = await open(kind);
    session = await bench.store.create({ data: { n: 1 }, userId: 'ada' });
  });

  it.each<[member: string, fails: Method, work: () => unknown]>([
    ['store.create', 'create', () => bench.store.create()],
    ['store.create with an id', 'create', () => bench.store.create({ id: 'own-id-0123456789-abcdef' })],
    ['store.load', 'read', () => bench.store.load(session.id)],
    ['store.save', 'update', () => (session.set('n', 2), bench.store.save(session))],
    ['store.destroy', 'destroy', () => bench.store.destroy(session.id)],
    ['store.destroy, looking', 'read', () => bench.store.destroy(session.id)],
    ['store.tap, reading', 'read', () => bench.store.tap(session.id, () => 1)],
    ['store.tap, writing', 'update', () => bench.store.tap(session.id, (data) => void data.n++)],
    ['store.purgeExpired', 'purgeExpired', () => bench.store.purgeExpired()],
    ['store.count', 'count', () => bench.store.count()],
    ['store.isEmpty', 'count', () => bench.store.isEmpty()],
    ['store.listByUser', 'byUser', () => bench.store.listByUser('ada')],
    ['store.destroyByUser', 'byUser', () => bench.store.destroyByUser('ada')],
    ['store.destroyByUser, ending', 'destroy', () => bench.store.destroyByUser('ada')],
    ['store.revoke', 'destroy', () => bench.store.revoke(session.handle)],
    ['store.of', 'read', () => visitor(bench, `sid=${session.id}`)],
    ['session.save', 'update', () => (session.set('n', 2), session.save())],
    ['session.tap, reading', 'read', () => session.tap(() => 1)],
    ['session.tap, writing', 'update', () => session.tap((data) => void data.n++)],
    ['session.regenerate', 'update', () => session.regenerate()],
    ['session.login', 'update', () => session.login('grace')],
    ['session.logout', 'destroy', () => session.logout()],
    ['session.destroy', 'destroy', () => session.destroy()],
  ])('%s is a SessionStorageError of status 503 that says nothing', async (_member, fails, work) => {
    const { id } = session;
    const before = bench.probe.peek(session.handle);
    bench.probe.fail(fails);
    const error = await failureOf(work);
    expect(error).toBeInstanceOf(SessionStorageError);
    expect(error).toBeInstanceOf(HttpException);
    expect((error as unknown as HttpException).getStatus()).toBe(503);
    expect(error.message).not.toContain(FAULT);
    expect(JSON.stringify((error as unknown as HttpException).getResponse())).not.toContain(FAULT);
    expect((error.cause as Error).message).toBe(FAULT);
    expect(everythingOf(error)).not.toContain(secretOf(id));
    bench.probe.reset();
    expect(bench.probe.peek(session.handle)).toEqual(before);
    expect(await bench.store.load(id)).toBeDefined();
  });

  it('a lock that cannot be had for the storage is one as well, and fn does not run', async () => {
    let ran = false;
    Object.defineProperty(bench.storage, 'lock', {
      value: () => {
        throw new Error(FAULT);
      },
    });
    for (const tap of [
      () => session.tap(() => void (ran = true)),
      () => bench.store.tap(session.id, () => void (ran = true)),
    ]) {
      const error = await failureOf(tap);
      expect(error).toBeInstanceOf(SessionStorageError);
      expect((error.cause as Error).message).toBe(FAULT);
    }
    expect(ran).toBe(false);
  });

  it('a tap whose write fails has saved nothing, and the next one runs (S54)', async () => {
    bench.probe.fail('update', { times: 1 });
    await expect(session.tap((data) => ++data.n)).rejects.toThrow(SessionStorageError);
    expect(session.get('n')).toBe(1);
    expect(await session.tap((data) => ++data.n)).toBe(2);
  });

  it('a logout that the storage fails has not happened: the session is as it was', async () => {
    bench.probe.fail('destroy', { times: 1 });
    await expect(session.logout()).rejects.toThrow(SessionStorageError);
    expect(session.userId).toBe('ada');
    expect(session.get('n')).toBe(1);
    await session.logout();
    expect(await bench.store.isEmpty()).toBe(true);
  });

  it('errors of the application inside a tap are its own, also those that look like a failure', async () => {
    const error = new Error(FAULT);
    const gate = new Gate();
    gate.open();
    await expect(session.tap(() => gate.pass().then(() => Promise.reject(error)))).rejects.toBe(error);
  });
});
