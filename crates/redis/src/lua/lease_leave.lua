-- A member leaves and gives back whatever it holds. KEYS: places, members. ARGV: member.
redis.call('HDEL', KEYS[2], ARGV[1])
local places = redis.call('HGETALL', KEYS[1])
for i = 1, #places, 2 do
  if string.match(places[i + 1], '^%S+') == ARGV[1] then redis.call('HDEL', KEYS[1], places[i]) end
end
return {'ok'}
