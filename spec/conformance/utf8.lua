-- SPDX-License-Identifier: MIT
-- utf8.
-- luacheck: ignore

local case = ...
local function err(f, ...) return (select(2, pcall(f, ...))) end

case("names", function() local t = {} for k, v in pairs(utf8) do t[#t + 1] = k .. " " .. type(v) end table.sort(t) return t end)
case("char", function() return utf8.char(), utf8.char(72, 228, 8364, 128512), utf8.char(0), utf8.char(0x7fffffff) end)
case("char: out of range", function() return err(utf8.char, -1), err(utf8.char, 1 << 31), err(utf8.char, "x"), err(utf8.char, 1.5) end)
case("charpattern", function() local t = {} for c in ("aä€😀"):gmatch(utf8.charpattern) do t[#t + 1] = #c end return t, utf8.charpattern end)
case("codepoint", function() return utf8.codepoint("aä€", 1, -1), utf8.codepoint("€"), utf8.codepoint("aä", 2) end)
case("codepoint: none", function() return select("#", utf8.codepoint("abc", 3, 2)) end)
case("codepoint: out of bounds", function() return err(utf8.codepoint, "abc", 10), err(utf8.codepoint, "abc", 1, 10), err(utf8.codepoint, "") end)
case("codepoint: invalid", function() return err(utf8.codepoint, "\xff"), err(utf8.codepoint, "ä", 2), err(utf8.codepoint, "\xed\xa0\x80"), utf8.codepoint("\xed\xa0\x80", 1, 1, true) end)
case("len", function() return utf8.len("aä€😀"), utf8.len(""), utf8.len("abc", 2), utf8.len("abc", 4), utf8.len("äöü", -2) end)
case("len: invalid", function() return utf8.len("ab\xffc"), utf8.len("ä", 2), utf8.len("\xc0\x80"), utf8.len("\xf4\x90\x80\x80"), utf8.len("\xf4\x90\x80\x80", 1, -1, true) end)
case("len: out of bounds", function() return err(utf8.len, "abc", 5), err(utf8.len, "abc", 0), err(utf8.len, "abc", 1, 4) end)
case("offset", function() return utf8.offset("aä€", 1), utf8.offset("aä€", 2), utf8.offset("aä€", 3), utf8.offset("aä€", 4), utf8.offset("aä€", 5), utf8.offset("aä€", -1), utf8.offset("aä€", -3), utf8.offset("aä€", 0, 3) end)
case("offset: errors", function() return err(utf8.offset, "ä", 1, 2), err(utf8.offset, "abc", 1, 5), err(utf8.offset, "abc") end)
case("codes", function() local t = {} for p, c in utf8.codes "aä€" do t[#t + 1] = p .. ":" .. c end return t end)
case("codes: empty", function() local n = 0 for _ in utf8.codes "" do n = n + 1 end return n end)
case("codes: invalid", function() for p, c in utf8.codes "a\xffb" do end end)
case("codes: invalid continuation", function() return err(function() for _ in utf8.codes "\x80" do end end), err(function() for _ in utf8.codes "ab\x80" do end end), err(utf8.codes) end)
case("codes: lax", function() local t = {} for p, c in utf8.codes("\u{7FFFFFFF}a", true) do t[#t + 1] = c end return t end)
case("escapes", function() return "\u{41}\u{e4}\u{20ac}\u{1F600}", #"\u{7FFFFFFF}" end)
case("round trip", function() local s = "" for i = 1, 0x3000, 97 do s = s .. utf8.char(i) end local n = 0 for _, c in utf8.codes(s) do n = n + c end return n, utf8.len(s) end)
case("reverse by codes", function() local t = {} for _, c in utf8.codes "añb" do table.insert(t, 1, utf8.char(c)) end return table.concat(t) end)
case("set to nil", function() local u = utf8 utf8 = nil return u.char(65), utf8, require "utf8" == u end, "alone")
