-- Puts restored rows in the place of what was there. KEYS: header, stage, snapshot, before, then pairs:
-- where the restored rows stand, and where they belong. ARGV: field of the position, position, field of
-- the epoch, 'older' or 'anything'. Answer: 'ok', or 'newer' and the position.
local header = redis.call('HMGET', KEYS[1], ARGV[1], ARGV[3])
if ARGV[4] == 'older' and header[1] and tonumber(header[1]) >= tonumber(ARGV[2]) then return {'newer', header[1]} end
for i = 5, #KEYS, 2 do
  redis.call('UNLINK', KEYS[i + 1])
  if redis.call('EXISTS', KEYS[i]) == 1 then
    redis.call('RENAME', KEYS[i], KEYS[i + 1])
    redis.call('PERSIST', KEYS[i + 1])
  end
end
redis.call('UNLINK', KEYS[2], KEYS[3], KEYS[4])
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local epoch = string.format('%.0f', math.max(tonumber(header[2] or '0') + 1, now))
redis.call('HSET', KEYS[1], ARGV[3], epoch, ARGV[1], ARGV[2])
return {'ok', ''}
