-- What the coach understands and answers, without a server: over the sample's records, with a plain search.

local root = os.getenv("FA_ROOT") or "."
package.path = root .. "/lua/?.lua;" .. root .. "/examples/coach/?.lua;" .. package.path

local cjson = require "cjson"
local coach = require "lib.coach"
local exercise = require "lib.exercise"
local question = require "lib.question"
local words = require "lib.words"

local exercises = {}
do
  local file = assert(io.open(root .. "/examples/coach/data/exercises.json"))
  for i, fields in ipairs(cjson.decode(file:read("*a"))) do
    exercises[i] = exercise.of {
      data = { basic = { name = fields.name }, exercise = fields },
      oip = { did = "did:local:" .. fields.id },
    }
  end
  file:close()
end

-- More words in common first, whole names before all; the sample is small enough to look at everything.
local function search(query, limit)
  local asked, hits = {}, {}
  for _, word in ipairs(words.stems(query)) do
    asked[word] = not words.is_empty(word) or nil
  end
  for i, candidate in ipairs(exercises) do
    local score, named = 0, true
    for _, stem in ipairs(words.stems(candidate.name)) do
      score = score + (asked[stem] and 10 or 0)
      named = named and asked[stem]
    end
    for word in pairs(asked) do
      local facts = table.concat(candidate.primary, " ") .. " " .. (candidate.category or "")
      score = score + (facts:find(word, 1, true) and 5 or 0)
      score = score + (table.concat(words.stems(candidate.name)):find(word, 1, true) and 1 or 0)
    end
    if score > 0 then
      hits[#hits + 1] = { score = score + (named and 50 or 0), order = i, exercise = candidate }
    end
  end
  table.sort(hits, function(a, b)
    return a.score > b.score or (a.score == b.score and a.order < b.order)
  end)
  local found = {}
  for i = 1, math.min(limit, #hits) do
    found[i] = hits[i].exercise
  end
  return found
end

-- The answers to questions asked one after the other.
local function talk(...)
  local history, replies = {}, {}
  for i, text in ipairs { ... } do
    replies[i] = coach.reply(text, history, search)
    history[#history + 1] = { role = "user", content = text }
    history[#history + 1] = { role = "assistant", content = replies[i].text }
  end
  return replies[#replies], replies
end

local function names(reply)
  local list = {}
  for i, source in ipairs(reply.sources) do
    list[i] = source.name
  end
  return list
end

describe("a question", function()
  local cases = {
    { "Hello!", "greeting" }, { "good morning", "greeting" }, { "Thanks a lot", "thanks" },
    { "What can you do?", "help" },
    { "How do I do a plank?", "about" }, { "squat", "about" }, { "How do I do a good morning?", "about" },
    { "chest exercises", "list" }, { "What can I do for my lower back?", "list" },
    { "easy leg workouts at home", "list" },
    { "next step", "follow", "next" }, { "which muscles?", "follow", "muscles" },
    { "an easier one?", "follow", "easier" },
    { "the second one", "follow", "pick" }, { "how do I do it?", "follow" }, { "say that again", "follow", "again" },
    { "Which muscles does the squat work?", "about", "muscles" }, { "is it for beginners?", "follow", "level" },
    { "What equipment do I need for a deadlift?", "about", "equipment" },
  }
  for _, case in ipairs(cases) do
    it(("%q is of the kind %s %s"):format(case[1], case[2], case[3] or ""), function()
      local asked = question.understand(case[1])
      assert.are.equal(case[2], asked.kind)
      assert.are.equal(case[3], asked.aspect)
    end)
  end

  it("is found among other sentences", function()
    assert.are.same({ "lunge" }, question.understand("My back is fine. How do I do a lunge? I am keen.").words)
    assert.are.same({ "plank" }, question.understand("How do I do a plank? (99.1)").words)
  end)

  it("may be long, empty or strange", function()
    for _, text in ipairs { "", " ", "?", "...", ("a "):rep(4000), (" "):rep(8000), ("x"):rep(8000), "\255\254",
      "((((", "日本語" } do
      assert.is_string(coach.reply(text, {}, search).text)
    end
  end)
end)

describe("the answer", function()
  it("says how an exercise is done, in the record's own words", function()
    local reply = talk "How do I do a plank?"
    assert.are.same({ "Plank" }, names(reply))
    assert.is_truthy(reply.text:find("Here is how to do the Plank.", 1, true))
    for _, step in ipairs(reply.sources[1].steps) do
      assert.is_truthy(reply.text:find(step, 1, true))
    end
  end)

  for text, name in pairs {
    ["pushups"] = "Push-Up", ["How do I do push ups?"] = "Push-Up", ["Show me a push-up"] = "Push-Up",
    ["farmers carry"] = "Farmer's Carry",
    ["Tell me about the farmer's carry"] = "Farmer's Carry", ["How do I do the Goblet Squat?"] = "Goblet Squat",
    ["And a squat?"] = "Squat",
    ["What is a glute bridge?"] = "Glute Bridge", ["jumping jacks"] = "Jumping Jack",
    ["mountain climbers please"] = "Mountain Climber",
  } do
    it(("to %q is about the %s"):format(text, name), function()
      assert.are.equal(name, names(talk(text))[1])
    end)
  end

  it("lists exercises for a part of the body", function()
    local reply = talk "chest exercises"
    assert.are.same({ "Push-Up", "Bench Press" }, names(reply))
    assert.is_truthy(reply.text:find("for the chest: the Push-Up and the Bench Press", 1, true))
    assert.are.same({ "Push-Up" }, names(talk "chest exercises without equipment"))
  end)

  it("says plainly when nothing is found, and names no source", function()
    for _, text in ipairs { "How do I bake a cake?", "Who is the president of France?" } do
      local reply = talk(text)
      assert.are.same({}, reply.sources)
      assert.is_truthy(reply.text:find("I found nothing about", 1, true), reply.text)
    end
  end)

  it("does not sell the next best thing as what was asked for", function()
    local function opens(text, opening)
      local reply = talk(text)
      assert.are.equal(opening, reply.text:sub(1, #opening))
    end
    opens("How do I do a squat thruster?", "I found no exact match for squat thruster. The closest is the Squat. ")
    opens("dumbbell bench press", "I found no exact match for dumbbell bench press. The closest is the Bench Press. ")
    opens("How do I do a plank for my abs?", "Here is how to do the Plank. ")
    opens("Tell me about the plank that my old uncle Harry liked", "Here is how to do the Plank. ")
  end)

  it("does not judge injuries", function()
    local reply = talk "My knee hurts. How do I do a lunge?"
    assert.is_truthy(reply.text:find("ask a doctor", 1, true))
    assert.are.same({ "Lunge" }, names(reply))
    reply = talk "My knee hurts"
    assert.is_truthy(reply.text:find("ask a doctor", 1, true))
    assert.is_nil(reply.text:find("knee hurts", 1, true), reply.text) -- it was not asked to find that
  end)

  it("greets and thanks without searching", function()
    assert.is_false(talk("Hello").searched)
    assert.is_false(talk("How do I do a plank?", "thank you").searched)
  end)
end)

describe("a follow-up", function()
  it("asks for an aspect", function()
    assert.are.equal("The Plank mainly trains the abdominals, with help from the shoulders, glutes and lower back.",
      talk("How do I do a plank?", "which muscles?").text)
    assert.are.equal("For the Deadlift you need a barbell.", talk("Explain the deadlift",
      "what equipment do I need?").text)
    assert.are.equal("The Squat is easy enough for beginners.", talk("squat", "How hard is it?").text)
  end)

  it("goes through the steps", function()
    local _, replies = talk("How do I do a plank?", "next step", "next step", "next", "next", "next", "next step")
    assert.is_truthy(replies[2].text:find("^Step 1 of 5: "))
    assert.is_truthy(replies[3].text:find("^Step 2 of 5: "))
    assert.is_truthy(replies[6].text:find("^Step 5 of 5: "))
    assert.are.equal("That was the last step of the Plank.", replies[7].text)
  end)

  it("asks for a harder one, and then about that one", function()
    local reply, replies = talk("How do I do a plank?", "something harder?", "How do I do it?")
    assert.are.same({ "Russian Twist" }, names(replies[2]))
    assert.are.same({ "Russian Twist" }, names(reply))
    assert.is_truthy(talk("plank", "easier one?").text:find("nothing easier than the Plank", 1, true))
  end)

  it("picks from a list, more than once", function()
    local _, replies = talk("chest exercises", "the second one", "tell me about the first", "the last one")
    assert.are.same({ "Bench Press" }, names(replies[2]))
    assert.are.same({ "Push-Up" }, names(replies[3]))
    assert.are.same({ "Bench Press" }, names(replies[4]))
  end)

  it("is repeated word for word", function()
    local _, replies = talk("How do I do a plank?", "say that again")
    assert.are.equal(replies[1].text, replies[2].text)
  end)

  it("without anything before it is asked back", function()
    assert.are.equal("I am not sure which exercise you mean. Please ask with its name.", talk("next step").text)
    assert.are.equal("I am not sure which exercise you mean. Please ask with its name.",
      talk("Hello", "which muscles?").text)
  end)
end)
