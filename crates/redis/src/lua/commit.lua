-- One commit of the identity graph. KEYS: header, nodes. ARGV: shard, epoch, expected position, new
-- position, guards (key, version) with their number, values (key, value), deletions (key).
-- A node is stored as its version (8 bytes, big-endian) and its value.
local epoch_field, position_field = 'epoch' .. ARGV[1], 'position' .. ARGV[1]
local header = redis.call('HMGET', KEYS[1], epoch_field, position_field, 'version')
if header[1] ~= ARGV[2] then return {'epoch', header[1] or '0'} end
if (header[2] or '') ~= ARGV[3] then return {'position', header[2] or ''} end
local at = 6
local last = at + 2 * tonumber(ARGV[5]) - 1
while at <= last do
  local to, keys = math.min(at + 1999, last), {}
  for i = at, to, 2 do keys[#keys + 1] = ARGV[i] end
  local nodes = redis.call('HMGET', KEYS[2], unpack(keys))
  for i = 1, #keys do
    local version = 0
    if nodes[i] then version = struct.unpack('>I8', nodes[i]) end
    if version ~= tonumber(ARGV[at + 2 * i - 1]) then return {'conflict', ''} end
  end
  at = to + 1
end
-- Never given twice, also after a roll-back: at least the server's time.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
local version = math.max(tonumber(header[3] or '0') + 1, now)
local stamp = struct.pack('>I8', version)
last = at + 2 * tonumber(ARGV[at])
at = at + 1
while at <= last do
  local to, items = math.min(at + 1999, last), {}
  for i = at, to, 2 do
    items[#items + 1] = ARGV[i]
    items[#items + 1] = stamp .. ARGV[i + 1]
  end
  redis.call('HSET', KEYS[2], unpack(items))
  at = to + 1
end
last = at + tonumber(ARGV[at])
at = at + 1
while at <= last do
  local to = math.min(at + 999, last)
  redis.call('HDEL', KEYS[2], unpack(ARGV, at, to))
  at = to + 1
end
redis.call('HSET', KEYS[1], position_field, ARGV[4], 'version', string.format('%.0f', version))
return {'ok', ''}
