import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { Controller, Get } from '@nestjs/common';
import { Session, type SessionInfo } from '../../src/index.js';
import { type AnySession, logs, type RunningApp, stackPerPlatform, start } from '../support/app.js';
import { BasicController } from '../support/basic.js';

/** What a test has `describeClient` do. */
let describeClient: (request: any) => unknown;
const byAgent = (request: any) => ({ agent: request.headers['user-agent'], ip: request.ip });

@Controller()
class Visits {
  @Get('start')
  async start(@Session() session: AnySession) {
    await session.start();
    return session.handle;
  }

  @Get('regenerate')
  async regenerate(@Session() session: AnySession) {
    await session.regenerate();
  }
}

describe.each(stackPerPlatform)('describeClient: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    const session = { describeClient: (request: any) => describeClient(request) as object };
    app = await start(stack, { session, controllers: [Visits, BasicController] });
  });
  afterAll(() => app.stop());
  afterEach(async () => {
    app.reset();
    await app.store.destroyByUser('ada');
  });

  const infos = (): Promise<SessionInfo[]> => app.store.listByUser('ada');
  const clients = async () => (await infos()).map(({ client }) => client);

  it('is asked with the request of the platform when a session is created, and what it says is listed', async () => {
    describeClient = byAgent;
    await app.client().get('/login/ada', { headers: { 'user-agent': 'Firefox' } });
    expect(await clients()).toEqual([{ agent: 'Firefox', ip: '127.0.0.1' }]);
  });

  it('is asked again at every login, and at no use, write or rotation in between', async () => {
    let asked = 0;
    describeClient = () => ({ asked: ++asked });
    const client = app.client();
    await client.get('/set/n/1');
    expect(asked).toBe(1);
    await client.get('/login/ada');
    expect(await clients()).toEqual([{ asked: 2 }]);
    await client.get('/set/n/2');
    await client.get('/regenerate');
    await client.get('/read');
    expect(await clients()).toEqual([{ asked: 2 }]);
    await client.get('/login/ada');
    expect(await clients()).toEqual([{ asked: 3 }]);
  });

  it('a session that is started for a visitor has it too; one that nobody asked for by a request has none', async () => {
    describeClient = byAgent;
    const { text } = await app.client().get('/start', { headers: { 'user-agent': 'curl' } });
    expect(JSON.parse(app.probe.peek(text)!.client!)).toMatchObject({ agent: 'curl' });
    await app.store.create({ userId: 'ada' });
    expect(await clients()).toEqual([undefined]);
  });

  it('a worker that logs a user in on a session leaves it as it is', async () => {
    describeClient = byAgent;
    const { text } = await app.client().get('/start', { headers: { 'user-agent': 'curl' } });
    const session = await app.store.create();
    await session.login('ada');
    expect(await clients()).toEqual([undefined]);
    expect(app.probe.peek(text)!.client).toBeDefined();
  });

  it('members that are undefined are not there, and no key harms anything (S48)', async () => {
    describeClient = () => JSON.parse('{"__proto__":{"admin":true},"ip":"::1"}') as object;
    await app.client().get('/login/ada');
    const [client] = await clients();
    expect(Object.keys(client!)).toEqual(['__proto__', 'ip']);
    expect(client!.admin).toBeUndefined();
    expect(({} as any).admin).toBeUndefined();
  });

  it('says nothing if it returns undefined, and what it said before goes', async () => {
    describeClient = byAgent;
    const client = app.client();
    await client.get('/login/ada');
    describeClient = () => undefined;
    await client.get('/login/ada');
    expect(await clients()).toEqual([undefined]);
    expect(logs.join('\n')).not.toContain('describeClient');
  });

  const cycle: Record<string, unknown> = {};
  cycle.self = cycle;

  it.each<[string, () => unknown, RegExp]>([
    ['throws', () => { throw new Error('no geography'); }, /no geography/], // prettier-ignore
    ['throws no error', () => { throw 'nothing'; }, /nothing/], // prettier-ignore
    ['throws what is no text', () => { throw Object.create(null); }, /cannot be shown/], // prettier-ignore
    ['makes a text of itself', () => ({ toJSON: () => 'Firefox' }), /a string/],
    ['has a getter that throws', () => ({ get ip() { throw new Error('no socket'); } }), /no socket/], // prettier-ignore
    ['has a cycle', () => cycle, /circular/i],
    ['has a function', () => ({ ip: () => '::1' }), /a function/],
    ['has a function inside', () => ({ a: [{ b: byAgent }] }), /a function/],
    ['has a symbol', () => ({ a: Symbol('x') }), /a symbol/],
    ['has a bigint', () => ({ a: 1n }), /BigInt/],
    ['is a promise', () => Promise.resolve({ ip: '::1' }), /a promise/],
    ['is a promise that fails', () => Promise.reject(new Error('later')), /a promise/],
    ['holds a promise', () => ({ country: Promise.reject(new Error('later')) }), /a promise/],
    ['is a text', () => 'Firefox', /a string/],
    ['is a list', () => ['Firefox'], /a list/],
    ['is null', () => null, /null/],
    ['is a function', () => byAgent, /a function/],
    ['is a Map', () => new Map([['ip', '::1']]), /a Map/],
    ['is larger than 1 KB', () => ({ agent: 'x'.repeat(1_013) }), /1025 bytes of JSON/],
    ['is larger than 1 KB as UTF-8', () => ({ agent: 'é'.repeat(600) }), /1212 bytes of JSON/],
  ])(
    'a description that %s is left out, with a line in the log, and the login works',
    async (_, say, why) => {
      describeClient = byAgent;
      const client = app.client();
      await client.get('/set/n/1');
      logs.length = 0;
      describeClient = say;
      const { status, text } = await client.get('/login/ada');
      expect([status, text]).toEqual([200, 'welcome']);
      expect(await infos()).toMatchObject([{ userId: 'ada', client: undefined, data: { n: '1' } }]);
      const lines = logs.filter((line) => line.includes('describeClient'));
      expect(lines).toEqual([expect.stringMatching(why)]);
      expect(lines[0]).toContain((await infos())[0]!.handle);
    },
  );

  it('1 KB of JSON is kept', async () => {
    describeClient = () => ({ agent: 'x'.repeat(1_012) });
    await app.client().get('/login/ada');
    expect(await clients()).toEqual([{ agent: expect.stringMatching(/^x{1012}$/) }]);
  });
});

it('with encryption it does not rest in plain, and lists show it', async () => {
  const [, stack] = stackPerPlatform[0]!;
  const session = { describeClient: byAgent, encryption: { keys: ['a key for the tests of clients'] } };
  const app = await start(stack, { session, controllers: [BasicController] });
  await app.client().get('/login/ada', { headers: { 'user-agent': 'Firefox' } });
  const [info] = await app.store.listByUser('ada');
  expect(info!.client).toEqual({ agent: 'Firefox', ip: '127.0.0.1' });
  const { client } = app.probe.peek(info!.handle)!;
  expect([typeof client, client]).toEqual(['string', expect.not.stringContaining('Firefox')]);
  await app.stop();
});
