import { describe, expect, it } from '@jest/globals';
import { SessionError } from '../../src/index.js';
import { failureOf, kinds, loaded, open, visitor } from '../support/session-bench.js';

describe.each(kinds)('initial: %s', (kind) => {
  const initial = () => ({ theme: 'light', basket: { items: [] as number[] } });

  it('is what a new session starts with, and create adds to it', async () => {
    const bench = await open(kind, { initial });
    expect((await visitor(bench)).get('theme')).toBe('light');
    const { id } = await bench.store.create({ data: { theme: 'dark', n: 1 } });
    expect((await loaded(bench, id)).toJSON()).toEqual({ theme: 'dark', n: 1, basket: { items: [] } });
  });

  it('sessions do not share it', async () => {
    const bench = await open(kind, { initial });
    const [one, two] = [await bench.store.create(), await bench.store.create()];
    one.get('basket.items').push(1);
    one.set('theme', 'dark');
    await one.save();
    expect(two.toJSON()).toEqual(initial());
    expect((await bench.store.create()).toJSON()).toEqual(initial());
  });

  it('sessions do not share it, even if the function gives the same object each time', async () => {
    const same = initial();
    const bench = await open(kind, { initial: () => same });
    const one = await bench.store.create();
    one.get('basket.items').push(1);
    one.set('theme', 'dark');
    await one.save();
    expect((await bench.store.create()).toJSON()).toEqual(initial());
  });

  it('a session that is not new does not get it again', async () => {
    const bench = await open(kind, { initial });
    const session = await bench.store.create();
    session.clear();
    await session.save();
    expect((await loaded(bench, session.id)).toJSON()).toEqual({});
  });

  it('a tap of a new session has it', async () => {
    const bench = await open(kind, { initial });
    const session = await visitor(bench);
    await session.tap((data) => void data.basket.items.push(1));
    const expected = { theme: 'light', basket: { items: [1] } };
    expect(session.toJSON()).toEqual(expected);
    expect((await loaded(bench, session.id)).toJSON()).toEqual(expected);
  });

  it('what is changed in place in it is a write like any', async () => {
    const bench = await open(kind, { initial });
    const session = await visitor(bench);
    session.get('basket.items').push(1);
    await session.save();
    expect((await loaded(bench, session.id)).get('basket.items')).toEqual([1]);
  });

  it.each<[got: string, wrong: () => unknown]>([
    ['nothing', () => undefined],
    ['null', () => null],
    ['a list', () => [1]],
    ['a string', () => 'data'],
    ['a promise', () => Promise.resolve({ a: 1 })],
  ])('one that gives %s is an error that names it, and nothing is stored', async (_got, wrong) => {
    const bench = await open(kind, { initial: wrong as () => object });
    const error = await failureOf(() => bench.store.create());
    expect(error).toBeInstanceOf(SessionError);
    expect(error.message).toContain('initial');
    expect(bench.probe.size).toBe(0);
  });
});
