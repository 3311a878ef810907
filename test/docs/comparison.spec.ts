import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import fastifyCookie from '@fastify/cookie';
import fastifySession from '@fastify/session';
import expressSession from 'express-session';
import fastify from 'fastify';
import { MemoryStorage, SessionStore } from 'nest-sessions';
import { ConnectStorage } from 'nest-sessions/express';
import { forgetGates, gate } from '../support/gate.js';
import { startForPassport } from './comparison/passport.js';
import { urlOf } from './support.js';
import {
  type Answer,
  Browser,
  isOurs,
  LIBRARIES,
  LIFETIME,
  startSubject,
  storeOf,
  type Subject,
} from './comparison/subjects.js';

/** The rows of docs/comparison.md: what it says of a library is what this finds. */
describe.each(LIBRARIES)('the comparison: %s', (library) => {
  const ours = isOurs(library);
  let subject: Subject;
  let browser: Browser;

  beforeEach(async () => {
    subject = await startSubject(library);
    browser = new Browser(subject);
  });
  afterEach(async () => {
    forgetGates();
    await subject.app.close();
  });

  /** Begins a request that waits inside its handler, having read the session. */
  async function slowly(path: string): Promise<{ finish(): Promise<Answer> }> {
    const other = new Browser(subject);
    other.cookie = browser.cookie;
    const answer = other.get(path);
    await gate('slow').reached();
    return {
      finish: () => {
        gate('slow').open();
        return answer;
      },
    };
  }

  it('two requests at once that write different keys', async () => {
    await browser.get('/set/start');
    const slow = await slowly('/slow/a');
    await browser.get('/set/b');
    await slow.finish();
    expect(await browser.read()).toEqual({ a: 'set', b: ours ? 'set' : null, user: null });
  });

  it('a logout while a slow request runs', async () => {
    await browser.get('/set/b');
    const { cookie } = browser;
    const slow = await slowly('/slow/a');
    await browser.get('/logout');
    await slow.finish();
    browser.cookie = cookie;
    expect((await browser.read()).b).toBe(ours ? null : 'set');
  });

  it('a login changes the id by itself', async () => {
    await browser.get('/set/a');
    const before = browser.id;
    await browser.get('/login');
    expect(browser.id !== before).toBe(ours);
  });

  it('ten requests that only read: how many writes', async () => {
    await browser.get('/set/a');
    subject.calls.length = 0;
    for (let i = 0; i < 10; i++) await browser.get('/read');
    const writes = subject.calls.filter(({ method }) => method !== 'get' && method !== 'read');
    expect(writes.length).toBe(ours ? 0 : 10);
  });

  it('one key of fifty changes: how much is written', async () => {
    await browser.get('/fill');
    subject.calls.length = 0;
    await browser.get('/set/a');
    const written = subject.calls.reduce((sum, { size }) => sum + size, 0);
    expect(written < 100).toBe(ours);
    expect(written > 5_000).toBe(!ours);
  });

  it('a route that does not use sessions: how many reads', async () => {
    await browser.get('/set/a');
    subject.calls.length = 0;
    await browser.get('/plain');
    expect(subject.calls.filter(({ method }) => method === 'get' || method === 'read').length).toBe(
      ours ? 0 : 1,
    );
  });

  it('the cookie of a redirect and of a refusal', async () => {
    for (const path of ['/redirect', '/denied']) {
      const visitor = new Browser(subject);
      await visitor.get(path);
      expect((await visitor.read()).a).toBe('set');
    }
  });

  it("the cookie of an answer that is written to Node's own response", async () => {
    await browser.get('/raw');
    expect(browser.cookie !== '').toBe(library !== '@fastify/session');
  });

  it('a write that the store refuses: what the client is told', async () => {
    await browser.get('/set/a');
    subject.failing = true;
    const expected = { 'express-session': 200, '@fastify/session': 500 }[library as string] ?? 503;
    expect((await browser.get('/set/b')).status).toBe(expected);
  });

  it('what is stored is enough to make the id', async () => {
    await browser.get('/set/a');
    const bare = ours ? browser.id : browser.id.slice(0, browser.id.lastIndexOf('.'));
    expect(subject.dump()).toContain(bare.slice(0, 16));
    expect(subject.dump().includes(bare)).toBe(!ours);
  });

  it('shared caches are told about a cookie that is set', async () => {
    const { headers } = await browser.get('/set/a');
    expect(headers.get('cache-control')).toBe(ours ? 'private' : null);
    expect(headers.get('vary')).toBe(ours ? 'Cookie' : null);
  });

  it('a form that a sibling sub-domain sends', async () => {
    await browser.get('/set/a');
    expect((await browser.sendFromSibling('/order')).status).toBe(ours ? 403 : 201);
    expect((await browser.read()).a).toBe(ours ? 'set' : 'ordered');
  });

  it('SameSite of the cookie as it comes', async () => {
    const [cookie] = (await browser.get('/set/a')).headers.getSetCookie();
    expect(/SameSite=Lax/.test(cookie!)).toBe(ours);
  });

  if (ours) {
    it("lists a user's sessions, and counts up in a tap that nothing can come between", async () => {
      await browser.get('/login');
      expect((await storeOf(subject).listByUser('ada')).length).toBe(1);
      const count = () => storeOf(subject).tap(browser.id, (data: any) => (data.n = (data.n ?? 0) + 1));
      expect((await Promise.all(Array.from({ length: 10 }, count))).toSorted((x, y) => x - y)[9]).toBe(10);
    });
  }
});

