import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { expect, it } from '@jest/globals';
import { SubscribeMessage, WebSocketGateway } from '@nestjs/websockets';
import { Exchanges } from '../../src/http/exchanges.js';
import { Session } from '../../src/index.js';
import { SocketRegistry } from '../../src/websockets/registry.js';
import type { AnySession } from '../support/app.js';
import { until } from '../support/gate.js';
import { answer, stackPerLibrary, startSockets } from './support.js';

@WebSocketGateway()
class Gateway {
  @SubscribeMessage('write')
  write(@Session() session: AnySession) {
    session.set('n', Math.random());
    return answer(session.userId);
  }
}

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

it.each(stackPerLibrary)(
  'sockets by the thousand that open, speak and close leave nothing: %s',
  async (_title, stack) => {
    const many = stack.library === 'ws' ? 10_000 : 3_000;
    const app = await startSockets(stack, { gateways: [Gateway] });
    const registry = SocketRegistry.of(app.running.app.get(Exchanges).sessions) as any;
    const cookies = await Promise.all(Array.from({ length: 10 }, () => app.cookie()));
    const round = async (count: number) => {
      for (let i = 0; i < count; i += 50) {
        const clients = await Promise.all(
          Array.from({ length: 50 }, (_, at) => app.connect(cookies[at % 10])),
        );
        if (i % 1_000 === 0) await Promise.all(clients.map((client) => client.ask('write')));
        for (const client of clients) client.close();
      }
      await until(() => registry.held.size === 0, 'all are closed');
      app.forget();
      app.running.probe.forget();
      await new Promise((resolve) => setTimeout(resolve, 50));
      collect();
      return process.memoryUsage().heapUsed;
    };
    const before = await round(2_000);
    const after = await round(many);
    expect([registry.held.size, registry.users.size, registry.leaving.size, registry.round]).toEqual([
      0,
      0,
      0,
      undefined,
    ]);
    // What V8 learns meanwhile, and for each a small part of what an open one takes.
    expect(after - before).toBeLessThan(1_500_000 + many * 100);
    await app.stop();
  },
  120_000,
);
