import { existsSync, readdirSync, readFileSync } from 'node:fs';
import { builtinModules } from 'node:module';
import { dirname, join, relative } from 'node:path';
import { describe, expect, it } from '@jest/globals';
// @ts-expect-error -- plain JavaScript, without types
import config from '../jest.config.js';

/*
 * A folder is a layer, and arrows go one way; an entry point is a folder with an index.ts, and everything else in it is
 * private. CONTRIBUTING.md has the picture.
 */

const files = readdirSync('src', { recursive: true, encoding: 'utf8' })
  .filter((file) => file.endsWith('.ts'))
  .map((file) => file.replaceAll('\\', '/'))
  .toSorted();

interface Import {
  readonly from: string;
  /** A file of src, or a package. */
  readonly to: string;
}

/** What a file imports, types included. */
function importsOf(file: string): Import[] {
  const text = readFileSync(join('src', file), 'utf8').replaceAll(/\/\*[^]*?\*\/|^\s*\/\/.*$/gm, '');
  const found = text.matchAll(/(?:\bfrom|\bimport)\s*\(?\s*'([^']+)'/g);
  return [...found].map(([, specifier = '']) => ({
    from: file,
    to: specifier.startsWith('.')
      ? relative('src', join('src', dirname(file), specifier)).replace(/\.js$/, '.ts')
      : specifier.replace(/^((?:@[^/]+\/)?[^/]+).*$/, '$1'),
  }));
}

const imports = files.flatMap(importsOf);
const isOurs = (target: string) => target.endsWith('.ts');
const isNode = (target: string) => target.startsWith('node:') || builtinModules.includes(target);

/** The folder that a file belongs to; files at the root are the public API and what imports nothing of ours. */
function layerOf(file: string): string {
  const storage = /^storage\/([^/]+)\//.exec(file);
  if (storage) return `storage/${storage[1]}`;
  return file.includes('/') ? file.slice(0, file.indexOf('/')) : file.replace(/\.ts$/, '');
}

const LEAVES = ['errors', 'awaitable', 'rules'];
const CONTRACT = [...LEAVES, 'storage'];
const CORE = [...CONTRACT, 'errors.http', 'session'];
const WIRED = [...CORE, 'http', 'storage/memory', 'nest'];
const storages = readdirSync('src/storage', { withFileTypes: true })
  .filter((entry) => entry.isDirectory())
  .map(({ name }) => `storage/${name}`);

/** What each layer may import of ours, besides itself. */
const ARROWS: Readonly<Record<string, readonly string[]>> = {
  errors: [],
  awaitable: [],
  rules: ['errors'],
  'errors.http': ['errors'],
  storage: LEAVES,
  session: [...CONTRACT, 'errors.http'],
  http: CORE,
  nest: WIRED,
  testing: [...WIRED, 'index'],
  index: WIRED,
  ...Object.fromEntries(storages.map((storage) => [storage, CONTRACT])),
};
const NEST = [
  'errors.http',
  'nest',
  'testing',
  'index',
  'express',
  'websockets',
  'terminus',
  'opentelemetry',
];

/** Adds on top: each may import everything below, and none another. */
const arrowsOf = (layer: string): readonly string[] => ARROWS[layer] ?? [...WIRED, 'index'];

const { moduleNameMapper } = config as { moduleNameMapper: Record<string, string> };

