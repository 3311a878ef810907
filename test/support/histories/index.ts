import { MemoryStorage } from '../../../src/index.js';
import type { SessionStorage } from '../../../src/index.js';
import { jest } from '@jest/globals';
import { Deeds, type Node } from './deeds.js';
import { Ledger } from './ledger.js';
import { type History, type Operation, plan, tell } from './plan.js';
import { Schedule } from './schedule.js';
import { type SlowStorage, type World } from './slow-storage.js';

export { OPTIONS } from './ledger.js';
export { trace } from './ledger.js';
export { plan, tell } from './plan.js';
export { SlowStorage } from './slow-storage.js';
export type { Node } from './deeds.js';
export type { History } from './plan.js';

/** Two nodes, and what they call their storage. */
export interface Nodes {
  readonly nodes: readonly Node[];
  readonly storages: readonly SlowStorage[];
  /** A new place for sessions to rest in; default: memory. */
  readonly place?: () => SessionStorage;
}

/** How long real things may take until nothing happens any more. */
const PATIENCE = 500;

/** Runs one history, and says which rule was broken. */
export async function run(history: History, { nodes, storages, place }: Nodes): Promise<Ledger['violation']> {
  jest.setSystemTime(START);
  const leases: World['leases'] = new Map();
  const ledger = new Ledger(leases);
  const schedule = new Schedule();
  const inner = place?.() ?? new MemoryStorage();
  const world: World = {
    history,
    schedule,
    ledger,
    inner,
    leases,
    line: place && Promise.resolve(),
  };
  for (const storage of storages) storage.enter(world);
  const deeds = new Deeds(world, nodes);
  for (const operation of history.operations) schedule.in(operation.at, () => deeds.begin(operation));
  const settled = async () => {
    await schedule.run();
    // A lock that Redis grants comes when it comes.
    for (let turn = 0; deeds.underWay.size > 0 && turn < (place ? PATIENCE : 3); turn++) {
      await new Promise((resolve) => setTimeout(resolve, place ? 2 : 0));
      await schedule.run();
    }
    const [stuck] = deeds.underWay as Set<Operation>;
    if (stuck) ledger.broken(`${stuck.deed} never came to an end`);
  };
  await settled();
  deeds.end();
  await settled();
  deeds.check();
  await settled();
  if (place) await inner.close();
  return ledger.violation;
}

const START = new Date('2030-01-01T12:00:00.000Z');

/** Leaves out whatever is not needed for the rule to be broken. */
export async function shorten(
  history: History,
  breaks: (shorter: History) => Promise<boolean>,
): Promise<History> {
  let shortest = history;
  for (let size = history.operations.length >> 1; size >= 1; size >>= 1) {
    for (let i = 0; i < shortest.operations.length;) {
      const operations = shortest.operations.toSpliced(i, size);
      const shorter = { ...shortest, operations };
      if (await breaks(shorter)) shortest = shorter;
      else i += size;
    }
    if (size === 1 && shortest.operations.length < history.operations.length) {
      history = shortest;
      size = 2;
    }
  }
  for (const [i, operation] of shortest.operations.entries()) {
    const calmer = {
      ...shortest,
      operations: shortest.operations.with(i, { ...operation, calm: true, beside: false }),
    };
    if (await breaks(calmer)) shortest = calmer;
  }
  return shortest;
}

/**
 * Runs so many random histories. If a rule is broken, it fails with how often, and with the seed and the shortest
 * history for each rule.
 */
export async function runMany(count: number, firstSeed: number, nodes: Nodes): Promise<void> {
  const broken = new Map<string, { readonly first: History; readonly how: string; times: number }>();
  for (let seed = firstSeed; seed < firstSeed + count; seed++) {
    const history = plan(seed);
    const violation = await run(history, nodes);
    if (!violation) continue;
    const found = broken.get(violation.rule);
    if (found) found.times++;
    else broken.set(violation.rule, { first: history, how: violation.how, times: 1 });
  }
  if (broken.size === 0) return;
  const reports: string[] = [];
  for (const [rule, { first, how, times }] of broken) {
    const shortest = await shorten(first, async (shorter) => (await run(shorter, nodes))?.rule === rule);
    const violation = await run(shortest, nodes);
    const again = violation ? violation.how : `${how}, and not when it was run again`;
    reports.push(`In ${times} of ${count} histories ${rule} ${again}\n${tell(shortest)}`);
  }
  throw new Error(reports.join('\n\n'));
}
