-- The script side of spec/unit/test_script_property.c: random operations on handles of every type, from requests,
-- flows, child tasks and coroutines, with a model beside them. Whatever is done is what the model says, or a Lua
-- error with a story.
local seed = tonumber(settings.seed)
local known, contexts, owners = {}, 0, 0 -- handles seen so far, in whatever state
local SIZE = 150
local done, stories, values = 0, 0, 0
local lib = {} -- the methods, as they can be had from a live handle

local function pick(n) -- minimal standard generator: the same everywhere
  seed = (seed * 16807) % 2147483647
  return seed % n + 1
end

-- An owner is alive (true), gone (false), or about to go at a moment that only the core knows ("dying").
local function owner(above)
  owners = owners + 1
  return { above = above, alive = true, id = owners }
end

local function state_of(o)
  local state = true
  while o do
    if o.alive == false then
      return false
    elseif o.alive == "dying" then
      state = "dying"
    end
    o = o.above
  end
  return state
end

local function keep(kind, handle, model)
  model.kind, model.handle = kind, handle
  known[pick(SIZE)] = model
  return model
end

local function is_story(message)
  return type(message) == "string"
    and (message:find("used after release", 1, true) or message:find("handle expected", 1, true))
end

local function fail(what, model, ...)
  local said = {}
  for i = 1, select("#", ...) do
    said[i] = tostring((select(i, ...)))
  end
  log.error("PROPERTY " .. what .. " of " .. tostring(model.handle) .. ": " .. table.concat(said, " | "))
end

-- Calls a method on a known handle. Alive: it must not raise; gone: it must raise a story.
local function call(model, method, ...)
  local state = not model.released and state_of(model.owner)
  local result = { pcall(lib[model.kind][method], model.handle, ...) }
  if state == true and not result[1] then
    fail(method .. " raised", model, result[2])
  elseif state == false and (result[1] or not is_story(result[2])) then
    fail(method .. " of a gone one", model, result[1], result[2])
  elseif not result[1] and not is_story(result[2]) then
    fail(method .. " without a story", model, result[2])
  end
  if result[1] then
    values = values + 1
  else
    stories = stories + 1
  end
  return result[1], result[2], result[3]
end

