import { afterEach, it } from '@jest/globals';
import { HealthModule } from './recipes/health.module.js';
import { sessions, start, stop, visit } from './support.js';

/** What docs/operation.md shows, at work. That it is the same code is for readme.spec.ts to say. */
afterEach(stop);

it('health', async () => {
  await visit(await start([], [], [sessions(), HealthModule]))
    .get('/ready')
    .expect(200, /"sessions":\{"status":"up"\}/);
});
