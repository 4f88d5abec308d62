--[[
Keeps places, many in one call, and makes those anew that are not there. In a cluster they must share a hash tag.

KEYS[+1] until when each holder of a scope has its place
KEYS[+2] the grip of each holder
ARGV[1] milliseconds to keep them
ARGV[+1] holder
ARGV[+2] grip

Returns, for each place,
  kept  it is there for another term
  lost  another grip has it
]]
local till = int(clock() + ARGV[1])

local function renew(places, grips, holder, grip)
  local present = redis.call('HGET', grips, holder)
  if present and present ~= grip then return { 'lost' } end
  redis.call('ZADD', places, till, holder)
  if not present then redis.call('HSET', grips, holder, grip) end
  keep(places, grips, ARGV[1])
  return { 'kept' }
end

local answers = {}
for at = 1, #KEYS / 2 do
  answers[at] = renew(KEYS[2 * at - 1], KEYS[2 * at], ARGV[2 * at], ARGV[2 * at + 1])
end
return answers
