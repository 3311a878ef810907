import type { SessionStorage } from 'nest-sessions';

/**
 * What can keep the sessions: `npm start -- --redis=redis://127.0.0.1:6379`, or `--sql=sqlite:sessions.db`. Where the
 * address holds a password, give it as REDIS_URL or SQL_URL instead: command lines are for everybody on the machine to read.
 */
const STORAGES: Record<string, (url: string) => Promise<SessionStorage>> = {
  redis: async (url) => (await import('nest-sessions/redis')).RedisStorage.connect(url, { events: true }),
  sql: async (url) => (await import('nest-sessions/sql')).SqlStorage.connect(url),
};

/** The storage that the command line or the environment names; undefined, which is memory, if they name none. */
export async function chooseStorage(): Promise<SessionStorage | undefined> {
  for (const [name, connect] of Object.entries(STORAGES)) {
    const url = addressOf(name);
    if (url) return connect(url);
  }
  return undefined;
}

/** What `--redis=…` or REDIS_URL says. */
export function addressOf(name: string): string | undefined {
  const start = `--${name}=`;
  const given = process.argv.find((arg) => arg.startsWith(start))?.slice(start.length);
  return given ?? process.env[`${name.toUpperCase()}_URL`];
}
