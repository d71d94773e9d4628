-- What stands on the ground: trees, a hut, a tower, a lighthouse, a ring of stones, a jetty, flowers.
local things = {}
local height = island.height
local function key(x, y, z) return (x * 1024 + z) * 128 + y end
local function put(x, y, z, name) things[key(x, y, z)] = name end

function island.thing(x, y, z) return things[key(x, y, z)] end

local function disc(x, y, z, radius, name)
	local reach = math.ceil(radius)
	for dx = -reach, reach do
		for dz = -reach, reach do
			if dx * dx + dz * dz <= radius * radius and not things[key(x + dx, y, z + dz)] then
				put(x + dx, y, z + dz, name)
			end
		end
	end
end

local function oak(x, z, tall, leaves)
	local y = height(x, z)
	for dy = 1, tall do put(x, y + dy, z, "tree") end
	for dy, radius in pairs({[-1] = 2.3, [0] = 2.3, [1] = 1.5, [2] = 1}) do disc(x, y + tall + dy, z, radius, leaves) end
end

local function pine(x, z, tall)
	local y = height(x, z)
	for dy = 1, tall do put(x, y + dy, z, "pine_tree") end
	for dy = 2, tall + 1 do
		local wide = (tall + 1 - dy) % 2 == 0 and 0.4 or 1
		disc(x, y + dy, z, math.min(2.3, wide + 0.3 * (tall + 1 - dy)), "needles")
	end
	put(x, y + tall + 2, z, "needles")
end

-- Everything that is built keeps clear of the trees, and the paths too.
local HUT, TOWER, LIGHTHOUSE, STONES = {x = 5, z = 9}, {x = -31, z = -6}, {x = 36, z = -15}, {x = 14, z = -31}
local JETTY = {x = 5, z = -40}
local PATHS = {{5, 4, 5, -38}, {5, 0, -27, -6}, {5, -2, 33, -14}}

local function path_distance(x, z)
	local best = 99
	for _, p in ipairs(PATHS) do
		local dx, dz = p[3] - p[1], p[4] - p[2]
		local t = math.max(0, math.min(1, ((x - p[1]) * dx + (z - p[2]) * dz) / (dx * dx + dz * dz)))
		best = math.min(best, math.sqrt((x - p[1] - t * dx) ^ 2 + (z - p[2] - t * dz) ^ 2))
	end
	return best
end

local function clear(x, z)
	for _, p in ipairs({HUT, TOWER, LIGHTHOUSE, STONES}) do
		if (x - p.x) ^ 2 + (z - p.z) ^ 2 < 64 then return false end
	end
	return path_distance(x, z) > 3.5
end

local seed = 11
local function random(n)
	seed = (seed * 1103515245 + 12345) % 2147483648
	return math.floor(seed / 65536) % n
end

