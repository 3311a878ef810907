import { describe, expect, it } from '@jest/globals';
import { MemoryStorage } from '../../src/storage/memory/index.js';
import type { SessionRecord } from '../../src/storage/record.js';
import type { Expectation, LockOptions, SessionChange } from '../../src/storage/session-storage.js';
import {
  describeSessionStorage,
  type StorageCapabilities,
  type StorageFactory,
} from '../../src/testing/storage-contract.js';

/*
 * The contract suite itself: that it passes sound storages is shown by each of them; here are faulty ones.
 */

interface Scope {
  readonly before: (() => unknown)[];
  readonly after: (() => unknown)[];
}

interface Case {
  readonly title: string;
  readonly scopes: readonly Scope[];
  readonly test: () => unknown;
}

/** The tests that the suite registers with its runner. */
function casesOf(factory: StorageFactory, capabilities?: StorageCapabilities): Case[] {
  const cases: Case[] = [];
  const titles: string[] = [];
  const scopes: Scope[] = [{ before: [], after: [] }];
  const recording = {
    describe(title: string, body: () => void) {
      titles.push(title);
      scopes.push({ before: [], after: [] });
      body();
      scopes.pop();
      titles.pop();
    },
    it: (title: string, test: () => unknown) =>
      void cases.push({ title: [...titles.slice(1), title].join(' '), scopes: [...scopes], test }),
    beforeEach: (hook: () => unknown) => void scopes.at(-1)!.before.push(hook),
    afterEach: (hook: () => unknown) => void scopes.at(-1)!.after.push(hook),
  };
  const globals = globalThis as unknown as Record<string, unknown>;
  const real = Object.fromEntries(Object.keys(recording).map((name) => [name, globals[name]]));
  Object.assign(globals, recording);
  try {
    describeSessionStorage('A storage', factory, capabilities);
  } finally {
    Object.assign(globals, real);
  }
  return cases;
}

/** Runs the tests of these titles, and gives the first failure of each that fails. */
async function failuresOf(cases: readonly Case[], titles: RegExp): Promise<string[]> {
  const failures: string[] = [];
  const chosen = cases.filter(({ title }) => titles.test(title));
  if (chosen.length === 0) throw new Error(`The suite has no test of the title ${titles}`);
  for (const { title, scopes, test } of chosen) {
    for (const { before } of scopes) for (const hook of before) await hook();
    try {
      await test();
    } catch (error) {
      failures.push(`${title}: ${(error as Error).message}`);
    }
    for (const { after } of scopes) for (const hook of after) await hook();
  }
  return failures;
}

