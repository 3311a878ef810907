import { Test } from '@nestjs/testing';
import {
  SessionModule,
  type SessionModuleOptions,
  type SessionStorage,
  SessionStore,
} from '../../src/index.js';
import type { Bag } from './session-bench.js';

/** Words that an application puts into sessions, none of which may be readable where they rest. */
export const SECRETS = ['Ada Lovelace', 'Fetter Lane 13', 'welcome back', '{"sku"', 'counted up'] as const;

/** An application with encryption on a storage; it writes the words in every way there is, and leaves them there. */
export async function liveSecretly(storage: SessionStorage, options: SessionModuleOptions = {}) {
  const session = { storage, purge: false, encryption: { keys: ['a key for tests'] }, ...options } as const;
  const module = await Test.createTestingModule({ imports: [SessionModule.forRoot(session)] }).compile();
  await module.init();
  const store = module.get<SessionStore<Bag>>(SessionStore);
  const written = await store.create({ userId: 'ada', data: { name: SECRETS[0] } });
  written.set('address', { street: SECRETS[1] });
  written.flash('notice', SECRETS[2]);
  await written.save();
  await store.tap(written.id, (data) => {
    data['cart'] = { items: [{ sku: 'tea' }] };
    data['deed'] = SECRETS[4];
  });
  const read = async () => {
    const found = await store.load(written.id);
    return { ...found!.toJSON(), notice: found!.flashed('notice') };
  };
  const expected = {
    name: SECRETS[0],
    address: { street: SECRETS[1] },
    cart: { items: [{ sku: 'tea' }] },
    deed: SECRETS[4],
    notice: SECRETS[2],
  };
  return { store, handle: written.handle, read, expected, stop: () => module.close() };
}
