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
