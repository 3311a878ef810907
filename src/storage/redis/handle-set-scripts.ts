import { Script } from './script.js';

/** What is over goes, and the sorted set itself with its last entry; ARGV[3]: milliseconds past its time to keep one. */
const TIDY = `
local time = redis.call('TIME')
local oldest = time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[3]
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('(%.0f', oldest))
local last = redis.call('ZRANGE', KEYS[1], -1, -1, 'WITHSCORES')
if last[2] then redis.call('PEXPIREAT', KEYS[1], string.format('%.0f', last[2] + ARGV[3])) end
`;

/**
 * KEYS: a sorted set of handles by time. ARGV: handle, time, milliseconds that an entry is kept past its time, which
 * of two times of the same handle stays (`GT`, `LT`).
 */
export const listHandle = new Script(`
redis.call('ZADD', KEYS[1], ARGV[4], ARGV[2], ARGV[1])
${TIDY}
return 1
`);

/** KEYS, ARGV: the same, but for the last. Removes the handle if it stands there with no later time. */
export const unlistHandle = new Script(`
local listed = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not listed or tonumber(listed) > tonumber(ARGV[2]) then return 0 end
redis.call('ZREM', KEYS[1], ARGV[1])
${TIDY}
return 1
`);

/**
 * KEYS: a sorted set. ARGV: handle, now, new time or empty. For a handle whose time has come: puts it off, or
 * removes it. Answers 1 to the one caller that removed it.
 */
export const claimHandle = new Script(`
local time = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not time or tonumber(time) > tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 0
`);
