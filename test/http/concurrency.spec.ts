import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, Param, Query } from '@nestjs/common';
import { Session, SessionGoneError, SessionLock, SessionStore } from '../../src/index.js';
import type { AnySession, Bag, RunningApp } from '../support/app.js';
import { stackPerPlatform, stacks, start } from '../support/app.js';
import { BasicController, sessionCookies } from '../support/basic.js';
import { isClearing } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { forgetGates, gate, settle } from '../support/gate.js';

/** What happened, in order. */
let story: string[] = [];

@Controller()
class ConcurrentController {
  constructor(private readonly store: SessionStore<Bag>) {}

  /** Has the session, waits, then does what it was asked to. */
  @Get('slow/:deed')
  async slow(
    @Session() session: AnySession,
    @Param('deed') deed: string,
    @Query('gate') name: string,
    @Query('key') key = 'slow',
  ) {
    session.get(key);
    await gate(name).pass();
    if (deed === 'write') session.set(key, 'yes');
    if (deed === 'rotate') await session.regenerate();
    if (deed === 'login') await session.login('u1');
    if (deed === 'login-apart') await session.login(`user of ${name}`);
    if (deed === 'logout') await session.logout();
    if (deed === 'save') {
      session.set(key, 'yes');
      return session.save().then(
        () => 'saved',
        (error: unknown) => (error instanceof SessionGoneError ? 'SessionGoneError' : String(error)),
      );
    }
    if (deed === 'store-save') {
      session.set(key, 'yes');
      return this.store.save(session).then(
        () => 'saved',
        (error: unknown) => (error instanceof SessionGoneError ? 'SessionGoneError' : String(error)),
      );
    }
    return 'made by the handler';
  }

  @Get('rotate-and-wait')
  async rotateAndWait(@Session() session: AnySession) {
    await session.login('u1');
    await session.save();
    await gate('rotated').pass();
    return 'logged in';
  }

  @Get('increment')
  async increment(@Session() session: AnySession) {
    return session.tap(async (data: any) => {
      const count = Number(data.count ?? 0);
      await settle(2);
      data.count = count + 1;
      return { count: count + 1 };
    });
  }

  @Get('tap-held')
  async tapHeld(@Session() session: AnySession) {
    session.set('before', 1);
    await session.tap(async (data: any) => {
      await gate('tap').pass();
      data.tapped = data.before + 1;
    });
    return { before: session.get('before'), tapped: session.get('tapped') };
  }

  @Get('tap-throws')
  async tapThrows(@Session() session: AnySession) {
    await session.tap((data: any) => {
      data.count = 99;
      throw new Error('changed my mind');
    });
  }

  @Get('tap-in-tap/:way')
  async tapInTap(@Session() session: AnySession, @Param('way') way: string) {
    let inner = 'did not run';
    const nested = () =>
      way === 'session'
        ? session.tap(() => (inner = 'ran'))
        : this.store.tap(session.id, () => (inner = 'ran'));
    const error: unknown = await session
      .tap((data: any) => {
        data.count = 99;
        return nested();
      })
      .then(
        () => undefined,
        (reason: unknown) => reason,
      );
    return { inner, message: error instanceof Error ? error.message : null };
  }

  @Get('locked')
  @SessionLock()
  async locked(@Session() session: AnySession, @Query('gate') name?: string) {
    story.push('enter');
    const count = Number(session.get('count') ?? 0);
    if (name) await gate(name).pass();
    await settle(2);
    session.set('count', count + 1);
    story.push('leave');
    return { count: count + 1 };
  }

  @Get('locked-throws')
  @SessionLock()
  async lockedThrows(@Session() session: AnySession) {
    session.set('failed', true);
    throw new Error('inside the lock');
  }

  @Get('locked-tap')
  @SessionLock()
  async lockedTap(@Session() session: AnySession) {
    await session.tap((data: any) => {
      data.count = Number(data.count ?? 0) + 1;
    });
    return { count: session.get('count') };
  }
}

