import { describe, expect, it } from '@jest/globals';
import { SessionOptionsError } from '../src/errors.js';
import {
  checkedOptions,
  doubtOf,
  duration,
  flag,
  functionThat,
  kindOf,
  milliseconds,
  oneOf,
  OptionCheck,
  type OptionRules,
  parseDuration,
  show,
  timerDuration,
} from '../src/rules.js';

interface Options {
  color?: 'red' | 'blue' | undefined;
  paint?: (() => void) | undefined;
  brush?: { wide?: boolean | undefined; handle?: string | undefined } | undefined;
}

const RULES: OptionRules<Options> = {
  color: oneOf('red', 'blue'),
  paint: functionThat('paints'),
  brush: {
    takes: 'an object with wide',
    accepts: (value) => typeof value === 'object',
    members: {
      wide: flag,
      handle: { takes: 'a string', accepts: (value) => typeof value === 'string', shows: kindOf },
    },
  },
};

const check = (options: unknown) => checkedOptions('Painter', options as Options, RULES);
const refusal = (options: unknown): string => {
  try {
    check(options);
  } catch (error) {
    expect(error).toBeInstanceOf(SessionOptionsError);
    return (error as Error).message;
  }
  throw new Error('Nothing was refused');
};

describe('a table of options', () => {
  it('has a rule for every option: to forget one is a type error', () => {
    // @ts-expect-error -- there is no rule for brush
    const rules: OptionRules<Options> = { color: RULES.color, paint: RULES.paint };
    expect(rules).toBeDefined();
  });

  it('lets sound options through, and those that are undefined', () => {
    const paint = () => undefined;
    const options = { color: undefined, paint, brush: { wide: true } };
    expect(check(options)).toEqual({ paint, brush: { wide: true } });
  });

  it('gives a copy, so that what changes in the options later changes nothing', () => {
    const options = { color: 'red', brush: { wide: true } };
    const given = check(options);
    options.color = 'green';
    options.brush.wide = false;
    expect(given).toEqual({ color: 'red', brush: { wide: true } });
  });

  it('names everything that is wrong in one error: what, what it takes, and what it got', () => {
    expect(refusal({ color: 'green', paint: 1, colour: 'red', brush: { wide: 'yes', high: true } })).toBe(
      [
        'Painter: colour is not an option (did you mean color?); there are color, paint, brush',
        'Painter: color must be "red" or "blue"; got "green"',
        'Painter: paint must be a function that paints; got 1',
        'Painter: brush.high is not an option; there are brush.wide, brush.handle',
        'Painter: brush.wide must be true or false; got "yes"',
      ].join('\n'),
    );
  });

  it.each([
    ['COLOR', 'color'],
    ['colr', 'color'],
    ['colors', 'color'],
    ['paitn', 'paint'],
    ['brushes', 'brush'],
  ])('takes %s for a misspelling of %s', (name, meant) => {
    expect(refusal({ [name]: 1 })).toContain(`${name} is not an option (did you mean ${meant}?)`);
  });

  it.each(['c', 'rolling', 'cookieName', 'n'.repeat(500), 'toString', 'constructor'])(
    'guesses nothing of %s',
    (name) => {
      expect(refusal({ [name]: 1 })).toContain(`${name} is not an option; there are color`);
    },
  );

  it('guesses no short name of another, of which two letters are a half or more', () => {
    const rules = { lock: flag };
    const refused = (options: object) => () => checkedOptions('Painter', options as { lock: boolean }, rules);
    expect(refused({ log: true })).toThrow(/^Painter: log is not an option; there are lock$/);
    expect(refused({ lokc: true })).toThrow(/did you mean lock\?/);
  });

  it('never shows the value of an option that may be a secret, nor of one that is unknown (S50)', () => {
    const wrong = { brush: { handle: ['hush-hush'] }, secrets: 'hush-hush' };
    expect(refusal(wrong)).toMatch(/brush.handle must be a string; got a list of 1$/m);
    expect(refusal(wrong)).not.toContain('hush');
    expect(refusal('hush-hush')).toBe('Painter: the options must be an object; got a string');
  });

  it.each([
    ['null', null],
    ['a list of 0', [], /an empty list/],
    ['a Map', new Map()],
    ['a Promise', Promise.resolve({ color: 'red' })],
    ['an Arguments', arguments_()],
  ])('takes no %s for an object of options', (kind, options, shown = new RegExp(`got ${kind}$`)) => {
    expect(refusal(options)).toMatch(shown);
  });

  it('reads an object without a prototype, a class’s own and inherited members, and a module', async () => {
    class Colors {
      readonly paint = undefined;
      get color() {
        return 'blue';
      }
    }
    expect(check(Object.assign(Object.create(null), { color: 'red' })).color).toBe('red');
    expect(check(new Colors()).color).toBe('blue');
    expect(refusal(await import('node:path/posix'))).toMatch(/basename is not an option/);
  });

  it('sees nothing of what somebody put on Object.prototype (S48)', () => {
    const proto = Object.prototype as { paint?: unknown; other?: unknown };
    proto.paint = () => 'polluted';
    proto.other = () => 'polluted';
    try {
      expect(check({ color: 'red' }).paint).toBeUndefined();
      expect(check({ brush: {} }).brush).toEqual({});
    } finally {
      delete proto.paint;
      delete proto.other;
    }
  });

  it('has one problem with an option: the first', () => {
    const all = new OptionCheck('Painter');
    all.read({ color: 'green' }, RULES);
    all.fail('color', 'must not be set without a brush', '"green"');
    expect(() => all.finish()).toThrow(/^Painter: color must be "red" or "blue"; got "green"$/);
  });
});

