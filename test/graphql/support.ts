import { ApolloDriver } from '@nestjs/apollo';
import type { Provider } from '@nestjs/common';
import { GraphQLModule } from '@nestjs/graphql';
import { MercuriusDriver } from '@nestjs/mercurius';
import type { Platform, RunningApp, Stack } from '../support/app.js';
import { start } from '../support/app.js';
import type { Asking, Client, Reply } from '../support/client.js';
import { storageKinds } from '../support/storages.js';

export type DriverName = 'Apollo' | 'Mercurius';

export interface GraphqlStack extends Stack {
  readonly driver: DriverName;
}

const pairs: readonly (readonly [DriverName, Platform])[] = [
  ['Apollo', 'express'],
  ['Apollo', 'fastify'],
  ['Mercurius', 'fastify'],
];

/** Every driver with every platform that it knows and every storage, for `describe.each`. */
export const stacks = pairs.flatMap(([driver, platform]) =>
  storageKinds.map((kind): [string, GraphqlStack] => [
    `${driver} on ${platform}, ${kind.name}`,
    { driver, platform, kind },
  ]),
);

/** The same with the storage that answers later, where the storage makes no difference. */
export const stackPerDriver = stacks.filter(([, { kind }]) => kind.asynchronous);

/** Options of the driver by what they do, as each names them in its own way. */
export interface GraphqlOptions {
  readonly batches?: boolean;
  readonly subscriptions?: boolean;
  readonly context?: unknown;
  readonly fieldResolverEnhancers?: readonly string[];
}

export function graphqlModule(driver: DriverName, options: GraphqlOptions = {}) {
  const { batches = false, subscriptions = false, ...same } = options;
  const own =
    driver === 'Apollo'
      ? {
          driver: ApolloDriver,
          graphiql: false,
          allowBatchedHttpRequests: batches,
          ...(subscriptions && { subscriptions: { 'graphql-ws': true } }),
        }
      : {
          driver: MercuriusDriver,
          allowBatchedQueries: batches,
          ...(subscriptions && {
            subscription: {
              fullWsTransport: true,
              wsDefaultSubprotocol: 'graphql-transport-ws',
              context: (_socket: unknown, request: unknown) => ({ req: request }),
            },
          }),
        };
  return GraphQLModule.forRoot({ autoSchemaFile: true, ...own, ...same } as never);
}

/** An application with a GraphQL API whose resolvers are the providers. */
export const startGraphql = (
  stack: GraphqlStack,
  providers: Provider[],
  { graphql, ...options }: { graphql?: GraphqlOptions } & Parameters<typeof start>[1] = {},
): Promise<RunningApp> =>
  start(stack, {
    ...options,
    imports: [graphqlModule(stack.driver, graphql), ...(options.imports ?? [])],
    providers,
  });

export interface Answer extends Reply {
  readonly data: any;
  /** Message, and code where the driver gives one. */
  readonly errors: readonly { readonly message: string; readonly extensions?: { readonly code?: string } }[];
}

/** Sends one operation as browsers do. */
export async function ask(client: Client, query: string, asking: Asking = {}): Promise<Answer> {
  const reply = await client.post('/graphql', { ...asking, body: { query } });
  const { data, errors = [] } = reply.status === 200 ? reply.json() : {};
  return { ...reply, data, errors };
}

export const messagesOf = ({ errors }: Answer): string[] => errors.map(({ message }) => message);