const controllers = [BasicController, ConcurrentController];

describe.each(stacks)('requests side by side: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    // Every use is due for a touch: whoever would send an old cookie again does it here.
    app = await start(stack, { controllers, session: { touchAfter: 0 } });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    app.reset();
    story = [];
  });
  afterEach(forgetGates);

  async function visitor() {
    const client = app.client();
    await client.get('/set/count/0');
    expect(app.probe.value(client.handle, 'count')).toBe('0');
    app.reset();
    return client;
  }
  const isLive = async (id: string) =>
    !(await app.client().get('/read', { cookie: `sid=${id}` })).json().isNew;

  it('two requests that write different keys both win', async () => {
    const client = await visitor();
    const one = client.open('/slow/write?gate=both&key=one');
    const two = client.open('/slow/write?gate=both&key=two');
    await gate('both').reached(2);
    gate('both').open();
    expect((await one.done).status).toBe(200);
    expect((await two.done).status).toBe(200);
    expect(app.probe.value(client.handle, 'one')).toBe('yes');
    expect(app.probe.value(client.handle, 'two')).toBe('yes');
  });

  it('the later of two writes to one key wins, and other keys stay', async () => {
    const client = await visitor();
    const slow = client.open('/slow/write?gate=slow&key=k');
    await gate('slow').reached();
    await client.get('/set/k/no');
    await client.get('/set/other/kept');
    gate('slow').open();
    await slow.done;
    expect(app.probe.value(client.handle, 'k')).toBe('yes');
    expect(app.probe.value(client.handle, 'other')).toBe('kept');
  });

  it('a slow request does not bring a logged-out session back (S26, S27)', async () => {
    const client = await visitor();
    const { sid, handle } = client;
    const slow = client.open('/slow/write?gate=slow');
    await gate('slow').reached();
    await client.get('/logout');
    app.events.length = 0;
    gate('slow').open();
    const reply = await slow.done;
    expect(reply.status).toBe(200);
    expect(reply.text).toBe('made by the handler');
    expect(sessionCookies(reply)).toEqual([]);
    expect(app.probe.peek(handle)).toBeUndefined();
    expect(app.events).toEqual([expect.objectContaining({ type: 'gone', handle })]);
    expect(await isLive(sid)).toBe(false);
  });

  it('nor does one that only reads, though a touch is due (S27)', async () => {
    const client = await visitor();
    const { sid, handle } = client;
    const slow = client.open('/slow/nothing?gate=slow');
    await gate('slow').reached();
    await client.get('/logout');
    gate('slow').open();
    const reply = await slow.done;
    expect(reply.status).toBe(200);
    expect(sessionCookies(reply)).toEqual([]);
    expect(app.probe.peek(handle)).toBeUndefined();
    expect(await isLive(sid)).toBe(false);
  });

  it('nor does one whose update is on its way to the storage (S27)', async () => {
    const client = await visitor();
    const { handle } = client;
    const held = app.probe.hold('update');
    const write = client.open('/set/n/1');
    await held.reached();
    await client.get('/logout');
    held.open();
    const reply = await write.done;
    expect(reply.status).toBe(200);
    expect(sessionCookies(reply)).toEqual([]);
    expect(app.probe.peek(handle)).toBeUndefined();
  });

  it.each(['rotate', 'login'])('nor does one that wants to %s (S27)', async (deed) => {
    const client = await visitor();
    const { sid, handle } = client;
    const slow = client.open(`/slow/${deed}?gate=slow`);
    await gate('slow').reached();
    await client.get('/logout');
    gate('slow').open();
    const reply = await slow.done;
    expect(app.probe.peek(handle)).toBeUndefined();
    expect(await isLive(sid)).toBe(false);
    for (const cookie of sessionCookies(reply)) expect(cookie.value).not.toContain(handle);
  });

  it('logging out twice at once is no error (S29)', async () => {
    const client = await visitor();
    const slow = client.open('/slow/logout?gate=slow');
    await gate('slow').reached();
    const { handle } = client;
    await client.get('/logout');
    gate('slow').open();
    expect((await slow.done).status).toBe(200);
    expect(app.probe.peek(handle)).toBeUndefined();
  });

  it.each(['save', 'store-save'])(
    '%s of a session that ended meanwhile throws SessionGoneError (S27)',
    async (deed) => {
      const client = await visitor();
      const { handle } = client;
      const slow = client.open(`/slow/${deed}?gate=slow`);
      await gate('slow').reached();
      await client.get('/logout');
      gate('slow').open();
      const reply = await slow.done;
      expect(reply.text).toBe('SessionGoneError');
      expect(sessionCookies(reply)).toEqual([]);
      expect(app.probe.peek(handle)).toBeUndefined();
    },
  );

  it('a slow request lands its write in a session rotated meanwhile, and never sets the old id again (S11)', async () => {
    const client = await visitor();
    const old = client.sid;
    const slow = client.open('/slow/write?gate=slow');
    await gate('slow').reached();
    await client.get('/rotate');
    const current = client.sid;
    expect(current).not.toBe(old);
    gate('slow').open();
    const reply = await slow.done;
    expect(reply.status).toBe(200);
    expect(sessionCookies(reply)).toEqual([]);
    expect(client.sid).toBe(current);
    expect(app.probe.value(client.handle, 'slow')).toBe('yes');
    expect(await isLive(current)).toBe(true);
    expect(await isLive(old)).toBe(false);
  });

  it('a slow request that only reads never sets the old id again either, though a touch is due (S11)', async () => {
    const client = await visitor();
    const slow = client.open('/slow/nothing?gate=slow');
    await gate('slow').reached();
    await client.get('/rotate');
    gate('slow').open();
    expect(sessionCookies(await slow.done)).toEqual([]);
  });

  it.each([
    ['touch', '/read', undefined],
    ['write', '/set/late/yes', 'yes'],
  ])(
    'an answer whose %s reaches the storage after a rotation never sets the old id (S11)',
    async (_what, path, late) => {
      const client = await visitor();
      const held = app.probe.hold('update', { times: 1 });
      const slow = client.open(path);
      await held.reached();
      await client.get('/rotate');
      const current = client.sid;
      held.open();
      const reply = await slow.done;
      expect(reply.status).toBe(200);
      expect(sessionCookies(reply)).toEqual([]);
      expect(app.probe.value(client.handle, 'late')).toBe(late);
      expect(await isLive(current)).toBe(true);
    },
  );

  it.each(['rotate', 'login', 'login-apart'])(
    'two requests that %s at once leave one live id (S14)',
    async (deed) => {
      const client = await visitor();
      const old = client.sid;
      const one = client.open(`/slow/${deed}?gate=one`);
      const two = client.open(`/slow/${deed}?gate=two`);
      await gate('one').reached();
      await gate('two').reached();
      gate('one').open();
      gate('two').open();
      const replies = await Promise.all([one.done, two.done]);
      const given = replies.flatMap((reply) => sessionCookies(reply)).filter((cookie) => !isClearing(cookie));
      const ids = new Set([old, ...given.map((cookie) => cookie.value)]);
      const live: string[] = [];
      for (const id of ids) if (await isLive(id)) live.push(id);
      expect(live).toHaveLength(1);
      expect(live).not.toContain(old);
      // Whatever order the answers arrive in, the browser is left with the id that lives.
      expect(given.map((cookie) => cookie.value)).toEqual(live);
    },
  );

  it('two logins at once as two users: no id is live for both, and the old one is dead (S11, S14)', async () => {
    const client = await visitor();
    const old = client.sid;
    const one = client.open('/slow/login-apart?gate=one');
    const two = client.open('/slow/login-apart?gate=two');
    await gate('one').reached();
    await gate('two').reached();
    gate('one').open();
    gate('two').open();
    const replies = { one: await one.done, two: await two.done };
    expect(await isLive(old)).toBe(false);
    const owners: string[] = [];
    for (const [name, reply] of Object.entries(replies)) {
      for (const { value } of sessionCookies(reply)) {
        const all = (await app.client().get('/all', { cookie: `sid=${value}` })).json();
        expect(all).toMatchObject({ isNew: false, userId: `user of ${name}` });
        owners.push(all.handle);
      }
    }
    expect(owners.length).toBeGreaterThan(0);
    expect(new Set(owners).size).toBe(owners.length);
  });

  it('login makes the old id dead before the answer is out (S11)', async () => {
    const client = await visitor();
    const old = client.sid;
    const slow = client.open('/rotate-and-wait');
    await gate('rotated').reached();
    expect(await isLive(old)).toBe(false);
    gate('rotated').open();
    await slow.done;
    expect(await isLive(client.sid)).toBe(true);
  });

  it('ten parallel increments inside tap lose nothing', async () => {
    const client = await visitor();
    const replies = await Promise.all(Array.from({ length: 10 }, () => client.get('/increment')));
    const counts = replies.map((reply) => reply.json().count).toSorted((a, b) => a - b);
    expect(counts).toEqual([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
    expect(app.probe.value(client.handle, 'count')).toBe(10);
  });

  it('tap on a new visitor starts a session', async () => {
    const client = app.client();
    const reply = await client.get('/increment');
    expect(reply.json()).toEqual({ count: 1 });
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(app.probe.value(client.handle, 'count')).toBe(1);
  });

  it('a plain write of another request neither waits for a tap nor makes it fail', async () => {
    const client = await visitor();
    const tapping = client.open('/tap-held');
    await gate('tap').reached();
    expect((await client.get('/set/other/x')).status).toBe(200);
    expect(app.probe.value(client.handle, 'other')).toBe('x');
    gate('tap').open();
    const reply = await tapping.done;
    expect(reply.status).toBe(200);
    expect(reply.json()).toEqual({ before: 1, tapped: 2 });
    const stored = ['before', 'tapped', 'other', 'count'].map((key) => app.probe.value(client.handle, key));
    expect(stored).toEqual([1, 2, 'x', '0']);
  });

  it('a tap under way does not bring a logged-out session back (S27)', async () => {
    const client = await visitor();
    const { handle } = client;
    const tapping = client.open('/tap-held');
    await gate('tap').reached();
    await client.get('/logout');
    gate('tap').open();
    const reply = await tapping.done;
    expect(sessionCookies(reply)).toEqual([]);
    expect(app.probe.peek(handle)).toBeUndefined();
  });

  it('a tap that throws saves nothing, and the next tap is not kept waiting (S54)', async () => {
    const client = await visitor();
    expect((await client.get('/tap-throws')).status).toBe(500);
    expect(app.probe.value(client.handle, 'count')).toBe('0');
    expect((await client.get('/increment')).status).toBe(200);
  });

  it.each(['session', 'store'])(
    'a tap inside a tap through the %s is a clear error, not a dead lock',
    async (way) => {
      const client = await visitor();
      const reply = await client.get(`/tap-in-tap/${way}`);
      expect(reply.json().inner).toBe('did not run');
      expect(reply.json().message).toMatch(/\btap\b/);
      expect(app.probe.value(client.handle, 'count')).toBe('0');
      expect((await client.get('/increment')).status).toBe(200);
    },
  );

  it('SessionLock runs the requests of one session one after another', async () => {
    const client = await visitor();
    await client.get('/set/count/0');
    const first = client.open('/locked?gate=inside');
    await gate('inside').reached();
    const second = client.open('/locked');
    // Another visitor's round trips and many turns: a second request that got in would show.
    await app.client().get('/locked');
    await settle();
    expect(story).toEqual(['enter', 'enter', 'leave']);
    expect(second.finished).toBe(false);
    gate('inside').open();
    await Promise.all([first.done, second.done]);
    expect(story).toEqual(['enter', 'enter', 'leave', 'leave', 'enter', 'leave']);
  });

  it('read-and-write inside SessionLock loses nothing', async () => {
    const client = app.client();
    await client.get('/locked');
    const replies = await Promise.all(Array.from({ length: 6 }, () => client.get('/locked')));
    expect(replies.map((reply) => reply.status)).toEqual([200, 200, 200, 200, 200, 200]);
    expect(app.probe.value(client.handle, 'count')).toBe(7);
  });

  it('a handler that throws inside SessionLock lets the next one in, and what it wrote is saved (S54)', async () => {
    const client = await visitor();
    expect((await client.get('/locked-throws')).status).toBe(500);
    expect(app.probe.value(client.handle, 'failed')).toBe(true);
    expect((await client.get('/locked')).status).toBe(200);
  });

  it('what it wrote is saved before the next one is in (S54)', async () => {
    const client = await visitor();
    const updates = app.probe.hold('update', { times: 1 });
    const first = client.get('/locked-throws');
    await updates.reached();
    const second = client.get('/locked');
    await settle();
    expect(story).toEqual([]);
    updates.open();
    expect((await first).status).toBe(500);
    expect((await second).status).toBe(200);
    expect(story).toEqual(['enter', 'leave']);
  });

  it('tap inside SessionLock just runs', async () => {
    const client = await visitor();
    await client.get('/increment');
    const replies = await Promise.all(Array.from({ length: 4 }, () => client.get('/locked-tap')));
    expect(replies.map((reply) => reply.status)).toEqual([200, 200, 200, 200]);
    expect(app.probe.value(client.handle, 'count')).toBe(5);
  });
});

