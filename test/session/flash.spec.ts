import { beforeEach, describe, expect, it } from '@jest/globals';
import { ValueCodec } from '../../src/session/value-codec.js';
import { type Encoded, SessionValues } from '../../src/session/values.js';
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

  it('undefined takes back what this request has flashed under the key, and nothing else', async () => {
    session.flash('a', 1);
    session.flash('b', 2);
    session.flash('a', undefined);
    session.flash('c', undefined);
    await session.save();
    const second = await next();
    expect([second.flashed('a'), second.flashed('b'), second.flashed('c')]).toEqual([
      undefined,
      2,
      undefined,
    ]);
    second.flash('d', 1);
    second.flash('d', undefined);
    second.reflash();
    await second.save();
    expect(Object.keys(bench.probe.peek(session.handle)!.data)).toHaveLength(2);
  });
});

describe('flashes among the values', () => {
  const json = { encode: JSON.stringify, decode: JSON.parse } as const;
  const stored = (values: SessionValues) => values.with(values.collect(false));
  const begin = (data: Encoded = {}) => new SessionValues(new ValueCodec({ codec: json }), data);

  it('the later of two requests counts, in whatever order the storage gives them', () => {
    let data: Encoded = {};
    for (let i = 1; i <= 12; i++) {
      const values = begin(data);
      values.flashes.flash('a', i);
      data = stored(values);
      const turned = Object.fromEntries(Object.entries(data).toReversed());
      for (const each of [data, turned]) expect(begin(each).flashes.flashed('a')).toBe(i);
    }
  });

  it('requests that run at once make fields of their own', () => {
    const fields = new Set(
      Array.from({ length: 50 }, () => {
        const values = begin();
        values.flashes.flash('a', 1);
        return Object.keys(stored(values))[0];
      }),
    );
    expect(fields.size).toBe(50);
  });

  it('only the fields that were there when the holder began end with it', () => {
    const before = begin({ n: '1' });
    before.flashes.flash('a', 1);
    const first = stored(before);
    const [field] = Object.keys(first).filter((key) => key !== 'n');
    const values = begin(first);
    values.flashes.flash('own', 1);
    values.saved(values.collect(false)!);
    const other = begin(values.with(undefined));
    other.flashes.flash('late', 1);
    values.rebase(stored(other));
    expect(values.collect(false)).toBeUndefined();
    expect(values.collect(true)).toEqual({ set: {}, remove: [field] });
    expect(values.flashes.flashed('late')).toBeUndefined();
    expect(values.flashes.flashed('a')).toBe(1);
  });

  it('all that was waiting ends, and what else changed is saved with it', () => {
    const values = begin({ n: '1', '~flash:1:x': '[["a",1]]', '~flash:2:x': '[["b",1]]' });
    values.set('n', 2);
    expect(values.collect(true)).toEqual({ set: { n: '2' }, remove: ['~flash:1:x', '~flash:2:x'] });
  });

  it('data of the same form is no flash', () => {
    const values = begin({ notes: '[["a",1]]' });
    expect(values.flashes.flashed('a')).toBeUndefined();
    expect(values.collect(true)).toBeUndefined();
  });

  it('those that another request has ended meanwhile are not ended again', () => {
    const before = begin();
    before.flashes.flash('a', 1);
    const values = begin(stored(before));
    values.rebase({});
    expect(values.collect(true)).toBeUndefined();
    expect(values.flashes.flashed('a')).toBe(1);
  });

  it('what this holder flashed and another has ended does not come back with the next flash', () => {
    const values = begin();
    values.flashes.flash('a', 1);
    values.saved(values.collect(true)!);
    values.rebase({});
    values.flashes.flash('b', 2);
    const next = begin(stored(values));
    expect([next.flashes.flashed('a'), next.flashes.flashed('b')]).toEqual([undefined, 2]);
  });

  it.each(['{', '7', '{"a":1}'])('a field that holds %s flashes nothing, and ends like any', (text) => {
    const values = begin({ '~flash:1:x': text });
    expect(values.flashes.flashed('a')).toBeUndefined();
    expect(values.collect(true)).toEqual({ set: {}, remove: ['~flash:1:x'] });
  });

  it('a field named as version 0.1 named it is read, before all others', () => {
    const values = begin({ '~flash:1:x': '[["a",2],["c",2]]', '~flash:9abcdef0': '[["a",1],["b",1]]' });
    expect(['a', 'b', 'c'].map((key) => values.flashes.flashed(key))).toEqual([2, 1, 2]);
  });
});
