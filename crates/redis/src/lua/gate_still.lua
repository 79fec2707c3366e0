-- Which permits are still out. KEYS: permits, sessions. ARGV: ids.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000 + math.floor(tonumber(time[2]) / 1000)
local answer = {}
for i = 1, #ARGV do
  local permit = redis.call('HGET', KEYS[1], ARGV[i])
  if permit then
    local lease = redis.call('ZSCORE', KEYS[2], cmsgpack.unpack(permit)[1])
    if lease and tonumber(lease) > now then answer[#answer + 1] = ARGV[i] end
  end
end
return answer
