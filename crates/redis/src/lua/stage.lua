-- Puts a part of a large checkpoint aside. KEYS: header, stage.
-- ARGV: epoch, expected position, length of the stage so far, then the part.
local header = redis.call('HMGET', KEYS[1], 'epoch', 'position')
if header[1] ~= ARGV[1] then return {'epoch', header[1] or '0'} end
if (header[2] or '') ~= ARGV[2] then return {'position', header[2] or ''} end
if ARGV[3] == '0' then redis.call('DEL', KEYS[2]) end
local length = redis.call('LLEN', KEYS[2])
if length ~= tonumber(ARGV[3]) then return {'stage', tostring(length)} end
for from = 4, #ARGV, 1000 do
  redis.call('RPUSH', KEYS[2], unpack(ARGV, from, math.min(from + 999, #ARGV)))
end
return {'ok', ''}
