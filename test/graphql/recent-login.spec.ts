import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { Mutation, Query, Resolver } from '@nestjs/graphql';
import { RecentLogin, Session } from '../../src/index.js';
import type { AnySession, RunningApp } from '../support/app.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { ask, messagesOf, stackPerDriver, startGraphql } from './support.js';

let deeds = 0;

@Resolver()
class AccountResolver {
  @Mutation(() => Boolean)
  async login(@Session() session: AnySession) {
    await session.login('ada');
    return true;
  }

  @Mutation(() => Boolean)
  @RecentLogin('10m')
  deleteAccount(@Session() session: AnySession) {
    deeds++;
    return session.userId === 'ada';
  }
}

@Resolver()
@RecentLogin('10m')
class SecretsResolver {
  @Query(() => String)
  secret() {
    deeds++;
    return 'of ada';
  }
}

describe.each(stackPerDriver)('a recent login: %s', (_title, stack) => {
  let app: RunningApp;

  beforeAll(async () => {
    app = await startGraphql(stack, [AccountResolver, SecretsResolver]);
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    freezeTime();
    deeds = 0;
  });
  afterEach(unfreezeTime);

  it('is asked for by a mutation, and by all of a resolver, and none runs without it (S67)', async () => {
    const client = app.client();
    const operations = ['mutation { deleteAccount }', '{ secret }'];
    const both = () => Promise.all(operations.map((operation) => ask(client, operation)));
    for (const answer of await both()) expect(messagesOf(answer)).toEqual(['Unauthorized']);
    await ask(client, 'mutation { login }');
    expect((await both()).map(({ data }) => data)).toEqual([{ deleteAccount: true }, { secret: 'of ada' }]);
    expect(deeds).toBe(2);
    passTime(600_000);
    for (const answer of await both()) {
      expect(messagesOf(answer)).toEqual(['The login is longer ago than 10m: log in again.']);
      // Mercurius tells clients no more than the message.
      if (stack.driver === 'Mercurius') continue;
      expect(answer.errors[0]!.extensions).toMatchObject({
        code: 'FORBIDDEN',
        originalError: { code: 'ERR_SESSION_NOT_RECENT' },
      });
    }
    expect(deeds).toBe(2);
    await ask(client, 'mutation { login }');
    expect((await both()).map(messagesOf)).toEqual([[], []]);
  });
});
