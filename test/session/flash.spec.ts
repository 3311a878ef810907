import { beforeEach, describe, expect, it } from '@jest/globals';
import { type AnySession, type Bench, kinds, loaded, open, visitor } from '../support/session-bench.js';

describe.each(kinds)('flashes: %s', (kind) => {
  let bench: Bench;
  let session: AnySession;

  beforeEach(async () => {
    bench = await open(kind);
    session = await loaded(bench, (await bench.store.create({ data: { n: 1 } })).id);
  });

  const next = () => loaded(bench, session.id);
  const nextRequest = () => visitor(bench, `sid=${session.id}`);

  it('a flash is for the next one, not for the one that sets it', async () => {
    session.flash('notice', { text: 'saved' });
    expect(session.flashed('notice')).toBeUndefined();
    await session.save();
    expect(session.flashed('notice')).toBeUndefined();
    const second = await next();
    expect(second.flashed('notice')).toEqual({ text: 'saved' });
    expect(second.flashed('notice')).toEqual({ text: 'saved' });
    expect(second.flashed('other')).toBeUndefined();
  });

  it.each([[null], [false], [0], [''], [[1, [2]]]])('%j can be flashed', async (value) => {
    session.flash('notice', value);
    await session.save();
    expect((await next()).flashed('notice')).toEqual(value);
  });

  it('it is over after the next request, whether that looked or not', async () => {
    session.flash('notice', 'saved');
    await session.save();
    const second = await nextRequest();
    second.set('n', 2);
    await second.save();
    expect((await nextRequest()).flashed('notice')).toBeUndefined();
    expect((await next()).flashed('notice')).toBeUndefined();
    expect(Object.keys(bench.probe.peek(session.handle)!.data)).toEqual(['n']);
  });

  it('a request that only looks leaves nothing of a flash', async () => {
    session.flash('notice', 'saved');
    await session.save();
    const second = await nextRequest();
    expect(second.flashed('notice')).toBe('saved');
    await second.save();
    expect((await nextRequest()).flashed('notice')).toBeUndefined();
    expect(Object.keys(bench.probe.peek(session.handle)!.data)).toEqual(['n']);
  });

  it('a worker that loads the session, looks and saves is no request, and uses no flash up', async () => {
    session.flash('notice', 'saved');
    await session.save();
    const worker = await next();
    expect(worker.flashed('notice')).toBe('saved');
    worker.set('n', 2);
    await worker.save();
    expect((await nextRequest()).flashed('notice')).toBe('saved');
  });

  it('reflash keeps all of them for one more request', async () => {
    session.flash('a', 1);
    session.flash('b', 2);
    await session.save();
    const second = await nextRequest();
    second.reflash();
    await second.save();
    const third = await nextRequest();
    expect([third.flashed('a'), third.flashed('b')]).toEqual([1, 2]);
    await third.save();
    expect((await nextRequest()).flashed('a')).toBeUndefined();
  });

  it('reflash and a new flash of the same key: the new one counts', async () => {
    session.flash('a', 1);
    await session.save();
    const second = await next();
    second.flash('a', 2);
    second.reflash();
    await second.save();
    const third = await next();
    expect(third.flashed('a')).toBe(2);
  });

  it('reflash without a flash is no change', async () => {
    session.reflash();
    await session.save();
    expect(bench.probe.peek(session.handle)!.data).toEqual({ n: '1' });
  });

  it('flashes are no part of the data, and no key of it', async () => {
    session.flash('n', 'flashed');
    session.flash('notice', 'saved');
    for (const each of [session, (await session.save(), await next())]) {
      expect(each.toJSON()).toEqual({ n: 1 });
      expect(each.keys()).toEqual(['n']);
      expect(each.has('notice')).toBe(false);
      expect(each.get('n')).toBe(1);
    }
    expect(await (await next()).tap((data) => Object.keys(data))).toEqual(['n']);
  });

  it('a tap by another neither sees nor destroys a flash that is waiting', async () => {
    session.flash('notice', 'saved');
    await session.save();
    await bench.store.tap(session.id, (data) => void data.n++);
    expect((await next()).flashed('notice')).toBe('saved');
  });

  it('one that another flashes while a request runs waits for the next, whatever the request does', async () => {
    const running = await nextRequest();
    session.flash('notice', 'for the next');
    await session.save();
    await running.tap((data) => void data.n++);
    await running.save();
    expect(running.flashed('notice')).toBeUndefined();
    expect((await nextRequest()).flashed('notice')).toBe('for the next');
  });

  it('two flashes of one key: the last counts', async () => {
    session.flash('notice', 'one');
    session.flash('notice', 'two');
    await session.save();
    expect((await next()).flashed('notice')).toBe('two');
  });

  it('two holders that flash different keys at once both win', async () => {
    const other = await next();
    session.flash('a', 1);
    other.flash('b', 2);
    await Promise.all([session.save(), other.save()]);
    const third = await next();
    expect([third.flashed('a'), third.flashed('b')]).toEqual([1, 2]);
  });

  it('it survives a rotation and a login', async () => {
    session.flash('notice', 'welcome');
    await session.login('ada');
    await session.regenerate();
    await session.save();
    expect((await next()).flashed('notice')).toBe('welcome');
  });

  it('a flash alone stores the session of a visitor', async () => {
    const fresh = await visitor(bench);
    fresh.flash('notice', 'hello');
    await fresh.save();
    expect((await loaded(bench, fresh.id)).flashed('notice')).toBe('hello');
  });

  it.each(['__proto__', 'constructor', 'toString', 'a.b[0]', ''])(
    'the key %j is harmless, and its own (S48)',
    async (key) => {
      expect(session.flashed(key)).toBeUndefined();
      session.flash(key, 'value');
      await session.save();
      const second = await next();
      expect(second.flashed(key)).toBe('value');
      expect(second.flashed('a')).toBeUndefined();
      expect(Object.prototype).not.toHaveProperty('value');
    },
  );
});
