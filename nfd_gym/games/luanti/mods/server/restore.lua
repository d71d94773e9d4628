-- Undoes what earlier episodes changed, so that the same seed finds the same place again.
-- On the island single blocks are put back, as nothing else ever changes there. In Minetest Game touched
-- map blocks are deleted; the generator makes them anew when they are next needed.
local touched, before = {}, {}

local function touch(at)
	-- Leaves decay within 3 nodes, sand and gravel fall from above.
	local low, high = vector.subtract(at, 4), vector.add(at, {x = 4, y = 16, z = 4})
	for x = math.floor(low.x / 16), math.floor(high.x / 16) do
		for y = math.floor(low.y / 16), math.floor(high.y / 16) do
			for z = math.floor(low.z / 16), math.floor(high.z / 16) do
				touched[x .. "," .. y .. "," .. z] = {x = x * 16, y = y * 16, z = z * 16}
			end
		end
	end
end

if minetest.get_modpath("island") then
	local function remember(at, name)
		local key = minetest.hash_node_position(at)
		before[key] = before[key] or name
	end
	minetest.register_on_dignode(function(at, old) remember(at, old.name) end)
	minetest.register_on_placenode(function(at, _, _, old) remember(at, old.name) end)
else
	minetest.register_on_dignode(touch)
	minetest.register_on_placenode(touch)
end

-- Of many changes at once the server itself sends only those in sight, and a map block only when it knows
-- that the client's is out of date, which takes it a step or two.
local unsent = {}
function nfd.send(player)
	for key, wanted in pairs(unsent) do
		wanted.steps = wanted.steps - 1
		if player:send_mapblock(wanted.block) or wanted.steps == 0 then unsent[key] = nil end
	end
end

function nfd.restore()
	for key, name in pairs(before) do
		local at = minetest.get_position_from_hash(key)
		minetest.set_node(at, {name = name})
		local block = vector.floor(vector.divide(at, 16))
		unsent[minetest.hash_node_position(block)] = {block = block, steps = 20}
	end
	before = {}
	for _, corner in pairs(touched) do minetest.delete_area(corner, vector.add(corner, 15)) end
	touched = {}
	if not minetest.get_modpath("island") then minetest.clear_objects({mode = "quick"}) end -- dropped items
end