describe.each(stackPerPlatform)('a lock and a client that leaves: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { controllers });
  });
  afterAll(() => app.stop());
  afterEach(forgetGates);

  it('a client that leaves inside SessionLock does not keep the next one out (S54)', async () => {
    const client = app.client();
    await client.get('/locked');
    const leaving = client.open('/locked?gate=inside');
    await gate('inside').reached();
    leaving.abort();
    const next = client.open('/locked');
    await settle();
    gate('inside').open();
    expect((await next.done).status).toBe(200);
    expect(app.probe.value(client.handle, 'count')).toBe(3);
  });
});

describe.each(stackPerPlatform)(
  'many reads at once, of which each is due for a touch: %s',
  (_title, stack) => {
    beforeEach(freezeTime);
    afterEach(unfreezeTime);

    it.each([1, 2])('are a read and an update each, and no more, over %d node(s) (S23)', async (count) => {
      const { storage, probe } = stack.kind.make();
      const session = { storage };
      const nodes = await Promise.all(
        Array.from({ length: count }, () => start(stack, { controllers: [BasicController], session })),
      );
      const clients = nodes.map((node) => node.client());
      await clients[0]!.get('/set/n/1');
      const cookie = `sid=${clients[0]!.sid}`;
      passTime(60_000);
      probe.forget();
      // All have read before the first one writes.
      const updates = probe.hold('update');
      const replies = Array.from({ length: 30 }, (_, i) => clients[i % count]!.get('/read', { cookie }));
      await updates.reached(30);
      updates.open();
      expect((await Promise.all(replies)).map(({ status }) => status)).toEqual(Array(30).fill(200));
      expect([probe.of('read').length, probe.of('update').length]).toEqual([30, 30]);
      expect(probe.peek(clients[0]!.handle)!.touchedAt).toBe(Date.now());
      await Promise.all(nodes.map((node) => node.stop()));
    });
  },
);
