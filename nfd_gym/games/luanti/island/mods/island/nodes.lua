-- What the island is made of. Everything above the sea bed is dug at once.
local function node(name, tiles, more)
	local definition = {description = name, tiles = tiles, groups = {dig_immediate = 3}, drop = "",
		is_ground_content = false}
	for key, value in pairs(more or {}) do definition[key] = value end
	minetest.register_node("island:" .. name, definition)
end

local function plain(name) node(name, {name .. ".png"}) end

for _, name in ipairs({"dirt", "sand", "path", "stone", "snow", "leaves", "autumn", "needles", "white", "roof",
	"yellow", "red", "mason", "brick", "plank", "violet"}) do plain(name) end
node("grass", {"grass.png", "dirt.png", "grass_side.png"})
node("tree", {"tree_top.png", "tree_top.png", "tree.png"}, {groups = {dig_immediate = 3, tree = 1}})
node("pine_tree", {"tree_top.png", "tree_top.png", "pine_tree.png"}, {groups = {dig_immediate = 3, tree = 1}})
node("lamp", {"lamp.png"}, {light_source = 13})

-- Small boxes instead of flat pictures: they have an edge and a depth from every side.
local function flower(name)
	node(name .. "_flower", {name .. "_flower.png"}, {
		drawtype = "nodebox", paramtype = "light", sunlight_propagates = true, walkable = false,
		node_box = {type = "fixed", fixed = {
			{-0.0625, -0.5, -0.0625, 0.0625, 0, 0.0625}, {-0.21875, 0, -0.21875, 0.21875, 0.3125, 0.21875}}},
	})
end
flower("red") flower("yellow") flower("white")

-- The sea is walked upon, and its floor ends every pit.
local fixed = {groups = {liquid = 1}, diggable = false}
node("sea", {"sea.png"}, fixed)
node("shallow", {"shallow.png"}, fixed)
node("bed", {"bed.png"}, {groups = {}, diggable = false})
node("fence", {"bed.png"}, {groups = {}, diggable = false, drawtype = "airlike", paramtype = "light",
	sunlight_propagates = true, pointable = false})

minetest.register_item(":", {type = "none", wield_image = "invisible.png", range = 4.5,
	tool_capabilities = {full_punch_interval = 0.2, max_drop_level = 0, groupcaps = {}, damage_groups = {}}})
