import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, UseGuards } from '@nestjs/common';
import { Session, SessionGuard, SessionLock } from '../../src/index.js';
import type { AnySession, RunningApp } from '../support/app.js';
import { stacks, start } from '../support/app.js';
import { BasicController, members, sessionCookies } from '../support/basic.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { WaysModule } from '../support/ways.js';

@Controller()
class EconomyController {
  @Get('fill')
  fill(@Session() session: AnySession) {
    session.set('a', 1);
    session.set('b', { deep: [1, 2, { x: 'y' }], when: 'now' });
    session.set('c', 'three');
    return 'filled';
  }

  @Get('set-equal')
  setEqual(@Session() session: AnySession) {
    session.set('a', 1);
    session.set('b', { deep: [1, 2, { x: 'y' }], when: 'now' });
    return 'the same';
  }

  @Get('set-and-back')
  setAndBack(@Session() session: AnySession) {
    session.set('a', 2);
    session.set('a', 1);
    session.set('d', 4);
    session.remove('d');
    return 'the same in the end';
  }

  @Get('mutate')
  mutate(@Session() session: AnySession) {
    session.get('b').deep.push('more');
    return 'changed in place';
  }

  @Get('mutate-path')
  mutatePath(@Session() session: AnySession) {
    session.set('b.deep[2].x', 'z');
    return 'changed by path';
  }

  @Get('look')
  look(@Session() session: AnySession) {
    session.get('b').deep.slice();
    session.has('c');
    session.keys();
    session.toJSON();
    return session.get('nothing') ?? 'looked';
  }

  @Get('remove')
  remove(@Session() session: AnySession) {
    session.remove('c');
    session.remove('never was there');
    return 'removed';
  }

  @Get('several')
  several(@Session() session: AnySession) {
    session.set('a', 10);
    session.remove('c');
    session.set('e', 5);
    return 'several';
  }

  @Get('clear')
  clear(@Session() session: AnySession) {
    session.clear();
    return session.keys();
  }

  @Get('take')
  take(@Session() session: AnySession) {
    return [session.take('c'), session.replace('a', 7), session.has('c')];
  }

  @Get('unused')
  unused(@Session() _session: AnySession) {
    return 'asked for and not looked at';
  }

  @Get('nothing-there')
  nothingThere(@Session() session: AnySession) {
    session.remove('a');
    session.clear();
    session.reflash();
    return [session.take('b'), session.has('c'), session.flashed('d'), session.keys(), session.toJSON()];
  }

  @Get('saved')
  async saved(@Session() session: AnySession) {
    session.set('a', 11);
    await session.save();
    return 'nothing is left to do';
  }

  @Get('guarded')
  @UseGuards(SessionGuard)
  guarded(@Session() session: AnySession) {
    return session.userId;
  }

  @Get('locked')
  @SessionLock()
  locked(@Session() session: AnySession) {
    return session.get('a') ?? null;
  }
}

