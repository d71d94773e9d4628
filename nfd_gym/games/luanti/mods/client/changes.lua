-- Which blocks differ from what they were, and which parts of the island have not arrived yet.
local before, order = {}, {}

-- To be called before a block changes for the first time: remembers what it was.
function nfd.touch(at, name)
	if not nfd.on_island() then return end
	local key = at.x .. "," .. at.y .. "," .. at.z
	if not before[key] then
		before[key] = name
		order[#order + 1] = {key = key, at = {x = at.x, y = at.y, z = at.z}}
	end
end

-- Forgets blocks that are again what they were; looks no further than the first that is not.
function nfd.changed()
	while #order > 0 do
		local last = order[#order]
		local node = minetest.get_node_or_nil(last.at)
		if not node or node.name ~= before[last.key] then return true end
		before[last.key], order[#order] = nil, nil
	end
	return false
end

local awaited
-- Whether some map block of the island is still missing; once all have come they stay.
function nfd.missing()
	if not nfd.on_island() then return false end
	if not awaited then
		awaited = {}
		for x = -96, 80, 16 do
			for z = -96, 80, 16 do
				if (x + 8) ^ 2 + (z + 8) ^ 2 < 104 ^ 2 then
					for y = -16, 16, 16 do awaited[#awaited + 1] = {x = x, y = y, z = z} end
				end
			end
		end
	end
	while #awaited > 0 do
		if not minetest.get_node_or_nil(awaited[#awaited]) then return true end
		awaited[#awaited] = nil
	end
	return false
end
