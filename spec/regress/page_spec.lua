-- SPDX-License-Identifier: MIT
-- Memory was given back in pages of 4 KB, whatever pages the system has. Where they are larger, the kernel rounds lengths up, and
-- living goroutines next to those that had ended found zeros in their memory. spec/embed/module/pages.c is such a kernel.

local helper = require "spec.helper"

local library = (os.getenv "GORO_BUILD_DIR" or "build") .. "/embed/pages.so"

-- A sanitizer's build takes all of its memory from malloc.
local its_own_memory = (os.getenv "GORO_SANITIZE" or "") == ""

describe("memory that is given back", function()
  for _, case in ipairs { { 4 }, { 16 }, { 64 }, { 16, true }, { 64, true } } do
    local kb, emulated = table.unpack(case)
    local name = ("is nobody else's, with pages of %d KB"):format(kb)
    it(emulated and name .. " of which an emulator does not tell" or name, function()
      local env = helper.with_ctest {
        GORO_TEST_PAGE = kb * 1024, GORO_TEST_EMULATED = emulated and "1" or false,
        LD_PRELOAD = its_own_memory and library or false,
      }
      helper.passes(function(own)
        local goro = require "goro"
        local pages = require "pages"
        local N <const> = 3000
        local back, gates = goro.chan(N), {}
        for i = 1, N do
          gates[i] = goro.chan(1)
          goro.go(function(number, gate)
            local t = {}
            for j = 1, 250 do t[j] = ("%d:%d:%s"):format(number, j, ("x"):rep(40)) end
            back:send(number)
            gate:recv()
            local changed = 0
            for j = 1, 250 do
              if t[j] ~= ("%d:%d:%s"):format(number, j, ("x"):rep(40)) then changed = changed + 1 end
            end
            back:send(changed)
          end, i, gates[i])
        end
        for _ = 1, N do back:recv() end
        -- Most end, here and there some stay.
        local left = 0
        for i = 1, N do
          if i % 5 ~= 0 then gates[i]:send(1) else left = left + 1 end
        end
        for _ = 1, N - left do back:recv() end
        local dropped, refused, rounded
        repeat
          goro.sleep(0.01)
          dropped, refused, rounded = pages.counts()
        until dropped > 20 or own ~= "own"
        for i = 5, N, 5 do gates[i]:send(1) end
        for _ = 1, left do assert(back:recv() == 0, "a string has changed") end
        local tried = os.getenv "GORO_TEST_EMULATED" and 4 or 0 -- finding out
        assert(refused <= tried and rounded == 0, ("%d, %d, %d"):format(dropped, refused, rounded))
      end, { env = env, args = { its_own_memory and "own" or "malloc" } })
    end)
  end
end)
