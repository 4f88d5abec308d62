--[[
Functions that the operations share. The loader puts this file before each of them.

A session is one hash, its record, so that all of it expires, or is evicted, at once:
  epoch claim attempt owner previous     who may write, and who might before
  principal resume watch request         written once; hashes but for the request
  head ends offset chunk chunkEnd        how far it is; chunk and chunkEnd are '' where only the client knows them
  first trimmed bytes                    first entry that is held (head + 1 for none), end of the one before, bytes held
  stopped                                how it ended; absent while it has not
  watched                                until when viewers are there; absent if none ever were
  lost                                   entries up to this number may be known to the client alone; absent if none are
  start                                  present if it has a start key
  e1 e2 ...                              entries: start:end:time:data
A record that holds only an epoch and an empty claim is what is left of a session that a later start has ended.

The start key is a hash of attempt and record: the last attempt, and the record that belongs to it.
Time is that of Redis, which all workers share.
]]

-- Numbers beyond 1e14 would lose digits in Lua's own conversion.
local function int(number)
  return string.format('%.0f', number)
end

local function clock()
  local time = redis.call('TIME')
  return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- Start, end, time and size of an entry.
local function parse(entry)
  local start, finish, time, at = string.match(entry, '^(%d+):(%d+):(%d+):()')
  return tonumber(start), tonumber(finish), tonumber(time), #entry - at + 1
end

local function format(start, finish, time, data)
  return start .. ':' .. finish .. ':' .. int(time) .. ':' .. data
end

-- Whether a watermark moves; at the same place, the one that knows the chunk is further.
local function isFurther(toOffset, toChunk, offset, chunk)
  toOffset, offset = tonumber(toOffset), tonumber(offset)
  if toOffset ~= offset then return toOffset > offset end
  return (tonumber(toChunk) or -1) > (tonumber(chunk) or -1)
end

-- Drops the oldest entries beyond the bounds, but never the newest. Returns first, trimmed and bytes as they are then.
local function trim(record, first, trimmed, bytes, head, entries, size, age)
  first, trimmed, bytes, head = tonumber(first), tonumber(trimmed), tonumber(bytes), tonumber(head)
  local oldest = first < head and clock() - tonumber(age)
  while first < head do
    local field = 'e' .. int(first)
    local _, finish, time, length = parse(redis.call('HGET', record, field))
    if head - first < tonumber(entries) and bytes <= tonumber(size) and time >= oldest then break end
    redis.call('HDEL', record, field)
    first, trimmed, bytes = first + 1, finish, bytes - length
  end
  return int(first), int(trimmed), int(bytes)
end

-- Whether viewers are there; they renew the mark for as long.
local function isWatched(watched)
  return watched and tonumber(watched) > clock()
end

-- Keeps a session and its start key for another term.
local function keep(record, start, ttl)
  redis.call('PEXPIRE', record, ttl)
  if start then redis.call('PEXPIRE', start, ttl) end
end

-- Makes a session that of its start key, which the caller then keeps with it. Returns record, epoch and owner of the one
-- that it ends, if any. That record is not among the keys, since only the start key tells which it is; it has their hash
-- tag and therefore their slot.
local function begin(start, record, attempt, ttl)
  local earlier = redis.call('HGET', start, 'record')
  redis.call('HSET', start, 'attempt', attempt, 'record', record)
  if not earlier or earlier == record then return nil end
  local known = redis.call('HMGET', earlier, 'epoch', 'claim', 'owner')
  if not known[1] or known[2] == '' then return nil end
  local epoch = int(known[1] + 1)
  redis.call('DEL', earlier)
  redis.call('HSET', earlier, 'epoch', epoch, 'claim', '')
  redis.call('PEXPIRE', earlier, ttl)
  return earlier, epoch, known[3]
end
