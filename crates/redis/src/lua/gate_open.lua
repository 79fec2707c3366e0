-- Joins the gate. KEYS: header. Answer: life of the marks, a new session, the last ticket.
local time = redis.call('TIME')
local now = tonumber(time[1]) * 1000000 + tonumber(time[2])
redis.call('HSETNX', KEYS[1], 'life', string.format('%.0f', now))
local header = redis.call('HMGET', KEYS[1], 'life', 'session', 'ticket')
local session = string.format('%.0f', math.max(tonumber(header[2] or '0') + 1, now))
redis.call('HSET', KEYS[1], 'session', session)
return {header[1], session, header[3] or '0'}
