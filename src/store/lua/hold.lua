--[[
Keeps the slots of one worker, and says what is used of the quota.

KEYS[1] slots: hash of session, or of ~ and a place that cools down, to "entry tenant place until former"
KEYS[2] the line: hash of session to "place tenant rank since seen keep entries former"
KEYS[3] workers: sorted set by until
ARGV[1] name of the worker
ARGV[2] milliseconds of a lease; 0 for a worker that goes
ARGV[+1] session
ARGV[+2] its place
ARGV[+3] its tenant
ARGV[+4] its entry

Returns
  used WORKERS WAITING ENTRY...  an entry for each slot that counts
]]
local now = clock()
redis.call('ZADD', KEYS[3], int(now + ARGV[2]), ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[3], '-inf', int(now))
redis.call('PEXPIRE', KEYS[3], 600000)

for at = 1, (#ARGV - 2) / 4 do
  local session, place, tenant, entry = unpack(ARGV, 4 * at - 1, 4 * at + 2)
  local owner, former = string.match(redis.call('HGET', KEYS[1], session) or '', '^%S+ %S+ (%S+) %d+ (%S+)$')
  -- One that another place has went there with its session.
  if not owner or owner == place then
    redis.call('HSET', KEYS[1], session,
      entry .. ' ' .. tenant .. ' ' .. place .. ' ' .. int(now + ARGV[2]) .. ' ' .. (former or '-'))
  end
end
redis.call('PEXPIRE', KEYS[1], 600000)

local answer = { 'used', redis.call('ZCARD', KEYS[3]), redis.call('HLEN', KEYS[2]) }
for _, slot in ipairs(redis.call('HVALS', KEYS[1])) do
  local entry, till = string.match(slot, '^(%S+) .* (%d+) %S+$')
  if tonumber(till) > now then answer[#answer + 1] = entry end
end
return answer
