import { afterEach, describe, expect, it } from '@jest/globals';
import { stackPerPlatform } from '../../support/app.js';
import { Move } from './support.js';

describe.each(stackPerPlatform)('sessions of another library, with encryption (%s)', (_title, stack) => {
  let move: Move;
  afterEach(() => move.app.stop());

  it('rest encrypted from then on', async () => {
    move = await Move.start(stack, {}, { encryption: { keys: ['a key'] } });
    move.old.put('old-1', { user: 'ada', street: 'Fetter Lane' });
    const answer = await move.browser('old-1').get('/all');
    expect(answer.json()).toMatchObject({ userId: 'ada', data: { street: 'Fetter Lane' } });
    const [info] = await move.app.store.listByUser('ada');
    expect(JSON.stringify(move.app.probe.peek(info!.handle))).not.toContain('Fetter');
  });
});
