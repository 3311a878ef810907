/** A place where work waits until the test lets it go on: what other suites sleep for. */
export class Gate {
  private isOpen = false;
  private arrivals = 0;
  private readonly passengers: (() => void)[] = [];
  private readonly watchers: { count: number; resolve: () => void }[] = [];

  /** Called by the work: waits here until the gate is opened. */
  pass(): Promise<void> {
    this.arrivals++;
    for (const watcher of this.watchers) if (this.arrivals >= watcher.count) watcher.resolve();
    if (this.isOpen) return Promise.resolve();
    return new Promise((resolve) => this.passengers.push(resolve));
  }

  /** Called by the test: resolves when so many have arrived. */
  reached(count = 1): Promise<void> {
    if (this.arrivals >= count) return Promise.resolve();
    return new Promise((resolve) => this.watchers.push({ count, resolve }));
  }

  /** How many are at the gate or went through it. */
  get arrived(): number {
    return this.arrivals;
  }

  open(): void {
    this.isOpen = true;
    for (const passenger of this.passengers.splice(0)) passenger();
  }
}

const gates = new Map<string, Gate>();

/** The gate of this name; handlers and tests meet here. */
export function gate(name: string): Gate {
  let found = gates.get(name);
  if (!found) gates.set(name, (found = new Gate()));
  return found;
}

/** Opens and forgets every gate: nothing of one test waits in the next. */
export function forgetGates(): void {
  for (const each of gates.values()) each.open();
  gates.clear();
}

export const turn = (): Promise<void> => new Promise((resolve) => void setImmediate(resolve));

/** Enough turns of the event loop for whatever can happen without further input to have happened. */
export async function settle(turns = 50): Promise<void> {
  for (let i = 0; i < turns; i++) await turn();
}

/** Turns the event loop until the condition holds; fails after a while in real time. */
export async function until(condition: () => boolean, what: string): Promise<void> {
  const deadline = process.hrtime.bigint() + 3_000_000_000n;
  while (!condition()) {
    if (process.hrtime.bigint() > deadline) throw new Error(`Waited in vain until ${what}`);
    await turn();
  }
}
