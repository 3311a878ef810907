import type { UpdateResult } from '../session-storage.js';
import { Script } from './script.js';

const GONE = 0;
const OK = 1;
const CONFLICT = 2;
const LOST = 3;
export const DAMAGED = 4;
/** Done, and the session may end earlier than it would have. */
export const OK_EARLIER = 5;

/** What the numbers mean that {@link updateSession} answers with. */
export const RESULTS: Readonly<Record<number, UpdateResult>> = {
  [GONE]: 'gone',
  [OK]: 'ok',
  [CONFLICT]: 'conflict',
  [LOST]: 'lost',
  [DAMAGED]: 'gone',
  [OK_EARLIER]: 'ok',
};

/** Looks at a session: its state, and the parts of its own fields. The layout is that of `session-hash.ts`. */
const LOOK = `
local function look(key)
  local found = redis.pcall('HMGET', key, '@', '@p', '@u')
  if found.err then
    if string.sub(found.err, 1, 9) == 'WRONGTYPE' then return 'damaged' end
    error(found)
  end
  if not (found[1] and found[2]) then return redis.call('EXISTS', key) == 1 and 'damaged' or 'absent' end
  local s = { login = '-', user = '-' }
  s.touched, s.expires, s.ttl, s.listed = string.match(found[1], '^([%d.]+) ([%d.]+) ([%d.-]+) ([%d-]+)$')
  s.proof, s.created, s.once = string.match(found[2], '^(%S+) ([%d.]+) (%S*)$')
  if found[3] then
    s.login, s.user = string.match(found[3], '^([%d.-]+) (=.*)$')
    if not s.user then s.login, s.user = string.match(found[3], '^([%d.-]+) (%-)$') end
  end
  local listed = found[3] and tonumber(s.listed) or not found[3] and s.listed == '-'
  if not (listed and s.proof and s.user and tonumber(s.expires)) then return 'damaged' end
  return tonumber(ARGV[1]) < tonumber(s.expires) and 'live' or 'expired', s
end
`;

/** Whether the expectation in ARGV 2 to 4 holds: proof, ttl and user, each empty if it may be anything. */
const EXPECTED = `
local function expected(s)
  return (ARGV[2] == '' or ARGV[2] == s.proof)
    and (ARGV[3] == '' or ARGV[3] == s.ttl)
    and (ARGV[4] == '' or ARGV[4] == s.user)
end
`;

/**
 * KEYS: session. ARGV: now, when Redis removes it, then all fields and values, those of the session's own first.
 * Answers 1, or 0 if the handle is taken. Run a second time for the same creation, as when the client sends
 * again what a broken connection left without an answer, it still says 1: `@p` holds a number used once.
 */
export const createSession = new Script(`
${LOOK}
local key = KEYS[1]
if redis.call('EXISTS', key) == 1 then
  local state, s = look(key)
  if state == 'damaged' then return 0 end
  if s.proof .. ' ' .. s.created .. ' ' .. s.once == ARGV[6] then return 1 end
  if state == 'live' then return 0 end
  redis.call('DEL', key)
end
for i = 3, #ARGV, 4000 do
  redis.call('HSET', key, unpack(ARGV, i, math.min(i + 3999, #ARGV)))
end
redis.call('PEXPIREAT', key, ARGV[2])
return 1
`);

/**
 * KEYS: session, and its lock if the write depends on a lease. ARGV: now; expected proof, ttl, user; touched,
 * expires, when Redis removes it, ttl, proof, a number used once if there is one, login, user, client; until when
 * the index lists the session, for which user; lease token; number of removed fields, removed fields, then data
 * fields and values. What is not given is empty, and `-` is none.
 *
 * Answers with one of {@link RESULTS}, or `[user, deadline]`: the index has to list the session first. A change
 * that is run a second time, as after a broken connection, and made its own expectation false, finds its number:
 * done. Fields are set before any is removed: where memory is short, that fails before anything has changed.
 */
