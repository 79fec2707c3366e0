-- One checkpoint, whole. KEYS: header, stage, then the hash and the order of each space, then the
-- snapshot that is being taken, if one is, and what was there before.
-- ARGV: epoch, expected position, new position, length of the stage (0: the groups follow here),
-- groups. A group: operation, place of its key in KEYS, number of items, items.
local SNAPSHOT_BYTES_MAX = 268435456 -- of replaced rows, kept for one snapshot (LIM-1)
local header = redis.call('HMGET', KEYS[1], 'epoch', 'position')
if header[1] ~= ARGV[1] then return {'epoch', header[1] or '0'} end
if (header[2] or '') ~= ARGV[2] then return {'position', header[2] or ''} end
local args, at = ARGV, 5
if ARGV[4] ~= '0' then
  args, at = redis.call('LRANGE', KEYS[2], 0, -1), 1
  if #args ~= tonumber(ARGV[4]) then return {'stage', tostring(#args)} end
end
local snapshot, before = KEYS[#KEYS - 1], KEYS[#KEYS]
local kept = redis.call('EXISTS', snapshot) == 1 and not redis.call('HGET', snapshot, 'full')
-- What a snapshot has not read yet: 1 and the value, or 0 where there is none.
local function keep(place, from, to, step)
  local keys = {}
  for i = from, to, step do keys[#keys + 1] = args[i] end
  local values, bytes = redis.call('HMGET', KEYS[place], unpack(keys)), 0
  for i = 1, #keys do
    local old = values[i] and '1' .. values[i] or '0'
    if redis.call('HSETNX', before, place .. ':' .. keys[i], old) == 1 then bytes = bytes + #old + #keys[i] + 64 end
  end
  if redis.call('HINCRBY', snapshot, 'bytes', bytes) > SNAPSHOT_BYTES_MAX then
    redis.call('HSET', snapshot, 'full', '1')
    redis.call('UNLINK', before)
    kept = false
  else
    redis.call('PEXPIRE', before, math.max(redis.call('PTTL', snapshot), 1))
  end
end
while args[at] do
  local operation, key, count = args[at], KEYS[tonumber(args[at + 1])], tonumber(args[at + 2])
  at = at + 3
  local last = at + count - 1
  if operation == 'set' then
    last = at + 2 * count - 1
    if kept then keep(tonumber(args[at - 2]), at, last, 2) end
    redis.call('HSET', key, unpack(args, at, last))
  elseif operation == 'del' then
    if kept then keep(tonumber(args[at - 2]), at, last, 1) end
    redis.call('HDEL', key, unpack(args, at, last))
  elseif operation == 'add' then
    local members = {}
    for i = at, last do
      members[#members + 1] = '0'
      members[#members + 1] = args[i]
    end
    redis.call('ZADD', key, unpack(members))
  else
    redis.call('ZREM', key, unpack(args, at, last))
  end
  at = last + 1
end
redis.call('HSET', KEYS[1], 'position', ARGV[3])
if ARGV[4] ~= '0' then redis.call('UNLINK', KEYS[2]) end
return {'ok', ''}
