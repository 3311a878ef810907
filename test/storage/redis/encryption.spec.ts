import { expect, it } from '@jest/globals';
import { liveSecretly, SECRETS } from '../../support/secret-life.js';
import { RedisBench } from './support/bench.js';
import { describeWithServer } from './support/server.js';

describeWithServer('encryption on Redis', () => {
  const bench = RedisBench.set();

  it('nothing of what sessions hold is readable in any key', async () => {
    const { read, expected, handle, store, stop } = await liveSecretly(bench.storage);
    const hash = await bench.redis.hgetall(bench.keyOf(handle));
    const all = JSON.stringify([hash, await bench.keys()]);
    expect(Object.keys(hash).length).toBeGreaterThan(5);
    expect(SECRETS.filter((word) => all.includes(word))).toEqual([]);
    expect(await read()).toEqual(expected);
    const [info] = await store.listByUser('ada');
    expect(info).toMatchObject({ userId: 'ada', data: { name: SECRETS[0] } });
    await stop();
  });
});
