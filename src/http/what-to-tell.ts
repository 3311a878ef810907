import type { SessionState } from '../session/state.js';

/** What the client is told of its session. */
export type Told = 'nothing' | 'new id' | 'id again' | 'ended';

/**
 * What the client is told when the headers go out: the one place that decides it.
 *
 * | the session as this holder has it                          | the client is told                     |
 * |------------------------------------------------------------|----------------------------------------|
 * | stored, its id is not the one that came: new or rotated     | the new id                             |
 * | stored, its id came, its use was written                    | the id again, for its new deadline     |
 * | stored, its id came                                         | nothing                                |
 * | rotated elsewhere, ended elsewhere, another user's          | nothing: that id is dead (S11, S27)    |
 * | ended by this request, and its id came                      | that it has ended (S28)                |
 * | ended by this request, its id never went out; not stored    | nothing (S29)                          |
 *
 * @param came proofs of the ids that came and were live
 * @param renewed whether this exchange wrote the use of the session
 */
export function whatToTell(
  came: readonly string[],
  renewed: boolean,
  state: Pick<SessionState, 'isOwner' | 'proof' | 'hasEnded'>,
): Told {
  if (state.isOwner) return !came.includes(state.proof) ? 'new id' : renewed ? 'id again' : 'nothing';
  return state.hasEnded && came.length > 0 ? 'ended' : 'nothing';
}
