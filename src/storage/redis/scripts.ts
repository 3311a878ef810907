import { createHash } from 'node:crypto';
import type { RedisPort, Reply } from './port.js';

/** A Lua script, run by the SHA-1 of its text. */
export class Script {
  private readonly sha: string;

  constructor(private readonly text: string) {
    this.sha = createHash('sha1').update(text).digest('hex');
  }

  /**
   * @param keys all in one slot: the first one decides the node
   * @returns a number, or a list of texts
   */
  run(
    port: RedisPort,
    keys: readonly string[],
    args: readonly string[],
  ): Promise<number | readonly string[]> {
    const rest = [String(keys.length), ...keys, ...args];
    return port.send(keys[0], 'evalsha', [this.sha, ...rest]).then(resultOf, (error: Error) => {
      // A server that was restarted, failed over or told to flush its scripts does not know it: the text follows.
      if (!error.message.startsWith('NOSCRIPT')) throw error;
      return port.send(keys[0], 'eval', [this.text, ...rest]).then(resultOf);
    });
  }
}

/** A client may be set to give numbers as texts. */
function resultOf(reply: Reply): number | readonly string[] {
  return Array.isArray(reply) ? (reply as readonly string[]) : Number(reply);
}

/** What {@link updateSession} answers with, besides `[user, deadline]`: the index must list the session first. */
export const GONE = 0;
export const OK = 1;
export const CONFLICT = 2;
export const CORRUPT = 3;
/** Done, and the session ends earlier than it would have. */
export const OK_EARLIER = 4;

/**
 * KEYS: session. ARGV: now, deadline, texts of `@`, `@p` and `@u` (or empty), then data fields and values.
 * Answers 1, or 0 if the handle is taken. Run a second time for the same creation, as when the client sends
 * again what a broken connection left without an answer, it still says 1: `@p` holds a number used once.
 */
export const createSession = new Script(`
local key = KEYS[1]
if redis.call('EXISTS', key) == 1 then
  local found = redis.pcall('HMGET', key, '@', '@p')
  if found.err then return 0 end
  if found[2] == ARGV[4] then return 1 end
  local expires = found[1] and string.match(found[1], '^%d+ [%d.]+ ([%d.]+) ')
  if not tonumber(expires) or tonumber(ARGV[1]) < tonumber(expires) then return 0 end
  redis.call('DEL', key)
end
if ARGV[5] == '' then
  redis.call('HSET', key, '@', ARGV[3], '@p', ARGV[4])
else
  redis.call('HSET', key, '@', ARGV[3], '@p', ARGV[4], '@u', ARGV[5])
end
for i = 6, #ARGV, 4000 do
  redis.call('HSET', key, unpack(ARGV, i, math.min(i + 3999, #ARGV)))
end
redis.call('PEXPIREAT', key, ARGV[2])
return 1
`);

/**
 * KEYS: session, and its lock if the write depends on a lease. ARGV, empty where nothing is given: now, expected
 * version, touched, expires, ttl, proof, login, user, until when the index lists the session, for which user,
 * number of removed fields, lease token, removed fields, then data fields and values.
 *
 * A rotation that is run a second time, as after a broken connection, finds its own proof one version on: done.
 * The first write is an HSET: where memory is short it fails before anything has changed.
 */
