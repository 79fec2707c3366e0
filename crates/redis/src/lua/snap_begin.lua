-- Begins to write out what one owner has stored. KEYS: header, snapshot, before.
-- ARGV: its lease in ms, field of the position. Answer: 'ok' or 'taken', position, id of the snapshot.
-- While the snapshot is there, checkpoints put what they replace into `before` first.
if redis.call('EXISTS', KEYS[2]) == 1 then return {'taken', '', ''} end
redis.call('UNLINK', KEYS[3])
local position = redis.call('HGET', KEYS[1], ARGV[2])
local time = redis.call('TIME')
local id = string.format('%.0f', tonumber(time[1]) * 1000000 + tonumber(time[2]))
redis.call('HSET', KEYS[2], 'id', id, 'bytes', '0')
redis.call('PEXPIRE', KEYS[2], ARGV[1])
return {'ok', position or '', id}
