--[[
Makes a session, and ends the earlier one of the same start key.

KEYS[1] record of the session
KEYS[2] its start key
ARGV[1] claim id
ARGV[2] hash of the principal
ARGV[3] hash of the resume secret
ARGV[4] hash of the journal key
ARGV[5] request
ARGV[6] owner
ARGV[7] ends, all 0
ARGV[8] attempt of the start, or '' if it has no start key
ARGV[9] milliseconds to keep it

Returns
  created                      by this call or by an earlier one of the same claim
  created RECORD EPOCH OWNER   the same; that session is ended, and this is its epoch now
  stale_attempt                a start with this attempt or a higher one was there first, or the record is taken
]]
local known = redis.call('HMGET', KEYS[1], 'epoch', 'claim')
if known[1] then
  if known[1] == '1' and known[2] == ARGV[1] then return { 'created' } end
  return { 'stale_attempt' }
end

local hasStart = ARGV[8] ~= ''
local earlier, epoch, owner
if hasStart then
  -- Also its own attempt, if the record is gone: a late repeat must not bring back what was removed.
  local attempt = redis.call('HGET', KEYS[2], 'attempt')
  if attempt and tonumber(attempt) >= tonumber(ARGV[8]) then return { 'stale_attempt' } end
  earlier, epoch, owner = begin(KEYS[2], KEYS[1], ARGV[8], ARGV[9])
end

redis.call('HSET', KEYS[1], 'epoch', 1, 'claim', ARGV[1], 'attempt', 0, 'owner', ARGV[6], 'previous', ARGV[6],
  'principal', ARGV[2], 'resume', ARGV[3], 'watch', ARGV[4], 'request', ARGV[5],
  'head', 0, 'ends', ARGV[7], 'offset', 0, 'chunk', 0, 'chunkEnd', 0, 'first', 1, 'trimmed', 0, 'bytes', 0)
if hasStart then redis.call('HSET', KEYS[1], 'start', 1) end
keep(KEYS[1], hasStart and KEYS[2], ARGV[9])
if earlier then return { 'created', earlier, epoch, owner } end
return { 'created' }
