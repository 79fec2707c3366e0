-- Prolongs a session's lease and gives permits back. KEYS: permits, sessions. ARGV: session, lease in
-- ms (0: as it is), ids of permits.
if ARGV[2] ~= '0' then
  local time = redis.call('TIME')
  local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
  redis.call('ZADD', KEYS[2], now + tonumber(ARGV[2]), ARGV[1])
end
if #ARGV > 2 then redis.call('HDEL', KEYS[1], unpack(ARGV, 3)) end
return {'ok'}
