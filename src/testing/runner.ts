/** The little of jest's globals that the suites use; vitest with `globals: true` has them too. */
interface Runner {
  describe(name: string, body: () => void): void;
  it(name: string, test: () => unknown, timeout?: number): void;
  beforeEach(hook: () => unknown): void;
  afterEach(hook: () => unknown): void;
  expect(actual: unknown): Matchers;
}

interface Matchers {
  toBe(expected: unknown): void;
  toEqual(expected: unknown): void;
  toMatchObject(expected: object): void;
  toBeUndefined(): void;
  toBeGreaterThanOrEqual(expected: number): void;
  toBeLessThanOrEqual(expected: number): void;
}

const globals = globalThis as unknown as Runner;

/** Looked up at each call: importing a suite outside a test runner does no harm. */
export const runner: Runner = {
  describe: (name, body) => globals.describe(name, body),
  it: (name, test, timeout) => globals.it(name, test, timeout),
  beforeEach: (hook) => globals.beforeEach(hook),
  afterEach: (hook) => globals.afterEach(hook),
  expect: (actual) => globals.expect(actual),
};
