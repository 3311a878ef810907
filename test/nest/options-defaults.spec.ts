import { IncomingMessage } from 'node:http';
import { Socket } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Test } from '@nestjs/testing';
import { SessionCookie, SessionModule, SessionStore } from '../../src/index.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { loaded, open } from '../support/session-bench.js';

describe('the defaults', () => {
  beforeEach(freezeTime);
  afterEach(unfreezeTime);

  const withDefaults = () => open('memory storage');

  it('ttl is an hour, and there is no absolute timeout', async () => {
    const bench = await withDefaults();
    const session = await bench.store.create();
    expect(session.expiresAt.getTime() - Date.now()).toBe(3_600_000);
    for (let i = 0; i < 500; i++) {
      passTime(3_599_999);
      session.set('i', i);
      await session.save();
    }
    expect((await loaded(bench, session.id)).get('i')).toBe(499);
  });

  it.each([
    ['a minute for an hour', undefined, 60_000],
    ['a sixtieth for less', '10m', 10_000],
    ['a minute for more', '2d', 60_000],
  ])('touchAfter is %s (S23)', async (_title, ttl, after) => {
    const bench = await open('memory storage', ttl === undefined ? {} : { ttl });
    const { id, handle } = await bench.store.create();
    const deadline = bench.probe.peek(handle)!.expiresAt;
    passTime(after - 1);
    await (await loaded(bench, id)).save();
    expect(bench.probe.peek(handle)!.expiresAt).toBe(deadline);
    passTime(1);
    await (await loaded(bench, id)).save();
    expect(bench.probe.peek(handle)!.expiresAt).toBe(deadline + after);
  });

  it('the cookie is sid; Path=/; HttpOnly; SameSite=Lax; no Domain; Secure on HTTPS alone (S37)', async () => {
    const bench = await withDefaults();
    const session = await bench.store.create();
    const cookie = bench.module.get(SessionCookie);
    const request = new IncomingMessage(new Socket());
    const parts = (text: string) => text.split('; ').toSorted();
    const expected = ['HttpOnly', 'Max-Age=3600', 'Path=/', 'SameSite=Lax', `sid=${session.id}`];
    expect(parts(cookie.issue(session, request))).toEqual(expected);
    Object.defineProperty(request.socket, 'encrypted', { value: true });
    expect(parts(cookie.issue(session, request))).toEqual([...expected, 'Secure'].toSorted());
  });

  it('values are written as JSON, and a new session starts empty', async () => {
    const bench = await withDefaults();
    const session = await bench.store.create();
    expect(session.toJSON()).toEqual({});
    session.set('a', { b: [1, null, 'ü'] });
    await session.save();
    expect(bench.probe.peek(session.handle)!.data).toEqual({ a: '{"b":[1,null,"ü"]}' });
  });

  it('forRoot() alone is a sound set-up, and each has a storage of its own', async () => {
    const [one, two] = await Promise.all(
      [1, 2].map(() => Test.createTestingModule({ imports: [SessionModule.forRoot()] }).compile()),
    );
    await Promise.all([one!.init(), two!.init()]);
    const { id } = await one!.get(SessionStore).create({ data: { n: 1 } });
    expect((await one!.get(SessionStore).load(id))?.toJSON()).toEqual({ n: 1 });
    expect(await two!.get(SessionStore).load(id)).toBeUndefined();
    expect(await two!.get(SessionStore).count()).toBe(0);
    await Promise.all([one!.close(), two!.close()]);
  });
});
