import { afterEach, describe, expect, it, jest } from '@jest/globals';
import { MemoryStorage } from '../../src/index.js';
import { resolveOptions } from '../../src/nest/session.options.js';
import { everythingOf } from '../support/session-bench.js';

describe('resolved options', () => {
  it('have times in milliseconds', () => {
    const options = { ttl: 60, absoluteTtl: '1d', touchAfter: 0, lock: { wait: 1, hold: '2s' } };
    expect(resolveOptions(options)).toMatchObject({
      ttl: 60_000,
      absoluteTtl: 86_400_000,
      touchAfter: 0,
      lock: { wait: 1_000, hold: 2_000 },
    });
  });

  it('have Infinity for no absolute timeout, and no cron for no purge', () => {
    expect(resolveOptions({ absoluteTtl: false, purge: false })).toMatchObject({
      absoluteTtl: Infinity,
      purge: { cron: false, batch: 1_000 },
    });
  });

  it('have the storage, codec and functions that were given', () => {
    const options = {
      storage: new MemoryStorage(),
      codec: { encode: String, decode: String },
      initial: () => ({}),
      generateId: () => 'x',
      touchWhen: () => false,
      describeClient: () => ({}),
    };
    const settings = resolveOptions(options);
    for (const [name, value] of Object.entries(options)) {
      expect(settings[name as keyof typeof options]).toBe(value);
    }
  });

  it.each([
    [undefined, ['cookie']],
    ['bearer', ['bearer']],
    [
      ['cookie', 'bearer'],
      ['cookie', 'bearer'],
    ],
    [['bearer', 'bearer'], ['bearer']],
  ] as const)('have the transport %j as a list (S63)', (transport, list) => {
    expect(resolveOptions({ transport }).transport).toEqual(list);
  });

  it.each([
    [undefined, []],
    ['new', ['new']],
    [
      ['new', 'old'],
      ['new', 'old'],
    ],
  ])('have the secrets %j as a list (S10)', (secret, secrets) => {
    expect([...resolveOptions({ secret }).secrets]).toEqual(secrets);
  });

  it('show no secret, whatever looks at them or at what holds them (S50)', () => {
    const settings = resolveOptions({ secret: ['hush-hush', 'hush-old'] });
    expect(everythingOf({ settings, own: [settings] })).not.toContain('hush');
    expect(everythingOf(settings.secrets)).toContain('2 secrets');
  });
});

describe('a warning', () => {
  it.each([
    [{ ttl: 3_600_000 }, 'ttl'],
    [{ ttl: 31_536_001 }, 'ttl'],
    [{ ttl: '3600' }, 'ttl'],
    [{ absoluteTtl: 86_400_000 }, 'absoluteTtl'],
    [{ ttl: '30d', touchAfter: 60_000 }, 'touchAfter'],
    [{ lock: { wait: 10_000 } }, 'lock.wait'],
    [{ lock: { hold: 30_000 } }, 'lock.hold'],
  ])('comes with %j', (options, option) => {
    const { warnings } = resolveOptions(options);
    expect(warnings.map((warning) => warning.slice(0, warning.indexOf(':')))).toEqual([option]);
  });

  it.each([
    {},
    { ttl: 31_536_000, absoluteTtl: 31_536_000 },
    { ttl: '2y', absoluteTtl: '10y' },
    { touchAfter: 0 },
    { lock: { wait: 600, hold: '1d' } },
  ])('does not come with %j', (options) => {
    expect(resolveOptions(options).warnings).toEqual([]);
  });
});

describe('the default storage', () => {
  const path = '../../src/storage/memory/storage.js';
  afterEach(() => {
    jest.resetModules();
    jest.restoreAllMocks();
  });

  it('is made only where none is given', async () => {
    let made = 0;
    class Counted extends MemoryStorage {
      constructor() {
        super();
        made++;
      }
    }
    jest.resetModules();
    jest.unstable_mockModule(path, () => ({ MemoryStorage: Counted }));
    const { resolveOptions: resolve } = await import('../../src/nest/session.options.js');
    resolve({ storage: new MemoryStorage() });
    expect(made).toBe(0);
    const one = resolve().storage;
    expect(one).toBeInstanceOf(Counted);
    expect(resolve().storage).not.toBe(one);
    expect(made).toBe(2);
    jest.unstable_unmockModule(path);
  });
});
