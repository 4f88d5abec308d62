--[[
Forgets a session. Its start key stays, so that a late repeat of its start does not bring it back.

KEYS[1] record of the session
ARGV[1] epoch of the claim
ARGV[2] claim id

Returns
  ok      it is gone
  absent  there was no such record, or another claim holds it
]]
local known = redis.call('HMGET', KEYS[1], 'epoch', 'claim')
if known[1] ~= ARGV[1] or known[2] ~= ARGV[2] then return { 'absent' } end
redis.call('DEL', KEYS[1])
return { 'ok' }
