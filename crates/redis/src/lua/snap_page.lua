-- Whether rows have been replaced since the snapshot began; renews its lease. KEYS: snapshot, before.
-- ARGV: id, lease in ms, rows. Answer: 'ok', 'gone' or 'full', then 0 or 1 for each row.
local header = redis.call('HMGET', KEYS[1], 'id', 'full')
if header[1] ~= ARGV[1] then return {'gone'} end
if header[2] then return {'full'} end
redis.call('PEXPIRE', KEYS[1], ARGV[2])
redis.call('PEXPIRE', KEYS[2], ARGV[2])
local answer = {'ok'}
for i = 3, #ARGV do answer[#answer + 1] = tostring(redis.call('HEXISTS', KEYS[2], ARGV[i])) end
return answer
