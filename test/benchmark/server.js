/**
 * The server under test, in a process of its own: `node server.js <variant>`. Takes orders over IPC,
 * so that measuring costs no request.
 */
import { writeFile } from 'node:fs/promises';
import { Session } from 'node:inspector/promises';
import { variants } from './apps.js';
import { cpu, serve } from './orders.js';

const { warn } = console;
console.warn = (message, ...rest) => {
  // express-session says that its MemoryStore is not for production: known here.
  if (!String(message).includes('MemoryStore is not')) warn(message, ...rest);
};

const app = await variants[process.argv[2]]();
await app.listen(0, '127.0.0.1');
// Between its turns a server waits longer than the 5 seconds that Node gives an idle connection.
app.getHttpServer().keepAliveTimeout = 3_600_000;

const profiler = new Session();

const orders = {
  cpu,
  /** Live sessions made in the process; answers with the ids of `sample` of them, spread evenly. */
  create: async ({ count, sample }) => {
    const { SessionStore } = await import('nest-sessions');
    const store = app.get(SessionStore);
    const ids = [];
    const every = Math.floor(count / sample);
    for (let i = 0; i < count; i++) {
      const session = await store.create({ data: { visits: 1 } });
      if (i % every === 0 && ids.length < sample) ids.push(session.id);
    }
    return ids;
  },
  /** Starts the CPU profiler; with a file, stops it and writes what it saw. */
  profile: async (file) => {
    if (!file) {
      profiler.connect();
      await profiler.post('Profiler.enable');
      await profiler.post('Profiler.setSamplingInterval', { interval: 100 });
      return profiler.post('Profiler.start');
    }
    const { profile } = await profiler.post('Profiler.stop');
    profiler.disconnect();
    return writeFile(file, JSON.stringify(profile));
  },
};

serve(orders, app.getHttpServer().address().port);
