import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { dirname, join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import * as library from '../../src/index.js';
import { Session } from '../../src/session/session.js';
import { resolveOptions } from '../../src/nest/session.options.js';

/** The documents against the code: what they show compiles and is the code of this folder. */
const DOCUMENTS = ['README.md', 'CONTRIBUTING.md', 'CHANGELOG.md', 'docs/security.md'];
const readme = readFileSync('README.md', 'utf8');

interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

function blocksOf(document: string): Block[] {
  const text = readFileSync(document, 'utf8');
  return [...text.matchAll(/^( *)```(\w*)\n([\s\S]*?)^\1```$/gm)].map((found) => ({
    document,
    line: text.slice(0, found.index).split('\n').length,
    language: found[2]!,
    code: dedent(found[3]!),
  }));
}

/** Without indentation, and with one kind of line end. */
function dedent(code: string): string {
  const lines = code.replace(/\n+$/, '').split('\n');
  const indents = lines
    .filter((line) => line.trim() !== '')
    .map((line) => line.length - line.trimStart().length);
  return lines.map((line) => line.slice(Math.min(...indents))).join('\n');
}

/** The code of this folder; what tests do with a value that is shown is left out. */
const sources = readdirSync('test/docs', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts'))
  .map((name) => ({
    name,
    text: readFileSync(join('test/docs', name), 'utf8').replaceAll(/seen\.push\((.*)\);/g, '$1;'),
  }));

/** Whether a block is in a source as it is, but for the indentation of the whole. */
function isIn(source: string, code: string): boolean {
  const [first, ...rest] = code.split('\n');
  const lines = source.split('\n');
  return lines.some((line, at) => {
    if (line.trimStart() !== first) return false;
    const indent = line.slice(0, line.length - first.length);
    return rest.every((wanted, i) => lines[at + 1 + i] === (wanted === '' ? '' : indent + wanted));
  });
}

const blocks = DOCUMENTS.flatMap(blocksOf).filter(({ language }) => language === 'ts');
/** Declares the data of a whole program, so that it cannot be among the sources of this one. */
const augmentations = blocks.filter(({ code }) => code.includes('declare module'));

describe('the code in the documents', () => {
  it.each(
    blocks
      .filter((block) => !augmentations.includes(block))
      .map((block) => [`${block.document}:${block.line}`, block] as const),
  )('%s is code of test/docs, verbatim', (_where, { code }) => {
    const named = /^\/\/ ([\w.-]+\.ts)\n/.exec(code);
    if (named) {
      const whole = readFileSync(join('test/docs/start', named[1]!), 'utf8');
      expect(code.slice(named[0].length)).toBe(whole.trimEnd());
    } else {
      expect({ code, found: sources.some(({ text }) => isIn(text, code)) }).toEqual({ code, found: true });
    }
  });

  it('the custom storage is shown whole, and is short', () => {
    const whole = readFileSync('test/docs/custom-storage.ts', 'utf8').trimEnd();
    expect(blocks.map(({ code }) => code)).toContain(whole);
    expect(whole.split('\n').length).toBeLessThanOrEqual(40);
  });

  it('compiles', () => {
    const files = sources.map(({ name }) => join('test/docs', name));
    expect(problemsOf(files)).toEqual([]);
  }, 120_000);

  it('declares the data of a session', () => {
    expect(augmentations.length).toBe(1);
    const use = `
      import { Session } from 'nest-sessions';
      ${augmentations[0]!.code}
      export const visits = (session: Session): number | undefined => session.get('visits');
      export const qty = (session: Session): number | undefined => session.get('cart.items[0].qty');
      // @ts-expect-error -- no such key
      export const nothing = (session: Session): unknown => session.get('nothing');`;
    const file = resolve('test/docs/virtual.ts');
    expect(problemsOf([file], new Map([[file, use]]))).toEqual([]);
  }, 120_000);
});

function problemsOf(files: string[], virtual = new Map<string, string>()): string[] {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile) as { config: object };
  const { options } = ts.parseJsonConfigFileContent({ ...config, files }, ts.sys, process.cwd());
  const host = ts.createCompilerHost(options);
  const { readFile, fileExists, getSourceFile } = host;
  host.readFile = (name) => virtual.get(name) ?? readFile.call(host, name);
  host.fileExists = (name) => virtual.has(name) || fileExists.call(host, name);
  host.getSourceFile = (name, version, ...rest) =>
    virtual.has(name)
      ? ts.createSourceFile(name, virtual.get(name)!, version)
      : getSourceFile.call(host, name, version, ...rest);
  const program = ts.createProgram(files, options, host);
  return files
    .map((file) => program.getSourceFile(file)!)
    .flatMap((file) => [...program.getSyntacticDiagnostics(file), ...program.getSemanticDiagnostics(file)])
    .map(
      ({ file, messageText }) => `${file?.fileName}: ${ts.flattenDiagnosticMessageText(messageText, '\n')}`,
    );
}

/** The first cells of the table that has this heading. */
function firstCells(...heading: string[]): string[] {
  const rows = readme.split('\n');
  const top = rows.findIndex((row) => heading.every((word, i) => cellsOf(row)[i] === word));
  expect(top).toBeGreaterThan(-1);
  const end = rows.findIndex((row, i) => i > top && !row.startsWith('|'));
  return rows.slice(top + 2, end).map((row) => cellsOf(row)[0]!);
}

const cellsOf = (row: string): string[] =>
  row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

describe('the tables of the README', () => {
  const words = (cells: string[]) =>
    cells.flatMap((cell) => [...cell.matchAll(/`([\w.]+)/g)].map(([, word]) => word!));

  it('have every option there is, and no other', () => {
    const wrong = { nope: 1, cookie: { nope: 1 }, purge: { nope: 1 }, lock: { nope: 1 } };
    let message = '';
    try {
      resolveOptions(wrong as object);
    } catch (error) {
      message = (error as Error).message;
    }
    const options = [...message.matchAll(/there are (.*)$/gm)].flatMap(([, names]) => names!.split(', '));
    const grouped = ['cookie', 'lock'];
    const expected = [...options.filter((name) => !grouped.includes(name)), 'isGlobal'];
    expect(words(firstCells('option', 'takes')).toSorted()).toEqual(expected.toSorted());
  });

  it('have the defaults', () => {
    const { ttl, touchAfter, cookieName, cookie, purge, maxBytes, lock, absoluteTtl } = resolveOptions();
    expect({ ttl, touchAfter, cookieName, purge, maxBytes, lock, absoluteTtl }).toEqual({
      ttl: 3_600_000,
      touchAfter: 60_000,
      cookieName: 'sid',
      purge: { cron: '* * * * *', batch: 1_000 },
      maxBytes: 65_536,
      lock: { wait: 10_000, hold: 30_000 },
      absoluteTtl: Infinity,
    });
    expect(cookie).toEqual({
      path: '/',
      domain: undefined,
      secure: 'auto',
      httpOnly: true,
      sameSite: 'lax',
      partitioned: false,
      priority: undefined,
      persistent: true,
    });
  });

  it('have every member of a session', () => {
    const own = Object.getOwnPropertyDescriptors(Session.prototype);
    const members = Object.keys(own).filter((name) => !['constructor', 'toString'].includes(name));
    const shown = firstCells('member', 'meaning').flatMap((cell) =>
      [...cell.matchAll(/`(\w+)[(`]/g)].map(([, word]) => word!),
    );
    expect(shown.toSorted()).toEqual(members.toSorted());
  });

  it('have every event', () => {
    const source = readFileSync('src/session/events.ts', 'utf8');
    const [, union] = /type SessionEventType =([\s\S]*?);\n/.exec(source)!;
    const types = [...union!.matchAll(/^ *\| '(\w+)'/gm)].map(([, type]) => type!);
    expect(words(firstCells('type', 'when')).toSorted()).toEqual(types.toSorted());
  });

  it('have every error with its code and status', () => {
    const classes = Object.entries(library).filter(([name]) => name.endsWith('Error'));
    expect(words(firstCells('class', '`code`')).toSorted()).toEqual(classes.map(([name]) => name).toSorted());
    for (const [name, type] of classes) {
      const error = new (type as new (...args: unknown[]) => { code: string; getStatus?(): number })(
        '',
        1,
        1,
      );
      const row = readme.split('\n').find((line) => line.startsWith(`| \`${name}\` `))!;
      const status = name === 'SessionOptionsError' ? '–' : String(error.getStatus?.() ?? 500);
      expect(cellsOf(row).slice(0, 3)).toEqual([`\`${name}\``, `\`${error.code}\``, status]);
    }
  });
});

describe('the README', () => {
  it('names everything that an application can import as a value', () => {
    expect(Object.keys(library).filter((name) => !new RegExp(`\\b${name}\\b`).test(readme))).toEqual([]);
  });

  it('says which versions it was compared with', () => {
    const words = readme.replaceAll(/\s+/g, ' ');
    const versionOf = (name: string): string => {
      const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')) as {
        version: string;
      };
      return version.split('.').slice(0, 2).join('.');
    };
    expect(words).toContain(`express-session ${versionOf('express-session')}`);
    expect(words).toContain(`@fastify/session ${versionOf('@fastify/session')}`);
  });

  it('and the other documents have no link that leads nowhere', () => {
    for (const document of DOCUMENTS) {
      const text = readFileSync(document, 'utf8');
      const anchors = [...text.matchAll(/^#+ (.*)$/gm)].map(([, title]) => anchorOf(title!));
      for (const [, target] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
        if (/^https?:/.test(target!)) continue;
        const [file, anchor] = target!.split('#') as [string, string?];
        if (file !== '')
          expect([document, target, existsSync(join(dirname(document), file))]).toEqual([
            document,
            target,
            true,
          ]);
        else expect(anchors).toContain(anchor);
      }
    }
  });

  it('and the other documents name no file that is not there', () => {
    for (const document of DOCUMENTS) {
      for (const [, path] of readFileSync(document, 'utf8').matchAll(
        /`((?:src|test|sample|docs)\/[\w./-]+)`/g,
      )) {
        expect([document, path, existsSync(path!)]).toEqual([document, path, true]);
      }
    }
  });
});

const anchorOf = (title: string): string =>
  title
    .toLowerCase()
    .replaceAll(/[^\w\- ]/g, '')
    .replaceAll(' ', '-');
