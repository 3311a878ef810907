import { randomBytes } from 'node:crypto';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import type { RunningApp } from '../support/app.js';
import { stacks, start } from '../support/app.js';
import { BasicController } from '../support/basic.js';
import { sendRaw } from '../support/client.js';

const random = (bytes: number): string => randomBytes(bytes).toString('base64url');
/** An id as the server makes them, that it never made. */
const unissued = (): string => `${random(16)}.${random(32)}`;

const ANONYMOUS = { isNew: true, value: null };

describe.each(stacks)('what comes as a cookie: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await start(stack, { controllers: [BasicController] });
  });
  afterAll(() => app.stop());
  beforeEach(() => app.reset());

  /** A live session with `n` and its id. */
  async function live(n = '1'): Promise<string> {
    const client = app.client();
    await client.get(`/set/n/${n}`);
    expect(app.probe.value(client.handle, 'n')).toBe(n);
    app.reset();
    return client.sid;
  }

  it('a well-formed id that was never issued creates nothing and is left alone (S3, S52)', async () => {
    const before = app.probe.size;
    const reply = await app.client().get('/read', { cookie: `sid=${unissued()}` });
    expect(reply.json()).toEqual(ANONYMOUS);
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.size).toBe(before);
    expect(app.probe.names.filter((name) => name !== 'read')).toEqual([]);
  });

  it('an id that was never issued is not adopted by a write (S3)', async () => {
    const id = unissued();
    const client = app.client();
    await client.get('/set/n/1', { cookie: `sid=${id}` });
    expect(client.sid).not.toBe(id);
    expect(client.handle).not.toBe(id.split('.')[0]);
    expect(app.probe.peek(id.split('.')[0]!)).toBeUndefined();
    expect(app.probe.value(client.handle, 'n')).toBe('1');
  });

  it("an id of one's own that nobody created is not adopted either (S3)", async () => {
    const id = 'chosen-by-the-attacker-0123456789';
    const before = app.probe.size;
    expect((await app.client().get('/read', { cookie: `sid=${id}` })).json()).toEqual(ANONYMOUS);
    expect(app.probe.size).toBe(before);
    const client = app.client();
    await client.get('/set/n/1', { cookie: `sid=${id}` });
    expect(client.sid).not.toBe(id);
  });

  it('an unknown id raises an event that carries no id (S5)', async () => {
    const id = unissued();
    await app.client().get('/read', { cookie: `sid=${id}` });
    expect(app.eventTypes()).toEqual(['rejected']);
    expect(JSON.stringify(app.events)).not.toContain(id.split('.')[1]);
  });

  it('the right handle with a wrong secret is anonymous and harms nobody (S3, S5, S8)', async () => {
    const id = await live();
    const handle = id.split('.')[0]!;
    const before = app.probe.peek(handle);
    const forged = `${handle}.${random(32)}`;
    const reply = await app.client().get('/read', { cookie: `sid=${forged}` });
    expect(reply.json()).toEqual(ANONYMOUS);
    expect(reply.setCookies).toEqual([]);
    expect(app.eventTypes()).toEqual(['rejected']);
    expect(JSON.stringify(app.events)).not.toContain(forged.split('.')[1]);
    expect(app.probe.peek(handle)).toEqual(before);
    expect((await app.client().get('/read', { cookie: `sid=${id}` })).json()).toEqual({
      isNew: false,
      value: '1',
    });
  });

  it('a wrong secret logs nobody out (S26)', async () => {
    const id = await live();
    const handle = id.split('.')[0]!;
    const reply = await app.client().get('/logout', { cookie: `sid=${handle}.${random(32)}` });
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.peek(handle)).toBeDefined();
  });

  it.each([
    ['an empty value', ''],
    ['a short word', 'x'],
    ['a character too few', 'x'.repeat(21)],
    ['only the separator', '.'],
    ['an overlong value', 'x'.repeat(5_000)],
    ['a value just too long', `${random(16)}.${'x'.repeat(300)}`],
    ['a way out of a directory', '../../../../../../etc/passwd'],
    ['a NUL', `${random(16)}.${random(32)}%00`],
    ['a line end', `${random(16)}.${random(32)}%0d%0aSet-Cookie:%20a=b`],
    ['a space inside', `${random(16)}%20${random(32)}`],
    ['other letters', `${random(16)}.${'ü'.repeat(20)}`],
    ['broken percent encoding', `%E0%A4%A${random(32)}`],
    ['what would be a signature', `s%3A${random(16)}.${random(32)}.c2lnbmF0dXJl`],
    ['what would be JSON', `j%3A${encodeURIComponent('{"a":"bbbbbbbbbbbbbbbbbbbbbbbb"}')}`],
  ])('%s is anonymous, without a storage call (S4)', async (_case, value) => {
    const cookie = Buffer.from(`sid=${value}`).toString('latin1');
    const reply = await app.client().get('/read', { cookie });
    expect(reply.status).toBe(200);
    expect(reply.json()).toEqual(ANONYMOUS);
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.names).toEqual([]);
  });

  it('a live id in quotes is anonymous, without a storage call (S4)', async () => {
    const id = await live();
    const reply = await app.client().get('/read', { cookie: `sid="${id}"` });
    expect(reply.json()).toEqual(ANONYMOUS);
    expect(reply.setCookies).toEqual([]);
    expect(app.probe.names).toEqual([]);
  });

  it.each([
    ['something behind it', (id: string) => `${id}x`],
    ['its last character missing', (id: string) => id.slice(0, -1)],
    ['its case turned', (id: string) => id.toUpperCase()],
    ['its halves swapped', (id: string) => id.split('.').toReversed().join('.')],
    ['its separator missing', (id: string) => id.replace('.', '')],
  ])('a live id with %s is anonymous', async (_case, change) => {
    const id = await live();
    const reply = await app.client().get('/read', { cookie: `sid=${change(id)}` });
    expect(reply.json()).toEqual(ANONYMOUS);
    expect(reply.setCookies).toEqual([]);
  });

  it.each([
    ['before', (id: string) => `sid=${unissued()}; sid=${id}`],
    ['behind', (id: string) => `sid=${id}; sid=${unissued()}`],
    ['malformed before', (id: string) => `sid=nonsense; sid=${id}`],
    ['malformed behind', (id: string) => `sid=${id}; sid="nonsense"`],
    ['forged before', (id: string) => `sid=${id.split('.')[0]}.${random(32)}; sid=${id}`],
  ])('a bogus cookie of the name %s the live one: the live one is used (S43)', async (_case, header) => {
    const id = await live();
    const reply = await app.client().get('/read', { cookie: header(id) });
    expect(reply.json()).toEqual({ isNew: false, value: '1' });
    expect(reply.setCookies).toEqual([]);
  });

  it('two cookies of the name that are both live are treated as none, with an event (S43)', async () => {
    const [one, two] = [await live('1'), await live('2')];
    for (const cookie of [`sid=${one}; sid=${two}`, `sid=${two}; sid=${one}`]) {
      app.reset();
      const reply = await app.client().get('/read', { cookie });
      expect(reply.json()).toEqual(ANONYMOUS);
      expect(reply.setCookies).toEqual([]);
      expect(app.eventTypes()).toEqual(['rejected']);
    }
    expect((await app.client().get('/read', { cookie: `sid=${one}` })).json()).toEqual({
      isNew: false,
      value: '1',
    });
  });

  const many = (count: number, value: () => string) =>
    Array.from({ length: count }, () => `sid=${value()}`).join('; ');
  const junk = () => `"${random(8)}"`;

  it('of ids that could be ours at most 8 are read, and more count as none, with an event (S43, S55)', async () => {
    const id = await live();
    const eight = await app.client().get('/read', { cookie: `${many(7, unissued)}; sid=${id}` });
    expect(eight.json()).toEqual({ isNew: false, value: '1' });
    expect(app.probe.names).toEqual(Array.from({ length: 8 }, () => 'read'));
    for (const cookie of [`${many(8, unissued)}; sid=${id}`, `sid=${id}; ${many(8, unissued)}`]) {
      app.reset();
      expect((await app.client().get('/read', { cookie })).json()).toEqual(ANONYMOUS);
      expect(app.probe.names).toEqual([]);
      expect(app.eventTypes()).toEqual(['rejected']);
    }
  });

  it.each([
    ['before', (pair: string) => `${many(60, junk)}; ${pair}`],
    ['behind', (pair: string) => `${pair}; ${many(60, junk)}`],
    ['around', (pair: string) => `${many(60, junk)}; ${pair}; ${many(60, junk)}`],
  ])(
    'any amount of junk %s it neither hides a live cookie nor costs a call (S4, S43)',
    async (_case, around) => {
      const id = await live();
      const reply = await app.client().get('/read', { cookie: around(`sid=${id}`) });
      expect(reply.json()).toEqual({ isNew: false, value: '1' });
      expect(app.probe.names).toEqual(['read']);
      expect(app.eventTypes()).toEqual(['rejected']);
    },
  );

  it.each([
    ['junk', junk, 3],
    ['dead ones', unissued, 6],
  ])('%s before them do not make one of two live cookies the only one (S43)', async (_case, value, count) => {
    const [one, two] = [await live('1'), await live('2')];
    for (const pair of [`sid=${one}; sid=${two}`, `sid=${two}; sid=${one}`]) {
      const reply = await app.client().get('/read', { cookie: `${many(count, value)}; ${pair}` });
      expect(reply.json()).toEqual(ANONYMOUS);
    }
  });

  it('the same id several times is one id', async () => {
    const id = await live();
    const reply = await app.client().get('/read', { cookie: many(20, () => id) });
    expect(reply.json()).toEqual({ isNew: false, value: '1' });
    expect(app.probe.names).toEqual(['read']);
    expect(app.eventTypes()).toEqual([]);
  });

  it('cookies spread over several Cookie headers read like one (S44)', async () => {
    const [one, two] = [await live('1'), await live('2')];
    const ask = (...cookies: string[]) => {
      const lines = cookies.map((cookie) => `Cookie: ${cookie}\r\n`).join('');
      return sendRaw(app.port, `GET /read HTTP/1.1\r\nHost: localhost\r\n${lines}Connection: close\r\n\r\n`);
    };
    expect(await ask('a=b', `sid=${one}`, 'c=d')).toContain('{"isNew":false,"value":"1"}');
    expect(await ask(`sid=${unissued()}`, `sid=${one}`)).toContain('{"isNew":false,"value":"1"}');
    expect(await ask(`sid=${one}`, `sid=${two}`)).toContain('{"isNew":true,"value":null}');
  });

  it.each(['SID', 'Sid', 'sid2', 'xsid', '%73id', '"sid"'])(
    'a cookie named %s is not ours: names are matched byte for byte (S45)',
    async (name) => {
      const id = await live();
      const reply = await app.client().get('/read', { cookie: `${name}=${id}` });
      expect(reply.json()).toEqual(ANONYMOUS);
      expect(app.probe.names).toEqual([]);
    },
  );

  it.each(['', ':', '-', ' ', ' = ', '2=', '=='])(
    'the name followed by %j is no cookie of ours (S45)',
    async (between) => {
      const id = await live();
      const reply = await app.client().get('/read', { cookie: `sid${between}${id}` });
      expect(reply.json()).toEqual(ANONYMOUS);
      expect(app.probe.names).toEqual([]);
    },
  );

  it('cookies that are named like parts of an object are harmless (S48)', async () => {
    const id = await live();
    const cookie = `__proto__=x; constructor=y; sid=${id}; prototype=z; toString=t`;
    expect((await app.client().get('/read', { cookie })).json()).toEqual({ isNew: false, value: '1' });
    expect(({} as any).x).toBeUndefined();
  });

  it('odd spacing and pairs without a name do not hide the cookie', async () => {
    const id = await live();
    for (const cookie of [`;; sid=${id};`, `lonely; =x;sid=${id}`, `a=b;   sid=${id}   ;c=d`]) {
      expect((await app.client().get('/read', { cookie })).json()).toEqual({ isNew: false, value: '1' });
    }
  });

  it('an id in the query, the body or another header is ignored (S6)', async () => {
    const id = await live();
    const client = app.client();
    expect((await client.get(`/read?sid=${id}`)).json()).toEqual(ANONYMOUS);
    const posted = await client.post('/read', { body: { sid: id } });
    expect(posted.json()).toEqual({ isNew: true });
    const headers = { sid: id, 'x-session-id': id, authorization: `Bearer ${id}` };
    expect((await client.get('/read', { headers })).json()).toEqual(ANONYMOUS);
    expect(app.probe.names).toEqual([]);
  });

  it('a flood of bogus ids leaves nothing behind (S52)', async () => {
    const before = app.probe.size;
    const client = app.client();
    for (let i = 0; i < 50; i++) await client.get('/read', { cookie: `sid=${unissued()}` });
    expect(app.probe.size).toBe(before);
    expect(app.probe.of('read')).toHaveLength(50);
    expect(app.probe.calls).toHaveLength(50);
  });
});
