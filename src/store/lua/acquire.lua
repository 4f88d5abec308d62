--[[
Takes a place in a scope, or takes over the one that the holder has.

KEYS[1] until when each holder has its place
KEYS[2] the grip of each holder
ARGV[1] holder
ARGV[2] grip
ARGV[3] places that there are, or '' for no bound
ARGV[4] milliseconds to keep it

Returns
  granted HELD        it has a place now; so many are in use
  refused HELD RETRY  none is left; the next one ends in so many milliseconds unless it is renewed
]]
local places, grips, holder = KEYS[1], KEYS[2], ARGV[1]
local now = clock()
for _, gone in ipairs(redis.call('ZRANGEBYSCORE', places, '-inf', int(now))) do
  redis.call('ZREM', places, gone)
  redis.call('HDEL', grips, gone)
end

local held = redis.call('ZCARD', places)
if not redis.call('ZSCORE', places, holder) then
  if ARGV[3] ~= '' and held >= tonumber(ARGV[3]) then
    local first = redis.call('ZRANGE', places, 0, 0, 'WITHSCORES')
    return { 'refused', held, int(first[2] and first[2] - now or ARGV[4]) }
  end
  held = held + 1
end
redis.call('ZADD', places, int(now + ARGV[4]), holder)
redis.call('HSET', grips, holder, ARGV[2])
keep(places, grips, ARGV[4])
return { 'granted', held }
