-- SPDX-License-Identifier: MIT
-- words: an ordinary small module, for used.lua.
local words = {}

function words.trim(s) return (s:match "^%s*(.-)%s*$") end

function words.split(s, separator)
  local list = {}
  for word in s:gmatch(("[^%s]+"):format(separator or "%s")) do list[#list + 1] = word end
  return list
end

function words.count(list)
  local counts = {}
  for _, word in ipairs(list) do counts[word] = (counts[word] or 0) + 1 end
  return counts
end

function words.title(s)
  return (s:gsub("(%a)(%w*)", function(first, rest) return first:upper() .. rest:lower() end))
end

local Line = {}
Line.__index = Line
Line.__tostring = function(line) return words.title(line.text) end

function words.line(text) return setmetatable({ text = words.trim(text), words = words.split(text) }, Line) end

function Line:longest()
  local best = ""
  for _, word in ipairs(self.words) do
    if #word > #best then best = word end
  end
  return best
end

return words
