import { Controller, Get, Param, Query } from '@nestjs/common';
import { Session, type SessionModuleOptions, type SessionStorage } from '../../../../src/index.js';
import { MemoryStorage } from '../../../../src/storage/memory/storage.js';
import { type AnySession, type Platform, type RunningApp, start } from '../../../support/app.js';
import { BasicController } from '../../../support/basic.js';
import { gate } from '../../../support/gate.js';
import { Probe } from '../../../support/storages.js';

@Controller()
class NodeController {
  /** Has the session, waits until the test lets it go on, then does what it was asked to. */
  @Get('slow/:deed')
  async slow(@Session() session: AnySession, @Param('deed') deed: string, @Query('gate') name: string) {
    session.get('n');
    await gate(name).pass();
    if (deed === 'write') session.set(name, 'yes');
    if (deed === 'rotate') await session.regenerate();
    return 'done';
  }

  @Get('count')
  count(@Session() session: AnySession) {
    return session.tap((data) => String((data['n'] = Number(data['n'] ?? 0) + 1)));
  }
}

/** A node: an application on this storage. Without a touch, unless the test wants it. */
export function startNode(
  storage: SessionStorage,
  platform: Platform = 'fastify',
  session: SessionModuleOptions = {},
): Promise<RunningApp> {
  const make = () => {
    // The helper watches a storage of its own kind; here Redis is asked instead.
    const unused = new MemoryStorage();
    return { storage, probe: new Probe(unused, unused) };
  };
  const kind = { name: 'RedisStorage', asynchronous: true, make };
  return start({ platform, kind }, { controllers: [BasicController, NodeController], session });
}
