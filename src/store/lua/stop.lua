--[[
Ends a session after its last entry.

KEYS[1] record of the session
KEYS[2] its start key
ARGV[1] epoch of the claim
ARGV[2] claim id
ARGV[3] number of the last entry
ARGV[4] how it ended
ARGV[5] milliseconds to keep it

Returns
  ok             now or by an earlier call
  ok WATCHED     the same, and viewers watch the session
  absent         no such record
  fenced EPOCH   another claim holds it
  stopped        it has ended otherwise
  behind HEAD    the last entries are missing
  conflict HEAD  there are entries after that
]]
local known = redis.call('HMGET', KEYS[1], 'epoch', 'claim', 'head', 'stopped', 'start', 'watched')
local epoch, claim, head, stopped, start, watched = unpack(known)
if not epoch then return { 'absent' } end
if epoch ~= ARGV[1] or claim ~= ARGV[2] then return { 'fenced', epoch } end
if stopped and stopped ~= ARGV[4] then return { 'stopped' } end
if not stopped and tonumber(head) < tonumber(ARGV[3]) then return { 'behind', head } end
if not stopped and tonumber(head) > tonumber(ARGV[3]) then return { 'conflict', head } end
redis.call('HSET', KEYS[1], 'stopped', ARGV[4])
keep(KEYS[1], start and KEYS[2], ARGV[5])
if isWatched(watched) then return { 'ok', 1 } end
return { 'ok' }
