-- Undoes what earlier episodes changed, so that the same seed finds the same place again.
-- Touched map blocks are deleted; the generator makes them anew when they are next needed.
local touched = {}

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

minetest.register_on_dignode(touch)
minetest.register_on_placenode(touch)

function nfd.restore()
	for _, corner in pairs(touched) do minetest.delete_area(corner, vector.add(corner, 15)) end
	touched = {}
	minetest.clear_objects({mode = "quick"}) -- dropped items
end
