-- Raises a shard's epoch. KEYS: header, nodes. ARGV: shard. Answer: epoch, position ('' without any).
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local header = redis.call('HMGET', KEYS[1], 'epoch' .. ARGV[1], 'position' .. ARGV[1])
local epoch = string.format('%.0f', math.max(tonumber(header[1] or '0') + 1, now))
redis.call('HSET', KEYS[1], 'epoch' .. ARGV[1], epoch)
return {epoch, header[2] or ''}
