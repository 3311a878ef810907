import { SessionStore } from 'nest-sessions';

import { createApp } from './app.js';

const fastify = process.argv.includes('--fastify') || process.env.PLATFORM === 'fastify';
const platform = fastify ? 'fastify' : 'express';
const port = Number(process.env.PORT ?? 3000);

const app = await createApp(platform);
app.enableShutdownHooks();

// What happens to sessions, in the terminal. An event never holds an id, so it is safe to log.
app.get(SessionStore).events.subscribe(({ type, handle, userId }) => {
  console.log('session', type, handle ?? '', userId ?? '');
});

try {
  await app.listen(port);
  console.log(`nest-sessions sample (${platform}): ${await address()}`);
} catch (error) {
  if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') throw error;
  console.error(`Port ${port} is taken. Stop what uses it, or choose another: PORT=${port + 1} npm start`);
  process.exitCode = 1;
  await app.close();
}

async function address(): Promise<string> {
  return `http://localhost:${new URL(await app.getUrl()).port || 80}`;
}