function arguments_(): IArguments {
  return (function () {
    return arguments;
  })();
}

describe('a duration', () => {
  it.each([
    [0.5, 500],
    [3_600, 3_600_000],
    ['30m', 1_800_000],
    ['14 days', 1_209_600_000],
    ['1.5h', 5_400_000],
    ['250', 250],
    [0, 0],
  ])('of %p is %p ms', (value, expected) => {
    expect(milliseconds(value)).toBe(expected);
  });

  it('is parsed, or refused with the name that it was given', () => {
    expect(parseDuration('login: ttl', '2h')).toBe(7_200_000);
    for (const [value, got] of [
      ['never', '"never"'],
      [0, '0'],
      [-1, '-1'],
      [null, 'null'],
      [5n, '5'],
      [{}, 'an object'],
    ] as const) {
      expect(() => parseDuration('login: ttl', value)).toThrow(
        new SessionOptionsError(
          `login: ttl must be a number of seconds > 0 or a duration such as '30m'; got ${got}`,
        ),
      );
    }
  });

  it('for a timer is at most what a timer can wait for', () => {
    expect(['24d', 2_147_483.647, 0.001].map(timerDuration.accepts)).toEqual([true, true, true]);
    expect(['25d', 2_147_483.648, 0, 'soon'].map(timerDuration.accepts)).toEqual([
      false,
      false,
      false,
      false,
    ]);
    expect(duration.accepts('25d')).toBe(true);
  });
});

describe('a duration is doubted', () => {
  const YEAR = 31_536_000;

  it.each([
    [
      3_600_000,
      "ttl: 3600000 counts as seconds, which is 42 days; if milliseconds were meant, write '1h', else '42d'",
    ],
    [
      YEAR + 1,
      "ttl: 31536001 counts as seconds, which is 365 days; if milliseconds were meant, write '9h', else '365d'",
    ],
    ['3600', 'ttl: "3600" has no unit and counts as milliseconds; a number counts as seconds'],
  ])('%p', (value, warning) => {
    expect(doubtOf('ttl', value, YEAR)).toBe(warning);
  });

  it.each([1_800_000, 900_000, 60_000, 86_400_000, 604_800_000])(
    'that is a usual time in milliseconds: %p',
    (value) => {
      expect(doubtOf('ttl', value, YEAR)).toContain('counts as seconds');
    },
  );

  it.each([60, 900, 3_600, 86_400, 604_800, 1_209_600, 2_592_000, 5_184_000, 7_776_000, YEAR, 0.5, 0])(
    'unless it is a usual time in seconds: %p',
    (value) => {
      expect(doubtOf('ttl', value, YEAR)).toBeUndefined();
    },
  );

  it.each(['41 days', '2y', '3600s', false, undefined])('and not if it says what it means: %p', (value) => {
    expect(doubtOf('ttl', value, YEAR)).toBeUndefined();
  });
});

describe('a wrong value is shown', () => {
  it.each<[value: unknown, shown: string]>([
    ['a"b\n', String.raw`"a\"b\n"`],
    ['', '""'],
    ['x'.repeat(101), `"${'x'.repeat(100)}…"`],
    [1.5, '1.5'],
    [NaN, 'NaN'],
    [undefined, 'undefined'],
    [null, 'null'],
    [Symbol('s'), 'Symbol(s)'],
    [{ password: 'hush' }, 'an object'],
    [['hush'], 'a list of 1'],
    [() => 'hush', 'a function'],
    [class Hush {}, 'a function'],
    [new Date(0), 'a Date'],
    [new Error('hush'), 'an Error'],
    [Buffer.from('hush'), 'a Uint8Array'],
  ])('%p as %s', (value, shown) => {
    expect(show(value)).toBe(shown);
  });

  it.each<[value: unknown, kind: string]>([
    ['hush', 'a string'],
    ['', 'an empty string'],
    [7, 'a number'],
    [true, 'a boolean'],
    [undefined, 'undefined'],
    [null, 'null'],
  ])('%p by its kind alone as %s', (value, kind) => {
    expect(kindOf(value)).toBe(kind);
  });
});
