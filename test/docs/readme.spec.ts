import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { join, resolve } from 'node:path';
import { describe, expect, it } from '@jest/globals';
import ts from 'typescript';
import * as library from '../../src/index.js';
import { anchorsOf, blocksOf, DOCUMENTS, linksOf, PACKAGED, textOf } from './documents.js';

/** The documents against the code: what they show compiles, and is the code of a file below `test/`. */

/** What tests do with a value that is shown is left out. */
const sources = readdirSync('test', { recursive: true, encoding: 'utf8' })
  .filter((name) => name.endsWith('.ts') && !name.startsWith('types'))
  .map((name) => ({
    name,
    text: readFileSync(join('test', name), 'utf8').replaceAll(/seen\.push\((.*)\);/g, '$1;'),
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
  )('%s is code of test/, verbatim', (_where, { code }) => {
    const named = /^\/\/ ([\w.-]+\.ts)\n/.exec(code);
    if (named) {
      const whole = readFileSync(join('test/docs/start', named[1]!), 'utf8');
      expect(code.slice(named[0].length)).toBe(whole.trimEnd());
    } else {
      expect({ code, found: sources.some(({ text }) => isIn(text, code)) }).toEqual({ code, found: true });
    }
  });

  it('compiles', () => {
    const files = sources.filter(({ name }) => name.startsWith('docs')).map(({ name }) => join('test', name));
    expect(problemsOf(files)).toEqual([]);
  }, 120_000);

  it('compiles to CommonJS as well, where it is the first that is shown', () => {
    const files = readdirSync('test/docs/start').map((name) => join('test/docs/start', name));
    const commonJs = { module: ts.ModuleKind.CommonJS, moduleResolution: ts.ModuleResolutionKind.Bundler };
    expect(problemsOf(files, new Map(), commonJs)).toEqual([]);
  }, 120_000);

  it('declares the data of a session', () => {
    expect(augmentations.length).toBe(2);
    const use = `
      import { Session, SessionInfo } from 'nest-sessions';
      ${augmentations[0]!.code}
      const initialData = () => ({ visits: 0 });
      const describeClient = ({ ip }: { ip: string }) => ({ ip, since: new Date() });
      ${augmentations[1]!.code}
      export const visits = (session: Session): number | undefined => session.get('visits');
      export const always = (session: Session): number => session.data.visits;
      export const qty = (session: Session): number | undefined => session.get('cart.items[0].qty');
      export const cart = (session: Session): number | undefined => session.data.cart?.items[0]?.qty;
      export const at = (session: Session<{ at: Date }>): Date | undefined => session.data.at;
      export const ip = ({ client }: SessionInfo): string | undefined => client?.ip;
      // @ts-expect-error -- no such key
      export const nothing = (session: Session): unknown => session.get('nothing');`;
    const file = resolve('test/docs/virtual.ts');
    expect(problemsOf([file], new Map([[file, use]]))).toEqual([]);
  }, 120_000);
});

function problemsOf(
  files: string[],
  virtual = new Map<string, string>(),
  more: ts.CompilerOptions = {},
): string[] {
  const { config } = ts.readConfigFile('tsconfig.json', ts.sys.readFile) as { config: object };
  const parsed = ts.parseJsonConfigFileContent({ ...config, files }, ts.sys, process.cwd());
  const options = { ...parsed.options, ...more };
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

describe('the documents', () => {
  it('name everything that an application can import as a value', () => {
    const all = PACKAGED.map(textOf).join('\n');
    expect(Object.keys(library).filter((name) => !new RegExp(`\\b${name}\\b`).test(all))).toEqual([]);
  });

  it('have no link that leads nowhere', () => {
    const dead = DOCUMENTS.flatMap((document) =>
      linksOf(document)
        .filter(({ file, anchor }) => !existsSync(file) || (anchor && !anchorsOf(file).includes(anchor)))
        .map(({ target }) => [document, target]),
    );
    expect(dead).toEqual([]);
  });

  it('lead only to what is in the package, where they are in it themselves', () => {
    const here = new Set([...PACKAGED, 'LICENSE']);
    const outside = PACKAGED.flatMap((document) =>
      linksOf(document)
        .filter(({ file }) => !here.has(file))
        .map(({ target }) => [document, target]),
    );
    expect(outside).toEqual([]);
  });

  it('are all linked by the index, which the README leads to', () => {
    expect(linksOf('README.md').map(({ file }) => file)).toContain('docs/README.md');
    const linked = new Set(linksOf('docs/README.md').map(({ file }) => file));
    const pages = PACKAGED.filter((name) => name.startsWith('docs/') && name !== 'docs/README.md');
    expect(pages.filter((page) => !linked.has(page))).toEqual([]);
  });

  it('say at the top of a long page what is on it', () => {
    const long = DOCUMENTS.filter(
      (name) => name.startsWith('docs/') && textOf(name).split('\n').length > 150,
    );
    for (const document of long) {
      const sections = [...textOf(document).matchAll(/^## (.*)$/gm)].length;
      const top = textOf(document).split(/^## /m, 1)[0]!;
      const inside = [...top.matchAll(/\]\(#/g)].length;
      expect([document, inside]).toEqual([document, Math.max(inside, Math.min(sections, 5))]);
    }
  });

  it('name no file that is not there', () => {
    for (const document of DOCUMENTS) {
      for (const [, path] of textOf(document).matchAll(/`((?:src|test|sample|docs)\/[\w./-]+)`/g)) {
        expect([document, path, existsSync(path!)]).toEqual([document, path, true]);
      }
    }
  });

  it('name no function that is not in the file they say', () => {
    const named = DOCUMENTS.flatMap((document) => [
      ...textOf(document)
        .replaceAll(/\s+/g, ' ')
        .matchAll(/`(\w+)\(\)` in `(src\/[\w./-]+)`/g),
    ]);
    expect(named.length).toBeGreaterThan(0);
    const wrong = named.filter(
      ([, name, file]) =>
        !new RegExp(`^(export function|  private) ${name}[<(]`, 'm').test(readFileSync(file!, 'utf8')),
    );
    expect(wrong.map(([text]) => text)).toEqual([]);
  });

  it('begin with a README that is read in one sitting', () => {
    expect(textOf('README.md').split('\n').length).toBeLessThanOrEqual(260);
  });

  it('say which versions the others were compared in', () => {
    const words = textOf('docs/comparison.md').replaceAll(/\s+/g, ' ');
    for (const name of ['express-session', '@fastify/session']) {
      const { version } = JSON.parse(readFileSync(`node_modules/${name}/package.json`, 'utf8')) as {
        version: string;
      };
      expect(words).toContain(`${name} ${version.split('.').slice(0, 2).join('.')}`);
    }
  });
});
