import { afterAll, beforeAll, expect, it } from '@jest/globals';
import { SqlStorage } from '../../../src/storage/sql/index.js';
import {
  decodeData,
  decodeText,
  encodeData,
  encodeText,
  isWellFormed,
} from '../../../src/storage/sql/encoding.js';
import { describeEachDriver, dropTable, newTable, type Opened } from './support/databases.js';
import { newRecord } from './support/records.js';

/** Texts that some database, driver or encoding has read in its own way somewhere. */
const TEXTS = [
  '',
  ' ',
  'a ',
  ' a',
  'a',
  'A',
  '\u00e1',
  'a\u0301',
  "'",
  '"',
  '\\',
  '\\\\"',
  "''; --",
  '$1',
  '$key',
  '$.a[0]',
  '?',
  ':handle',
  '%s',
  '%',
  '_',
  '`',
  '-a',
  '--',
  '*',
  '**.a',
  '[0]',
  '{"a":null}',
  'null',
  '~',
  '~0041',
  '\x7f',
  '\x7f0000',
  '\0',
  'a\0b',
  '\u0001',
  '\u001a',
  '\n\r\t\b\f',
  '\u2028\u2029',
  '\ufeff',
  '\uffff',
  '👩‍💻',
  '日本語',
  '__proto__',
  'constructor',
  'x'.repeat(65_536),
  '字'.repeat(20_000),
];

/** What no text of Unicode is, and a value may be all the same. */
const LONE = ['\ud800', '\udc00a', 'a\ud83d', '\udc00\ud800', '"\ud800"'];

it('data are ASCII on their way, and come back as they were', () => {
  const data = Object.fromEntries([...TEXTS, ...LONE].map((text) => [text, text]));
  const json = encodeData(data);
  // oxlint-disable-next-line no-control-regex
  expect(/^[\x20-\x7f]*$/.test(json)).toBe(true);
  const texts: string[] = Object.values(JSON.parse(json));
  expect(texts.filter((text) => text.includes('\0') || !isWellFormed(text)).length).toBe(0);
  expect(Object.entries(decodeData(json))).toEqual(Object.entries(data));
  for (const text of [...TEXTS, ...LONE]) expect(decodeText(encodeText(text))).toBe(text);
});

describeEachDriver((kind, place) => {
  let opened: Opened;
  let storage: SqlStorage;
  const table = newTable();

  beforeAll(async () => {
    opened = await kind.open(place());
    storage = new SqlStorage(opened.database, { table, commandTimeout: 10_000 });
    await storage.open();
  });
  afterAll(async () => {
    await dropTable(opened, table);
    await opened.close();
  });

  it('keeps every key and value as it is, together and alone, and none for another', async () => {
    const texts = [...TEXTS, ...LONE];
    const data = Object.fromEntries(texts.map((text, i) => [text.slice(0, 1_000), `${i}:${text}`]));
    const record = newRecord({ data });
    await storage.create(record);
    expect(Object.entries((await storage.read(record.handle))!.data).toSorted()).toEqual(
      Object.entries(data).toSorted(),
    );
    for (const key of Object.keys(data)) {
      expect(await storage.update(record.handle, { remove: [key] })).toBe('ok');
      const left = (await storage.read(record.handle))!.data;
      expect(Object.hasOwn(left, key)).toBe(false);
      expect(Object.keys(left).length).toBe(Object.keys(data).length - 1);
      expect(await storage.update(record.handle, { set: Object.fromEntries([[key, data[key]]]) })).toBe('ok');
    }
    expect(Object.entries((await storage.read(record.handle))!.data).toSorted()).toEqual(
      Object.entries(data).toSorted(),
    );
    expect(await storage.update(record.handle, { remove: Object.keys(data) })).toBe('ok');
    expect(Object.keys((await storage.read(record.handle))!.data)).toEqual([]);
  });

  it('keeps users apart that look alike, and finds each (S59)', async () => {
    const users = [...TEXTS.map((text) => text.slice(0, 500)), 'u'.repeat(512), '👩'.repeat(512)].filter(
      (text) => text !== '',
    );
    const records = users.map((userId) => newRecord({ userId, client: userId }));
    for (const record of records) await storage.create(record);
    for (const record of records) {
      expect(await storage.byUser(record.userId!)).toEqual([record]);
      expect(await storage.update(record.handle, { expected: { userId: record.userId } })).toBe('ok');
    }
    for (const wrong of ['', '\ud800', 'a\udc00', 'u'.repeat(513)]) {
      await expect((async () => storage.create(newRecord({ userId: wrong })))()).rejects.toThrow(
        'nothing was stored',
      );
      expect(await storage.byUser(wrong)).toEqual([]);
    }
  });

  it('removes some of many keys in whatever order they were set', async () => {
    const keys = ['key3', 'key1', 'key2', 'key10', 'key0', 'zz', 'a'];
    const { handle } = newRecord();
    await storage.create(newRecord({ handle, data: Object.fromEntries(keys.map((key) => [key, '1'])) }));
    expect(await storage.update(handle, { remove: ['key0', 'key1', 'key2', 'key3', 'nothing'] })).toBe('ok');
    expect(Object.keys((await storage.read(handle))!.data).toSorted()).toEqual(['a', 'key10', 'zz']);
    expect(await storage.update(handle, { set: { key1: '2' }, remove: ['zz', 'a', 'key10'] })).toBe('ok');
    expect((await storage.read(handle))!.data).toEqual({ key1: '2' });
  });
});
