-- SPDX-License-Identifier: MIT
std = "lua54"
max_line_length = 180
exclude_files = { "build*", ".luarocks", "lua_modules" }
files["spec"] = { std = "+busted" }
