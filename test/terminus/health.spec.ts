import { afterEach, beforeEach, describe, expect, it } from '@jest/globals';
import { Controller, Get, type INestApplication, Logger } from '@nestjs/common';
import { HealthCheck, HealthCheckService, TerminusModule } from '@nestjs/terminus';
import { Test } from '@nestjs/testing';
import request from 'supertest';
import { SessionModule, type SessionStorage } from '../../src/index.js';
import { RedisStorage } from '../../src/storage/redis/index.js';
import { SqlStorage } from '../../src/storage/sql/index.js';
import { SessionHealthIndicator } from '../../src/terminus/index.js';
import { logger, logs } from '../support/session-bench.js';
import { AsyncStorage } from '../support/storages.js';
import { describeWithServer, Server, until } from '../storage/redis/support/server.js';
import { hasBinary, PostgresServer } from '../storage/sql/support/server.js';

@Controller()
class HealthController {
  constructor(
    private readonly health: HealthCheckService,
    private readonly sessions: SessionHealthIndicator,
  ) {}

  @Get('ready')
  @HealthCheck()
  ready() {
    return this.health.check([() => this.sessions.isHealthy('sessions')]);
  }
}

let app: INestApplication | undefined;

async function start(storage: SessionStorage) {
  const module = await Test.createTestingModule({
    imports: [SessionModule.forRoot({ storage, purge: false }), TerminusModule.forRoot({ logger: false })],
    controllers: [HealthController],
    providers: [SessionHealthIndicator],
  })
    .setLogger(logger)
    .compile();
  app = module.createNestApplication();
  await app.init();
  Logger.overrideLogger(logger);
}

const ask = async () => {
  const since = performance.now();
  const { status, body, text } = await request(app!.getHttpServer() as never).get('/ready');
  return { status, its: (body.details ?? body.error)?.sessions, text, took: performance.now() - since };
};
const UP = { status: 200, its: { status: 'up' } };
const DOWN = { status: 503, its: { status: 'down', message: 'The session storage does not answer.' } };

afterEach(async () => {
  await app?.close();
  app = undefined;
  logs.length = 0;
});

const expectDown = async () => {
  const answer = await ask();
  expect(answer).toMatchObject(DOWN);
  expect(answer.took).toBeLessThan(1_500);
};
const untilUp = () => until(async () => (await ask()).status === 200, 'it is up again', 20_000);

describe('SessionHealthIndicator', () => {
  it('is up with the storage in memory', async () => {
    await start(new AsyncStorage());
    expect(await ask()).toMatchObject(UP);
  });

  it('is down while a storage never answers, and says nothing of the reason; the log does', async () => {
    const storage = new AsyncStorage();
    await start(storage);
    const { ping } = storage;
    storage.ping = () => new Promise(() => undefined);
    await expectDown();
    storage.ping = () => Promise.reject(new Error('redis://user:hush@host'));
    const answer = await ask();
    expect(answer).toMatchObject(DOWN);
    expect(answer.text).not.toContain('hush');
    expect(logs.join('\n')).toContain('no answer within 900 ms');
    storage.ping = ping;
    expect(await ask()).toMatchObject(UP);
  });

  it('goes by a read where a storage has no ping', async () => {
    const storage = new AsyncStorage();
    Object.defineProperty(storage, 'ping', { value: undefined });
    await start(storage);
    expect(await ask()).toMatchObject(UP);
    storage.read = () => new Promise(() => undefined);
    await expectDown();
  });

  it('takes any name, "sessions" unless told', async () => {
    await start(new AsyncStorage());
    const indicator = app!.get(SessionHealthIndicator);
    expect(await indicator.isHealthy()).toEqual({ sessions: { status: 'up' } });
    expect(await indicator.isHealthy('logins')).toEqual({ logins: { status: 'up' } });
  });
});

describeWithServer('SessionHealthIndicator on Redis', () => {
  let server: Server;
  beforeEach(async () => void (server = await Server.start()));
  afterEach(() => server.remove());

  it('is down while the server stands still or is gone, and up again by itself', async () => {
    await start(await RedisStorage.connect(server.url));
    expect(await ask()).toMatchObject(UP);
    server.freeze();
    await expectDown();
    server.thaw();
    await untilUp();
    await server.end();
    await expectDown();
    await server.start();
    await untilUp();
  });
});

describe('SessionHealthIndicator on PostgreSQL', () => {
  // In CI it is to fail.
  if (!hasBinary('postgres') && process.env['CI'] !== 'true') {
    it.skip('is not tested: there is no PostgreSQL to start', () => undefined);
    return;
  }
  let server: PostgresServer;
  beforeEach(async () => void (server = await PostgresServer.start()), 60_000);
  afterEach(() => server.remove());

  it('is down while the server is gone, and up again by itself', async () => {
    await start(await SqlStorage.connect(server.url));
    expect(await ask()).toMatchObject(UP);
    await server.end();
    await expectDown();
    await server.start();
    await untilUp();
  }, 60_000);
});
