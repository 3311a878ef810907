import { isThenable } from '../awaitable.js';
import { isOptions, kindOf, type OptionCheck, type OptionRule } from '../rules.js';
import { isDataKey } from './keys.js';
import { isObject } from './paths.js';
import { isSameValue } from './same-value.js';
import type { SessionCodec } from './codec.js';

/**
 * A schema of any library that follows Standard Schema v1 (https://standardschema.dev), such as zod, valibot and arktype,
 * or one made by hand. It answers at once, and accepts what it gave.
 */
export interface StandardSchema<Output = any, Input = any> {
  readonly '~standard': {
    readonly version: 1;
    readonly vendor: string;
    readonly validate: (value: unknown) => SchemaResult<Output> | Promise<SchemaResult<Output>>;
    readonly types?: { readonly input: Input; readonly output: Output } | undefined;
  };
}

type SchemaResult<Output> =
  { readonly value: Output; readonly issues?: undefined } | { readonly issues: readonly SchemaIssue[] };

interface SchemaIssue {
  readonly message?: string | undefined;
  readonly path?: readonly (PropertyKey | { readonly key: PropertyKey })[] | undefined;
}

/** A schema for each key that is to be checked. */
export type SessionSchema = Readonly<Record<string, StandardSchema>>;

/** The data that a {@link SessionSchema} describes: `Session<InferSessionData<typeof schema>>`. */
export type InferSessionData<S extends SessionSchema> = {
  -readonly [K in keyof S]: NonNullable<S[K]['~standard']['types']>['output'];
};

/** A value that fits, or the paths of what does not. */
export type Checked = { readonly value: unknown } | Misfit;

interface Misfit {
  readonly issues: readonly string[];
  /** The value itself does fit, and not what is read once it is stored. */
  readonly isReadBack?: boolean;
}

/** The application's schemas. What they say of a value beside paths may hold values, and goes nowhere (S69). */
export class DataSchema {
  /** The keys that have a value where none is stored. */
  readonly defaults: readonly string[];

  constructor(
    private readonly schemas: SessionSchema,
    private readonly codec: SessionCodec,
  ) {
    this.defaults = Object.keys(schemas).filter((key) => hasDefault(schemas[key]!));
  }

  has(key: string): boolean {
    return Object.hasOwn(this.schemas, key);
  }

  /**
   * Checks a value of a key that has a schema. Where the schema changes nothing the value stays the object that it is;
   * else it becomes one that nobody else has, as a schema may give the same default to all.
   */
  check(key: string, value: unknown): Checked {
    const result = validate(this.schemas[key]!, value);
    if (result.issues) return { issues: result.issues.map((issue) => pathOf(key, issue)) };
    // Libraries put the keys of an object in the schema's order.
    const isSame = isSameValue(result.value, value) || isSameValue(result.value, value, 'in any order');
    return { value: isSame ? value : this.copy(key, result.value) };
  }

  /**
   * {@link check} of a value that is to be stored: it also has to fit as the codec will give it back, or nobody could read
   * it. What the codec throws is thrown.
   */
  checkWritten(key: string, value: unknown): Checked {
    const checked = this.check(key, value);
    if (!('value' in checked) || checked.value === undefined) return checked;
    const read = this.check(key, this.codec.decode(this.codec.encode(checked.value)));
    return 'value' in read ? checked : { ...read, isReadBack: true };
  }

  /** What a key has where nothing is stored; undefined if the schema gives nothing. */
  defaultOf(key: string): unknown {
    if (!this.defaults.includes(key)) return undefined;
    const result = validate(this.schemas[key]!, undefined);
    return result.issues ? undefined : this.copy(key, result.value);
  }

  private copy(key: string, value: unknown): unknown {
    if (!isObject(value)) return value;
    const result = validate(this.schemas[key]!, this.codec.decode(this.codec.encode(value)));
    return result.issues ? value : result.value;
  }
}

type Validated =
  { readonly value: unknown; readonly issues?: undefined } | { issues: readonly SchemaIssue[] };

/** Something that does not answer at once does not fit, nor does what a schema throws for. */
function validate(schema: StandardSchema, value: unknown): Validated {
  try {
    const result = schema['~standard'].validate(value);
    if (!isThenable(result)) return result.issues ? { issues: result.issues } : result;
    result.then(undefined, () => undefined);
  } catch {
    // Its message may hold a value.
  }
  return { issues: [{}] };
}

function hasDefault(schema: StandardSchema): boolean {
  const result = validate(schema, undefined);
  return !result.issues && result.value !== undefined;
}

/** As `session.get` takes it. */
function pathOf(key: string, { path = [] }: SchemaIssue): string {
  const escaped = (name: string) => name.replaceAll(/[.[\\]/g, String.raw`\$&`);
  return path
    .map((part) => (typeof part === 'object' ? part.key : part))
    .reduce<string>(
      (text, part) => text + (typeof part === 'number' ? `[${part}]` : `.${escaped(String(part))}`),
      escaped(key),
    );
}

const isSchema = (value: unknown): value is StandardSchema => {
  const its = (value as Partial<StandardSchema> | null | undefined)?.['~standard'];
  return its?.version === 1 && typeof its.validate === 'function';
};

export const schemaRule: OptionRule = {
  takes:
    'an object with a Standard Schema (v1; of zod, valibot, arktype …) for each key that is to be checked',
  accepts: (value) => isOptions(value) && !isSchema(value),
  shows: (value) => (isSchema(value) ? 'one schema for all' : kindOf(value)),
};

/** Tries every schema once. What cannot work is noted. */
export function checkSchemas(check: OptionCheck, schemas: SessionSchema, codec: SessionCodec): void {
  for (const [key, schema] of Object.entries(schemas)) {
    const option = `schema.${key}`;
    if (!isDataKey(key)) check.fail(option, 'cannot be a key of data', JSON.stringify(key));
    else if (!isSchema(schema)) {
      check.fail(
        option,
        'must be a Standard Schema (v1), as zod, valibot and arktype make them',
        kindOf(schema),
      );
    } else if (isAsynchronous(schema)) {
      check.fail(
        option,
        'must answer at once, as values are read without waiting',
        'a schema that answers later',
      );
    } else if (!acceptsItsDefault(schema, codec)) {
      const problem =
        'must accept its own default as the codec gives it back (of a Date, JSON makes a text: z.coerce.date() takes both)';
      check.fail(option, problem, 'a schema that refuses it');
    }
  }
}

function isAsynchronous(schema: StandardSchema): boolean {
  try {
    const result: unknown = schema['~standard'].validate(undefined);
    if (!isThenable(result)) return false;
    result.then(undefined, () => undefined);
    return true;
  } catch {
    return false;
  }
}

function acceptsItsDefault(schema: StandardSchema, codec: SessionCodec): boolean {
  const result = validate(schema, undefined);
  if (result.issues || result.value === undefined) return true;
  try {
    return !validate(schema, codec.decode(codec.encode(result.value))).issues;
  } catch {
    return false;
  }
}
