import { describe, expect, it } from '@jest/globals';
import { SessionError } from '../../src/index.js';
import { type Segments, segmentsOf } from '../../src/session/paths.js';
import { jsonCodec } from '../../src/session/codec.js';
import { ValueCodec } from '../../src/session/value-codec.js';
import { SessionValues } from '../../src/session/values.js';

const holder = (data: object = {}): SessionValues => {
  const codec = new ValueCodec({ codec: jsonCodec });
  const values = new SessionValues(codec);
  values.assign(data, 'data');
  return new SessionValues(codec, values.with(values.collect(false)));
};

describe('the parts of a path', () => {
  it.each<[path: string, parts: Segments]>([
    ['a', ['a']],
    ['', ['']],
    ['a.b.c', ['a', 'b', 'c']],
    ['a[0]', ['a', 0]],
    ['a[0][12].b', ['a', 0, 12, 'b']],
    ['[0].a', [0, 'a']],
    ['a.0', ['a', '0']],
    ['a.0.b[0]', ['a', '0', 'b', 0]],
    ['a[0].0', ['a', 0, '0']],
    ['a.10.b[1].1[10]', ['a', '10', 'b', 1, '1', 10]],
    ['.', ['', '']],
    ['a..b', ['a', '', 'b']],
    ['a.', ['a', '']],
    ['.a', ['', 'a']],
    ['a.[0]', ['a', '', 0]],
    ['[0].', [0, '']],
    ['[]', ['[]']],
    ['a\\.b', ['a.b']],
    ['a\\.b.c\\[0]', ['a.b', 'c[0]']],
    ['a\\\\.b', ['a\\', 'b']],
    ['\\a', ['a']],
    ['a\\', ['a\\']],
    ['a]', ['a]']],
    ['a[]', ['a[]']],
    ['a[][0]', ['a[]', 0]],
    ['größe.😀.\\😀', ['größe', '😀', '😀']],
    ['a\nb.c', ['a\nb', 'c']],
    ['a.\\\n', ['a', '\n']],
    ['a[999999999999999]', ['a', 999_999_999_999_999]],
  ])('%j', (path, parts) => {
    expect(segmentsOf(path)).toEqual(parts);
    expect(segmentsOf(path)).toEqual(parts);
  });

  it.each<[path: string, place: number]>([
    ['a[', 2],
    ['[', 1],
    ['a[x]', 2],
    ['a[-1]', 2],
    ['a[1.5]', 2],
    ['a[01]', 2],
    ['a[1000000000000000]', 2],
    ['a[0]b', 5],
    ['a[0]\\.b', 5],
    ['a[0][]', 5],
    ['a.b[0', 4],
  ])('%j is no path: the error says where', (path, place) => {
    expect(() => segmentsOf(path)).toThrow(SessionError);
    expect(() => segmentsOf(path)).toThrow(`${JSON.stringify(path)} is no path: character ${place} `);
  });

  it.each(['__proto__', '__proto__.a', 'a.__proto__', 'a.constructor.b', 'prototype.a', 'a[0].\\prototype'])(
    '%s has none: it would reach a prototype (S48)',
    (path) => {
      expect(segmentsOf(path)).toBeUndefined();
      expect(segmentsOf(path)).toBeUndefined();
    },
  );

  it('a path of 1,024 characters is one, and a longer one is an error that shows its beginning', () => {
    for (const path of ['x'.repeat(1_024), `${'x.'.repeat(511)}xx`, `x${'[0]'.repeat(341)}`]) {
      const values = holder();
      values.set(path, 1);
      expect(values.get(path)).toBe(1);
      expect(path).toHaveLength(1_024);
      for (const use of [
        () => values.get(`${path}x`),
        () => values.set(`${path}x`, 1),
        () => values.remove(`${path}x`),
      ]) {
        expect(use).toThrow(SessionError);
        expect(use).toThrow(/at most 1024 characters; got 1025: "x.{99}…"\.$/);
      }
    }
  });

  it('are found once and kept, of the last thousand paths or fewer', () => {
    const [first, poisoned] = [segmentsOf('kept.a'), segmentsOf('kept.__proto__')];
    expect(segmentsOf('kept.b')).toEqual(['kept', 'b']);
    expect(segmentsOf('kept.a')).toBe(first);
    expect(segmentsOf('kept.__proto__')).toBe(poisoned);
    for (let i = 0; i < 1_000; i++) segmentsOf(`other.a${i}`);
    expect(segmentsOf('kept.a')).toEqual(first);
    expect(segmentsOf('kept.a')).not.toBe(first);
  });

  it('those of many paths are right, however many are kept', () => {
    for (let i = 0; i < 2_500; i++) expect(segmentsOf(`a.b${i}`)).toEqual(['a', `b${i}`]);
    for (const i of [0, 999, 1_000, 1_001, 2_499]) expect(segmentsOf(`a.b${i}`)).toEqual(['a', `b${i}`]);
  });
});

