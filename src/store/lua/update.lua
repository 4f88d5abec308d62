--[[
Moves watermarks and keeps sessions, many in one call. In a cluster they must share a hash tag.

KEYS[+1] record of a session
KEYS[+2] its start key
ARGV[1] milliseconds to keep them
ARGV[2] most entries to hold of each
ARGV[3] most bytes to hold of each
ARGV[4] oldest entry to hold, in milliseconds
ARGV[+1] epoch of the claim
ARGV[+2] claim id
ARGV[+3] number of the last entry that the owner knows to be committed
ARGV[+4] offset of the watermark, or '' if it does not move
ARGV[+5] its chunk
ARGV[+6] where that chunk ends

Returns, for each session,
  ok            its watermark is there or further
  ok WATCHED    the same, and viewers watch the session
  absent        no such record
  fenced EPOCH  another claim holds it
  stopped       it has ended
  behind HEAD   the last entries are missing
]]
local function update(record, startKey, byEpoch, byClaim, lastHead, toOffset, toChunk, toChunkEnd)
  local known = redis.call('HMGET', record, 'epoch', 'claim', 'head', 'stopped', 'offset', 'chunk', 'first', 'trimmed',
    'bytes', 'start', 'watched')
  local epoch, claim, head, stopped, offset, chunk, first, trimmed, bytes, start, watched = unpack(known)
  if not epoch then return { 'absent' } end
  if epoch ~= byEpoch or claim ~= byClaim then return { 'fenced', epoch } end
  if stopped then return { 'stopped' } end
  if tonumber(head) < tonumber(lastHead) then return { 'behind', head } end
  if toOffset ~= '' and isFurther(toOffset, toChunk, offset, chunk) then
    redis.call('HSET', record, 'offset', toOffset, 'chunk', toChunk, 'chunkEnd', toChunkEnd)
  end
  local held
  held, trimmed, bytes = trim(record, first, trimmed, bytes, head, ARGV[2], ARGV[3], ARGV[4])
  if held ~= first then redis.call('HSET', record, 'first', held, 'trimmed', trimmed, 'bytes', bytes) end
  keep(record, start and startKey, ARGV[1])
  if isWatched(watched) then return { 'ok', 1 } end
  return { 'ok' }
end

local answers = {}
for at = 1, #KEYS / 2 do
  answers[at] = update(KEYS[2 * at - 1], KEYS[2 * at], unpack(ARGV, 6 * at - 1, 6 * at + 4))
end
return answers
