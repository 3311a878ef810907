// What an application says of its users' clients.
import { SessionModule, type SessionStore } from 'nest-sessions';

declare const store: SessionStore;

interface Description {
  ip: string | undefined;
}

SessionModule.forRoot({ describeClient: ({ ip }: { ip?: string }): Description => ({ ip }) });
SessionModule.forRoot({ describeClient: () => undefined });
// @ts-expect-error -- nobody waits for a promise
SessionModule.forRoot({ describeClient: async () => ({ ip: '::1' }) });
// @ts-expect-error -- an object
SessionModule.forRoot({ describeClient: () => 'Firefox' });

const agents = async () => (await store.listByUser('ada')).map(({ client }) => client?.userAgent as string);
void agents;

// Changes from outside know the data.
declare const shop: SessionStore<{ role: string; visits: number }>;
const counts: Promise<number>[] = [
  shop.tapByUser('ada', (data) => (data.role = 'admin')),
  shop.tapByHandle('handle', async (data) => (data.visits = (data.visits ?? 0) + 1)),
];
void counts;
// @ts-expect-error -- visits is a number
void shop.tapByUser('ada', (data) => (data.visits = 'one'));
const next: Promise<string | undefined> = shop.list({ limit: 10 }).then(({ cursor }) => cursor);
const roles = async (): Promise<(string | undefined)[]> =>
  (await shop.list()).sessions.map(({ data }) => data.role);
void [next, roles];
