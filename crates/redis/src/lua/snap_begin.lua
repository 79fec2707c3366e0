-- Begins to write out what one owner has stored. KEYS: header, snapshot, before.
-- ARGV: id of the snapshot, its lease in ms, field of the position. Answer: 'ok' or 'taken', position.
-- While the snapshot is there, checkpoints put what they replace into `before` first.
if redis.call('EXISTS', KEYS[2]) == 1 then return {'taken', ''} end
redis.call('UNLINK', KEYS[3])
local position = redis.call('HGET', KEYS[1], ARGV[3])
redis.call('HSET', KEYS[2], 'id', ARGV[1], 'bytes', '0')
redis.call('PEXPIRE', KEYS[2], ARGV[2])
return {'ok', position or ''}
