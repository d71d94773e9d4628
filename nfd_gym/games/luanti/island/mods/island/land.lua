-- The shape of the island: heights from a few hills, a coast of sines, a cliff, a pond.
island.BOTTOM, island.TOP = -4, 40
local SEA, FENCE, COAST = 96, 66, 43
local HILLS = { -- x, z, radius, height
	{25, 20, 13, 6}, {16, -27, 15, 5}, {-27, -22, 12, 5}, {-4, -8, 24, 2}, {33, -6, 8, 3}, {-10, -16, 5.5, -6}}
local CLIFF = {x = -17, z = 21, radius = 15, height = 15}

local function bump(x, z, cx, cz, radius) return math.exp(-1.5 * ((x - cx) ^ 2 + (z - cz) ^ 2) / radius ^ 2) end

-- Metres from the coast, negative at sea.
function island.inland(x, z)
	local angle = math.atan2(z, x)
	return COAST + 2.5 * math.sin(3 * angle + 1) + 1.5 * math.sin(5 * angle + 2.5) - math.sqrt(x * x + z * z)
end

-- The mountain falls off sheer to its south-east side.
local function mountain(x, z)
	local along = 0.6 * (x - CLIFF.x) - 0.8 * (z - CLIFF.z)
	local sheer = along > 4 and 0.12 or 1
	return CLIFF.height * sheer * bump(x, z, CLIFF.x, CLIFF.z, CLIFF.radius)
end

local heights = {}
-- The y of the uppermost block of the bare ground.
function island.height(x, z)
	local key = x * 4096 + z
	if heights[key] then return heights[key] end
	local inland = island.inland(x, z)
	local h = 0
	if inland > 0 then
		h = 1.6 + 2.0 * math.min(1, inland / 9)
		local fade = math.min(1, inland / 7)
		for _, hill in ipairs(HILLS) do h = h + fade * hill[4] * bump(x, z, hill[1], hill[2], hill[3]) end
		h = math.floor(h + fade * mountain(x, z) + 0.5)
	end
	heights[key] = h
	return h
end

function island.within(x, z) return x * x + z * z < SEA * SEA end

-- The name of the node at a place, without what stands on the ground.
function island.land(x, y, z)
	local h = island.height(x, z)
	if y > math.max(h, 1) then
		local r = math.sqrt(x * x + z * z)
		return y < 24 and r >= FENCE and r < FENCE + 2 and "fence" or "air"
	end
	if y == island.BOTTOM then return "bed" end
	if y > h then return island.inland(x, z) > -6 and "shallow" or "sea" end
	if h <= 2 then return y < -1 and "stone" or "sand" end
	local rock = bump(x, z, CLIFF.x, CLIFF.z, CLIFF.radius) > 0.33
	if rock and h >= 13 and y >= h - 1 then return "snow" end
	if rock and h >= 7 then return "stone" end
	if y == h then return "grass" end
	return y > h - 3 and "dirt" or "stone"
end
