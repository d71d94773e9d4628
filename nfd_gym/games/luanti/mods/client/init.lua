-- Client-side mod: one "@frame" line for every rendered frame and one "@event" line for every block the
-- player digs or places, written to the game's log (stderr). Every line carries t, the virtual clock of
-- its frame in microseconds, so that it joins exactly with the picture.
-- print() must not be used: it draws into the chat on the screen.
nfd = {}
dofile(minetest.get_modpath(minetest.get_current_modname()) .. "senses.lua")
dofile(minetest.get_modpath(minetest.get_current_modname()) .. "changes.lua")
local clock = minetest.get_us_time

minetest.register_globalstep(function()
	local player = minetest.localplayer
	if not player then return end
	local at, speed = player:get_pos(), player:get_velocity()
	-- The position belongs to this frame. get_last_look_* is one frame older: the view of the frame before.
	minetest.log("action", string.format(
		'@frame {"t":%d,"x":%.3f,"y":%.3f,"z":%.3f,"rise":%.2f,"yaw":%.4f,"pitch":%.4f,"slot":%d,' ..
		'"ground":%s,"liquid":%s,"changed":%s,"missing":%s,%s}',
		clock(), at.x, at.y, at.z, speed.y,
		math.deg(player:get_last_look_horizontal()) - 90, -math.deg(player:get_last_look_vertical()),
		player:get_wield_index(), tostring(player:is_touching_ground()), tostring(player:is_in_liquid()),
		tostring(nfd.changed()), tostring(nfd.missing()), nfd.senses(player)))
end)

local function event(kind, name, at)
	minetest.log("action", string.format('@event {"t":%d,"type":%q,"node":%q,"x":%d,"y":%d,"z":%d}',
		clock(), kind, name, at.x, at.y, at.z))
end

minetest.register_on_dignode(function(at, node)
	nfd.touch(at, node.name)
	event("dig", node.name, at)
end)

minetest.register_on_placenode(function(pointed, item)
	if pointed.type ~= "node" then return end
	local under = minetest.get_node_or_nil(pointed.under)
	local definition = under and minetest.get_node_def(under.name)
	local replaces = definition and definition.buildable_to -- grass and snow give way
	local at = replaces and pointed.under or pointed.above
	nfd.touch(at, "air")
	event("place", item.name, at)
end)
