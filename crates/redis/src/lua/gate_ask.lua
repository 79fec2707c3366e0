-- Asks for a permit. KEYS: header, marks, permits, sessions. ARGV: life of the marks, highest ticket
-- seen, session, permit, lease in ms, instant of approval, number of fields that stop whatever the
-- instant, fields. Answer: verdict, detail, ticket.
local header = redis.call('HMGET', KEYS[1], 'life', 'ticket')
local ticket = header[2] or '0'
if header[1] ~= ARGV[1] or tonumber(ticket) < tonumber(ARGV[2]) then return {'lost', '', ticket} end
local marks = redis.call('HMGET', KEYS[2], unpack(ARGV, 8))
for i = 1, #marks do
  if marks[i] then
    local at = tonumber(string.match(marks[i], '^%S+'))
    if i <= tonumber(ARGV[7]) or tonumber(ARGV[6]) < at then return {'closed', tostring(i), ticket} end
  end
end
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
redis.call('ZADD', KEYS[4], now + tonumber(ARGV[5]), ARGV[3])
redis.call('HSET', KEYS[3], ARGV[4], cmsgpack.pack({ARGV[3], ARGV[6], unpack(ARGV, 8)}))
return {'open', '', ticket}
