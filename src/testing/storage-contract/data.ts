import { runner } from '../runner.js';
import { given, pairsOf, times, type StorageBench } from './bench.js';

const { describe, expect, it } = runner;

/** Well-formed text, as the library refuses other keys. */
const ODD_KEYS = [
  '__proto__',
  'constructor',
  'prototype',
  'hasOwnProperty',
  'toString',
  'toJSON',
  '',
  ' ',
  '0',
  '-1',
  'key',
  'Key',
  'KEY',
  'key ',
  'key  ',
  ' key',
  'key\t',
  'kéy',
  'ke\u0301y',
  'a.b.c',
  'a[0]',
  '$where',
  'data:1{2}',
  '"quoted"',
  `'"; DROP TABLE sessions; --`,
  '$.a',
  '日本語',
  '👩‍💻',
  '👩',
  '\u0000',
  'a\u0001b\u001fc\u007f\u2028',
  'line\nbreak\r\n\ttab',
  'k'.repeat(1_000),
];

/** Besides JSON texts, what another codec might write: any well-formed text, NUL included. */
const ODD_VALUES = [
  '',
  '""',
  'null',
  'undefined',
  '0',
  '1e400',
  ' ',
  '1 ',
  '\u0000',
  'a\u0000b\u0000',
  '\u0001\u001f\u007f',
  '"\\u0000\\ud800\\u2028"',
  '"日本語 👩‍💻 \u2028"',
  '{\n\t"pretty": true\r\n}',
  '{"__proto__":{"polluted":true}}',
  `'"; DROP TABLE sessions; --`,
  '\\',
  '%s %d $1 {0}',
  'x'.repeat(65_536),
  '字'.repeat(21_845),
  '\u0000'.repeat(10_000),
];

/** Data, and that which is unlike what most sessions hold. */
export function describeData(bench: StorageBench): void {
  /** Plain assignment would set the prototype of the object instead of the key `__proto__`. */
  const dataOf = (pairs: (readonly [string, string])[]) => Object.fromEntries(pairs);

  describe('data', () => {
    it('can have any string as a key (S48)', async () => {
      const data = dataOf(ODD_KEYS.map((key, i) => [key, `"${i}"`]));
      const { handle } = await given(bench, { data });
      const found = await bench.storage.read(handle);
      expect(pairsOf(found?.data)).toEqual(pairsOf(data));
    });

    it('can have any one of those keys alone, set, changed and removed (S48)', async () => {
      const other = ['other', '1'] as const;
      for (const key of ODD_KEYS) {
        const { handle } = await given(bench, { data: dataOf([other]) });
        const found = async () => pairsOf((await bench.storage.read(handle))?.data);
        for (const value of ['"first"', '"second"']) {
          await bench.storage.update(handle, { set: dataOf([[key, value]]) });
          expect(await found()).toEqual(pairsOf(dataOf([other, [key, value]])));
        }
        await bench.storage.update(handle, { remove: [key] });
        expect(await found()).toEqual([other]);
      }
    });

    it('has no key that nobody set, and pollutes no prototype (S48)', async () => {
      const polluted = dataOf([['__proto__', '{"polluted":"yes"}']]);
      const { handle } = await given(bench, { data: polluted });
      await bench.storage.update(handle, {
        set: dataOf([['constructor', '{"prototype":{"polluted":"yes"}}']]),
      });
      const data = (await bench.storage.read(handle))!.data;
      expect(Object.keys(data).toSorted()).toEqual(['__proto__', 'constructor']);
      expect(Object.hasOwn(data, 'toString')).toBe(false);
      expect(data['polluted']).toBeUndefined();
      expect(({} as Record<string, unknown>)['polluted']).toBeUndefined();
    });

    it('loses none of those keys but the one that is removed (S48)', async () => {
      const all = ODD_KEYS.map((key, i) => [key, `"${i}"`] as const);
      for (const key of ['__proto__', 'key', 'key ', '', '\u0000']) {
        const { handle } = await given(bench, { data: dataOf(all) });
        await bench.storage.update(handle, { remove: [key] });
        const left = all.filter(([each]) => each !== key);
        expect(pairsOf((await bench.storage.read(handle))?.data)).toEqual(pairsOf(dataOf(left)));
      }
    });

    it('does not remove what only looks like a key', async () => {
      const { handle } = await given(bench, { data: { a: '{"b":1}', 'a.b': '2' } });
      await bench.storage.update(handle, { remove: ['a.b', '__proto__', 'toString', ''] });
      expect(pairsOf((await bench.storage.read(handle))?.data)).toEqual([['a', '{"b":1}']]);
    });

    it('can have any text as a value, and comes back unchanged (S49)', async () => {
      const { handle } = await given(bench, { data: {} });
      for (const value of ODD_VALUES) {
        await bench.storage.update(handle, { set: { value, next: '"untouched"' } });
        expect(pairsOf((await bench.storage.read(handle))?.data)).toEqual([
          ['next', '"untouched"'],
          ['value', value],
        ]);
      }
      const all = await given(bench, { data: dataOf(ODD_VALUES.map((value, i) => [`key${i}`, value])) });
      expect(await bench.storage.read(all.handle)).toEqual(all);
    });

    it('of the client can be any of those texts too', async () => {
      const record = await given(bench);
      for (const client of ODD_VALUES.filter((value) => value.length <= 1_024)) {
        expect(await bench.storage.update(record.handle, { client })).toBe('ok');
        expect(await bench.storage.read(record.handle)).toEqual({ ...record, client });
        const other = await given(bench, { client });
        expect(await bench.storage.read(other.handle)).toEqual(other);
      }
    });

    it('can grow from nothing to a hundred keys and 50 KB, and shrink again', async () => {
      const record = await given(bench, { data: {} });
      const data = dataOf(times(100, (i) => [`key${i}`, `"${String(i).repeat(250)}"`]));
      await bench.storage.update(record.handle, { set: data });
      expect(await bench.storage.read(record.handle)).toEqual({ ...record, data });
      await bench.storage.update(record.handle, { set: { key50: '"changed"' } });
      const changed = { ...data, key50: '"changed"' };
      expect(await bench.storage.read(record.handle)).toEqual({ ...record, data: changed });
      await bench.storage.update(record.handle, { remove: Object.keys(data).slice(1) });
      const left = { key0: data['key0'] };
      expect(await bench.storage.read(record.handle)).toEqual({ ...record, data: left });
    });

    it('can be as big as a session may be, and be changed then', async () => {
      const record = await given(bench, { data: { big: 'x'.repeat(65_536) } });
      expect(await bench.storage.read(record.handle)).toEqual(record);
      await bench.storage.update(record.handle, { set: { big: 'y'.repeat(65_536), small: '1' } });
      const data = { big: 'y'.repeat(65_536), small: '1' };
      expect(await bench.storage.read(record.handle)).toEqual({ ...record, data });
    });

    it('of sessions with other keys stays apart', async () => {
      const records = await Promise.all(
        times(30, (i) => given(bench, { data: { [`a${i}`]: '1', [`b${i % 3}`]: String(i) } })),
      );
      for (const record of records) expect(await bench.storage.read(record.handle)).toEqual(record);
    });
  });
}
