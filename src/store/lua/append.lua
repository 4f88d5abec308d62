--[[
Adds an entry to the journal of a session, and moves its watermark and ends with it.

KEYS[1] record of the session
KEYS[2] its start key
ARGV[1] epoch of the claim
ARGV[2] claim id
ARGV[3] number of the entry
ARGV[4] its start
ARGV[5] its end
ARGV[6] its data
ARGV[7] ends after it
ARGV[8] offset of the watermark
ARGV[9] its chunk
ARGV[10] where that chunk ends
ARGV[11] how the session ends with this entry, or '' if it does not
ARGV[12] milliseconds to keep it
ARGV[13] most entries to hold
ARGV[14] most bytes to hold
ARGV[15] oldest entry to hold, in milliseconds

Returns
  ok             now or by an earlier call
  ok WATCHED     the same, and viewers watch the session
  absent         no such record
  fenced EPOCH   another claim holds it
  stopped        it takes no more entries
  behind HEAD    entries between are missing
  conflict HEAD  the number is taken by another entry, or this one is out of order
]]
local record, seq = KEYS[1], tonumber(ARGV[3])
local known = redis.call('HMGET', record, 'epoch', 'claim', 'head', 'ends', 'offset', 'chunk', 'first', 'trimmed',
  'bytes', 'stopped', 'start', 'watched')
local epoch, claim, head, ends, offset, chunk, first, trimmed, bytes, stopped, start, watched = unpack(known)
if not epoch then return { 'absent' } end
if epoch ~= ARGV[1] or claim ~= ARGV[2] then return { 'fenced', epoch } end

if seq > tonumber(head) then
  if stopped then return { 'stopped' } end
  if seq > head + 1 then return { 'behind', head } end
  -- In order: after the end of the last entry of one channel at least, and no end goes back.
  local next = string.gmatch(ARGV[7], '%d+')
  local isInOrder, earliest = tonumber(ARGV[5]) >= tonumber(ARGV[4]), math.huge
  for finish in string.gmatch(ends, '%d+') do
    earliest = math.min(earliest, tonumber(finish))
    isInOrder = isInOrder and tonumber(next() or -1) >= tonumber(finish)
  end
  if not isInOrder or next() or tonumber(ARGV[4]) < earliest then return { 'conflict', head } end
  bytes = int(bytes + #ARGV[6])
  redis.call('HSET', record, 'e' .. ARGV[3], format(ARGV[4], ARGV[5], clock(), ARGV[6]), 'head', ARGV[3], 'ends', ARGV[7])
  head = ARGV[3]
elseif seq < tonumber(first) then
  -- It was trimmed since: only its end can be held against what is known.
  if tonumber(ARGV[5]) > tonumber(trimmed) then return { 'conflict', head } end
else
  local from, to = parse(redis.call('HGET', record, 'e' .. ARGV[3]))
  if from ~= tonumber(ARGV[4]) or to ~= tonumber(ARGV[5]) then return { 'conflict', head } end
end

if isFurther(ARGV[8], ARGV[9], offset, chunk) then
  redis.call('HSET', record, 'offset', ARGV[8], 'chunk', ARGV[9], 'chunkEnd', ARGV[10])
end
if ARGV[11] ~= '' and not stopped and ARGV[3] == head then redis.call('HSET', record, 'stopped', ARGV[11]) end
first, trimmed, bytes = trim(record, first, trimmed, bytes, head, ARGV[13], ARGV[14], ARGV[15])
redis.call('HSET', record, 'first', first, 'trimmed', trimmed, 'bytes', bytes)
keep(record, start and KEYS[2], ARGV[12])
if isWatched(watched) then return { 'ok', 1 } end
return { 'ok' }
