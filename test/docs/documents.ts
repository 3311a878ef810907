import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

/** The documents as data: their code, tables, links. */

/** What is in the package: whoever reads it there follows links within it. */
export const PACKAGED = [
  'README.md',
  'CHANGELOG.md',
  ...readdirSync('docs')
    .filter((name) => name.endsWith('.md'))
    .map((name) => join('docs', name)),
];
export const DOCUMENTS = [...PACKAGED, 'CONTRIBUTING.md'];

export const textOf = (document: string): string => readFileSync(document, 'utf8');

export interface Block {
  readonly document: string;
  readonly line: number;
  readonly language: string;
  readonly code: string;
}

export function blocksOf(document: string): Block[] {
  const text = textOf(document);
  return [...text.matchAll(/^((?:> )? *)```(\w*)\n([\s\S]*?)^\1```$/gm)].map((found) => ({
    document,
    line: text.slice(0, found.index).split('\n').length,
    language: found[2]!,
    code: dedent(found[1]!.startsWith('>') ? found[3]!.replaceAll(/^> ?/gm, '') : found[3]!),
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

const cellsOf = (row: string): string[] =>
  row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

/** The rows of the table that starts with these headings. */
export function tableOf(document: string, ...headings: string[]): string[][] {
  const lines = textOf(document).split('\n');
  const top = lines.findIndex((row) => headings.every((word, i) => cellsOf(row)[i] === word));
  if (top < 0) throw new Error(`${document} has no table of ${headings.join(', ')}`);
  const end = lines.findIndex((row, i) => i > top && !row.startsWith('|'));
  return lines.slice(top + 2, end).map(cellsOf);
}

/** The anchors of the headings of a document. */
export function anchorsOf(document: string): string[] {
  const prose = textOf(document).replaceAll(/^```[\s\S]*?^```$/gm, '');
  return [...prose.matchAll(/^#+ (.*)$/gm)].map(([, title]) =>
    title!
      .toLowerCase()
      .replaceAll(/[^\w\- ]/g, '')
      .replaceAll(' ', '-'),
  );
}

/** Where the links of a document lead, other sites left out. */
export function linksOf(document: string): { target: string; file: string; anchor: string | undefined }[] {
  return [...textOf(document).matchAll(/\]\(([^)\s]+)\)/g)]
    .map(([, target]) => target!)
    .filter((target) => !/^https?:/.test(target))
    .map((target) => {
      const [path, anchor] = target.split('#') as [string, string?];
      return { target, file: path === '' ? document : join(document, '..', path), anchor };
    });
}
