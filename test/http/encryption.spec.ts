import { afterEach, describe, expect, it } from '@jest/globals';
import { stackPerPlatform, start, type RunningApp } from '../support/app.js';
import { BasicController } from '../support/basic.js';

describe.each(stackPerPlatform)('encryption over HTTP: %s', (_title, stack) => {
  let app: RunningApp;
  afterEach(() => app.stop());

  it('data and client are unreadable where they rest, and listed as they were', async () => {
    app = await start(stack, {
      controllers: [BasicController],
      session: {
        encryption: { keys: ['a key'] },
        describeClient: (request: any) => ({ agent: request.headers['user-agent'] as string }),
      },
    });
    const browser = app.client();
    await browser.get('/login/ada', { headers: { 'user-agent': 'Firefox' } });
    await browser.get('/set/name/Lovelace');
    await browser.get('/login/ada', { headers: { 'user-agent': 'Netscape' } });
    const [info] = await app.store.listByUser('ada');
    expect(info).toMatchObject({ client: { agent: 'Netscape' }, data: { name: 'Lovelace' } });
    const record = app.probe.peek(info!.handle)!;
    expect([record.client, record.data['name']]).toEqual([
      expect.stringMatching(/^~1\./),
      expect.stringMatching(/^~1\./),
    ]);
  });
});
