--[[
Notes what has become of places: slots that are given back, starts that are over, tickets that are left.

KEYS[1] slots: hash of session, or of ~ and a place that cools down, to "entry tenant place until former"
KEYS[2] the line: hash of session to "place tenant rank since seen keep entries former"
KEYS[3] starts that count: sorted set of entry:place by until
KEYS[4] when slots were freed lately: list, the newest first
ARGV[+1] slot, start or ticket
ARGV[+2] session; of a start its entry
ARGV[+3] place
ARGV[+4] milliseconds for which a slot or a start counts yet; 0 for a ticket

Returns, for each of them,
  done
  absent  it is another place's, or was not there
]]
local now = clock()

local function slotIsOver(session, place, cool)
  local slot = redis.call('HGET', KEYS[1], session)
  local entry, owner = string.match(slot or '', '^(%S+) %S+ (%S+) ')
  if owner ~= place then return { 'absent' } end
  redis.call('HDEL', KEYS[1], session)
  if tonumber(cool) > 0 then
    redis.call('HSET', KEYS[1], '~' .. place, entry .. ' - ' .. place .. ' ' .. int(now + cool) .. ' -')
  end
  redis.call('LPUSH', KEYS[4], int(now))
  redis.call('LTRIM', KEYS[4], 0, 15)
  redis.call('PEXPIRE', KEYS[4], 600000)
  return { 'done' }
end

local function startIsOver(entry, place, counts)
  local member = entry .. ':' .. place
  if not redis.call('ZSCORE', KEYS[3], member) then return { 'absent' } end
  redis.call('ZADD', KEYS[3], int(now + counts), member)
  return { 'done' }
end

local function ticketIsOver(session, place)
  local owner = string.match(redis.call('HGET', KEYS[2], session) or '', '^(%S+) ')
  if owner ~= place then return { 'absent' } end
  redis.call('HDEL', KEYS[2], session)
  return { 'done' }
end

local verbs = { slot = slotIsOver, start = startIsOver, ticket = ticketIsOver }
local answers = {}
for at = 1, #ARGV / 4 do
  local kind, name, place, ms = unpack(ARGV, 4 * at - 3, 4 * at)
  answers[at] = verbs[kind](name, place, ms)
end
return answers
