--[[
Gives a place back.

KEYS[1] until when each holder has its place
KEYS[2] the grip of each holder
ARGV[1] holder
ARGV[2] grip

Returns
  ok      it is free
  absent  there was no such place, or another grip has it
]]
if redis.call('HGET', KEYS[2], ARGV[1]) ~= ARGV[2] then return { 'absent' } end
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
return { 'ok' }
