-- Takes marks back that have not changed meanwhile. KEYS: marks. ARGV: field, value, field, value, ...
for i = 1, #ARGV, 2 do
  if redis.call('HGET', KEYS[1], ARGV[i]) == ARGV[i + 1] then redis.call('HDEL', KEYS[1], ARGV[i]) end
end
return {'ok'}
