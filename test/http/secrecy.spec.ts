import { inspect } from 'node:util';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it, jest } from '@jest/globals';
import { Controller, Get, Req, Res } from '@nestjs/common';
import { Session, SessionStore } from '../../src/index.js';
import type { AnySession, Bag, RunningApp } from '../support/app.js';
import { logs, rawResponse, stacks, start } from '../support/app.js';
import { BasicController } from '../support/basic.js';
import { handleOf } from '../support/client.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { forgetGates, gate } from '../support/gate.js';

let headersShown: string[] = [];

@Controller()
class TalkativeController {
  constructor(private readonly store: SessionStore<Bag>) {}

  @Get('session')
  session(@Session() session: AnySession) {
    session.set('n', 1);
    return session;
  }

  @Get('shown')
  shown(@Session() session: AnySession) {
    session.set('n', 1);
    return {
      inspected: inspect(session, { depth: 10, showHidden: true, getters: true }),
      text: String(session),
      template: `${session}`,
      json: JSON.stringify({ session }),
      keys: Object.keys(session),
      entries: JSON.stringify(Object.entries(session)),
      spread: JSON.stringify({ ...session }),
    };
  }

  @Get('headers-shown')
  async headersShown(@Session() session: AnySession, @Req() request: any, @Res() response: any) {
    session.set('n', 1);
    const raw = rawResponse(response);
    const { rawHeaders } = request.raw ?? request;
    const show = () => inspect(rawHeaders, { depth: 10, showHidden: true });
    const shown = [show()];
    raw.write('some of it');
    shown.push(show());
    await session.save();
    headersShown = [...shown, show()];
    raw.end();
  }

  @Get('throws-the-session')
  throws(@Session() session: AnySession) {
    session.set('n', 1);
    throw Object.assign(new Error(`Cannot go on with ${session}`), { session });
  }

  @Get('gone')
  async gone(@Session() session: AnySession) {
    session.get('n');
    await gate('gone').pass();
    session.set('n', 2);
    await session.save();
  }

  @Get('big')
  big(@Session() session: AnySession) {
    session.set('big', 'x'.repeat(70_000));
  }

  @Get('bigint')
  bigint(@Session() session: AnySession) {
    session.set('amount', 1n);
  }

  @Get('tap-in-tap')
  async tapInTap(@Session() session: AnySession) {
    await session.tap(() => this.store.tap(session.id, () => undefined));
  }

  @Get('errors')
  async errors(@Session() session: AnySession) {
    session.set('n', 1);
    await session.save();
    const { id } = session;
    await session.destroy();
    const errors: unknown[] = [];
    for (const attempt of [
      () => this.store.tap(id, () => undefined),
      () => this.store.create({ id: `${id}!` }),
      () => this.store.create({ id: 'taken-taken-taken-taken' }),
      () => this.store.create({ id: 'taken-taken-taken-taken' }),
    ]) {
      await Promise.resolve()
        .then(attempt)
        .catch((error: unknown) => errors.push(error));
    }
    return { id, shown: inspect(errors, { depth: 10, showHidden: true }) };
  }
}

