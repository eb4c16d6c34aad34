-- How answers are cut into the pieces that are spoken.

local root = os.getenv("FA_ROOT") or "."
package.path = root .. "/lua/?.lua;" .. package.path

local boundaries = require "fitnessally.boundaries"
local chunker = require "fitnessally.chunker"

-- The text cut wherever a sentence ends.
local function sentences(text)
  local found, from = {}, 1
  for _, cut in ipairs(boundaries.find(text)) do
    if cut.strength == boundaries.SENTENCE then
      found[#found + 1] = text:sub(from, cut.stop - 1)
      from = cut.at
    end
  end
  found[#found + 1] = text:sub(from)
  return found
end

describe("sentences", function()
  local cases = {
    { "plain", "Stand up. Sit down! Ready? Go.", { "Stand up.", "Sit down!", "Ready?", "Go." } },
    { "decimals", "Lift 2.5 kg. Rest.", { "Lift 2.5 kg.", "Rest." } },
    { "ranges and sets", "Do 3x10 or 8-12 reps. Rest 60 s. Go on.",
      { "Do 3x10 or 8-12 reps.", "Rest 60 s.", "Go on." } },
    { "a number at the end", "Do sets of 10. Then rest.", { "Do sets of 10.", "Then rest." } },
    { "e.g. and i.e.", "Use a weight, e.g. a bottle. That is, i.e. Something light.",
      { "Use a weight, e.g. a bottle.", "That is, i.e. Something light." } },
    { "titles", "Ask Dr. Smith or Mr. Jones. They know.", { "Ask Dr. Smith or Mr. Jones.", "They know." } },
    { "initials", "J. R. Smith did it. I did. You too.", { "J. R. Smith did it.", "I did.", "You too." } },
    { "the one-letter word I", "So did I. Now you.", { "So did I.", "Now you." } },
    { "dotted abbreviations", "At 7 a.m. we train. At 9 p.m. Then sleep in the U.S. Army way.",
      { "At 7 a.m. we train.", "At 9 p.m.", "Then sleep in the U.S. Army way." } },
    { "numbered things", "See fig. 3 and no. 4. Say no. Then go.", { "See fig. 3 and no. 4.", "Say no.", "Then go." } },
    { "lists in a line", "1. Stand. 2. Sit. 3. Rest.", { "1. Stand.", "2. Sit.", "3. Rest." } },
    { "lists in lines", "First:\n1. Stand\n2. Sit", { "First:", "1. Stand", "2. Sit" } },
    { "lower case goes on", "Wait... then go. Really? yes.", { "Wait... then go.", "Really? yes." } },
    { "an ellipsis", "Wait... Then go… Now.", { "Wait...", "Then go…", "Now." } },
    { "quotes", '"Stop." He stops. “Go!” She goes.', { '"Stop."', "He stops.", "“Go!”", "She goes." } },
    { "brackets hold together", "Hold it (e.g. a bar. Or more.) and lift. Rest.",
      { "Hold it (e.g. a bar. Or more.) and lift.", "Rest." } },
    { "addresses", "See example.com/a.b and v1.0.0 now. Done.", { "See example.com/a.b and v1.0.0 now.", "Done." } },
    { "several marks", "What?! No!! Yes.", { "What?!", "No!!", "Yes." } },
    { "Chinese", "你好。今天练习！好吗？", { "你好。", "今天练习！", "好吗？" } },
    { "Hindi", "नमस्ते। आज अभ्यास।", { "नमस्ते।", "आज अभ्यास।" } },
    { "nothing", "", { "" } },
  }
  for _, case in ipairs(cases) do
    it(case[1], function()
      assert.are.same(case[3], sentences(case[2]))
    end)
  end
end)

describe("chunker.split", function()
  local function total(text)
    local pieces = chunker.split(text)
    assert.are.equal(text, table.concat(pieces))
    return pieces
  end

  it("gives nothing for nothing", function()
    assert.are.same({}, chunker.split(""))
  end)

  it("leaves a short answer whole", function()
    assert.are.same({ "Hello! How are you?" }, chunker.split("Hello! How are you?"))
  end)

  it("begins with one short sentence and goes on with longer pieces", function()
    local pieces = total("Here is how to do the Plank. It trains your belly. You need nothing. "
      .. ("Keep your body straight and hold this position. "):rep(10))
    assert.are.equal("Here is how to do the Plank. ", pieces[1])
    for i = 2, #pieces - 1 do
      assert.is_true(#pieces[i] > 80, pieces[i])
      assert.is_truthy(pieces[i]:find("%. $"), pieces[i])
    end
  end)

  it("begins with a clause when the first sentence is long", function()
    local pieces = total("Kneel down on a soft mat, set your forearms below your shoulders and stretch both "
      .. "legs far behind you.")
    assert.are.equal("Kneel down on a soft mat, ", pieces[1])
  end)

  it("begins with some words when there is no clause", function()
    local pieces = total("Kneel down on a soft mat with your forearms below your shoulders and both legs "
      .. "stretched behind you")
    assert.is_true(#pieces[1] <= 80 and #pieces[1] > 60, pieces[1])
  end)

  it("keeps every piece below its limit", function()
    local text = ("Kneel down on a soft mat with your forearms below your shoulders and both legs behind you, "):rep(20)
    for i, piece in ipairs(total(text)) do
      assert.is_true(#piece <= (i == 1 and 81 or i == 2 and 141 or 241), i .. ": " .. piece)
    end
  end)

  it("never cuts numbers, ranges, units and abbreviations", function()
    local atoms = { "2.5 kg", "10 - 20", "10-20", "e.g. a", "Dr. Who", "3 x 10", "1,000" }
    for offset = 1, 40 do
      for _, atom in ipairs(atoms) do
        local text = ("w"):rep(offset) .. " " .. ("word " .. atom .. " and "):rep(30)
        local count = select(2, text:gsub(atom:gsub("%p", "%%%0"), ""))
        local within = 0
        for _, piece in ipairs(total(text)) do
          within = within + select(2, piece:gsub(atom:gsub("%p", "%%%0"), ""))
        end
        assert.are.equal(count, within, atom .. " with offset " .. offset)
      end
    end
  end)

  it("cuts endless words between characters", function()
    for _, piece in ipairs(total(("é"):rep(500))) do
      assert.are.equal(0, #piece % 2)
    end
    for _, piece in ipairs(total(("x"):rep(1000))) do
      assert.is_true(#piece <= 220)
    end
  end)

  it("lets no last word stand alone", function()
    local pieces = total("Here is how to do it now. " .. ("It is a sentence of some forty characters. "):rep(8)
      .. "Done.")
    assert.is_true(#pieces[#pieces] > 20, pieces[#pieces])
  end)

  it("is whole again whatever the text", function()
    math.randomseed(7)
    local alphabet = { "a", "Z", "9", ".", ",", "!", "?", " ", " ", " ", "\n", "(", ")", '"', "é", "。", "-", "…",
      "\t", "\255" }
    for _ = 1, 500 do
      local parts = {}
      for i = 1, math.random(0, 400) do
        parts[i] = alphabet[math.random(#alphabet)]
      end
      total(table.concat(parts))
    end
  end)

  it("takes limits", function()
    local limits = { first = 8, second = 12, later = 24 }
    local pieces = chunker.split("One two three four five and now twenty more letters of it and more words", limits)
    assert.are.same({ "One two ", "three four ", "five and now twenty more ", "letters of it and more words" }, pieces)
  end)

  it("is quick on hostile text", function()
    local started = os.clock()
    for _, text in ipairs { (" "):rep(20000), (")"):rep(20000), ("a. "):rep(7000), ("("):rep(20000),
      ("e.g. "):rep(4000) } do
      total(text)
    end
    assert.is_true(os.clock() - started < 2 * tonumber(os.getenv("FA_SLOW") or "1"))
  end)
end)

describe("a text that comes bit by bit", function()
  local function streamed(text, size, limits)
    local cutter, pieces = chunker.stream(limits), {}
    for at = 1, #text, size do
      for _, piece in ipairs(cutter:add(text:sub(at, at + size - 1))) do
        pieces[#pieces + 1] = piece
      end
    end
    local early = #pieces
    for _, piece in ipairs(cutter:finish()) do
      pieces[#pieces + 1] = piece
    end
    return pieces, early
  end

  it("is cut where its sentences end, however it comes", function()
    local text = "Set your forearms down. Then step back, both feet, and hold 2.5 minutes. "
      .. ("Breathe slowly now. "):rep(20) .. "Rest."
    local whole = streamed(text, 1)
    assert.are.equal("Set your forearms down. ", whole[1])
    for _, size in ipairs { 1, 2, 7, 50 } do
      local pieces, early = streamed(text, size)
      assert.are.equal(text, table.concat(pieces))
      assert.is_true(early >= 3 and early < #pieces) -- some before the end, and always something at the end
      for i, piece in ipairs(pieces) do
        assert.is_true(#piece <= 240, piece)
        assert.is_true(i == #pieces or piece:find("[.] $") ~= nil, piece)
      end
    end
  end)

  it("waits for the word that says whether a sentence has ended", function()
    local cutter = chunker.stream()
    assert.are.same({}, cutter:add("This is how it is done by Dr."))
    assert.are.same({}, cutter:add(" "))
    assert.are.same({}, cutter:add("Smith in the gym."))
    assert.are.same({}, cutter:add(" "))
    assert.are.same({}, cutter:add("N"))
    assert.are.same({ "This is how it is done by Dr. Smith in the gym. " }, cutter:add("ow "))
    assert.are.same({ "Now " }, cutter:finish())
    assert.are.same({}, cutter:finish())
  end)

  it("is whole again whatever the text, and its last piece comes last", function()
    math.randomseed(11)
    local alphabet = { "a", "Z", "9", ".", ",", "!", " ", " ", " ", "\n", "(", ")", "é", "。", "-", "…" }
    for _ = 1, 200 do
      local parts = {}
      for i = 1, math.random(0, 600) do
        parts[i] = alphabet[math.random(#alphabet)]
      end
      local text = table.concat(parts)
      local pieces, early = streamed(text, math.random(1, 9))
      assert.are.equal(text, table.concat(pieces))
      assert.is_true(text == "" or early < #pieces)
    end
  end)

  it("is quick on hostile text", function()
    local started = os.clock()
    for _, text in ipairs { (" "):rep(16000), ("a"):rep(16000), ("("):rep(16000), ("e.g. "):rep(3000) } do
      assert.are.equal(text, table.concat((streamed(text, 4))))
    end
    assert.is_true(os.clock() - started < 3 * tonumber(os.getenv("FA_SLOW") or "1"))
  end)
end)
