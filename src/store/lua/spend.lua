--[[
Adds what was used to the figures of the day, and tells them. A figure of another day is forgotten.

KEYS[1] figures of the tenant
KEYS[+1] figure of a user
ARGV[1] who books, or '' to change nothing
ARGV[2] number of the batch: one that is not above the writer's last was added before
ARGV[3] billed seconds
ARGV[4] milliseconds of audio
ARGV[5] milliseconds to keep the figures
ARGV[+1] milliseconds of audio of the user

Returns
  used DAY REST BILLED AUDIO USERS...   day since 1970, milliseconds of it left, and the figures
]]
local DAY = 86400000
local now = clock()
local day = int(math.floor(now / DAY))

local function today(key, ...)
  if redis.call('HGET', key, 'day') ~= day then return {} end
  return redis.call('HMGET', key, ...)
end

local function add(key, field, amount)
  if redis.call('HGET', key, 'day') ~= day then
    redis.call('DEL', key)
    redis.call('HSET', key, 'day', day)
  end
  if tonumber(amount) > 0 then redis.call('HINCRBY', key, field, amount) end
  redis.call('PEXPIRE', key, ARGV[5])
end

local writer = 'w:' .. ARGV[1]
local last = today(KEYS[1], writer)[1]
if ARGV[1] ~= '' and tonumber(last or 0) < tonumber(ARGV[2]) then
  add(KEYS[1], 'billed', ARGV[3])
  add(KEYS[1], 'audio', ARGV[4])
  redis.call('HSET', KEYS[1], writer, ARGV[2])
  for at = 1, #KEYS - 1 do add(KEYS[at + 1], 'audio', ARGV[at + 5]) end
end

local figures = today(KEYS[1], 'billed', 'audio')
local answer = { 'used', day, int(DAY - now % DAY), figures[1] or '0', figures[2] or '0' }
for at = 1, #KEYS - 1 do answer[at + 5] = today(KEYS[at + 1], 'audio')[1] or '0' end
return answer
