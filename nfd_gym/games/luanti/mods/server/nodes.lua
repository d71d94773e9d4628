-- Small questions about nodes that the other files share.
function nfd.node(x, y, z)
	return minetest.get_node({x = math.floor(x + 0.5), y = math.floor(y + 0.5), z = math.floor(z + 0.5)}).name
end

-- Unknown and unloaded nodes count as solid: nobody should walk there.
function nfd.solid(name)
	local definition = minetest.registered_nodes[name]
	return not definition or definition.walkable or name == "ignore"
end

function nfd.liquid(name) return minetest.get_item_group(name, "liquid") > 0 end

function nfd.biome(at)
	local data = minetest.get_biome_data(at)
	return data and minetest.get_biome_name(data.biome) or ""
end
