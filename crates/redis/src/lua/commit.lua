-- One commit of the identity graph. KEYS: header, nodes, then the snapshot that is being taken, if one
-- is, and what was there before. ARGV: shard, epoch, expected position, new
-- position, guards (key, version) with their number, values (key, value), deletions (key).
-- A node is stored as its version (8 bytes, big-endian) and its value.
local SNAPSHOT_BYTES_MAX = 268435456 -- of replaced rows, kept for one snapshot (LIM-1)
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
local kept = redis.call('EXISTS', KEYS[3]) == 1 and not redis.call('HGET', KEYS[3], 'full')
-- What a snapshot has not read yet: 1 and the node, or 0 where there is none.
local function keep(from, to, step)
  local keys = {}
  for i = from, to, step do keys[#keys + 1] = ARGV[i] end
  if #keys == 0 then return end
  local values, bytes = redis.call('HMGET', KEYS[2], unpack(keys)), 0
  for i = 1, #keys do
    local old = values[i] and '1' .. values[i] or '0'
    if redis.call('HSETNX', KEYS[4], '2:' .. keys[i], old) == 1 then bytes = bytes + #old + #keys[i] + 64 end
  end
  if redis.call('HINCRBY', KEYS[3], 'bytes', bytes) > SNAPSHOT_BYTES_MAX then
    redis.call('HSET', KEYS[3], 'full', '1')
    redis.call('UNLINK', KEYS[4])
    kept = false
  else
    redis.call('PEXPIRE', KEYS[4], math.max(redis.call('PTTL', KEYS[3]), 1))
  end
end
last = at + 2 * tonumber(ARGV[at])
at = at + 1
while at <= last do
  local to, items = math.min(at + 1999, last), {}
  for i = at, to, 2 do
    items[#items + 1] = ARGV[i]
    items[#items + 1] = stamp .. ARGV[i + 1]
  end
  if kept then keep(at, to, 2) end
  redis.call('HSET', KEYS[2], unpack(items))
  at = to + 1
end
last = at + tonumber(ARGV[at])
at = at + 1
while at <= last do
  local to = math.min(at + 999, last)
  if kept then keep(at, to, 1) end
  redis.call('HDEL', KEYS[2], unpack(ARGV, at, to))
  at = to + 1
end
redis.call('HSET', KEYS[1], position_field, ARGV[4], 'version', string.format('%.0f', version))
return {'ok', ''}