describe('the layers of src', () => {
  it('arrows between folders go one way', () => {
    const wrong = imports.filter(({ from, to }) => {
      if (!isOurs(to)) return false;
      const [layer, target] = [layerOf(from), layerOf(to)];
      return layer !== target && !arrowsOf(layer).includes(target);
    });
    expect(wrong).toEqual([]);
  });

  it('every import leads to a file', () => {
    expect(imports.filter(({ to }) => isOurs(to) && !files.includes(to))).toEqual([]);
  });

  it('no file imports itself in a circle, types included', () => {
    const targets = new Map(
      files.map((file) => [
        file,
        importsOf(file)
          .map(({ to }) => to)
          .filter(isOurs),
      ]),
    );
    const done = new Set<string>();
    const circles: string[] = [];
    const visit = (file: string, path: readonly string[]): void => {
      if (path.includes(file))
        return void circles.push([...path.slice(path.indexOf(file)), file].join(' → '));
      if (done.has(file)) return;
      for (const next of targets.get(file) ?? []) visit(next, [...path, file]);
      done.add(file);
    };
    for (const file of files) visit(file, []);
    expect(circles).toEqual([]);
  });

  it('Nest is known to the wiring, and to the errors that answer by themselves', () => {
    const nest = imports.filter(({ to }) => to.startsWith('@nestjs/'));
    expect(nest.filter(({ from }) => !NEST.includes(layerOf(from)))).toEqual([]);
  });

  it('requests and responses are known to http and above', () => {
    const http = imports.filter(({ to }) => /^(node:)?http2?$/.test(to));
    const below = ['storage', 'session', ...LEAVES, 'errors.http', ...storages];
    expect(http.filter(({ from }) => below.includes(layerOf(from)))).toEqual([]);
  });

  it('what only some users need is imported by nobody else', () => {
    const { peerDependenciesMeta, dependencies, peerDependencies } = manifest;
    const optional = Object.keys(peerDependenciesMeta);
    const always = [...Object.keys(dependencies), ...Object.keys(peerDependencies)].filter(
      (name) => !optional.includes(name),
    );
    const foreign = imports.filter(({ to }) => !isOurs(to) && !isNode(to));
    const belowNest = [
      'index',
      'nest',
      'http',
      'session',
      'storage',
      'storage/memory',
      ...LEAVES,
      'errors.http',
    ];
    const undeclared = foreign.filter(({ to }) => ![...always, ...optional].includes(to));
    expect(undeclared).toEqual([]);
    expect(
      foreign.filter(({ from, to }) => belowNest.includes(layerOf(from)) && optional.includes(to)),
    ).toEqual([]);
  });

  it('src itself holds the public API and what imports nothing of ours', () => {
    const root = files.filter((file) => !file.includes('/'));
    expect(root).toEqual(['awaitable.ts', 'errors.http.ts', 'errors.ts', 'index.ts', 'rules.ts']);
  });
});

const manifest = JSON.parse(readFileSync('package.json', 'utf8')) as {
  exports: Record<string, string | { types: string; default: string }>;
  typesVersions: { '*': Record<string, string[]> };
  dependencies: Record<string, string>;
  peerDependencies: Record<string, string>;
  peerDependenciesMeta: Record<string, { optional: boolean }>;
};

describe('the entry points', () => {
  const points = Object.entries(manifest.exports).filter(([name]) => name !== './package.json');
  const sourceOf = (dist: string) => dist.replace('./dist/', 'src/').replace(/(\.d\.ts|\.js)$/, '.ts');

  it.each(points)(
    '%s is a folder with an index.ts, in every list that names entry points',
    (name, target) => {
      const { types, default: code } = target as { types: string; default: string };
      const source = sourceOf(code);
      expect([sourceOf(types), existsSync(source), source.endsWith('index.ts')]).toEqual([
        source,
        true,
        true,
      ]);
      const specifier = name.replace('.', 'nest-sessions');
      const paths = JSON.parse(readFileSync('tsconfig.json', 'utf8')).compilerOptions.paths as Record<
        string,
        string[]
      >;
      expect(paths[specifier]).toEqual([`./${source}`]);
      expect(moduleNameMapper[`^${specifier}$`]).toBe(`<rootDir>/${source}`);
      if (name !== '.') expect(manifest.typesVersions['*'][name.slice(2)]).toEqual([types]);
    },
  );

  it('every list names the same', () => {
    const short = points.map(([name]) => name.slice(2)).filter((name) => name !== '');
    const { paths } = JSON.parse(readFileSync('tsconfig.json', 'utf8')).compilerOptions as { paths: object };
    const mapped = Object.keys(moduleNameMapper).filter((pattern) => pattern.startsWith('^nest-sessions'));
    expect(Object.keys(manifest.typesVersions['*']).toSorted()).toEqual(short.toSorted());
    expect(Object.keys(paths)).toHaveLength(points.length);
    expect(mapped).toHaveLength(points.length);
  });
});
