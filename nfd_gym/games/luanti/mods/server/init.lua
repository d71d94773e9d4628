-- Server-side mod: obeys the controller's command files and reports what only the server knows.
-- Reports are "@server" lines in the game's log (stderr).
local folder = minetest.get_modpath(minetest.get_current_modname())
nfd = {}
dofile(folder .. "/nodes.lua")
dofile(folder .. "/surroundings.lua")
dofile(folder .. "/restore.lua")
dofile(folder .. "/places.lua")

local function report(format, ...) minetest.log("action", "@server " .. string.format(format, ...)) end

minetest.register_on_joinplayer(function(player)
	player:hud_set_flags({hotbar = false, healthbar = false, breathbar = false, minimap = false,
		minimap_radar = false, crosshair = true, wielditem = true})
	player:hud_set_hotbar_itemcount(9)
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

local tick, biome, trunk = 0, "", nil
minetest.register_globalstep(function()
	local player = minetest.get_connected_players()[1]
	if not player then return end
	obey(player)
	local at = player:get_pos()
	local eye = {x = at.x, y = at.y + nfd.EYE, z = at.z}
	if tick % 10 == 0 then -- the two slow look-ups
		biome = nfd.biome(at)
		trunk = minetest.find_node_near(vector.round(eye), 6, {"group:tree"})
	end
	tick = tick + 1
	local kinds, distances = nfd.around(at, player:get_look_horizontal())
	local pointed, distance = nfd.pointed(eye, player:get_look_dir())
	report('{"report":"state","light":%d,"head":%s,"biome":%q,"kinds":%q,"distances":[%s],"pointed":%q,' ..
		'"reach":%.2f,"trunk":%s}',
		minetest.get_node_light(eye) or 15, tostring(nfd.liquid(nfd.node(eye.x, eye.y, eye.z))), biome, kinds,
		table.concat(distances, ","), pointed, distance,
		trunk and string.format("[%d,%d,%d]", trunk.x, trunk.y, trunk.z) or "null")
end)
