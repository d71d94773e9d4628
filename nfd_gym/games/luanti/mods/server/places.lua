-- Finds a place to begin: in daylight, on firm ground, inland, with room to walk.
local GOOD = {grassland = 1, deciduous_forest = 1, coniferous_forest = 1, savanna = 1, snowy_grassland = 1,
	taiga = 1, desert = 1, sandstone_desert = 1, cold_desert = 1}
local TRIES = 1500

local function ring(x, z, radius, visit)
	for k = 0, 7 do
		local xx = math.floor(x + radius * math.cos(k * math.pi / 4))
		local zz = math.floor(z + radius * math.sin(k * math.pi / 4))
		if not visit(xx, zz, minetest.get_spawn_level(xx, zz)) then return false end
	end
	return true
end

-- The ground level at (x, z) if the region suits, judged from the generator's noise alone, without making
-- terrain. The demands shrink as the tries go on, but a strictly wanted biome is never given up.
local function suits(x, z, command, try)
	local y = minetest.get_spawn_level(x, z)
	if not y or y < 2 or y > 60 then return end
	local biome = nfd.biome({x = x, y = y, z = z})
	if biome ~= command.biome and (command.strict or try < 300 or not GOOD[biome]) then return end
	local same = 0
	for _, radius in ipairs(try < 700 and {16, 36} or {14}) do -- no spawn level means water: stay inland
		if not ring(x, z, radius, function(xx, zz, yy)
			if yy and nfd.biome({x = xx, y = yy, z = zz}) == biome then same = same + 1 end
			return yy
		end) then return end
	end
	if try < 500 and same < 14 then return end
	return y
end

local function soft(name) return name:find("leaves") or name:find("tree") or name:find("bush") end

-- At most half of the eight directions may be blocked or end in water within two metres.
local function roomy(at)
	local y = math.floor(at.y + 0.51)
	local blocked = 0
	for k = 0, 7 do
		for distance = 1, 2 do
			local x, z = at.x + distance * math.cos(k * math.pi / 4), at.z + distance * math.sin(k * math.pi / 4)
			local wall = nfd.solid(nfd.node(x, y + 1, z)) or nfd.solid(nfd.node(x, y + 2, z))
			local firm = nfd.solid(nfd.node(x, y, z)) or nfd.solid(nfd.node(x, y - 1, z)) or nfd.solid(nfd.node(x, y - 2, z))
			if wall or not firm then
				blocked = blocked + 1
				break
			end
		end
	end
	return blocked <= 4
end

-- In a forest most columns end in leaves: look for firm ground with three free nodes above it nearby.
local function stand(x, y, z, random)
	local biome = nfd.biome({x = x, y = y, z = z})
	for _ = 1, 60 do
		local xx, zz = x + random:next(-20, 20), z + random:next(-20, 20)
		for ground = y + 6, y - 6, -1 do
			local name = nfd.node(xx, ground, zz)
			if nfd.solid(name) and not soft(name) then
				local free = true
				for above = 1, 3 do
					local over = nfd.node(xx, ground + above, zz)
					free = free and not nfd.solid(over) and not nfd.liquid(over)
				end
				local at = {x = xx, y = ground + 0.5, z = zz}
				local light = minetest.get_node_light({x = xx, y = ground + 2, z = zz}, 0.5) or 0
				if free and light >= 10 and nfd.biome(at) == biome and roomy(at) then return at end
				break
			end
		end
	end
end

local function settle(player, at, command, yaw, pitch)
	local bag = player:get_inventory()
	bag:set_list("main", {})
	for slot, item in ipairs(command.items) do bag:set_stack("main", slot, item) end
	minetest.set_timeofday(0.5)
	player:set_pos(at)
	player:set_look_horizontal(math.rad(yaw))
	player:set_look_vertical(math.rad(pitch))
end

local function emerge(at, done)
	minetest.emerge_area(vector.subtract(at, {x = 48, y = 16, z = 48}), vector.add(at, {x = 48, y = 32, z = 48}),
		function(_, _, remaining) if remaining == 0 then done() end end)
end

local function search(player, command, random, try, done)
	local x, y, z
	repeat
		try = try + 1
		local far = try < 300 and 1600 or 6000
		x, z = random:next(-far, far), random:next(-far, far)
		y = suits(x, z, command, try)
	until y or try >= TRIES
	if not y then return done(nil) end
	emerge({x = x, y = y, z = z}, function()
		local at = stand(x, y, z, random)
		if not at then return search(player, command, random, try, done) end
		settle(player, at, command, random:next(0, 359), 5)
		done(at, nfd.biome(at))
	end)
end

-- command: seed, items, and either biome and strict, or at = {x, y, z} with yaw and pitch, all in the game's
-- own coordinates and degrees.
function nfd.move(player, command, done)
	nfd.restore()
	if command.at then
		emerge(command.at, function()
			settle(player, command.at, command, command.yaw, command.pitch)
			done(command.at, nfd.biome(command.at))
		end)
	else
		search(player, command, PcgRandom(command.seed), 0, done)
	end
end
