import type { SessionRecord } from '../../storage/record.js';
import type { Expectation } from '../../storage/session-storage.js';
import { runner } from '../runner.js';
import { expectCount, expectUser, frozen, given, type StorageBench } from './bench.js';

const { describe, expect, it } = runner;

const PROOF = 'Proof-of-the-session-0123456789_abcdefghijk';
const OTHER = 'Proof-of-another-one-0123456789_abcdefghijk';

interface Subject {
  readonly fields: Partial<SessionRecord>;
  readonly met: Readonly<Record<string, Expectation>>;
  readonly unmet: Readonly<Record<string, Expectation>>;
}

const SUBJECTS: Readonly<Record<string, Subject>> = {
  "a user's session with a timeout of its own": {
    fields: { proof: PROOF, userId: 'ada', ttl: 9_000 },
    met: {
      nothing: {},
      'its proof': { proof: PROOF },
      'its timeout': { ttl: 9_000 },
      'its user': { userId: 'ada' },
      'its proof and timeout': { proof: PROOF, ttl: 9_000 },
      'its proof and user': { proof: PROOF, userId: 'ada' },
      'its timeout and user': { ttl: 9_000, userId: 'ada' },
      'all of it': { proof: PROOF, ttl: 9_000, userId: 'ada' },
      'what is undefined': { proof: undefined, ttl: undefined, userId: undefined },
    },
    unmet: {
      'another proof': { proof: OTHER },
      'its proof in other letters': { proof: PROOF.toLowerCase() },
      'another timeout': { ttl: 9_001 },
      'no timeout': { ttl: null },
      'another user': { userId: 'bob' },
      'its user in other letters': { userId: 'Ada' },
      'its user and a blank': { userId: 'ada ' },
      'no user': { userId: null },
      'all but the proof': { proof: OTHER, ttl: 9_000, userId: 'ada' },
      'all but the timeout': { proof: PROOF, ttl: null, userId: 'ada' },
      'all but the user': { proof: PROOF, ttl: 9_000, userId: 'bob' },
      'neither timeout nor user': { ttl: null, userId: null },
    },
  },
  "a visitor's session": {
    fields: { proof: PROOF },
    met: {
      'its proof': { proof: PROOF },
      'no timeout': { ttl: null },
      'no user': { userId: null },
      'neither timeout nor user': { ttl: null, userId: null },
      'its proof, and neither': { proof: PROOF, ttl: null, userId: null },
    },
    unmet: {
      'another proof': { proof: OTHER },
      'a timeout': { ttl: 9_000 },
      'a user': { userId: 'ada' },
      'its proof and a user': { proof: PROOF, ttl: null, userId: 'ada' },
      'its proof and a timeout': { proof: PROOF, ttl: 9_000, userId: null },
      'another proof, and neither': { proof: OTHER, ttl: null, userId: null },
    },
  },
};

/** What an update or a destroy demands of the record as it is. */
export function describeExpectations(bench: StorageBench): void {
  describe('expectations', () => {
    for (const [subject, { fields, met, unmet }] of Object.entries(SUBJECTS)) {
      for (const [title, expected] of Object.entries(met)) {
        it(`of ${title} are met by ${subject}`, async () => {
          const record = await given(bench, fields);
          const change = frozen({ set: { visits: '2' }, expected });
          expect(await bench.storage.update(record.handle, change)).toBe('ok');
          expect(await bench.storage.read(record.handle)).toEqual({ ...record, data: { visits: '2' } });
          expect(await bench.storage.destroy(record.handle, Object.freeze(expected))).toBe(true);
          expect(await bench.storage.read(record.handle)).toBeUndefined();
          await expectCount(bench, 0);
        });
      }
      for (const [title, expected] of Object.entries(unmet)) {
        it(`of ${title} are not met by ${subject}, which stays as it is`, async () => {
          const record = await given(bench, fields);
          const change = frozen({
            set: { visits: '9', added: '9' },
            remove: ['visits'],
            proof: OTHER,
            userId: 'eve',
            authenticatedAt: 9,
            touchedAt: 9,
            expiresAt: record.expiresAt + 9,
            ttl: 9,
            client: '"other"',
            expected,
          });
          expect(await bench.storage.update(record.handle, change)).toBe('conflict');
          expect(await bench.storage.update(record.handle, frozen({ expected }))).toBe('conflict');
          expect(await bench.storage.destroy(record.handle, Object.freeze(expected))).toBe(false);
          expect(await bench.storage.read(record.handle)).toEqual(record);
          await expectUser(bench, 'eve', []);
          await expectUser(bench, 'ada', fields.userId === 'ada' ? [record] : []);
        });
      }
    }

    it('are about the record as it was before the change', async () => {
      const { handle } = await given(bench, { proof: PROOF });
      const login = { proof: OTHER, userId: 'ada', ttl: 9_000 };
      const expected = { proof: PROOF, userId: null, ttl: null };
      expect(await bench.storage.update(handle, frozen({ ...login, expected }))).toBe('ok');
      expect(await bench.storage.update(handle, frozen({ ...login, expected }))).toBe('conflict');
      const logout = { proof: PROOF, userId: null, ttl: null, expected: login };
      expect(await bench.storage.update(handle, frozen(logout))).toBe('ok');
      expect(await bench.storage.update(handle, frozen(logout))).toBe('conflict');
    });

    it('of a user are met again once the session was given back to that user', async () => {
      const { handle } = await given(bench, { userId: 'ada' });
      const asAda = { set: { visits: '2' }, expected: { userId: 'ada' } };
      await bench.storage.update(handle, { userId: 'bob' });
      expect(await bench.storage.update(handle, frozen(asAda))).toBe('conflict');
      await bench.storage.update(handle, { userId: 'ada' });
      expect(await bench.storage.update(handle, frozen(asAda))).toBe('ok');
    });

    it('of a session that is not there are no reason to destroy anything', async () => {
      const record = await given(bench, { userId: 'ada' });
      await bench.storage.destroy(record.handle);
      for (const expected of [{}, { userId: 'ada' }, { userId: null }, { proof: record.proof }]) {
        expect(await bench.storage.destroy(record.handle, expected)).toBe(false);
      }
    });
  });
}
