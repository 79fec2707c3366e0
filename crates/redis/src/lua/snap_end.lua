-- Ends a snapshot. KEYS: snapshot, before. ARGV: id.
if redis.call('HGET', KEYS[1], 'id') == ARGV[1] then redis.call('UNLINK', KEYS[1], KEYS[2]) end
return {'ok'}
