--[[
Takes a session over: checks, raises the epoch, works in what the client knows, and gives what it missed.

KEYS[1] record of the session
KEYS[2] its start key
ARGV[1] claim id
ARGV[2] hash of the principal
ARGV[3] hash of the resume secret
ARGV[4] owner
ARGV[5] attempt
ARGV[6] highest epoch that the client has seen
ARGV[7] number of the last entry that it has
ARGV[8] end of that entry
ARGV[9] last acknowledged offset
ARGV[10] milliseconds to keep it
ARGV[11] most entries to hold
ARGV[12] most bytes to hold
ARGV[13] oldest entry to hold, in milliseconds

Returns
  unknown                no such record, or what is left of one that a later start has ended
  forbidden              another principal or secret
  stale_attempt ATTEMPT  that attempt was there first
  claimed EPOCH PREVIOUS REQUEST WATCH HEAD ENDS OFFSET CHUNK CHUNKEND TRIMMED STOPPED FIRST ENTRY...
                         by this call or an earlier one of the same claim; entries from the number FIRST on; STOPPED is
                         '' if it is not
]]
local record = KEYS[1]
local known = redis.call('HMGET', record, 'epoch', 'claim', 'principal', 'resume', 'attempt', 'head', 'ends', 'offset',
  'chunk', 'chunkEnd', 'first', 'trimmed', 'bytes', 'stopped', 'owner', 'previous', 'request', 'watch', 'start')
local epoch, claim, principal, resume, attempt, head, ends, offset, chunk, chunkEnd, first, trimmed, bytes, stopped,
  owner, previous, request, watch, start = unpack(known)

if not epoch or claim == '' then return { 'unknown' } end
if principal ~= ARGV[2] or resume ~= ARGV[3] then return { 'forbidden' } end

local lastSeq, lastEnd, acked = tonumber(ARGV[7]), tonumber(ARGV[8]), tonumber(ARGV[9])
head, first = tonumber(head), tonumber(first)
if claim ~= ARGV[1] or attempt ~= ARGV[5] then
  if tonumber(ARGV[5]) <= tonumber(attempt) then return { 'stale_attempt', attempt } end

  local isOlder = tonumber(epoch) < tonumber(ARGV[6])
  if isOlder or head < lastSeq then
    -- Void are the entries after lastSeq. If the head is lower, those that are held would leave a hole behind them.
    local from = head < lastSeq and first or math.max(first, lastSeq + 1)
    for seq = from, head do
      local field = 'e' .. int(seq)
      local _, _, _, size = parse(redis.call('HGET', record, field))
      redis.call('HDEL', record, field)
      bytes = bytes - size
    end
    if from == first then first, trimmed = lastSeq + 1, ARGV[8] end
    if head < lastSeq then redis.call('HSET', record, 'lost', ARGV[7]) end
    head = lastSeq
    ends = string.gsub(ends, '%d+', function(finish)
      return int(isOlder and lastEnd or math.max(tonumber(finish), lastEnd))
    end)
    if isOlder then
      offset, chunk, chunkEnd, stopped = '0', '0', '0', false
      redis.call('HDEL', record, 'stopped')
    end
    if isFurther(lastEnd, '', offset, chunk) then offset, chunk, chunkEnd = ARGV[8], '', '' end
  end
  if isFurther(acked, '', offset, chunk) then offset, chunk, chunkEnd = ARGV[9], '', '' end

  epoch, previous = int(math.max(tonumber(epoch), tonumber(ARGV[6])) + 1), owner
  redis.call('HSET', record, 'epoch', epoch, 'claim', ARGV[1], 'attempt', ARGV[5], 'owner', ARGV[4], 'previous', owner,
    'head', int(head), 'ends', ends, 'offset', offset, 'chunk', chunk, 'chunkEnd', chunkEnd)
end

first, trimmed, bytes = trim(record, first, trimmed, bytes, head, ARGV[11], ARGV[12], ARGV[13])
redis.call('HSET', record, 'first', first, 'trimmed', trimmed, 'bytes', bytes)
keep(record, start and KEYS[2], ARGV[10])

local from = math.max(tonumber(first), lastSeq + 1)
local answer = { 'claimed', epoch, previous, request, watch, int(head), ends, offset, chunk, chunkEnd, trimmed,
  stopped or '', int(from) }
for seq = from, head do
  answer[#answer + 1] = redis.call('HGET', record, 'e' .. int(seq))
end
return answer
