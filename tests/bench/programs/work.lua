-- SPDX-License-Identifier: BSD-2-Clause
--
-- work.lua ROUNDS - trees, strings, tables, closures. Prints a digest.

local function tree(depth)
    if depth == 0 then return {} end
    return { tree(depth - 1), tree(depth - 1) }
end

local function count(node)
    if not node[1] then return 1 end
    return 1 + count(node[1]) + count(node[2])
end

local function strings(seed)
    local parts, seen = {}, {}
    for n = 1, 30000 do
        local word = "word" .. (n * seed * 7919) % 10007
        seen[word] = (seen[word] or 0) + 1
        parts[#parts + 1] = word:upper():sub(1, 6 + n % 4)
    end
    local text = table.concat(parts, " ")
    local _, swaps = text:gsub("(%u+)(%d+)", "%2%1")
    return #text + swaps + seen["word1"]
end

local function closures(n)
    local list = {}
    for i = 1, n do
        list[i] = function(x) return x + i end
    end
    local sum = 0
    for i = 1, n do sum = (list[i](sum)) % 1000003 end
    return sum
end

local digest = 0
for round = 1, tonumber(arg[1]) do
    digest = (digest * 31 + count(tree(14)) + strings(round) + closures(60000)) % 2147483647
end
print(digest)
