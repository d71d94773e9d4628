-- Server-side mod: obeys the controller's command files and reports what only the server knows.
-- Reports are "@server" lines in the game's log (stderr).
local folder = minetest.get_modpath(minetest.get_current_modname())
local island = minetest.get_modpath("island") ~= nil
nfd = {}
dofile(folder .. "/nodes.lua")
dofile(folder .. "/restore.lua")
dofile(folder .. (island and "/island.lua" or "/places.lua"))

local function report(format, ...) minetest.log("action", "@server " .. string.format(format, ...)) end

minetest.register_on_joinplayer(function(player)
	-- The island's picture holds nothing but the island.
	player:hud_set_flags({hotbar = false, healthbar = false, breathbar = false, minimap = false,
		minimap_radar = false, crosshair = not island, wielditem = not island})
	player:hud_set_hotbar_itemcount(island and 3 or 9)
	minetest.set_timeofday(0.5)
	report('{"report":"join"}')
end)

-- Tools do not wear out and placed blocks are given back: an episode may be long.
minetest.register_on_dignode(function(_, _, player)
	local tool = player and player:get_wielded_item()
	if tool and tool:get_wear() > 0 then
		tool:set_wear(0)
		player:set_wielded_item(tool)
	end
end)
minetest.register_on_placenode(function(_, _, player) return player ~= nil end)

-- The controller renames command files into place, so a file that exists is complete.
local path = minetest.get_worldpath() .. "/command.json"
local function obey(player)
	local file = io.open(path, "r")
	if not file then return end
	local command = minetest.parse_json(file:read("*a"))
	file:close()
	os.remove(path)
	nfd.move(player, command, function(at, biome)
		if at then
			report('{"report":"placed","id":%d,"x":%.3f,"y":%.3f,"z":%.3f,"biome":%q}',
				command.id, at.x, at.y, at.z, biome)
		else
			report('{"report":"nowhere","id":%d}', command.id)
		end
	end)
end

local tick = 0
minetest.register_globalstep(function()
	local player = minetest.get_connected_players()[1]
	if not player then return end
	nfd.send(player)
	obey(player)
	if tick % 10 == 0 then report('{"report":"state","biome":%q}', nfd.biome(player:get_pos())) end
	tick = tick + 1
end)
