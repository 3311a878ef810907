import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterAll, afterEach, beforeAll, describe, expect, it } from '@jest/globals';
import { metrics } from '@opentelemetry/api';
import { PrometheusExporter } from '@opentelemetry/exporter-prometheus';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { type DynamicModule, Module, type Type } from '@nestjs/common';
import { Test, type TestingModule } from '@nestjs/testing';
import { MemoryStorage, SessionModule, type SessionStorage, SessionStore } from '../../src/index.js';
import { SessionMetricsModule } from '../../src/opentelemetry/index.js';
import { type Bag, failureOf, logger, logs } from '../support/session-bench.js';
import { AsyncStorage, Probe } from '../support/storages.js';

let exporter: PrometheusExporter;
let provider: MeterProvider;
let server: Server;
let module: TestingModule | undefined;

// A page is read over HTTP, as Prometheus does.
beforeAll(async () => {
  server = createServer((request, response) => exporter.getMetricsRequestHandler(request, response));
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
});
afterAll(() => void server.close());

afterEach(async () => {
  await module?.close();
  module = undefined;
  metrics.disable();
  await provider.shutdown();
  logs.length = 0;
});

async function start(
  imports: (Type | DynamicModule)[],
  storage: SessionStorage = new MemoryStorage(),
): Promise<SessionStore<Bag>> {
  exporter = new PrometheusExporter({ preventServerStart: true });
  provider = new MeterProvider({ readers: [exporter] });
  metrics.setGlobalMeterProvider(provider);
  const sessions = SessionModule.forRoot({ storage, purge: false });
  const made = await Test.createTestingModule({ imports: [sessions, ...imports] })
    .setLogger(logger)
    .compile();
  module = made;
  await made.init();
  return made.get<SessionStore<Bag>>(SessionStore);
}

const page = async (): Promise<string> =>
  (await fetch(`http://127.0.0.1:${(server.address() as AddressInfo).port}/metrics`)).text();

/** The value of a line of a page, by name and labels. */
function valueIn(text: string, name: string, labels: Record<string, string> = {}): number | undefined {
  const line = text.split('\n').find((one) => {
    if (!one.startsWith(`${name}{`) && !one.startsWith(`${name} `)) return false;
    return Object.entries(labels).every(([label, value]) => one.includes(`${label}="${value}"`));
  });
  return line === undefined ? undefined : Number(line.split(' ')[1]);
}

const EVENTS = 'nest_sessions_events_total';
const CALLS = 'nest_sessions_storage_duration_count';

