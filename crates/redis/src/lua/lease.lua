-- One turn of a member of a role. KEYS: places, members, counter of grants. ARGV: member, lease in ms,
-- number of places, note, then places that the member gives back.
-- A place is stored as 'member until grant', a member as 'until note'.
-- Answer: share, {place, grant, ...} of the member, {place, member, until, grant, ...}, {member, until, note, ...}.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local me, lease, count = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local ends = string.format('%.0f', now + lease)
redis.call('HSET', KEYS[2], me, ends .. ' ' .. ARGV[4])
local members, alive = {}, 0
local listed = redis.call('HGETALL', KEYS[2])
for i = 1, #listed, 2 do
  local till, note = string.match(listed[i + 1], '^(%d+) (.*)$')
  if not till or tonumber(till) <= now then
    redis.call('HDEL', KEYS[2], listed[i])
  else
    alive = alive + 1
    members[#members + 1] = listed[i]
    members[#members + 1] = till
    members[#members + 1] = note
  end
end
local back = {}
for i = 5, #ARGV do back[ARGV[i]] = true end
local share = math.ceil(count / alive)
local places, mine, free, held = {}, {}, {}, 0
local function keep(place, member, till, grant)
  places[#places + 1] = place
  places[#places + 1] = member
  places[#places + 1] = till
  places[#places + 1] = grant
end
for p = 0, count - 1 do
  local place = tostring(p)
  local stored = redis.call('HGET', KEYS[1], place)
  local member, till, grant
  if stored then member, till, grant = string.match(stored, '^(%S+) (%d+) (%d+)$') end
  if member == me and not back[place] then
    redis.call('HSET', KEYS[1], place, me .. ' ' .. ends .. ' ' .. grant)
    mine[#mine + 1] = place
    mine[#mine + 1] = grant
    held = held + 1
    keep(place, me, ends, grant)
  elseif not member or member == me or tonumber(till) <= now then
    if member == me then redis.call('HDEL', KEYS[1], place) end
    free[#free + 1] = place
  else
    keep(place, member, till, grant)
  end
end
for i = 1, #free do
  if held < share and not back[free[i]] then
    local grant = tostring(redis.call('INCR', KEYS[3]))
    redis.call('HSET', KEYS[1], free[i], me .. ' ' .. ends .. ' ' .. grant)
    mine[#mine + 1] = free[i]
    mine[#mine + 1] = grant
    held = held + 1
    keep(free[i], me, ends, grant)
  end
end
return {tostring(share), mine, places, members}
