-- What people call muscles, equipment, levels and kinds of exercise, and what the records call them.

local vocabulary = {}

-- Each line: what is said (the first is how the coach says it itself; _ joins two words), then what the records say.
local lines = {
  muscle = [[
    lower_back: lower back
    middle_back: middle back
    upper_back: middle back, traps
    back: lats, middle back, lower back
    lats lat: lats
    traps: traps
    neck: neck
    chest pecs: chest
    shoulders shoulder delts: shoulders
    arms arm: biceps, triceps, forearms
    biceps bicep: biceps
    triceps tricep: triceps
    forearms forearm grip: forearms
    abs ab: abdominals
    abdominals abdominal: abdominals
    core: abdominals
    belly stomach: abdominals
    obliques: abdominals
    legs leg: quadriceps, hamstrings, glutes, calves
    quadriceps quads: quadriceps
    thighs thigh: quadriceps, hamstrings
    hamstrings hamstring hams: hamstrings
    glutes glute butt bum: glutes
    hips: glutes, abductors
    calves calf: calves
    adductors: adductors
    abductors: abductors]],
  equipment = [[
    bodyweight body_weight body_only no_equipment: body only
    dumbbells dumbbell: dumbbell
    barbell barbells: barbell
    kettlebells kettlebell: kettlebells
    machine machines: machine
    cable cables: cable
    bands band: bands
    medicine_ball: medicine ball
    exercise_ball: exercise ball
    foam_roller: foam roll]],
  level = [[
    beginner beginners easy simple: beginner
    intermediate: intermediate
    expert advanced hard: expert]],
  category = [[
    stretching stretch stretches: stretching
    cardio: cardio
    plyometrics plyometric: plyometrics
    powerlifting: powerlifting
    strongman: strongman]],
}

-- kind -> what is said -> {said, meant}
local entries = {}
for kind, text in pairs(lines) do
  entries[kind] = {}
  for said, meant in text:gmatch("([%w_ ]+): ([%w, ]+)") do
    local entry = { meant = {} }
    for value in meant:gmatch("[^,]+") do
      table.insert(entry.meant, value:match("^ *(.*)"))
    end
    for word in said:gsub("^ +", ""):gmatch("%S+") do
      word = word:gsub("_", " ")
      entry.said = entry.said or word
      entries[kind][word] = entry
    end
  end
end

---@class coach.filter What the records found must be; each list: one of these.
---@field muscle? string[]
---@field equipment? string[]
---@field level? string[]
---@field category? string[]
---@field said? string what the muscle is called

---Finds what a list of words says about muscles, equipment, level and kind.
---@param list string[]
---@return coach.filter filter empty when it says nothing
---@return string[] rest the words that are none of these
function vocabulary.read(list)
  local filter, rest = {}, {}
  local i = 1
  while i <= #list do
    local one, two = list[i], list[i] .. " " .. (list[i + 1] or "")
    local used = 0
    for kind, said in pairs(entries) do
      local entry = said[two] or said[one]
      if entry and not filter[kind] then
        filter[kind] = entry.meant
        used = math.max(used, said[two] and 2 or 1)
        if kind == "muscle" then
          filter.said = entry.said
        end
      end
    end
    if used == 0 then
      rest[#rest + 1] = one
    end
    i = i + math.max(used, 1)
  end
  return filter, rest
end

return vocabulary