local trees = {}
while #trees < 38 do
	local x, z = random(84) - 42, random(84) - 42
	local h = height(x, z)
	local fits = island.inland(x, z) > 5 and h >= 3 and h <= 12 and clear(x, z)
	for _, tree in ipairs(trees) do fits = fits and (tree[1] - x) ^ 2 + (tree[2] - z) ^ 2 >= 36 end
	if fits then
		trees[#trees + 1] = {x, z}
		if x < -4 and z > 2 or random(5) == 0 then
			pine(x, z, 6 + random(3))
		else
			oak(x, z, 4 + random(2), random(3) == 0 and "autumn" or "leaves")
		end
	end
end

for x = -44, 44 do
	for z = -44, 44 do
		local h = height(x, z)
		if h >= 2 and path_distance(x, z) < 1.1 then put(x, h, z, "path") end
	end
end

do -- the hut: 8 x 7, a door of two to the south, windows, a lamp, a table
	local y = height(HUT.x, HUT.z)
	for dx = -4, 3 do
		for dz = -3, 3 do
			local x, z = HUT.x + dx, HUT.z + dz
			for below = y - 2, y - 1 do put(x, below, z, "mason") end
			put(x, y, z, "plank")
			for dy = 1, 12 do put(x, y + dy, z, "air") end
			local wall = dx == -4 or dx == 3 or dz == -3 or dz == 3
			local corner = (dx == -4 or dx == 3) and (dz == -3 or dz == 3)
			for dy = 1, 3 do
				local door = dz == -3 and (dx == -1 or dx == 0) and dy < 3
				local window = dy == 2 and ((math.abs(dz) < 2 and dz ~= 0 and (dx == -4 or dx == 3))
					or (dz == 3 and (dx == -1 or dx == 0)))
				if wall and not door and not window then put(x, y + dy, z, corner and "tree" or "white") end
			end
		end
	end
	for rise = 0, 3 do -- a gable roof whose ridge runs from west to east
		for dx = -5, 4 do
			for _, dz in ipairs({-4 + rise, 4 - rise}) do put(HUT.x + dx, y + 3 + rise, HUT.z + dz, "roof") end
		end
		for _, dx in ipairs({-4, 3}) do
			for dz = -3 + rise, 3 - rise do put(HUT.x + dx, y + 3 + rise, HUT.z + dz, "white") end
		end
	end
	for dx = -5, 4 do put(HUT.x + dx, y + 7, HUT.z, "roof") end
	put(HUT.x - 3, y + 1, HUT.z + 2, "red") put(HUT.x - 3, y + 1, HUT.z + 1, "red")
	put(HUT.x + 2, y + 1, HUT.z + 2, "yellow")
	put(HUT.x - 3, y + 3, HUT.z - 2, "lamp") put(HUT.x + 2, y + 3, HUT.z + 2, "lamp")
end

do -- the tower: seen from everywhere
	local y = height(TOWER.x, TOWER.z)
	for dy = -2, 18 do
		for dx = -2, 2 do
			for dz = -2, 2 do
				if math.abs(dx) + math.abs(dz) < 4 then
					put(TOWER.x + dx, y + dy, TOWER.z + dz, dy % 5 == 4 and "yellow" or "mason")
				end
			end
		end
	end
	for dx = -3, 3 do
		for dz = -3, 3 do
			put(TOWER.x + dx, y + 19, TOWER.z + dz, "mason")
			local rim = math.abs(dx) == 3 or math.abs(dz) == 3
			if rim and (dx + dz) % 2 == 0 then put(TOWER.x + dx, y + 20, TOWER.z + dz, "mason") end
		end
	end
	for dy = 20, 24 do put(TOWER.x, y + dy, TOWER.z, "tree") end
	for dx = 1, 3 do for dy = 23, 24 do put(TOWER.x + dx, y + dy, TOWER.z, "red") end end
end

do -- the lighthouse: red and white
	local y = height(LIGHTHOUSE.x, LIGHTHOUSE.z)
	for dy = -2, 11 do
		for dx = -1, 1 do
			for dz = -1, 1 do
				put(LIGHTHOUSE.x + dx, y + dy, LIGHTHOUSE.z + dz, math.floor((dy + 2) / 3) % 2 == 0 and "white" or "red")
			end
		end
	end
	for dy = 12, 13 do put(LIGHTHOUSE.x, y + dy, LIGHTHOUSE.z, "lamp") end
	for dx = -1, 1 do for dz = -1, 1 do put(LIGHTHOUSE.x + dx, y + 14, LIGHTHOUSE.z + dz, "roof") end end
end

for k = 0, 7 do -- a ring of stones, one of them fallen, two with a lintel
	local x = math.floor(STONES.x + 4.4 * math.cos(k * math.pi / 4) + 0.5)
	local z = math.floor(STONES.z + 4.4 * math.sin(k * math.pi / 4) + 0.5)
	local y = height(x, z)
	for dy = 1, k == 5 and 1 or 4 do put(x, y + dy, z, "mason") end
end

do -- the jetty, with a post of each colour
	for z = JETTY.z - 10, JETTY.z + 3 do
		for dx = -1, 1 do
			put(JETTY.x + dx, 2, z, "plank")
			for dy = 3, 6 do if things[key(JETTY.x + dx, dy, z)] == "path" then put(JETTY.x + dx, dy, z, "air") end end
		end
		if (z - JETTY.z) % 4 == 2 then for _, dx in ipairs({-2, 2}) do put(JETTY.x + dx, 2, z, "tree") put(JETTY.x + dx, 3, z, "tree") end end
	end
end
for _, post in ipairs({{39, 8, "red"}, {30, 32, "yellow"}, {0, 42, "white"}, {-38, 16, "violet"}, {-24, -36, "red"}}) do
	local y = height(post[1], post[2])
	for dy = 1, 6 do put(post[1], y + dy, post[2], dy % 2 == 0 and "white" or post[3]) end
end

local colours = {"red_flower", "yellow_flower", "white_flower"}
for patch = 1, 16 do -- flowers grow in patches of one colour
	local cx, cz = random(76) - 38, random(76) - 38
	for _ = 1, 7 do
		local x, z = cx + random(5) - 2, cz + random(5) - 2
		local h = height(x, z)
		local grass = not things[key(x, h, z)] and island.land(x, h, z) == "grass"
		if grass and not things[key(x, h + 1, z)] then put(x, h + 1, z, colours[patch % 3 + 1]) end
	end
end

-- The y of the first free block above everything at (x, z), and whether one can stand there in the open.
function island.ground(x, z)
	local y = island.TOP
	local function solid(level)
		local name = island.thing(x, level, z) or island.land(x, level, z)
		return name ~= "air" and not name:find("flower") and name
	end
	while not solid(y) do y = y - 1 end
	local top = solid(y)
	local open = top == "grass" or top == "sand" or top == "path" or top == "snow" or top == "stone"
	return y + 1, open and island.inland(x, z) > 0.5
end
