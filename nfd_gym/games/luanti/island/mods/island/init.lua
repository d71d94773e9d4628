-- The island: a small world of its own, always the same.
-- nodes.lua says what it is made of, land.lua its shape, things.lua what stands on it.
island = {}
local folder = minetest.get_modpath("island")
dofile(folder .. "/nodes.lua")
dofile(folder .. "/land.lua")
dofile(folder .. "/things.lua")

minetest.set_mapgen_setting("water_level", "-31000", true)
minetest.register_alias("mapgen_stone", "air")
minetest.register_alias("mapgen_water_source", "air")
minetest.register_alias("mapgen_river_water_source", "air")

local ids = setmetatable({}, {__index = function(known, name)
	known[name] = minetest.get_content_id(name == "air" and "air" or "island:" .. name)
	return known[name]
end})

minetest.register_on_generated(function(low, high)
	if high.y < island.BOTTOM or low.y > island.TOP then return end
	local manip, from, to = minetest.get_mapgen_object("voxelmanip")
	local area, data = VoxelArea:new({MinEdge = from, MaxEdge = to}), manip:get_data()
	for z = low.z, high.z do
		for x = low.x, high.x do
			if island.within(x, z) then
				for y = math.max(low.y, island.BOTTOM), math.min(high.y, island.TOP) do
					local name = island.thing(x, y, z) or island.land(x, y, z)
					if name ~= "air" then data[area:index(x, y, z)] = ids[name] end
				end
			end
		end
	end
	manip:set_data(data)
	manip:set_lighting({day = 15, night = 0})
	manip:calc_lighting()
	manip:write_to_map()
end)

minetest.register_on_joinplayer(function(player)
	player:set_sky({type = "plain", base_color = "#a5d4f2", clouds = false})
	player:set_sun({visible = false, sunrise_visible = false})
	player:set_moon({visible = false})
	player:set_stars({visible = false})
	player:set_properties({stepheight = 1.1, eye_height = 1.625})
end)