describe('SessionMetricsModule', () => {
  it('counts events by type, and measures calls by operation and result', async () => {
    const store = await start([SessionMetricsModule], new AsyncStorage());
    const session = await store.create({ userId: 'ada', data: { n: 1 } });
    await store.create();
    await store.tap(session.id, (data) => data['n']++);
    await store.load('no-session-has-an-id-of-this-kind');
    await session.logout();
    const text = await page();
    const events = { created: 2, destroyed: 1, rejected: 1 };
    for (const [type, count] of Object.entries(events)) expect(valueIn(text, EVENTS, { type })).toBe(count);
    const calls = { create: 2, update: 1, lock: 1, release: 1, destroy: 1 };
    for (const [operation, count] of Object.entries(calls)) {
      expect([operation, valueIn(text, CALLS, { operation, result: 'ok' })]).toEqual([operation, count]);
    }
    expect(text).toMatch(
      /# UNIT nest_sessions_storage_duration s|# TYPE nest_sessions_storage_duration histogram/,
    );
    expect(valueIn(text, 'nest_sessions_storage_duration_sum', { operation: 'create' })).toBeLessThan(5);
    expect(valueIn(text, 'nest_sessions_records')).toBeUndefined();
  });

  it('what an update was refused with, and what failed, are results of their own', async () => {
    const memory = new MemoryStorage();
    const probe = new Probe(memory, memory);
    const store = await start([SessionMetricsModule], memory);
    const session = await store.create({ data: { n: 1 } });
    await store.destroy(session.id);
    session.set('n', 2);
    await failureOf(() => store.save(session));
    probe.fail('read', { times: 1 });
    await failureOf(() => store.load(session.id));
    const text = await page();
    expect(valueIn(text, CALLS, { operation: 'update', result: 'gone' })).toBe(1);
    expect(valueIn(text, CALLS, { operation: 'read', result: 'error' })).toBe(1);
    expect(valueIn(text, EVENTS, { type: 'unavailable' })).toBe(1);
    expect(valueIn(text, EVENTS, { type: 'gone' })).toBe(1);
  });

  it('no page has an id, a handle, a user or data (S50)', async () => {
    const store = await start([SessionMetricsModule.forRoot({ records: true })]);
    const session = await store.create({ userId: 'ada@example.com', data: { street: 'Fetter Lane' } });
    await store.tap(session.id, (data) => (data['street'] = 'Fetter Lane 13'));
    await store.revoke(session.handle);
    const text = await page();
    for (const word of [session.handle, session.id, 'ada@example', 'street', 'Fetter'])
      expect(text).not.toContain(word);
    const labels = new Set([...text.matchAll(/[{,](\w+)="/g)].map(([, label]) => label));
    for (const label of ['otel_scope_name', 'otel_scope_version', 'le']) labels.delete(label);
    expect(
      [...labels].filter((label) => !/^(service|telemetry|process|host)_/.test(label!)).toSorted(),
    ).toEqual(['operation', 'result', 'type']);
  });

  it('a scrape changes nothing: it reads, touches and ends no session', async () => {
    const memory = new MemoryStorage();
    const store = await start([SessionMetricsModule.forRoot({ records: true })], memory);
    const { handle } = await store.create({ data: { n: 1 } });
    const before = memory.read(handle);
    const probe = new Probe(memory, memory);
    for (let i = 0; i < 3; i++) await page();
    expect(probe.names).toEqual(['count', 'count', 'count']);
    expect(memory.read(handle)).toEqual(before);
  });

  it('records: how many there are, when the page is asked for', async () => {
    const store = await start([SessionMetricsModule.forRoot({ records: true })], new AsyncStorage());
    expect(valueIn(await page(), 'nest_sessions_records')).toBe(0);
    const { id } = await store.create();
    await store.create();
    expect(valueIn(await page(), 'nest_sessions_records')).toBe(2);
    await store.destroy(id);
    expect(valueIn(await page(), 'nest_sessions_records')).toBe(1);
  });

  it('a storage that fails or hangs leaves the gauge out; the rest of the page comes', async () => {
    const storage = new AsyncStorage();
    const store = await start([SessionMetricsModule.forRoot({ records: true })], storage);
    await store.create();
    storage.count = () => Promise.reject(new Error('down'));
    expect(valueIn(await page(), 'nest_sessions_records')).toBeUndefined();
    storage.count = () => new Promise(() => undefined);
    const text = await page();
    expect(valueIn(text, 'nest_sessions_records')).toBeUndefined();
    expect(valueIn(text, EVENTS, { type: 'created' })).toBe(1);
  });

  it('sessions that are not global are measured where they are imported', async () => {
    const sessions = SessionModule.forRoot({ isGlobal: false, purge: false });
    @Module({ imports: [sessions, SessionMetricsModule.forRoot({ imports: [sessions] })] })
    class ShopModule {}
    exporter = new PrometheusExporter({ preventServerStart: true });
    provider = new MeterProvider({ readers: [exporter] });
    metrics.setGlobalMeterProvider(provider);
    module = await Test.createTestingModule({ imports: [ShopModule] }).compile();
    await module.init();
    await module.get(SessionStore, { strict: false }).create();
    expect(valueIn(await page(), EVENTS, { type: 'created' })).toBe(1);
  });

  it('without OpenTelemetry set up it does nothing', async () => {
    const store = await start([]);
    metrics.disable();
    await module!.close();
    module = await Test.createTestingModule({
      imports: [SessionModule.forRoot(), SessionMetricsModule],
    }).compile();
    await module.init();
    await module.get(SessionStore).create();
    expect(await store.count()).toBe(0);
  });

  it('an application that has shut down measures no more', async () => {
    const memory = new MemoryStorage();
    const store = await start([SessionMetricsModule.forRoot({ records: true })], memory);
    await store.create();
    await module!.close();
    module = undefined;
    const probe = new Probe(memory, memory);
    await page();
    expect(probe.names).toEqual([]);
  });

  it.each<[wrong: string, make: () => unknown, message: string]>([
    ['a text', () => ({ records: 'yes' }), 'SessionMetricsModule: records must be true or false; got "yes"'],
    [
      'an option that is none',
      () => ({ recrods: true }),
      'SessionMetricsModule: recrods is not an option (did you mean records?)',
    ],
  ])('%s for an option stops the boot', async (_wrong, make, message) => {
    const error = await failureOf(() => start([SessionMetricsModule.forRoot(make() as object)]));
    expect(error.message).toContain(message);
  });

  it('records with a storage that cannot count stops the boot', async () => {
    const storage = new MemoryStorage();
    Object.defineProperty(storage, 'count', { value: undefined });
    const error = await failureOf(() => start([SessionMetricsModule.forRoot({ records: true })], storage));
    expect(error.message).toContain('MemoryStorage has no count()');
  });
});

it('nothing is measured while nobody listens', async () => {
  const store = await start([]);
  const { now } = performance;
  let asked = 0;
  performance.now = () => (asked++, now.call(performance));
  await store.create({ data: { n: 1 } });
  performance.now = now;
  expect(asked).toBe(0);
});
