-- One checkpoint, whole. KEYS: header, stage, then the hash and the order of each space.
-- ARGV: epoch, expected position, new position, length of the stage (0: the groups follow here),
-- groups. A group: operation, place of its key in KEYS, number of items, items.
local header = redis.call('HMGET', KEYS[1], 'epoch', 'position')
if header[1] ~= ARGV[1] then return {'epoch', header[1] or '0'} end
if (header[2] or '') ~= ARGV[2] then return {'position', header[2] or ''} end
local args, at = ARGV, 5
if ARGV[4] ~= '0' then
  args, at = redis.call('LRANGE', KEYS[2], 0, -1), 1
  if #args ~= tonumber(ARGV[4]) then return {'stage', tostring(#args)} end
end
while args[at] do
  local operation, key, count = args[at], KEYS[tonumber(args[at + 1])], tonumber(args[at + 2])
  at = at + 3
  local last = at + count - 1
  if operation == 'set' then
    last = at + 2 * count - 1
    redis.call('HSET', key, unpack(args, at, last))
  elseif operation == 'del' then
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
