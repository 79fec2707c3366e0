-- Raises an owner's epoch. KEYS: header, stage. Answer: epoch, position ('' without any).
-- The epoch is at least the server's time in microseconds, so that it also grows over an emptied or
-- rolled-back store.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local header = redis.call('HMGET', KEYS[1], 'epoch', 'position')
local epoch = string.format('%.0f', math.max(tonumber(header[1] or '0') + 1, now))
redis.call('HSET', KEYS[1], 'epoch', epoch)
redis.call('DEL', KEYS[2])
return {epoch, header[2] or ''}
