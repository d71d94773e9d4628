-- The island's own way to begin: everything is there already, so a move is a step.
local LOW, HIGH = {x = -96, y = -16, z = -96}, {x = 96, y = 40, z = 96}
local ready = false

function nfd.biome() return "island" end

local function somewhere(random)
	while true do
		local x, z = random:next(-46, 46), random:next(-46, 46)
		local y, open = island.ground(x, z)
		if open then return {x = x, y = y - 0.5, z = z} end
	end
end

local function go(player, command)
	nfd.restore()
	local random = PcgRandom(command.seed)
	local at, yaw, pitch = command.at, command.yaw, command.pitch
	if not at then
		at, yaw, pitch = somewhere(random), random:next(0, 359), 5
	elseif not at.y then
		at.y = island.ground(math.floor(at.x + 0.5), math.floor(at.z + 0.5)) - 0.5
	end
	local bag = player:get_inventory()
	bag:set_list("main", {})
	for slot, item in ipairs(command.items) do bag:set_stack("main", slot, item) end
	player:set_pos(at)
	player:set_look_horizontal(math.rad(yaw))
	player:set_look_vertical(math.rad(pitch))
	return at
end

-- command: seed, items, and perhaps at = {x, z, maybe y} with yaw and pitch, in the game's own coordinates.
function nfd.move(player, command, done)
	if ready then return done(go(player, command), nfd.biome()) end
	minetest.emerge_area(LOW, HIGH, function(_, _, remaining)
		if remaining > 0 then return end
		ready = true
		done(go(player, command), nfd.biome())
	end)
end
