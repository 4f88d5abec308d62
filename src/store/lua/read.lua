--[[
Marks a session as watched and reads its journal.

KEYS[1] record of the session
ARGV[1] hash of the journal key
ARGV[2] number of the last entry that the reader has
ARGV[3] milliseconds for which it counts as watched

Returns
  unknown    no such record, or what is left of one that a later start has ended
  forbidden  another journal key
  read EPOCH REQUEST HEAD TRIMMED LOST STOPPED FIRST ENTRY...
             entries from the number FIRST on; LOST is 0 if none was; STOPPED is '' if it is not
]]
local record = KEYS[1]
local known = redis.call('HMGET', record, 'epoch', 'claim', 'watch', 'request', 'head', 'first', 'trimmed', 'lost',
  'stopped', 'watched')
local epoch, claim, watch, request, head, first, trimmed, lost, stopped, watched = unpack(known)
if not epoch or claim == '' then return { 'unknown' } end
if watch ~= ARGV[1] then return { 'forbidden' } end

-- One that has ended says nothing more.
if not stopped then
  redis.call('HSET', record, 'watched', int(math.max(tonumber(watched) or 0, clock() + ARGV[3])))
end
local from = math.max(tonumber(first), ARGV[2] + 1)
local answer = { 'read', epoch, request, head, trimmed, lost or '0', stopped or '', int(from) }
for seq = from, tonumber(head) do
  answer[#answer + 1] = redis.call('HGET', record, 'e' .. int(seq))
end
return answer