export const updateSession = new Script(`
${LOOK}
${EXPECTED}
local key = KEYS[1]
local state, s = look(key)
if state == 'damaged' then return ${DAMAGED} end
if state ~= 'live' then return ${GONE} end
local met = expected(s)
if not met and ARGV[10] ~= '' and ARGV[10] == s.once then return ARGV[6] == '' and ${OK} or ${OK_EARLIER} end
if #KEYS == 2 and redis.call('GET', KEYS[2]) ~= ARGV[16] then return ${LOST} end
if not met then return ${CONFLICT} end

local function given(i, stored) return ARGV[i] ~= '' and ARGV[i] or stored end
local deadline, login, user = given(6, s.expires), given(11, s.login), given(12, s.user)
local bound = login ~= '-' or user ~= '-'
local listed = bound and '0' or '-'
if user ~= '-' then
  if user == s.user then listed = s.listed end
  if user == ARGV[15] and tonumber(ARGV[14]) > tonumber(listed) then listed = ARGV[14] end
  if tonumber(deadline) > tonumber(listed) then return { user, deadline } end
end

local own = {}
local function put(field, text, stored)
  if text == stored then return end
  own[#own + 1] = field
  own[#own + 1] = text
end
put('@', given(5, s.touched) .. ' ' .. deadline .. ' ' .. given(8, s.ttl) .. ' ' .. listed,
  s.touched .. ' ' .. s.expires .. ' ' .. s.ttl .. ' ' .. s.listed)
put('@p', given(9, s.proof) .. ' ' .. s.created .. ' ' .. given(10, s.once),
  s.proof .. ' ' .. s.created .. ' ' .. s.once)
if bound then put('@u', login .. ' ' .. user, s.login .. ' ' .. s.user) end
if ARGV[13] ~= '' and ARGV[13] ~= '-' then put('@c', string.sub(ARGV[13], 2)) end
if #own > 0 then redis.call('HSET', key, unpack(own)) end
local first = 18 + ARGV[17]
for i = first, #ARGV, 4000 do
  redis.call('HSET', key, unpack(ARGV, i, math.min(i + 3999, #ARGV)))
end
for i = 18, first - 1, 4000 do
  redis.call('HDEL', key, unpack(ARGV, i, math.min(i + 3999, first - 1)))
end
if not bound and (s.login ~= '-' or s.user ~= '-') then redis.call('HDEL', key, '@u') end
if ARGV[13] == '-' then redis.call('HDEL', key, '@c') end
if ARGV[6] == '' then return ${OK} end
redis.call('PEXPIREAT', key, ARGV[7])
return tonumber(deadline) < tonumber(s.expires) and ${OK_EARLIER} or ${OK}
`);

/**
 * KEYS: session. ARGV: now; expected proof, ttl, user; channel to tell of it (or empty), what to tell. Answers 0 if
 * there was no live session, or not the expected one, which stays; else 1, or `[user, until when the index lists
 * it]`. A damaged one is removed too, unless something is expected of it.
 */
export const destroySession = new Script(`
${LOOK}
${EXPECTED}
local state, s = look(KEYS[1])
if state == 'absent' then return 0 end
if s then
  if not expected(s) then return 0 end
elseif ARGV[2] .. ARGV[3] .. ARGV[4] ~= '' then
  return 0
end
redis.call('DEL', KEYS[1])
if state == 'expired' then return 0 end
local user = s and s.user or '-'
if ARGV[5] ~= '' then redis.call('PUBLISH', ARGV[5], ARGV[6] .. ' ' .. user) end
if user == '-' then return 1 end
return { user, s.listed }
`);

/** KEYS: sessions. ARGV: now. Answers with the keys of those that are alive. */
export const findLive = new Script(`
${LOOK}
local live = {}
for _, key in ipairs(KEYS) do
  if look(key) == 'live' then live[#live + 1] = key end
end
return live
`);

/**
 * KEYS: session. ARGV: now, whether to remove it if it has expired (`1` or empty). Answers 0 if there is none, else
 * `[deadline, user]`, expired or not.
 */
export const lookUpDeadline = new Script(`
${LOOK}
local state, s = look(KEYS[1])
if not s then return 0 end
if state == 'expired' and ARGV[2] == '1' then redis.call('DEL', KEYS[1]) end
return { s.expires, s.user }
`);