describe.each(stacks)('calls of the storage: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { imports: [WaysModule], controllers: [BasicController, EconomyController] });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    app.reset();
    freezeTime();
  });
  afterEach(unfreezeTime);

  /** A visitor whose session holds `a`, `b` and `c`. */
  async function visitor() {
    const client = app.client();
    await client.get('/fill');
    app.reset();
    return client;
  }
  const changes = () => app.probe.of('update').map((call) => call.args[1]);

  it('a route without a session: no call, no Vary, its Cache-Control untouched', async () => {
    const client = await visitor();
    passTime(30 * 60_000);
    const reply = await client.get('/plain');
    expect(reply.status).toBe(200);
    expect(app.probe.names).toEqual([]);
    expect(reply.headers['cache-control']).toBe('public, max-age=60');
    expect(members(reply.headers.vary)).not.toContain('cookie');
    expect(reply.setCookies).toEqual([]);
  });

  it.each(['/read', '/all', '/unused', '/locked', '/nothing-there', '/rotate'])(
    'an anonymous request to %s: no call (S52)',
    async (path) => {
      expect((await app.client().get(path)).status).toBe(200);
      expect(app.probe.names).toEqual([]);
    },
  );

  it.each(['/read', '/look', '/unused'])('reading inside touchAfter: one read (%s)', async (path) => {
    const client = await visitor();
    expect((await client.get(path)).status).toBe(200);
    expect(app.probe.names).toEqual(['read']);
  });

  it('the first write of a visitor: one create', async () => {
    await app.client().get('/fill');
    expect(app.probe.names).toEqual(['create']);
  });

  it('a write: one read and one update with the changed key alone', async () => {
    const client = await visitor();
    await client.get('/set/c/other');
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(changes()[0].set).toEqual({ c: '"other"' });
    expect(changes()[0].remove ?? []).toEqual([]);
    expect(changes()[0].proof).toBeUndefined();
  });

  it('several changes: one update that names just them', async () => {
    const client = await visitor();
    await client.get('/several');
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(changes()[0].set).toEqual({ a: '10', e: '5' });
    expect(changes()[0].remove).toEqual(['c']);
    expect(app.probe.value(client.handle, 'b')).toEqual({ deep: [1, 2, { x: 'y' }], when: 'now' });
  });

  it('removing what is not there is no change', async () => {
    const client = await visitor();
    await client.get('/remove');
    expect(changes()).toEqual([expect.objectContaining({ remove: ['c'] })]);
    app.reset();
    await client.get('/remove');
    expect(app.probe.names).toEqual(['read']);
  });

  it('clear removes every key in one update', async () => {
    const client = await visitor();
    expect((await client.get('/clear')).json()).toEqual([]);
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(changes()[0].remove.toSorted()).toEqual(['a', 'b', 'c']);
    expect((await client.get('/all')).json()).toMatchObject({ isNew: false, data: {} });
  });

  it('take and replace say what was there and are one update', async () => {
    const client = await visitor();
    expect((await client.get('/take')).json()).toEqual(['three', 1, false]);
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(changes()[0]).toMatchObject({ set: { a: '7' }, remove: ['c'] });
  });

  it.each(['/set-equal', '/set-and-back'])('%s ends where it began: no update', async (path) => {
    const client = await visitor();
    await client.get(path);
    expect(app.probe.names).toEqual(['read']);
  });

  it.each([
    ['/mutate', { deep: [1, 2, { x: 'y' }, 'more'], when: 'now' }],
    ['/mutate-path', { deep: [1, 2, { x: 'z' }], when: 'now' }],
  ])('a value changed by %s is saved, it alone', async (path, expected) => {
    const client = await visitor();
    await client.get(path);
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(Object.keys(changes()[0].set)).toEqual(['b']);
    expect(app.probe.value(client.handle, 'b')).toEqual(expected);
  });

  it('a touch that is due: one read, one update of times alone', async () => {
    const client = await visitor();
    passTime(60_000);
    await client.get('/read');
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(changes()[0]).toMatchObject({ touchedAt: Date.now(), expiresAt: Date.now() + 3_600_000 });
    expect(Object.keys(changes()[0].set ?? {})).toEqual([]);
  });

  it.each<[path: string, calls: string[]]>([
    ['/set/n/1', ['create']],
    ['/read', ['read', 'update']],
    ['/set/n/2', ['read', 'update']],
    ['/rotate', ['read', 'update']],
    ['/login/u1', ['read', 'update']],
    ['/logout', ['read', 'destroy']],
  ])('where every use is written, it is written once a request: %s (S23)', async (path, calls) => {
    const every = await start(stack, { controllers: [BasicController], session: { touchAfter: 0 } });
    try {
      const client = every.client();
      if (calls[0] !== 'create') await client.get('/set/n/1');
      every.probe.forget();
      await client.get(path);
      expect(every.probe.names).toEqual(calls);
    } finally {
      await every.stop();
    }
  });

  it('a touch that is due and a write: one update', async () => {
    const client = await visitor();
    passTime(60_000);
    await client.get('/set/c/other');
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(changes()[0]).toMatchObject({ set: { c: '"other"' }, touchedAt: Date.now() });
  });

  it('save() in the handler leaves nothing to do for the response', async () => {
    const client = await visitor();
    await client.get('/saved');
    expect(app.probe.names).toEqual(['read', 'update']);
  });

  it('a rotation is one update of the proof', async () => {
    const client = await visitor();
    const { handle } = client;
    const before = app.probe.peek(handle)!;
    await client.get('/rotate');
    expect(app.probe.names).toEqual(['read', 'update']);
    expect(client.handle).toBe(handle);
    expect(app.probe.peek(handle)!.proof).not.toBe(before.proof);
    expect(app.probe.peek(handle)!.data).toEqual(before.data);
  });

  it('logging in as a visitor without a session is one create', async () => {
    await app.client().get('/login/u1');
    expect(app.probe.names).toEqual(['create']);
  });

  it('logout is one destroy', async () => {
    const client = await visitor();
    await client.get('/logout');
    expect(app.probe.names.filter((name) => name !== 'read')).toEqual(['destroy']);
    expect(app.probe.of('read').length).toBeLessThanOrEqual(1);
  });

  it('guard and handler share one read', async () => {
    const client = app.client();
    await client.get('/login/u1');
    app.reset();
    expect((await client.get('/guarded')).text).toBe('u1');
    expect(app.probe.names).toEqual(['read']);
  });

  it('middleware and handler share one read and one session', async () => {
    const client = await visitor();
    const reply = await client.get('/middleware/session-route?do=write&n=4');
    expect(reply.json()).toEqual({ n: 4 });
    expect(app.probe.names).toEqual(['read', 'update']);
  });

  it('guard and middleware of a new visitor make one session', async () => {
    const reply = await app.client().get('/middleware/session-route?do=write&n=4');
    expect(sessionCookies(reply)).toHaveLength(1);
    expect(app.probe.names).toEqual(['create']);
  });
});