describe('setting a path', () => {
  it('a number between dots makes no list, whatever brackets follow', () => {
    const values = holder();
    values.set('answers.0.list[0]', 'yes');
    values.set('answers.1.list[0]', 'no');
    expect(values.toJSON()).toEqual({ answers: { 0: { list: ['yes'] }, 1: { list: ['no'] } } });
  });

  it('a list may be up to 1,000 places behind its end', () => {
    const values = holder({ list: [0] });
    values.set('list[1001]', 1);
    expect((values.get('list') as unknown[]).length).toBe(1_002);
    values.set('fresh[1000]', 1);
    expect(() => values.set('list[2003]', 1)).toThrow(/"2003" is no place in a list of 1002/);
    expect(() => values.set('other[1001]', 1)).toThrow(/"1001" is no place in a list of 0/);
  });

  it.each([
    'list[9999]',
    'list.x',
    'list.length',
    'list[0].deep[9999]',
    'list[0].n[9999].x',
    'object.a.b[9999]',
    'object.n.b[9999].c',
    'n.a[9999]',
    'fresh.a.b[9999].c',
    'fresh[9999]',
    'list[1].a[0].b[9999]',
  ])('%s cannot be set, and leaves nothing behind', (path) => {
    const data = { list: [{ n: 1 }], object: { n: 1 }, n: 1 };
    const values = holder(data);
    expect(() => values.set(path, 1)).toThrow(SessionError);
    expect(() => values.set(path, 1)).toThrow(`${JSON.stringify(path)} cannot be set`);
    expect(values.toJSON()).toEqual(data);
    expect(values.collect(false)).toBeUndefined();
  });

  it('what is there on the way stays, and is changed in place', () => {
    const values = holder({ a: { list: [{ keep: 1 }], keep: 1 } });
    const a = values.get('a') as { list: object[] };
    const [item] = a.list;
    values.set('a.list[0].n', 1);
    values.set('a.fresh.n', 1);
    values.set('a.list[1].n', 2);
    expect([values.get('a'), a.list[0]]).toEqual([a, item]);
    expect(values.get('a')).toBe(a);
    expect(a).toEqual({ list: [{ keep: 1, n: 1 }, { n: 2 }], keep: 1, fresh: { n: 1 } });
  });

  it('an object at its end is replaced, and undefined removes it', () => {
    const values = holder({ a: { b: { old: 1 }, c: 1 }, 'a.b': { old: 1 } });
    values.set('a.b', 1);
    values.set('a\\.b', 2);
    expect(values.toJSON()).toEqual({ a: { b: 1, c: 1 }, 'a.b': 2 });
    values.set('a.b', undefined);
    values.set('a\\.b', undefined);
    expect(values.toJSON()).toEqual({ a: { c: 1 } });
  });

  it('what is inherited is not there on the way (S48)', () => {
    const values = holder({ a: {}, list: [] });
    values.set('a.toString.x', 1);
    expect(values.toJSON()).toEqual({ a: { toString: { x: 1 } }, list: [] });
    expect(Object.keys(Object.prototype.toString)).toEqual([]);
    expect(() => values.set('list.map.x', 1)).toThrow(SessionError);
  });

  it.each([undefined, null, 7, {}, Symbol('path')])(
    '%p is no path: an error to set, and leads nowhere',
    (wrong) => {
      const path = wrong as string;
      const values = holder({ 7: 1, undefined: 1, null: 1, '[object Object]': 1 });
      expect(() => values.set(path, 2)).toThrow(/a path is a string; got/);
      expect([values.get(path), values.remove(path)]).toEqual([undefined, false]);
      expect(values.collect(false)).toBeUndefined();
    },
  );

  it('a part that would reach a prototype is an error that names it (S48)', () => {
    expect(() => holder().set('a.__proto__.b', 1)).toThrow(/"a.__proto__.b" cannot be set: "__proto__"/);
  });
});

describe('reading and removing a path', () => {
  const data = { list: [1, 2, { a: 3 }], object: { 0: 'zero', n: null }, text: 'abc' };

  it.each<[path: string, value: unknown]>([
    ['list[1]', 2],
    ['list.1', 2],
    ['list[2].a', 3],
    ['list.length', 3],
    ['object[0]', 'zero'],
    ['object.0', 'zero'],
    ['object.n', null],
    ['object.n.x', undefined],
    ['object.toString', undefined],
    ['text.length', undefined],
    ['text[0]', undefined],
    ['list[3]', undefined],
    ['nothing.at.all', undefined],
  ])('%s is %p', (path, value) => {
    expect(holder(data).get(path)).toEqual(value);
  });

  it.each<[path: string, removed: boolean, after: object]>([
    ['list[1]', true, { ...data, list: [1, { a: 3 }] }],
    ['list.0', true, { ...data, list: [2, { a: 3 }] }],
    ['list[2].a', true, { ...data, list: [1, 2, {}] }],
    ['list[3]', false, data],
    ['list.length', false, data],
    ['object.0', true, { ...data, object: { n: null } }],
    ['object.n', true, { ...data, object: { 0: 'zero' } }],
    ['object.n.x', false, data],
    ['object.toString', false, data],
    ['object.x.y', false, data],
    ['text.length', false, data],
    ['nothing.x', false, data],
    ['a.__proto__', false, data],
  ])('removing %s: %s', (path, removed, after) => {
    const values = holder(data);
    expect(values.remove(path)).toBe(removed);
    expect(values.toJSON()).toEqual(after);
  });
});