local function current(context)
  return context.stack[#context.stack] or context.task.stack[#context.task.stack] or context.task.owner
end

local function new_buffer(context)
  local mine = current(context)
  local ok, made = pcall(fitnessally.buffer, { label = "b", capacity = pick(3) * 10 })
  if not ok then
    if state_of(mine) == true then
      fail("buffer", {}, made)
    end
    return
  end
  if made then
    keep("buffer", made, { text = "", owner = mine })
  end
end

local on_buffer = {
  function(b) -- append
    local more = ("x"):rep(pick(5) - 1) .. pick(10)
    if b.sealed then
      if pcall(lib.buffer.append, b.handle, more) then
        fail("append to a sealed one", b)
      end
      stories = stories + 1
    elseif #b.text < 200 and call(b, "append", more) then
      b.text = b.text .. more
    end
  end,
  function(b)
    if call(b, "seal") then
      b.sealed = true
    end
  end,
  function(b)
    local ok, length = call(b, "len")
    if ok and length ~= #b.text then
      fail("len", b, length, #b.text)
    end
  end,
  function(b)
    local ok, text = call(b, "copy", { max = 4096 })
    if ok and text ~= b.text then
      fail("copy", b, text, b.text)
    end
  end,
  function(b) -- release, and again
    if pick(3) == 1 then
      call(b, "release")
      b.released = true
      call(b, "release")
    end
  end,
  function(b, context) -- slice
    local from, to = pick(9) - 5, pick(9) - 5
    if not b.sealed then
      if pcall(lib.buffer.slice, b.handle, from, to) then
        fail("slice of an open one", b)
      end
      return
    end
    local mine = current(context)
    local ok, made = call(b, "slice", from, to)
    if ok and made then
      keep("buffer", made, { text = b.text:sub(from == 0 and 1 or from, to), owner = mine, sealed = true })
    end
  end,
  function(b) -- transfer
    local to = known[pick(SIZE)]
    if not to or (to.kind ~= "scope" and to.kind ~= "turn" and to.kind ~= "request") then
      if to and pcall(lib.buffer.transfer, b.handle, to.handle) then
        fail("transfer to a " .. to.kind, b)
      end
      return
    end
    local target, state = state_of(to.own), not b.released and state_of(b.owner)
    local ok, moved = pcall(lib.buffer.transfer, b.handle, to.handle)
    if ok and moved then
      if target == false or state == false then
        fail("transfer", b, tostring(to.handle))
      end
      b.owner = to.own
    elseif not ok and state == true and target == true then
      fail("transfer raised", b, moved)
    end
  end,
}

local function wrong_type(model)
  local kinds = { "buffer", "request", "turn", "task", "scope" }
  local kind = kinds[pick(#kinds)]
  if kind == model.kind or not lib[kind] then
    return
  end
  for name, method in pairs(lib[kind]) do
    if pcall(method, model.handle, "x") then
      fail(kind .. "'s " .. name .. " took it", model)
    end
  end
  if pcall(lib.buffer.len, ({ 5, "buffer", {}, print, false })[pick(5)]) then
    fail("len of no handle", model)
  end
  stories = stories + 1
end

local run -- (context, count)

local function in_scope(context)
  if #context.stack > 4 then
    return
  end
  local mine, raises = owner(current(context)), pick(4) == 1
  local depth = #context.stack
  local ok, why = pcall(fitnessally.scope, "scope", nil, function(scope)
    context.stack[depth + 1] = mine
    keep("scope", scope, { owner = mine, own = mine })
    run(context, pick(12))
    if raises then
      error("on purpose", 0)
    end
  end)
  mine.alive = false
  context.stack[depth + 1] = nil
  if not ok and why ~= "on purpose" and state_of(context.task.owner) == true then
    fail("scope", {}, why)
  end
end

local function in_coroutine(context)
  if context.depth > 3 then
    return
  end
  local inner = { task = context.task, stack = {}, depth = context.depth + 1 }
  local leave = pick(3) == 1
  local co = coroutine.create(function()
    run(inner, pick(8))
    if leave then
      coroutine.yield()
    end
  end)
  local ok, why = coroutine.resume(co)
  if not ok then
    fail("coroutine", {}, why)
  end
end

local function in_task(context)
  contexts = contexts + 1
  if contexts > 20 then
    contexts = contexts - 1
    return
  end
  local mine = owner(current(context))
  local body = function()
    local task = { owner = mine.above, stack = {} }
    task.task, task.depth = task, 0
    run(task, pick(20))
  end
  local ok, handle = pcall(fitnessally.spawn, function()
    pcall(body)
    contexts = contexts - 1
  end)
  if ok then
    keep("task", handle, { owner = mine.above, task = true })
  else
    contexts = contexts - 1
  end
end

local function operate(context)
  local what = pick(40)
  local model = known[pick(SIZE)]
  if what <= 5 then
    new_buffer(context)
  elseif what == 6 then
    in_scope(context)
  elseif what == 7 then
    in_coroutine(context)
  elseif what == 8 and pick(20) == 1 then
    in_task(context)
  elseif what == 9 and context == context.task and pick(30) == 1 then
    fitnessally.sleep(0) -- others run; it raises when this one is over
  elseif not model then
    return
  elseif what == 10 then
    wrong_type(model)
  elseif what == 11 then
    tostring(model.handle)
  elseif model.kind == "buffer" then
    on_buffer[pick(#on_buffer)](model, context)
  elseif model.kind == "request" then
    call(model, "header", "host")
  elseif model.kind == "turn" then
    call(model, "history")
  elseif model.kind == "task" then
    pcall(lib.task.ended, model.handle)
    if pick(200) == 1 then
      pcall(lib.task.cancel, model.handle, "random")
    end
  end
end

function run(context, count)
  for _ = 1, count do
    done = done + 1
    operate(context)
  end
end

local function begin(mine)
  local context = { owner = mine, stack = {}, depth = 0 }
  context.task = context
  return context
end

local function learn(kind, handle, names)
  lib[kind] = {}
  for i = 1, #names do
    lib[kind][names[i]] = handle[names[i]]
  end
end

local requests = {}

app:get("/learn", function(req)
  local b = fitnessally.buffer()
  learn("buffer", b, { "append", "seal", "len", "copy", "release", "slice", "transfer", "json" })
  learn("request", req, { "header", "query", "json" })
  learn("task", fitnessally.spawn(function() end), { "ended", "cancel" })
  req:reply { text = "learnt" }
end)

-- The test says which request it is about to cut.
app:get("/doom/:id", function(req)
  local mine = requests[req.params.id]
  if mine and mine.alive then
    mine.alive = "dying"
  end
  req:reply { text = "ok" }
end)

app:get("/run/:id/:count", function(req)
  local mine = owner()
  local id = req.params.id
  requests[id] = mine
  keep("request", req, { owner = mine, own = mine })
  local ok, why = pcall(run, begin(mine), tonumber(req.params.count))
  requests[id] = nil
  if not ok then
    mine.alive = false
    if not why:find("cancelled", 1, true) then
      fail("run", {}, why)
    end
    return
  end
  mine.alive = "dying"
  req:reply { text = tostring(done) }
end)

local turns = {}

app:get("/turn/:count", function(req)
  local mine = owner()
  local asked = voice.ask(req, {
    text = "q" .. pick(2000000000),
    flow = function(turn)
      if not lib.turn then
        learn("turn", turn, { "history", "said" })
      end
      keep("turn", turn, { owner = mine, own = mine })
      pcall(run, begin(mine), tonumber(req and "60"))
      mine.alive = false
    end,
  })
  if asked then
    turns[#turns + 1] = { id = asked.dialogueId, owner = mine }
  end
  req:reply { text = "ok" }
end)

app:get("/cut", function(req)
  local turn = table.remove(turns, #turns > 0 and pick(#turns) or 1)
  if turn then
    voice.delete(turn.id)
    turn.owner.alive = false
  end
  req:reply { text = "ok" }
end)

app:get("/figures", function(req)
  req:reply { text = done .. " operations, " .. values .. " values, " .. stories .. " stories" }
end)
app:get("/done", function(req)
  req:reply { text = tostring(done) }
end)
