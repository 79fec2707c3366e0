-- Sets marks and names the permits that they concern. KEYS: header, marks, permits, sessions.
-- ARGV: time of the caller, then per mark: what ('revoke', 'stop', 'kill', 'free'), field, instant.
-- Answer: ticket, then ids of permits. A mark is stored as 'instant stamp came'. Tickets are counted:
-- whoever has seen a higher one knows that marks are gone. Stamps go by the clock: also over a store
-- that was emptied or came back older, what is set later has a higher one.
-- Of the orders about a kill switch the latest holds: its field, or the same with 'r' for 'k' when it
-- was taken back. Of one instant, the one that stops.
local time = redis.call('TIME')
local micros = tonumber(time[1]) * 1000000 + tonumber(time[2])
local now = math.floor(micros / 1000)
redis.call('HSETNX', KEYS[1], 'life', string.format('%.0f', micros))
local ticket = redis.call('HINCRBY', KEYS[1], 'ticket', 1)
local last = tonumber(redis.call('HGET', KEYS[1], 'stamp') or '0')
local stamp = string.format('%.0f', math.max(last + 1, micros))
redis.call('HSET', KEYS[1], 'stamp', stamp)
local set = {}
for i = 2, #ARGV, 3 do
  local what, field, at = ARGV[i], ARGV[i + 1], ARGV[i + 2]
  local stored = ' ' .. stamp .. ' ' .. ARGV[1]
  if what == 'kill' or what == 'free' then
    local freed = 'r' .. string.sub(field, 2)
    local orders = redis.call('HMGET', KEYS[2], field, freed)
    local on = orders[1] and tonumber(string.match(orders[1], '^%S+'))
    local off = orders[2] and tonumber(string.match(orders[2], '^%S+'))
    if what == 'kill' then
      if not off or tonumber(at) >= off then
        if not on or tonumber(at) >= on then redis.call('HSET', KEYS[2], field, at .. stored) end
        redis.call('HDEL', KEYS[2], freed)
        set[field] = math.huge
      end
    elseif (not on or tonumber(at) > on) and (not off or tonumber(at) >= off) then
      redis.call('HDEL', KEYS[2], field)
      redis.call('HSET', KEYS[2], freed, at .. stored)
      set[field] = nil
    end
  else
    if what == 'revoke' then
      local old = redis.call('HGET', KEYS[2], field)
      local before = old and string.match(old, '^%S+')
      set[field] = tonumber(at)
      if before and tonumber(before) > tonumber(at) then at = before end
    else
      set[field] = math.huge
    end
    redis.call('HSET', KEYS[2], field, at .. stored)
  end
end
local answer = {tostring(ticket)}
if next(set) == nil then return answer end
local permits = redis.call('HGETALL', KEYS[3])
for i = 1, #permits, 2 do
  local permit = cmsgpack.unpack(permits[i + 1])
  local lease = redis.call('ZSCORE', KEYS[4], permit[1])
  if not lease or tonumber(lease) <= now then
    redis.call('HDEL', KEYS[3], permits[i])
  else
    for f = 3, #permit do
      local at = set[permit[f]]
      if at and tonumber(permit[2]) < at then
        answer[#answer + 1] = permits[i]
        break
      end
    end
  end
end
redis.call('ZREMRANGEBYSCORE', KEYS[4], '-inf', now)
return answer
