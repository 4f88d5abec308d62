--[[
Makes a record anew from what its owner knows.

KEYS[1] record of the session
KEYS[2] its start key
ARGV[1] epoch of the claim
ARGV[2] claim id
ARGV[3] hash of the principal
ARGV[4] hash of the resume secret
ARGV[5] hash of the journal key
ARGV[6] request
ARGV[7] owner
ARGV[8] attempt of the claim
ARGV[9] number of the last entry
ARGV[10] ends
ARGV[11] offset of the watermark
ARGV[12] its chunk, or '' if only the client knows it
ARGV[13] where that chunk ends, or ''
ARGV[14] attempt of the start, or '' if it has no start key
ARGV[15] end of the entry before the first one here
ARGV[16] number of the first entry here; one above the last one for none
ARGV[17] milliseconds to keep it
ARGV[18] most entries to hold
ARGV[19] most bytes to hold
ARGV[20] oldest entry to hold, in milliseconds
ARGV[+1] start of an entry
ARGV[+2] its end
ARGV[+3] its data

Returns
  ok            the record is this claim's, with this head or a higher one
  fenced EPOCH  another claim holds it, or a later start has ended it
  stopped       this claim has ended it
]]
local record, start, epoch, claim, head = KEYS[1], KEYS[2], tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[9])
local hasStart = ARGV[14] ~= ''
local known = redis.call('HMGET', record, 'epoch', 'claim', 'head', 'stopped')
if known[1] then
  local present = tonumber(known[1])
  if known[2] == '' then return { 'fenced', int(math.max(present, epoch + 1)) } end
  if known[2] == claim then
    if known[4] then return { 'stopped' } end
    if tonumber(known[3]) >= head then
      keep(record, hasStart and start, ARGV[17])
      return { 'ok' }
    end
  elseif present >= epoch then
    return { 'fenced', known[1] }
  end
end

if hasStart then
  local last = redis.call('HMGET', start, 'attempt', 'record')
  if last[1] and last[2] ~= record and tonumber(last[1]) >= tonumber(ARGV[14]) then
    return { 'fenced', int(epoch + 1) }
  end
  begin(start, record, ARGV[14], ARGV[17])
end

redis.call('DEL', record)
redis.call('HSET', record, 'epoch', ARGV[1], 'claim', claim, 'attempt', ARGV[8], 'owner', ARGV[7], 'previous', ARGV[7],
  'principal', ARGV[3], 'resume', ARGV[4], 'watch', ARGV[5], 'request', ARGV[6],
  'head', ARGV[9], 'ends', ARGV[10], 'offset', ARGV[11], 'chunk', ARGV[12], 'chunkEnd', ARGV[13])
if hasStart then redis.call('HSET', record, 'start', 1) end
local now, bytes = clock(), 0
local first = tonumber(ARGV[16])
for seq = first, head do
  local at = 21 + 3 * (seq - first)
  redis.call('HSET', record, 'e' .. int(seq), format(ARGV[at], ARGV[at + 1], now, ARGV[at + 2]))
  bytes = bytes + #ARGV[at + 2]
end
local held, trimmed, size = trim(record, first, ARGV[15], bytes, head, ARGV[18], ARGV[19], ARGV[20])
redis.call('HSET', record, 'first', held, 'trimmed', trimmed, 'bytes', size)
keep(record, hasStart and start, ARGV[17])
return { 'ok' }
