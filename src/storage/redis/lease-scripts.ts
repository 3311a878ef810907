import { Script } from './script.js';

/**
 * KEYS: lock, line of those that wait. ARGV: token, milliseconds to hold it, milliseconds to keep the line.
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
