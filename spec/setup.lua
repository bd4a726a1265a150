-- SPDX-License-Identifier: MIT
-- setup.lua - what busted loads before each spec file: goro must be there, and no other build of it.
require "goro"
