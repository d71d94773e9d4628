-- What a player sees at a glance, for scripted players: obstacles in eight directions, the pointed node.
local REACH = {island = 4.5, other = 4} -- of the empty hand on the island, of every tool in Minetest Game
local EYE = 1.47

local kinds = {} -- node name -> "w" solid, "l" liquid, "f" free
local function kind(x, y, z)
	local node = minetest.get_node_or_nil({x = math.floor(x + 0.5), y = math.floor(y + 0.5), z = math.floor(z + 0.5)})
	if not node then return "w" end -- unloaded: nobody should walk there
	local known = kinds[node.name]
	if not known then
		local definition = minetest.get_node_def(node.name)
		local groups = definition and definition.groups or {}
		known = (not definition or node.name == "ignore") and "w" or (groups.liquid or 0) > 0 and "l"
			or definition.walkable and "w" or "f"
		kinds[node.name] = known
	end
	return known
end

local island
function nfd.on_island()
	if island == nil then
		local definition = minetest.get_node_def("island:grass")
		island = definition ~= nil and definition.name == "island:grass"
	end
	return island
end

-- Walks in thought from `at` towards `angle`, up to six nodes.
-- Returns the kind of ground (f free, s step up, w wall, l liquid, c cliff) and the distance where it begins.
local function scan(at, angle)
	local y = math.floor(at.y + 0.51)
	local step
	for distance = 1, 6 do
		local x, z = at.x - distance * math.sin(angle), at.z + distance * math.cos(angle)
		if kind(x, y, z) == "w" then
			if kind(x, y + 1, z) == "w" or kind(x, y + 2, z) == "w" then return "w", distance end
			y, step = y + 1, step or distance
		elseif kind(x, y + 1, z) == "w" then
			return "w", distance
		else
			local depth = 0
			while depth < 4 do
				local ground = kind(x, y - depth, z)
				if ground == "l" then return "l", distance end
				if ground == "w" then break end
				depth = depth + 1
			end
			if depth == 4 then return "c", distance end
			if depth > 0 then y = y - depth + 1 end
		end
	end
	if step then return "s", step end
	return "f", 7
end

-- Eight directions, 45 degrees apart, counter-clockwise (to the left) from `heading`.
local function around(at, heading)
	local found, distances = "", {}
	for k = 0, 7 do
		local what, distance = scan(at, heading + k * math.pi / 4)
		found, distances[k + 1] = found .. what, distance
	end
	return found, table.concat(distances, ",")
end

-- Name and distance of the node in the middle of the picture and where a block would be placed on it; ""
-- when nothing is within reach.
local function pointed(eye, direction)
	local reach = nfd.on_island() and REACH.island or REACH.other
	local hit = minetest.raycast(eye, vector.add(eye, vector.multiply(direction, reach)), false, false):next()
	if not hit or hit.type ~= "node" then return "", 9, "null" end
	local node = minetest.get_node_or_nil(hit.under)
	return node and node.name or "", vector.distance(eye, hit.intersection_point or hit.under),
		string.format("[%d,%d,%d]", hit.above.x, hit.above.y, hit.above.z)
end

local tick, trunk = 0, nil
-- Fields of a frame's line, as JSON without braces.
function nfd.senses(player)
	local at = player:get_pos()
	local head = {x = at.x, y = at.y + EYE, z = at.z}
	if tick % 10 == 0 then trunk = minetest.find_node_near(vector.round(head), 6, {"group:tree"}) end
	tick = tick + 1
	local found, distances = around(at, player:get_last_look_horizontal() - math.pi / 2)
	local name, distance, above = pointed(minetest.camera:get_pos() or head, minetest.camera:get_look_dir())
	return string.format('"light":%d,"head":%s,"kinds":%q,"distances":[%s],"pointed":%q,"reach":%.2f,"above":%s,"trunk":%s',
		minetest.get_node_light(head) or 15, tostring(kind(head.x, head.y, head.z) == "l"), found, distances,
		name, distance, above, trunk and string.format("[%d,%d,%d]", trunk.x, trunk.y, trunk.z) or "null")
end