describe('the contract suite', () => {
  it('names an optional method that is missing, and how to say that it is', async () => {
    class Bare extends MemoryStorage {}
    Object.defineProperty(Bare.prototype, 'list', { value: undefined });
    const cases = casesOf(({ now }) => new Bare({ now }));
    const failures = await failuresOf(cases, /^optional methods|^the list/);
    expect(failures.length).toBeGreaterThan(1);
    for (const failure of failures) {
      expect(failure).toMatch(/Bare has no list\(\)\..*\{ without: \['list'\] \}/s);
    }
  });

  it('asks nothing of an optional method that is said to be missing', async () => {
    const missing = ['purgeExpired', 'count', 'byUser', 'alive', 'list', 'ping'] as const;
    class Bare extends MemoryStorage {}
    for (const name of missing) Object.defineProperty(Bare.prototype, name, { value: undefined });
    const cases = casesOf(({ now }) => new Bare({ now }), { without: missing });
    expect(await failuresOf(cases, /^(?!locks)/)).toEqual([]);
    expect(cases.some(({ title }) => /^(purge|users|which are alive|the list) /.test(title))).toBe(false);
  });

  it('does not let a storage have what it says is missing', async () => {
    const cases = casesOf(({ now }) => new MemoryStorage({ now }), { without: ['ping'] });
    expect((await failuresOf(cases, /^optional methods/)).length).toBe(1);
  });

  it.each<[string, RegExp, new (options: { now: () => number }) => MemoryStorage]>([
    [
      'overwrites a taken handle',
      /never overwritten/,
      class extends MemoryStorage {
        override create(record: SessionRecord) {
          this.destroy(record.handle);
          return super.create(record);
        }
      },
    ],
    [
      'makes a record that an update did not find',
      /^updates of a destroyed session/,
      class extends MemoryStorage {
        override update(handle: string, change: SessionChange) {
          const times = { createdAt: 0, touchedAt: 0, expiresAt: Infinity };
          if (!this.read(handle)) super.create({ handle, proof: '', data: {}, ...times });
          return super.update(handle, change);
        }
      },
    ],
    [
      'takes null for undefined',
      /^updates remove each field/,
      class extends MemoryStorage {
        override update(handle: string, change: SessionChange) {
          const { userId, authenticatedAt, ttl, client } = change;
          return super.update(handle, {
            ...change,
            userId: userId ?? undefined,
            authenticatedAt: authenticatedAt ?? undefined,
            ttl: ttl ?? undefined,
            client: client ?? undefined,
          });
        }
      },
    ],
    [
      'expects nothing of an update',
      /^expectations/,
      class extends MemoryStorage {
        override update(handle: string, change: SessionChange) {
          return super.update(handle, { ...change, expected: undefined });
        }
      },
    ],
    [
      'takes an expectation of null for none',
      /^expectations/,
      class extends MemoryStorage {
        override update(handle: string, { expected = {}, ...change }: SessionChange) {
          const { proof, ttl, userId } = expected;
          const some = { proof, ttl: ttl ?? undefined, userId: userId ?? undefined };
          return super.update(handle, { ...change, expected: some });
        }
      },
    ],
    [
      'writes before it looks at the expectation',
      /^expectations/,
      class extends MemoryStorage {
        override update(handle: string, { expected, ...change }: SessionChange) {
          const met = super.update(handle, { expected });
          super.update(handle, change);
          return met;
        }
      },
    ],
    [
      'destroys whatever it should expect',
      /^expectations/,
      class extends MemoryStorage {
        override destroy(handle: string, _expected?: Expectation) {
          return super.destroy(handle);
        }
      },
    ],
    [
      'conflicts with every other write, as versions do',
      /^races/,
      class extends MemoryStorage {
        private writes = 0;
        override update(handle: string, change: SessionChange) {
          const conflict = change.expected !== undefined && this.writes++ > 0;
          return conflict ? ('conflict' as const) : super.update(handle, change);
        }
      },
    ],
    [
      'lets a write through under any lease',
      /^locks/,
      class extends MemoryStorage {
        override update(handle: string, change: SessionChange) {
          return super.update(handle, { ...change, lease: undefined });
        }
      },
    ],
    [
      'calls a lost lease a conflict',
      /^locks/,
      class extends MemoryStorage {
        override update(handle: string, change: SessionChange) {
          const result = super.update(handle, change);
          return result === 'lost' ? 'conflict' : result;
        }
      },
    ],
    [
      'gives a lock to two',
      /^locks are held by one/,
      class extends MemoryStorage {
        private tokens = 0;
        override lock(_handle: string, _options: LockOptions) {
          return { token: String(++this.tokens), release: () => undefined };
        }
      },
    ],
    [
      'serves the last who came first',
      /^locks are given/,
      class extends MemoryStorage {
        private readonly held = new Set<string>();
        private readonly waiting: (() => void)[] = [];
        override async lock(handle: string, _options: LockOptions) {
          if (this.held.has(handle)) await new Promise<void>((resolve) => this.waiting.push(resolve));
          this.held.add(handle);
          const release = () => {
            const next = this.waiting.pop();
            if (next) next();
            else this.held.delete(handle);
          };
          return { token: '1', release };
        }
      },
    ],
    [
      'takes users that differ in letter case for one',
      /^users/,
      class extends MemoryStorage {
        override create(record: SessionRecord) {
          return super.create({ ...record, userId: record.userId?.toLowerCase() });
        }
        override byUser(userId: string) {
          return super.byUser(userId.toLowerCase());
        }
      },
    ],
    [
      'compares users without trailing blanks',
      /^users can have any text/,
      class extends MemoryStorage {
        override async byUser(userId: string) {
          const blanks = [...(await super.byUser(userId)), ...(await super.byUser(`${userId} `))];
          return blanks;
        }
      },
    ],
    [
      'cuts values at a NUL',
      /^data can have any text as a value/,
      class extends MemoryStorage {
        override update(handle: string, change: SessionChange) {
          const { set = {} } = change;
          const cut = Object.entries(set).map(([key, value]) => [key, value.split('\0', 1)[0]]);
          return super.update(handle, { ...change, set: Object.fromEntries(cut) });
        }
      },
    ],
    [
      'leaves out of its list what was touched between two pages',
      /^the list has every session that is there all the while/,
      class extends MemoryStorage {
        private readonly touched = new Set<string>();
        override update(handle: string, change: SessionChange) {
          this.touched.add(handle);
          return super.update(handle, change);
        }
        override async list(page: Parameters<MemoryStorage['list']>[0]) {
          const { records, cursor } = await super.list(page);
          return { records: records.filter(({ handle }) => !this.touched.has(handle)), cursor };
        }
      },
    ],
    [
      'has handles for alive that were destroyed',
      /^which are alive/,
      class extends MemoryStorage {
        override alive(handles: readonly string[]) {
          return [...handles];
        }
      },
    ],
  ])('fails a storage that %s, and passes it without the fault', async (_fault, titles, Faulty) => {
    const faulty = casesOf(({ now }) => new Faulty({ now }));
    expect((await failuresOf(faulty, titles)).length).toBeGreaterThan(0);
    const sound = casesOf(({ now }) => new MemoryStorage({ now }));
    expect(await failuresOf(sound, titles)).toEqual([]);
  });
});
