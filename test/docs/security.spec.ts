import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { describe, expect, it } from '@jest/globals';

/** `docs/security.md` against the titles of the tests: neither may name a rule that the other does not. */
const text = readFileSync('docs/security.md', 'utf8');
const [listed = '', untested = ''] = text.split('\n## Not tested yet\n');
const rulesIn = (part: string) => [...part.matchAll(/^- \*\*(S\d+)\*\*/gm)].map(([, rule]) => rule!);

/** The titles in a file that name rules, as they are written, placeholders included. */
function numberedIn(file: string): string[] {
  const strings = readFileSync(file, 'utf8').matchAll(
    /(['"`])((?:\\.|(?!\1)[^\n\\])*\(S\d+(?:, S\d+)*\)(?:\\.|(?!\1)[^\n\\])*)\1/g,
  );
  return [...strings].map(([, , title]) => title!);
}

const files = ['test', 'src/testing'].flatMap((folder) =>
  readdirSync(folder, { recursive: true, encoding: 'utf8' })
    .filter((name) => name.endsWith('.ts') && !name.startsWith('docs'))
    .map((name) => join(folder, name)),
);
const tested = new Map<string, string[]>();
for (const file of files) {
  for (const title of numberedIn(file)) {
    for (const [rule] of title.matchAll(/\bS\d+\b/g)) tested.set(rule, [...(tested.get(rule) ?? []), title]);
  }
}

describe('docs/security.md', () => {
  it('lists no rule twice, and in order', () => {
    const numbers = rulesIn(listed).map((rule) => Number(rule.slice(1)));
    expect(numbers).toEqual([...new Set(numbers)].toSorted((a, b) => a - b));
    expect(numbers.length).toBeGreaterThan(40);
  });

  it('lists every rule that a title names', () => {
    const known = new Set(rulesIn(listed));
    expect([...tested.keys()].filter((rule) => !known.has(rule))).toEqual([]);
  });

  it.each(rulesIn(listed))('%s is in the title of a test', (rule) => {
    expect(tested.get(rule) ?? []).not.toEqual([]);
  });

  it('says of no rule that it is not tested, if it is', () => {
    expect(rulesIn(untested).filter((rule) => tested.has(rule))).toEqual([]);
  });

  const rules = [...listed.matchAll(/^- \*\*(S\d+)\*\*[\s\S]*?(?=^- \*\*|^## |$(?![\s\S]))/gm)];
  it.each(rules.map(([entry, rule]) => [rule!, entry] as const))(
    '%s names tests that exist',
    (rule, entry) => {
      const named = [...entry.replaceAll(/\n {4,}/g, ' ').matchAll(/^ {2}- `([^`]+)`: "([^"]+)"$/gm)];
      expect(named.length).toBeGreaterThan(0);
      for (const [, file, fragment] of named) {
        const found = numberedIn(file!).filter((title) => title.replaceAll('\\', '').includes(fragment!));
        expect({ file, fragment, rules: found.join(' ') }).toEqual({
          file,
          fragment,
          rules: expect.stringMatching(new RegExp(`\\b${rule}\\b`)),
        });
      }
    },
  );

  it('gives a source for each rule', () => {
    for (const [entry] of rules) expect(entry).toMatch(/\((?:CS|V\d|63B|6265|CSRF|Go|CWE|CVE)/);
  });
});
