import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { RecentLogin, Session } from '../../src/index.js';
import type { AnySession } from '../support/app.js';
import { freezeTime, passTime, unfreezeTime } from '../support/clock.js';
import { answer, type SocketApp, stackPerLibrary, startSockets } from './support.js';

let deeds = 0;

@WebSocketGateway()
class OnMethods {
  @SubscribeMessage('transfer')
  @RecentLogin('10m')
  transfer(@Session() session: AnySession) {
    deeds++;
    return answer(session.userId);
  }

  @SubscribeMessage('balance')
  balance() {
    return answer('free for all');
  }
}

@WebSocketGateway()
@RecentLogin('10m')
class OnGateway {
  @SubscribeMessage('close account')
  close() {
    deeds++;
    return answer('closed');
  }
}

describe.each(stackPerLibrary)('a recent login: %s', (_title, stack) => {
  let app: SocketApp;

  beforeAll(async () => {
    app = await startSockets(stack, { gateways: [OnMethods, OnGateway] });
  });
  afterAll(() => app.stop());
  beforeEach(() => {
    freezeTime();
    deeds = 0;
  });
  afterEach(unfreezeTime);

  it('is asked for by messages, and what is told has the code; none runs without it (S67)', async () => {
    const cookie = await app.cookie();
    // The client of socket.io goes by the time, and would give the connection up.
    passTime(599_999);
    const client = await app.connect(cookie);
    expect(await client.ask('transfer')).toEqual(answer('ada'));
    expect(await client.ask('close account')).toEqual(answer('closed'));
    passTime(1);
    for (const message of ['transfer', 'close account']) {
      expect(await client.ask(message)).toMatchObject({
        event: 'exception',
        data: { status: 'error', message: 'Forbidden', code: 'ERR_SESSION_NOT_RECENT' },
      });
    }
    expect(await client.ask('balance')).toEqual(answer('free for all'));
    expect(deeds).toBe(2);
    client.close();
  });

  it('a socket of nobody is told that it is not logged in', async () => {
    const client = await app.connect();
    for (const message of ['transfer', 'close account']) {
      expect(await client.ask(message)).toMatchObject({
        event: 'exception',
        data: { message: 'Unauthorized' },
      });
    }
    expect(deeds).toBe(0);
    client.close();
  });
});
