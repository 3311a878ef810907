import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import * as library from '../../src/index.js';
import { resolveOptions } from '../../src/nest/session.options.js';
import { Session } from '../../src/session/session.js';
import { tableOf } from './documents.js';

/** What the tables of the documents list, against what there is. */
const namesIn = (cells: string[]) =>
  cells.flatMap((cell) => [...cell.matchAll(/`([\w.]+)/g)].map(([, word]) => word!)).toSorted();

const firstCells = (document: string, ...headings: string[]) =>
  tableOf(document, ...headings).map(([cell]) => cell!);

describe('docs/options.md', () => {
  it('has every option there is, and no other', () => {
    const wrong = { nope: 1, cookie: { nope: 1 }, purge: { nope: 1 }, lock: { nope: 1 } };
    let message = '';
    try {
      resolveOptions(wrong as object);
    } catch (error) {
      message = (error as Error).message;
    }
    const options = [...message.matchAll(/there are (.*)$/gm)].flatMap(([, names]) => names!.split(', '));
    const shown = namesIn(firstCells('docs/options.md', 'option', 'takes'));
    expect(
      options.filter((name) => !shown.some((one) => one === name || one.startsWith(`${name}.`))),
    ).toEqual([]);
    const known = new Set([...options, 'isGlobal']);
    expect(shown.filter((name) => !known.has(name) && !known.has(name.split('.')[0]!))).toEqual([]);
  });

  it('gives the defaults that there are', () => {
    const { ttl, touchAfter, cookieName, purge, maxBytes, lock, absoluteTtl } = resolveOptions();
    expect({ ttl, touchAfter, cookieName, purge, maxBytes, lock, absoluteTtl }).toEqual({
      ttl: 3_600_000,
      touchAfter: 60_000,
      cookieName: 'sid',
      purge: { cron: '* * * * *', batch: 1_000 },
      maxBytes: 65_536,
      lock: { wait: 10_000, hold: 30_000 },
      absoluteTtl: Infinity,
    });
  });
});

describe('docs/api.md', () => {
  it('has every member of a session', () => {
    const own = Object.getOwnPropertyDescriptors(Session.prototype);
    const members = Object.keys(own).filter((name) => !['constructor', 'toString'].includes(name));
    const shown = firstCells('docs/api.md', 'member', 'meaning').flatMap((cell) =>
      [...cell.matchAll(/`(\w+)[(`]/g)].map(([, word]) => word!),
    );
    expect(shown.toSorted()).toEqual(members.toSorted());
  });

  it('has every event', () => {
    const source = readFileSync('src/session/events.ts', 'utf8');
    const [, union] = /type SessionEventType =([\s\S]*?);\n/.exec(source)!;
    const types = [...union!.matchAll(/^ *\| '(\w+)'/gm)].map(([, type]) => type!);
    expect(namesIn(firstCells('docs/api.md', 'type', 'when'))).toEqual(types.toSorted());
  });

  it('has every error with its code and status', () => {
    const classes = Object.entries(library).filter(([name]) => /^Session\w*Error$/.test(name));
    const rows = tableOf('docs/api.md', 'class', '`code`');
    expect(namesIn(rows.map(([cell]) => cell!))).toEqual(classes.map(([name]) => name).toSorted());
    for (const [name, type] of classes) {
      const make = type as new (...args: unknown[]) => { code: string; getStatus?(): number };
      const error = new make('', 1, 1);
      const status = name === 'SessionOptionsError' ? '–' : String(error.getStatus?.() ?? 500);
      const row = rows.find(([cell]) => cell === `\`${name}\``);
      expect(row?.slice(0, 3)).toEqual([`\`${name}\``, `\`${error.code}\``, status]);
    }
  });
});
