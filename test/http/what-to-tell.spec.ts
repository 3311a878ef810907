import { describe, expect, it } from '@jest/globals';
import { type Told, whatToTell } from '../../src/http/what-to-tell.js';

const MINE = 'the proof of the id that this holder has';
const OTHER = 'the proof of another live id';

/** Every case there is: which live ids came, and how the session stands with this holder. */
const CASES: readonly {
  readonly came: readonly string[];
  readonly isOwner: boolean;
  readonly hasEnded: boolean;
  readonly renewed: boolean;
  readonly told: Told;
}[] = [
  // Stored, and this holder's id opens it.
  { came: [], isOwner: true, hasEnded: false, renewed: false, told: 'new id' },
  { came: [], isOwner: true, hasEnded: false, renewed: true, told: 'new id' },
  { came: [MINE], isOwner: true, hasEnded: false, renewed: false, told: 'nothing' },
  { came: [MINE], isOwner: true, hasEnded: false, renewed: true, told: 'id again' },
  { came: [OTHER], isOwner: true, hasEnded: false, renewed: false, told: 'new id' },
  { came: [OTHER], isOwner: true, hasEnded: false, renewed: true, told: 'new id' },
  { came: [OTHER, MINE], isOwner: true, hasEnded: false, renewed: false, told: 'nothing' },
  { came: [OTHER, MINE], isOwner: true, hasEnded: false, renewed: true, told: 'id again' },
  // The same after a logout: another session began, under an id that is new, and nothing is cleared.
  { came: [], isOwner: true, hasEnded: true, renewed: false, told: 'new id' },
  { came: [], isOwner: true, hasEnded: true, renewed: true, told: 'new id' },
  { came: [OTHER], isOwner: true, hasEnded: true, renewed: false, told: 'new id' },
  { came: [OTHER], isOwner: true, hasEnded: true, renewed: true, told: 'new id' },
  // Not stored, rotated or ended elsewhere, another user's by now: a dead id is not sent (S11, S27).
  { came: [], isOwner: false, hasEnded: false, renewed: false, told: 'nothing' },
  { came: [MINE], isOwner: false, hasEnded: false, renewed: false, told: 'nothing' },
  // Also where this holder had written the use before: what it read since is what counts.
  { came: [MINE], isOwner: false, hasEnded: false, renewed: true, told: 'nothing' },
  { came: [OTHER, MINE], isOwner: false, hasEnded: false, renewed: false, told: 'nothing' },
  // Ended by this holder: cleared if it is in the browser (S28), else it was never there (S29).
  { came: [MINE], isOwner: false, hasEnded: true, renewed: false, told: 'ended' },
  { came: [MINE], isOwner: false, hasEnded: true, renewed: true, told: 'ended' },
  { came: [OTHER, MINE], isOwner: false, hasEnded: true, renewed: false, told: 'ended' },
  { came: [], isOwner: false, hasEnded: true, renewed: false, told: 'nothing' },
];

describe('What the client is told (S11, S27, S28, S29)', () => {
  it.each(CASES)(
    'came $came.length, owner $isOwner, ended $hasEnded, renewed $renewed: $told',
    ({ came, isOwner, hasEnded, renewed, told }) => {
      expect(whatToTell(came, renewed, { isOwner, hasEnded, proof: MINE })).toBe(told);
    },
  );
});