describe.each(stacks)('what nobody may read: %s', (_title, stack) => {
  let app: RunningApp;
  const printed: string[] = [];

  beforeAll(async () => {
    app = await start(stack, { controllers: [BasicController, TalkativeController] });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    app.reset();
    printed.length = 0;
    for (const method of ['log', 'info', 'warn', 'error', 'debug', 'trace'] as const) {
      jest
        .spyOn(console, method)
        .mockImplementation((...args: unknown[]) => void printed.push(inspect(args)));
    }
    for (const stream of [process.stdout, process.stderr]) {
      jest.spyOn(stream, 'write').mockImplementation(((chunk: unknown) => {
        printed.push(String(chunk));
        return true;
      }) as never);
    }
  });
  afterEach(() => {
    jest.restoreAllMocks();
    forgetGates();
  });

  /** All that was logged, printed or told to subscribers. */
  const told = () =>
    [
      ...logs,
      ...printed,
      inspect(app.events, { depth: 10, showHidden: true }),
      JSON.stringify(app.events),
    ].join('\n');
  const secretOf = (id: string) => id.slice(handleOf(id).length + 1);

  function expectUntold(ids: readonly string[]): void {
    const text = told();
    expect(ids.length).toBeGreaterThan(0);
    for (const id of ids) {
      expect(secretOf(id).length).toBeGreaterThan(20);
      expect(text.includes(secretOf(id))).toBe(false);
    }
  }

  it('a whole life of a session: no id in any event or log line (S5, S50)', async () => {
    const client = app.client();
    const ids: string[] = [];
    for (const path of ['/set/n/1', '/login/u1', '/rotate', '/read', '/logout', '/set/n/2', '/destroy']) {
      await client.get(path);
      if (client.sid) ids.push(client.sid);
    }
    await client.get('/read', { cookie: `sid=${ids[0]}` });
    const handle = handleOf(ids[0]!);
    const forged = `${handle}.${'f'.repeat(43)}`;
    await client.get('/read', { cookie: `sid=${forged}` });
    expect(app.eventTypes()).toEqual(expect.arrayContaining(['created', 'rotated', 'destroyed', 'rejected']));
    expectUntold([...ids, forged]);
    for (const event of app.events) {
      expect(event.at).toBeInstanceOf(Date);
      expect(Object.keys(event).filter((key) => !['type', 'handle', 'userId', 'at'].includes(key))).toEqual(
        [],
      );
    }
  });

  it('failures of the storage: no id in any event or log line (S50)', async () => {
    freezeTime();
    try {
      const client = app.client();
      await client.get('/set/n/1');
      const ids = [client.sid];
      passTime(5 * 60_000);
      for (const method of ['read', 'update', 'destroy'] as const) {
        app.probe.reset();
        app.probe.fail(method);
        for (const path of ['/read', '/set/n/2', '/rotate', '/login/u1', '/logout']) {
          await client.get(path);
          if (client.sid) ids.push(client.sid);
        }
        // What the storage got is no secret, but the id must not be in it either.
        expect(JSON.stringify(app.probe.calls)).not.toContain(secretOf(ids[0]!));
      }
      expect(logs.length).toBeGreaterThan(0);
      expectUntold(ids);
    } finally {
      unfreezeTime();
    }
  });

  it.each([
    ['/throws-the-session', 500],
    ['/big', 500],
    ['/bigint', 500],
    ['/tap-in-tap', 503],
  ])('errors of %s carry no id (S50)', async (path, status) => {
    const client = app.client();
    await client.get('/set/n/1');
    const { sid } = client;
    const reply = await client.get(path);
    expect(reply.status).toBe(status);
    expect(logs.length).toBeGreaterThan(0);
    expect(reply.text).not.toContain(secretOf(sid));
    expectUntold([sid]);
  });

  it('a session that ended meanwhile: the error names the handle at most (S50)', async () => {
    const client = app.client();
    await client.get('/set/n/1');
    const { sid } = client;
    const slow = client.open('/gone');
    await gate('gone').reached();
    await client.get('/logout');
    gate('gone').open();
    expect((await slow.done).status).toBe(401);
    expectUntold([sid]);
  });

  it("errors of the store's methods carry no id (S50)", async () => {
    const { id, shown } = (await app.client().get('/errors')).json();
    expect(shown).toMatch(/Error/);
    expect(shown).not.toContain(secretOf(id));
    expect(shown).not.toContain('taken-taken');
  });

  it('the headers of a request, as they are logged, show neither a new id nor the response (S50)', async () => {
    const client = app.client();
    await client.get('/headers-shown');
    expect(headersShown).toHaveLength(3);
    for (const shown of headersShown) {
      expect(shown).not.toContain(client.sid.slice(client.handle.length));
      expect(shown.length).toBeLessThan(300);
    }
  });

  it('a session that is returned, printed or spread shows its data and no id (S50)', async () => {
    const client = app.client();
    expect((await client.get('/session')).json()).toEqual({ n: 1 });
    const reply = await client.get('/shown');
    expect(reply.status).toBe(200);
    expect(reply.json().json).toBe('{"session":{"n":1}}');
    expect(reply.text).not.toContain(secretOf(client.sid));
  });
});
