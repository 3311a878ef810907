/**
 * `npm run bench -- [--quick] [--only=fastify,express,…] [--json=file]`
 *
 * Prints this library beside what people use today. A target that is missed is news, not an error: the
 * exit code is 1 only if something failed, a wrong answer of a server included.
 */
import { writeFile } from 'node:fs/promises';
import { cpus } from 'node:os';
import { parseArgs } from 'node:util';
import { cores } from './processes.js';
import { groups } from './rows.js';

const { values: options } = parseArgs({
  options: { quick: { type: 'boolean' }, only: { type: 'string' }, json: { type: 'string' } },
});
const all = Object.keys(groups);
const names = (options.only?.split(',') ?? all).flatMap((asked) => {
  const meant = all.filter((name) => name === asked || name.startsWith(`${asked}-`));
  if (meant.length === 0) throw new Error(`--only=${asked}: there are ${all.join(', ')}`);
  return meant;
});

const machine = `${cpus().length} × ${cpus()[0].model.trim()}, Node ${process.version}`;
const pinned =
  cores.server === undefined ? 'not pinned to cores' : 'server and load generator on a core each';
console.log(`${machine}, ${pinned}${options.quick ? ', quick: figures are rough' : ''}\n`);

const rows = [];
let failed = false;
const started = performance.now();
for (const name of names) {
  const since = performance.now();
  try {
    for (const row of await groups[name](options.quick ?? false)) rows.push({ group: name, ...row });
  } catch (error) {
    failed = true;
    rows.push({ group: name, what: name, failed: error.message });
    console.error(error);
  }
  if (process.stderr.isTTY) console.error(`${name}: ${((performance.now() - since) / 1000).toFixed(0)} s`);
}

const number = (value) => value.toFixed(value < 10 ? 2 : 1);

function verdict({ failed: why, skipped, ratio, target }) {
  if (why) return 'failed';
  if (skipped) return `skipped: ${skipped}`;
  if (target === undefined) return '';
  return ratio <= target ? 'ok' : 'over';
}

function print(table) {
  const widths = table[0].map((_, column) => Math.max(...table.map((line) => line[column].length)));
  for (const [at, line] of table.entries()) {
    const cells = line.map((text, column) =>
      column === 0 || column === line.length - 1
        ? text.padEnd(widths[column])
        : text.padStart(widths[column]),
    );
    console.log(cells.join('  ').trimEnd());
    if (at === 0) console.log(widths.map((width) => '-'.repeat(width)).join('  '));
  }
}

print([
  ['', 'ours', 'peer', 'ratio', 'spread', 'target', ''],
  ...rows.map((row) => [
    row.what,
    row.ours ?? '',
    row.peer ?? '',
    row.ratio === undefined ? '' : number(row.ratio),
    row.spread === undefined || row.spread[0] === row.spread[1] ? '' : row.spread.map(number).join('–'),
    row.target === undefined ? '' : `≤ ${number(row.target)}`,
    verdict(row),
  ]),
]);
console.log(
  `\n${((performance.now() - started) / 1000).toFixed(0)} s. Spread: the middle half of the rounds.`,
);

if (options.json) await writeFile(options.json, `${JSON.stringify({ machine, pinned, rows }, null, 2)}\n`);
process.exitCode = failed ? 1 : 0;