export const updateSession = new Script(`
local key = KEYS[1]
local found = redis.pcall('HMGET', key, '@', '@p', '@u')
if found.err then
  if string.sub(found.err, 1, 9) == 'WRONGTYPE' then return ${CORRUPT} end
  return found
end
if not (found[1] and found[2]) then return redis.call('EXISTS', key) == 1 and ${CORRUPT} or ${GONE} end
local version, touched, expires, ttl, listed = string.match(found[1], '^(%d+) ([%d.]+) ([%d.]+) ([%d.-]+) ([%d-]+)$')
local proof, start = string.match(found[2], '^(%S+) ([%d.]+ %S*)$')
local login, user = '-', ''
if found[3] then login, user = string.match(found[3], '^([%d.-]+) (.*)$') end
if not (version and proof and login and tonumber(expires)) or (listed ~= '-' and not found[3]) then return ${CORRUPT} end
if tonumber(ARGV[1]) >= tonumber(expires) then return ${GONE} end
if #KEYS == 2 and redis.call('GET', KEYS[2]) ~= ARGV[12] then return ${CONFLICT} end
if ARGV[2] ~= '' and ARGV[2] ~= version then
  if ARGV[6] == proof and tonumber(version) == tonumber(ARGV[2]) + 1 then return ${OK} end
  return ${CONFLICT}
end
local deadline = ARGV[4] ~= '' and ARGV[4] or expires
local owner = ARGV[8] ~= '' and ARGV[8] or user
if owner ~= '' and (owner ~= user or tonumber(deadline) > (tonumber(listed) or 0)) then
  if ARGV[10] ~= owner or tonumber(ARGV[9]) < tonumber(deadline) then return { owner, deadline } end
  listed = ARGV[9]
elseif ARGV[7] ~= '' and listed == '-' then
  listed = '0'
end
redis.call('HSET', key, '@', string.format('%.0f', version + 1)
  .. ' ' .. (ARGV[3] ~= '' and ARGV[3] or touched)
  .. ' ' .. deadline
  .. ' ' .. (ARGV[5] ~= '' and ARGV[5] or ttl)
  .. ' ' .. listed)
if ARGV[6] ~= '' then redis.call('HSET', key, '@p', ARGV[6] .. ' ' .. start) end
if ARGV[7] ~= '' or owner ~= user then
  redis.call('HSET', key, '@u', (ARGV[7] ~= '' and ARGV[7] or login) .. ' ' .. owner)
end
local first = 13 + ARGV[11]
for i = first, #ARGV, 4000 do
  redis.call('HSET', key, unpack(ARGV, i, math.min(i + 3999, #ARGV)))
end
for i = 13, first - 1, 4000 do
  redis.call('HDEL', key, unpack(ARGV, i, math.min(i + 3999, first - 1)))
end
if ARGV[4] == '' then return ${OK} end
redis.call('PEXPIREAT', key, string.format('%.0f', math.ceil(deadline)))
return tonumber(deadline) < tonumber(expires) and ${OK_EARLIER} or ${OK}
`);

/**
 * KEYS: session. ARGV: now, channel to tell of it (or empty), what to tell. Answers 0 if there was no live
 * session, else 1, or `[user, until when the index lists the session]`. A damaged one is removed too.
 */
export const destroySession = new Script(`
local found = redis.pcall('HMGET', KEYS[1], '@', '@u')
if found.err and string.sub(found.err, 1, 9) ~= 'WRONGTYPE' then return found end
if redis.call('DEL', KEYS[1]) == 0 then return 0 end
local expires, listed = string.match(found[1] or '', '^%d+ [%d.]+ ([%d.]+) %S+ (%S+)$')
if tonumber(expires) and tonumber(ARGV[1]) >= tonumber(expires) then return 0 end
local user = string.match(found[2] or '', '^%S+ (.*)$') or ''
if ARGV[2] ~= '' then redis.call('PUBLISH', ARGV[2], ARGV[3] .. ' ' .. user) end
if user == '' then return 1 end
return { user, listed }
`);

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
 * KEYS: a sorted set. ARGV: handle, now, new time or empty. For who finds a handle there whose time has come: puts
 * it off, or removes it. Answers 1 to the one caller that removed it.
 */
export const claimHandle = new Script(`
local time = redis.call('ZSCORE', KEYS[1], ARGV[1])
if not time or tonumber(time) > tonumber(ARGV[2]) then return 0 end
if ARGV[3] == '' then return redis.call('ZREM', KEYS[1], ARGV[1]) end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[1])
return 0
`);

/**
 * KEYS: lock, line of those who wait. ARGV: token, milliseconds to hold it, milliseconds to keep the line.
 * Answers 0 if the lock is the token's now, else in how many milliseconds at the latest it becomes free; the
 * token stands in line then.
 */
export const takeLock = new Script(`
local holder = redis.call('GET', KEYS[1])
if not holder or holder == ARGV[1] then
  redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
  redis.call('LREM', KEYS[2], 0, ARGV[1])
  return 0
end
if not redis.call('LPOS', KEYS[2], ARGV[1]) then redis.call('RPUSH', KEYS[2], ARGV[1]) end
redis.call('PEXPIRE', KEYS[2], ARGV[3])
return math.max(1, redis.call('PTTL', KEYS[1]))
`);

/**
 * KEYS: lock, line. ARGV: token, milliseconds that the next in line has to take it up, prefix of the channels.
 * Gives the lock to the next in line and wakes it. Of a token that does not hold the lock, only its place in
 * line goes.
 */
export const leaveLock = new Script(`
if redis.call('GET', KEYS[1]) ~= ARGV[1] then return redis.call('LREM', KEYS[2], 0, ARGV[1]) end
local heir = redis.call('LPOP', KEYS[2])
if not heir then return redis.call('DEL', KEYS[1]) end
redis.call('SET', KEYS[1], heir, 'PX', ARGV[2])
redis.call('PUBLISH', ARGV[3] .. string.match(heir, '^[^.]*'), heir)
return 1
`);
