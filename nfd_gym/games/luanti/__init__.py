"""The voxel game Luanti (Minetest 5.6) as a Gymnasium env, one rendered frame per step."""

from nfd_gym.games.luanti.install import check

__all__ = ["check"]
