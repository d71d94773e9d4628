-- What a player would see at a glance, for scripted players: obstacles in eight directions, the pointed node.

-- Walks in thought from `at` towards `angle`, up to six nodes.
-- Returns the kind of ground (f free, s step up, w wall, l liquid, c cliff) and the distance where it begins.
local function scan(at, angle)
	local y = math.floor(at.y + 0.51)
	local step
	for distance = 1, 6 do
		local x, z = at.x - distance * math.sin(angle), at.z + distance * math.cos(angle)
		if nfd.solid(nfd.node(x, y, z)) then
			if nfd.solid(nfd.node(x, y + 1, z)) or nfd.solid(nfd.node(x, y + 2, z)) then return "w", distance end
			y, step = y + 1, step or distance
		elseif nfd.solid(nfd.node(x, y + 1, z)) then
			return "w", distance
		else
			local depth = 0
			while depth < 4 do
				local name = nfd.node(x, y - depth, z)
				if nfd.liquid(name) then return "l", distance end
				if nfd.solid(name) then break end
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
function nfd.around(at, heading)
	local kinds, distances = "", {}
	for k = 0, 7 do
		local kind, distance = scan(at, heading + k * math.pi / 4)
		kinds, distances[k + 1] = kinds .. kind, distance
	end
	return kinds, distances
end

-- Name and distance of the node under the crosshair; "" when nothing is within reach.
function nfd.pointed(eye, direction)
	local ray = minetest.raycast(eye, vector.add(eye, vector.multiply(direction, nfd.REACH)), false, false)
	local hit = ray:next()
	if not hit or hit.type ~= "node" then return "", 9 end
	local name = nfd.node(hit.under.x, hit.under.y, hit.under.z)
	return name, vector.distance(eye, hit.intersection_point or hit.under)
end
