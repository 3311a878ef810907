import type { AddressInfo } from 'node:net';
import { jest } from '@jest/globals';
import type { DynamicModule, INestApplication, Provider, Type } from '@nestjs/common';
import { Test } from '@nestjs/testing';
import { SessionModule } from 'nest-sessions';
import request from 'supertest';

/** The applications that the documents' code runs in: the tests of a file have one at a time. */
let app: INestApplication | undefined;

export const sessions = (): DynamicModule => SessionModule.forRoot({ purge: false });

/** An application of these controllers; close it with {@link stop}. */
export async function start(
  controllers: Type[],
  providers: Provider[] = [],
  imports: (DynamicModule | Type)[] = [sessions()],
): Promise<INestApplication> {
  const module = await Test.createTestingModule({ imports, controllers, providers }).compile();
  return run(await module.createNestApplication({ logger: false }).init());
}

/** Has {@link stop} close an application that was made elsewhere. */
export function run<App extends INestApplication>(made: App): App {
  app = made;
  return made;
}

/** A browser, as far as cookies go. */
export const visit = (to: INestApplication) => request.agent(to.getHttpServer());

/** The address of an application that listens. */
export function urlOf(listening: INestApplication): string {
  return `http://127.0.0.1:${(listening.getHttpServer().address() as AddressInfo).port}`;
}

export async function stop(): Promise<void> {
  jest.restoreAllMocks();
  await app?.close();
  app = undefined;
}

/** The cookie of an answer, without its attributes. */
export const cookieOf = ({ headers }: request.Response): string =>
  String(headers['set-cookie']).split(';', 1)[0]!;
