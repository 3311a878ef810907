import { afterEach, expect, it } from '@jest/globals';
import { SessionStore } from 'nest-sessions';
import { HealthModule } from './recipes/health.module.js';
import { AppModule } from './recipes/metrics.module.js';
import { sessions, start, stop, visit } from './support.js';

/** What docs/operation.md shows, at work. That it is the same code is for readme.spec.ts to say. */
afterEach(stop);

it('health', async () => {
  await visit(await start([], [], [sessions(), HealthModule]))
    .get('/ready')
    .expect(200, /"sessions":\{"status":"up"\}/);
});

it('metrics', async () => {
  const { id } = await (await start([], [], [AppModule])).get(SessionStore).create();
  expect(id).toBeDefined();
});
