/**
 * The three scripts that touch a log. Each is atomic: nobody sees a state between its lines, and there is no entry without its hint.
 *
 * All take KEYS = list, meta. What they know of a log is six numbers: epoch, length, attempt, closed, bytes, truncated. A log is there only
 * if both keys are; half a log counts as none.
 */
const readState = `
local stored = redis.call('HMGET', KEYS[2], 'epoch', 'attempt', 'closed', 'bytes', 'truncated')
local length = redis.call('LLEN', KEYS[1])
local there = stored[1] and stored[2] and length > 0
local epoch, attempt = tonumber(stored[1] or 0), tonumber(stored[2] or 0)
local closed, bytes, truncated = tonumber(stored[3] or 0), tonumber(stored[4] or 0), tonumber(stored[5] or 0)
`;

/** unpack() has room for about 8,000 values, and a rebuilt log may have more. */
const pushEntries = `
local function push(first)
  for from = first, #ARGV, 1000 do
    redis.call('RPUSH', KEYS[1], unpack(ARGV, from, math.min(from + 999, #ARGV)))
  end
  for at = first, #ARGV do bytes = bytes + #ARGV[at] end
  length = length + #ARGV - first + 1
end
local function close(ttl)
  closed = 1
  redis.call('EXPIRE', KEYS[1], ttl)
  redis.call('EXPIRE', KEYS[2], ttl)
end
local function name(flag) return flag == 1 and 'true' or 'false' end
`;

/**
 * ARGV = channel, attempt, epoch, closes (0 or 1), ttl in seconds, entries….
 * Creates the log unless one of this or a later epoch is there; replaces one of an earlier epoch. The fence never goes back.
 * Returns created (0 or 1), then the state.
 */
export const openScript = `${readState}${pushEntries}
local mine, wanted = tonumber(ARGV[2]), tonumber(ARGV[3])
local fence = math.max(attempt, mine)
if there and epoch >= wanted then
  if fence > attempt then redis.call('HSET', KEYS[2], 'attempt', fence) end
  return {0, epoch, length, fence, closed, bytes, truncated}
end
redis.call('DEL', KEYS[1], KEYS[2])
epoch, attempt, length, closed, bytes, truncated = wanted, fence, 0, tonumber(ARGV[4]), 0, 0
push(6)
redis.call('HSET', KEYS[2], 'epoch', epoch, 'attempt', attempt, 'closed', closed, 'bytes', bytes, 'truncated', truncated)
if closed == 1 then close(ARGV[5]) end
redis.call('PUBLISH', ARGV[1], '{"epoch":' .. epoch .. ',"length":' .. length .. ',"closed":' .. name(closed) .. '}')
return {1, epoch, length, attempt, closed, bytes, truncated}
`;

/**
 * ARGV = channel, attempt, epoch, length, closes (0 or 1), truncates (0 or 1), ttl in seconds, largest hint in bytes, entries….
 * Compare-and-append: only if the log is exactly as the writer believes. With no entries it only raises the fence.
 * Returns a status (1 appended, 2 fenced, 3 closed, 4 lost), then the state. The time to live begins with the last entry, never before.
 *
 * The hint is JSON whose entries stand on lines of their own (JSON text has no raw line break), so that a reader can cut it into entries
 * without parsing them.
 */
export const appendScript = `${readState}${pushEntries}
local mine = tonumber(ARGV[2])
local function answer(status) return {status, epoch, length, attempt, closed, bytes, truncated} end
if there and mine < attempt then return answer(2) end
if there and closed == 1 then return answer(3) end
if not there or epoch ~= tonumber(ARGV[3]) or length ~= tonumber(ARGV[4]) then return answer(4) end
local first, sum = length, bytes
attempt = mine
if ARGV[6] == '1' then truncated = 1 end
if #ARGV > 8 then push(9) end
if ARGV[5] == '1' then closed = 1 end
redis.call('HSET', KEYS[2], 'attempt', attempt, 'closed', closed, 'bytes', bytes, 'truncated', truncated)
if closed == 1 then close(ARGV[7]) end
if #ARGV > 8 then
  local hint = '{"epoch":' .. epoch
  if bytes - sum <= tonumber(ARGV[8]) then
    hint = hint .. ',"first_seq":' .. first .. ',"closed":' .. name(closed) .. ',"entries":[\\n' .. table.concat(ARGV, ',\\n', 9) .. '\\n]}'
  else
    hint = hint .. ',"length":' .. length .. ',"closed":' .. name(closed) .. '}'
  end
  redis.call('PUBLISH', ARGV[1], hint)
end
return answer(1)
`;

/**
 * ARGV = epoch or '', from, limit, largest answer in bytes.
 * State and entries of one moment. If the log is of another epoch than asked for, reading begins at 0. At least one entry is returned,
 * however large. Returns nil if there is no log, else the state, the first entry's seq, the entries.
 */
export const readScript = `${readState}
if not there then return false end
local from, limit, room = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])
if ARGV[1] ~= '' and tonumber(ARGV[1]) ~= epoch then from = 0 end
local entries = {}
if limit > 0 then entries = redis.call('LRANGE', KEYS[1], from, from + limit - 1) end
for at = 1, #entries do
  room = room - #entries[at]
  if room < 0 and at > 1 then
    for beyond = #entries, at, -1 do entries[beyond] = nil end
    break
  end
end
return {epoch, length, attempt, closed, bytes, truncated, from, entries}
`;
