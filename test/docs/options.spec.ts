import { readFileSync } from 'node:fs';
import { afterEach, describe, expect, it } from '@jest/globals';
import type { INestApplication } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { MemoryStorage, type SessionModuleOptions } from '../../src/index.js';
import { OPTIONS, resolveOptions } from '../../src/nest/session.options.js';
import type { OptionRule } from '../../src/rules.js';
import { AdminModule, ShopModule } from './recipes/options.js';

/** docs/options.md against the table of options, and what it shows at work. */
const page = readFileSync('docs/options.md', 'utf8');

const cellsOf = (row: string): string[] =>
  row
    .split(/(?<!\\)\|/)
    .slice(1, -1)
    .map((cell) => cell.trim());

/** Name and default of every row of the tables of options. */
const rows = page
  .split('\n')
  .filter((line) => /^\| `[\w.]+` /.test(line))
  .map((line) => cellsOf(line))
  .map(([name, , standard]) => ({ name: name!.replaceAll('`', ''), standard: standard! }));

const namesOf = (rules: object, path = ''): string[] =>
  Object.entries(rules as Record<string, OptionRule>).flatMap(([name, { members }]) => [
    path + name,
    ...(members ? namesOf(members, `${path}${name}.`) : []),
  ]);

/** What an option is nothing without. */
const NEEDS: Record<string, SessionModuleOptions | undefined> = { whenExceeded: { maxPerUser: 3 } };

/** What a cell says as code, if it is a value. */
function literalOf(cell: string): { value: unknown } | undefined {
  try {
    return { value: JSON.parse(/^`(.*)`$/.exec(cell)![1]!.replaceAll("'", '"')) };
  } catch {
    return undefined;
  }
}

describe('the tables of options', () => {
  it('have every option there is, and no other', () => {
    expect(rows.map(({ name }) => name).toSorted()).toEqual([...namesOf(OPTIONS), 'isGlobal'].toSorted());
  });

  const literal = rows.filter(({ name, standard }) => name !== 'isGlobal' && literalOf(standard));

  it.each(literal.map(({ name, standard }) => [name, standard]))(
    'have the default of %s: to give %s changes nothing',
    (name, standard) => {
      const { value } = literalOf(standard!)!;
      const [outer, inner] = name!.split('.') as [string, string?];
      const storage = new MemoryStorage();
      const given = { storage, ...(NEEDS[outer] as object), [outer]: inner ? { [inner]: value } : value };
      expect(resolveOptions(given)).toEqual(resolveOptions({ storage, ...(NEEDS[outer] as object) }));
    },
  );

  it('have words for the defaults that are no values', () => {
    const others = rows.filter((row) => row.name !== 'isGlobal' && !literal.includes(row));
    expect(Object.fromEntries(others.map(({ name, standard }) => [name, standard]))).toEqual({
      touchAfter: '`ttl / 60`, at most 1 minute',
      cookie: '[below](#the-cookie)',
      secret: 'none',
      storage: '`new MemoryStorage()`',
      initial: 'none',
      purge: 'on',
      codec: 'JSON',
      encryption: 'none',
      'encryption.keys': 'required',
      'encryption.readPlain': 'none',
      schema: 'none',
      generateId: '32 random bytes',
      lock: 'on',
      touchWhen: 'every request',
      describeClient: 'none',
      importFrom: 'none',
      maxPerUser: 'any number',
      'cookie.domain': 'none',
      'cookie.priority': 'none',
    });
    const { secrets, initial, touchWhen, describeClient, encryption, schema, cookie } = resolveOptions();
    expect(secrets).toHaveLength(0);
    for (const none of [initial, touchWhen, describeClient, encryption, schema]) expect(none).toBeUndefined();
    expect(cookie).toMatchObject({ domain: undefined, priority: undefined });
  });
});

it('the messages that are shown are those that come', () => {
  const [, shown] = /```\n(SessionModule: [\s\S]*?)\n```/.exec(page)!;
  const wrong = { cookiename: 'x', ttl: 'half an hour', secret: ['good', ''] };
  let message = '';
  try {
    resolveOptions(wrong as object);
  } catch (error) {
    message = (error as Error).message;
  }
  const parts = shown!.split('\n').map((line) => line.replace(/ …$/, ''));
  expect(message.split('\n').map((line, i) => line.startsWith(parts[i]!))).toEqual([true, true, true]);
});

describe('what is shown works', () => {
  let app: INestApplication;

  afterEach(() => app.close());

  const cookiesOf = (response: request.Response): string[] =>
    (response.headers['set-cookie'] as unknown as string[] | undefined) ?? [];

  it('two modules that are not global have two cookies and two sessions', async () => {
    const module = await Test.createTestingModule({ imports: [ShopModule, AdminModule] }).compile();
    app = await module.createNestApplication({ logger: false }).init();
    const server = app.getHttpServer() as Parameters<typeof request>[0];
    const shop = await request(server).get('/shop').expect(200, 'nothing');
    const admin = await request(server).get('/admin').expect(200, 'nothing');
    expect(cookiesOf(shop)).toEqual([expect.stringMatching(/^sid=.*Max-Age=3600; Path=\/;/)]);
    expect(cookiesOf(admin)).toEqual([
      expect.stringMatching(/^admin=.*Max-Age=900; Path=\/admin;.*SameSite=Strict/),
    ]);
    const both = [...cookiesOf(shop), ...cookiesOf(admin)].map((text) => text.split(';')[0]).join('; ');
    await request(server).get('/shop').set('Cookie', both).expect(200, 'the shop');
    await request(server).get('/admin').set('Cookie', both).expect(200, 'the office');
  });
});
