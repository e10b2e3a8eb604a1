/**
 * KEYS = the places of a user. ARGV = member, its run, ttl in ms, places per user, places per run, ms after which a place may be taken over
 * (-1: never).
 * Renews the member's place, or takes one: a free one, or where there is none the one that was held longest (of the run, if it is the run's places
 * that are taken). A member is `<since in ms>:<run>:<connection>`, its score the time when the place is free by itself.
 * Returns held (0 or 1), and if not, after how many ms there may be one.
 */
export const holdSlotScript = `
local key, mine, run, ttl = KEYS[1], ARGV[1], ARGV[2], tonumber(ARGV[3])
local perUser, perRun, stay = tonumber(ARGV[4]), tonumber(ARGV[5]), tonumber(ARGV[6])
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('ZREMRANGEBYSCORE', key, '-inf', now)
if not redis.call('ZSCORE', key, mine) then
  local all, ofRun = {count = 0}, {count = 0}
  local function count(places, member, since)
    places.count = places.count + 1
    if not places.since or since < places.since then places.oldest, places.since = member, since end
  end
  for _, member in ipairs(redis.call('ZRANGE', key, 0, -1)) do
    local since, itsRun = string.match(member, '^(%d+):([^:]+):')
    count(all, member, tonumber(since))
    if itsRun == run then count(ofRun, member, tonumber(since)) end
  end
  local full = (ofRun.count >= perRun and ofRun) or (all.count >= perUser and all)
  if full then
    local heldFor = now - full.since
    if stay < 0 then return {0, 0} end
    if heldFor < stay then return {0, stay - heldFor} end
    redis.call('ZREM', key, full.oldest)
  end
end
redis.call('ZADD', key, now + ttl, mine)
redis.call('PEXPIRE', key, ttl)
return {1, 0}
`;