describe('the comparison: Passport over req.session', () => {
  it.each(LIBRARIES)('%s', async (library) => {
    const app = await startForPassport(library);
    const { headers } = await fetch(`${urlOf(app)}/login`);
    const cookie = headers.getSetCookie().at(-1)!.split(';', 1)[0]!;
    expect(await (await fetch(`${urlOf(app)}/me`, { headers: { cookie } })).text()).toBe('ada');
    await app.close();
  });
});

describe('the comparison: sessions in memory that have expired', () => {
  const many = Array.from({ length: 100 }, (_, i) => i);
  const expired = { cookie: { expires: new Date(Date.now() - LIFETIME) } };

  it('express-session keeps them until somebody sends their id', () => {
    const store: any = new expressSession.MemoryStore();
    for (const i of many) store.set(`id${i}`, expired);
    expect(Object.keys(store.sessions).length).toBe(100);
    store.get('id0', () => undefined);
    expect(Object.keys(store.sessions).length).toBe(99);
  });

  it('@fastify/session keeps them too', () => {
    const store: any = new fastifySession.MemoryStore();
    for (const i of many) store.set(`id${i}`, expired, () => undefined);
    expect(store.store.size).toBe(100);
  });

  it('nest-sessions removes them', async () => {
    let now = Date.now();
    const storage = new MemoryStorage({ now: () => now });
    for (const i of many) {
      const times = { createdAt: now, touchedAt: now, expiresAt: now + LIFETIME };
      storage.create({ handle: `handle${i}`, proof: '', ...times, data: {} });
    }
    now += LIFETIME;
    expect(await storage.purgeExpired(1_000)).toBe(100);
    expect(storage.count()).toBe(0);
  });
});

it("the comparison: no other library's store knows whose a session is", () => {
  const methodsOf = ({ prototype }: { prototype: object }) =>
    [prototype, Object.getPrototypeOf(prototype)].flatMap(Object.getOwnPropertyNames);
  const find = (type: any) => methodsOf(type).filter((name) => /user/i.test(name));
  expect(find(expressSession.MemoryStore)).toEqual([]);
  expect(find(fastifySession.MemoryStore)).toEqual([]);
  expect(find(SessionStore).length).toBeGreaterThan(0);
});

it('the comparison: a store of express-session is taken by @fastify/session, and by us', async () => {
  const app = fastify();
  await app.register(fastifyCookie);
  const secret = 'of thirty-two characters, or more';
  await app.register(fastifySession, { secret, store: new expressSession.MemoryStore() as any });
  await app.ready();
  await app.close();
  const storage = new ConnectStorage(new expressSession.MemoryStore());
  const now = Date.now();
  const times = { createdAt: now, touchedAt: now, expiresAt: now + LIFETIME };
  await storage.create({ handle: 'handle', proof: '', ...times, data: { a: '1' } });
  expect((await storage.read('handle'))?.data).toEqual({ a: '1' });
});
