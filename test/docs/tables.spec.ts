import { readFileSync } from 'node:fs';
import { describe, expect, it } from '@jest/globals';
import * as library from '../../src/index.js';
import { Session } from '../../src/session/session.js';
import { tableOf } from './documents.js';

/** What the tables of docs/api.md list, against what there is. */
const namesIn = (cells: string[]) =>
  cells.flatMap((cell) => [...cell.matchAll(/`([\w.]+)/g)].map(([, word]) => word!)).toSorted();

const firstCells = (document: string, ...headings: string[]) =>
  tableOf(document, ...headings).map(([cell]) => cell!);

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
