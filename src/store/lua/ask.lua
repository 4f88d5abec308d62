--[[
Gives slots of the quota to those sessions of one worker whose turn it is.

KEYS[1] slots: hash of session, or of ~ and a place that cools down, to "entry tenant place until former"
KEYS[2] the line: hash of session to "place tenant rank since seen keep entries former"
KEYS[3] starts that count: sorted set of entry:place by until
KEYS[4] when slots were freed lately: list, the newest first
ARGV[1] entries as name:streams:reserve:starts, with commas between them
ARGV[2] milliseconds of a lease
ARGV[3] milliseconds for which a start counts of which nothing more is heard
ARGV[4] new sessions that may wait
ARGV[5] milliseconds after its last ask from which a ticket blocks nobody
ARGV[6] milliseconds of waiting that weigh as much as one slot
ARGV[+1] session
ARGV[+2] its place
ARGV[+3] its tenant
ARGV[+4] 1 if it goes on, 2 if it is new
ARGV[+5] entries that will do, with commas between them, the best first
ARGV[+6] milliseconds that it has waited already
ARGV[+7] milliseconds for which the slot that it brings cools down
ARGV[+8] milliseconds for which its ticket outlives the last ask

Returns, for each session,
  granted ENTRY                   by this call or by an earlier one of the same place
  waiting POSITION HASSLOT EVERY  HASSLOT is 1 if only a start is missing; EVERY '' if no slot was freed lately
  full                            the line is as long as it may be
  moved                           the session went from this place to another
]]
local now = clock()
local entries = {}
for name, streams, reserve, starts in string.gmatch(ARGV[1], '([^:,]+):(%d+):(%d+):(%d+)') do
  entries[name] = { free = tonumber(streams), reserve = tonumber(reserve), starts = tonumber(starts) }
end

-- The slots that count, of which those of the sessions below are looked at more closely; expired ones are free.
local slots, loads = {}, {}
local all = redis.call('HGETALL', KEYS[1])
for at = 1, #all, 2 do
  local entry, tenant, till = string.match(all[at + 1], '^(%S+) (%S+) %S+ (%d+)')
  if tonumber(till) > now then
    slots[all[at]] = all[at + 1]
    if entries[entry] then entries[entry].free = entries[entry].free - 1 end
    if tenant ~= '-' then loads[tenant] = (loads[tenant] or 0) + 1 end
  else
    redis.call('HDEL', KEYS[1], all[at])
    if tenant ~= '-' then redis.call('LPUSH', KEYS[4], till) end
  end
end
local function slotOf(session)
  if not slots[session] then return nil end
  local entry, tenant, place, former = string.match(slots[session], '^(%S+) (%S+) (%S+) %d+ (%S+)$')
  return { entry = entry, tenant = tenant, place = place, former = former }
end

redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', int(now))
for _, member in ipairs(redis.call('ZRANGE', KEYS[3], 0, -1)) do
  local entry = entries[string.match(member, '^[^:]+')]
  if entry then entry.starts = entry.starts - 1 end
end

-- The line. The asks below take the tickets of their sessions.
local tickets, waiting = {}, 0
all = redis.call('HGETALL', KEYS[2])
for at = 1, #all, 2 do
  local place, tenant, rank, since, seen, keep, names, former =
    string.match(all[at + 1], '^(%S+) (%S+) (%d) (%d+) (%d+) (%d+) (%S+) (%S+)$')
  if seen + keep > now then
    tickets[all[at]] = { session = all[at], tenant = tenant, rank = tonumber(rank), since = tonumber(since),
      isLive = seen + ARGV[5] > now, names = names, place = place, former = former }
    if rank == '2' then waiting = waiting + 1 end
  else
    redis.call('HDEL', KEYS[2], all[at])
  end
end

-- The places that a session has had before, the last few: whoever has one of them has lost the session.
local function formerOf(known, place)
  if not known then return '-' end
  if known.place == place then return known.former end
  local list = known.place
  local count = 1
  for one in string.gmatch(known.former, '[^,]+') do
    if count < 4 and one ~= '-' then list, count = list .. ',' .. one, count + 1 end
  end
  return list
end

local function isFormer(known, place)
  return known and string.find(',' .. known.former .. ',', ',' .. place .. ',', 1, true)
end

