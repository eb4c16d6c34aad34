-- What a language model thinks is not said.

local root = os.getenv("FA_ROOT") or "."
package.path = root .. "/lua/?.lua;" .. package.path

local thinking = require "fitnessally.thinking"

local function said(text, size)
  local filter, parts = thinking.filter(), {}
  for at = 1, #text, size do
    parts[#parts + 1] = filter:add(text:sub(at, at + size - 1))
  end
  parts[#parts + 1] = filter:finish()
  return table.concat(parts)
end

describe("thinking", function()
  local cases = {
    { "Just words.", "Just words." },
    { "<think>first\nthis</think>\n\nThen words.", "Then words." },
    { "<thinking>a < b</thinking>Words <think>more</think>go on.", "Words go on." },
    { "1 < 2 <thin air> and <", "1 < 2 <thin air> and <" },
    { "It ends in <think>thought", "It ends in " },
    { "<think></think>", "" },
    { "Grün <think>größer</think>💪", "Grün 💪" },
  }
  for _, case in ipairs(cases) do
    it("is taken out of " .. case[1]:gsub("\n", " "), function()
      for size = 1, #case[1] do
        assert.are.equal(case[2], said(case[1], size))
      end
    end)
  end
end)