local answers = {}
for index = 1, (#ARGV - 6) / 8 do
  local session, place, tenant, rank, names, waited, cool, keep = unpack(ARGV, 8 * index - 1, 8 * index + 6)
  local slot, ticket = slotOf(session), tickets[session]
  if slot and slot.place == place then
    answers[index] = { 'granted', slot.entry }
  elseif isFormer(slot or ticket, place) then
    answers[index] = { 'moved' }
  else
    -- Who waits as a new one was never served, and is no other when it comes back elsewhere.
    rank = ticket and ticket.rank or tonumber(rank)
    if slot then
      -- The session brings its slot, which is free as soon as its stream does not count any more.
      rank = 0
      loads[slot.tenant] = loads[slot.tenant] - 1
      redis.call('HDEL', KEYS[1], session)
      if tonumber(cool) > 0 then
        redis.call('HSET', KEYS[1], '~' .. slot.place, slot.entry .. ' - ' .. slot.place .. ' ' .. int(now + cool) .. ' -')
      elseif entries[slot.entry] then
        entries[slot.entry].free = entries[slot.entry].free + 1
      end
    end
    if ticket and ticket.rank == 2 and rank < 2 then waiting = waiting - 1 end
    tickets[session] = { session = session, tenant = tenant, rank = rank, since = ticket and ticket.since or now - waited,
      isLive = true, names = names, index = index, place = place, keep = keep, isKnown = ticket ~= nil,
      former = formerOf(slot or ticket, place) }
  end
end

-- By rank and tenant, the oldest first.
local live = {}
for _, ticket in pairs(tickets) do
  if ticket.isLive then live[#live + 1] = ticket end
end
table.sort(live, function(a, b)
  if a.since ~= b.since then return a.since < b.since end
  return a.session < b.session
end)
local queues = { [0] = {}, {}, {} }
for _, ticket in ipairs(live) do
  local queue = queues[ticket.rank]
  local list = queue[ticket.tenant] or { first = 1 }
  list[#list + 1] = ticket
  queue[ticket.tenant] = list
end

-- The next ticket of a rank: of the oldest of each tenant, the one that weighs least.
local function take(queue)
  local best, least
  for tenant, list in pairs(queue) do
    local ticket = list[list.first]
    local weight = ticket and (loads[tenant] or 0) - (now - ticket.since) / ARGV[6]
    local isOlder = ticket and best
      and (ticket.since < best.since or ticket.since == best.since and ticket.session < best.session)
    if ticket and (not best or weight < least or weight == least and isOlder) then best, least = ticket, weight end
  end
  if best then
    queue[best.tenant].first = queue[best.tenant].first + 1
    loads[best.tenant] = (loads[best.tenant] or 0) + 1
  end
  return best
end

local function grant(ticket, name)
  redis.call('HSET', KEYS[1], ticket.session, name .. ' ' .. ticket.tenant .. ' ' .. ticket.place .. ' '
    .. int(now + ARGV[2]) .. ' ' .. ticket.former)
  redis.call('ZADD', KEYS[3], int(now + ARGV[3]), name .. ':' .. ticket.place)
  if ticket.isKnown then redis.call('HDEL', KEYS[2], ticket.session) end
  if ticket.isKnown and ticket.rank == 2 then waiting = waiting - 1 end
  answers[ticket.index] = { 'granted', name }
end

local stays = {}
for rank = 0, 2 do
  local ticket = take(queues[rank])
  while ticket do
    local entry, name
    for candidate in string.gmatch(ticket.names, '[^,]+') do
      local known = entries[candidate]
      if not name and known and known.free > (rank == 2 and known.reserve or 0) then
        entry = entry or known
        if known.starts > 0 then entry, name = known, candidate end
      end
    end
    -- What the ticket of another worker could have is kept for it: that worker asks in a moment.
    if entry then entry.free = entry.free - 1 end
    if name then entry.starts = entry.starts - 1 end
    if name and ticket.index then
      grant(ticket, name)
    else
      ticket.hasSlot = entry and 1 or 0
      stays[#stays + 1] = ticket
    end
    ticket = take(queues[rank])
  end
end

local freed = redis.call('LRANGE', KEYS[4], 0, -1)
local every = #freed > 0 and int((now - freed[#freed]) / #freed) or ''
local position = 0
for _, ticket in ipairs(stays) do
  local isNew = ticket.rank == 2 and ticket.index and not ticket.isKnown
  if isNew and waiting >= tonumber(ARGV[4]) then
    answers[ticket.index] = { 'full' }
  else
    position = position + 1
    if isNew then waiting = waiting + 1 end
    if ticket.index then
      redis.call('HSET', KEYS[2], ticket.session, ticket.place .. ' ' .. ticket.tenant .. ' ' .. int(ticket.rank) .. ' '
        .. int(ticket.since) .. ' ' .. int(now) .. ' ' .. ticket.keep .. ' ' .. ticket.names .. ' '
        .. ticket.former)
      answers[ticket.index] = { 'waiting', position, ticket.hasSlot, every }
    end
  end
end

-- Nothing of it outlives its use by more than ten minutes.
redis.call('LTRIM', KEYS[4], 0, 15)
redis.call('PEXPIRE', KEYS[1], 600000)
redis.call('PEXPIRE', KEYS[2], 600000)
redis.call('PEXPIRE', KEYS[3], 600000)
redis.call('PEXPIRE', KEYS[4], 600000)
return answers
