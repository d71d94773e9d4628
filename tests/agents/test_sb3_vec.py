"""SB3Vec says to Stable-Baselines3 what the lanes say, at the ends of episodes above all."""

from collections.abc import Callable

import gymnasium
import numpy as np
import pytest
from gymnasium.vector import AutoresetMode, SyncVectorEnv
from stable_baselines3.common.vec_env import VecMonitor

from agents.lanes import Setup, make_lanes, make_vector
from agents.sb3_vec import SB3Vec
from agents.threads import ThreadVectorEnv
from nfd_gym.errors import UsageError
from nfd_gym.games.luanti.gate import GameDied
from tests.agents.conftest import Counter


def counters(*lengths: int, terminates: bool = True, repeat: int = 1) -> SB3Vec:
    lanes = ThreadVectorEnv([lambda n=n: Counter(n, terminates) for n in lengths])
    return SB3Vec(lanes, repeat)


def test_a_step_is_the_lanes_own_step(setup: Callable[..., Setup]) -> None:
    lanes, own = SB3Vec(make_vector(setup())), make_vector(setup())
    lanes.seed(7)
    theirs, _ = own.reset(seed=7)
    assert (lanes.reset() == theirs).all()
    for action in ([1, 2], [12, 0]):
        frames, rewards, dones, infos = lanes.step(np.array(action))
        theirs, gained, *_ = own.step(np.array(action))
        assert (frames == theirs).all() and (rewards == gained).all()
        assert rewards.dtype == np.float32 and dones.dtype == bool and len(infos) == 2
    assert infos[0]["drift"] != infos[1]["drift"] and "cells" in infos[0]["reward_terms"]


def test_at_an_end_the_last_frame_is_in_the_info_and_the_new_one_is_shown(
    setup: Callable[..., Setup],
) -> None:
    one = setup(horizon=2, repeat=1)
    lanes, own = SB3Vec(make_vector(one)), make_vector(one)
    lanes.seed(3)
    lanes.reset()
    own.reset(seed=3)
    for action in (np.array([1, 1]), np.array([5, 4])):
        frames, _, dones, infos = lanes.step(action)
        shown, _, _, _, told = own.step(action)
    assert dones.all() and (frames == shown).all()
    for lane, info in enumerate(infos):
        assert (info["terminal_observation"] == told["final_obs"][lane]).all()
        assert info["TimeLimit.truncated"] is True
        assert (info["terminal_observation"] != frames[lane]).any()
        assert "eye" in lanes.reset_infos[lane] and "final_obs" not in lanes.reset_infos[lane]


@pytest.mark.parametrize("terminates", [True, False])
def test_only_time_limits_are_truncations(terminates: bool) -> None:
    lanes = counters(2, 3, terminates=terminates)
    lanes.reset()
    lanes.step(np.zeros(2, int))
    _, _, dones, infos = lanes.step(np.zeros(2, int))
    assert dones.tolist() == [True, False]
    assert infos[0]["TimeLimit.truncated"] is not terminates
    assert infos[0]["episode_number"] == 1 and lanes.reset_infos[0]["episode_number"] == 2
    assert "terminal_observation" not in infos[1]
    lanes.close()


def test_held_ticks_add_up_and_nothing_of_the_next_episode_is_credited() -> None:
    lanes = counters(5, 8, repeat=4)
    lanes.reset()
    games = lanes.lanes.envs  # type: ignore[attr-defined]
    _, rewards, dones, _ = lanes.step(np.array([3, 4]))
    assert rewards.tolist() == [4, 4] and not dones.any()
    frames, rewards, dones, infos = lanes.step(np.array([3, 4]))
    assert rewards.tolist() == [1, 4] and dones.all()
    assert infos[0]["terminal_observation"].max() == 105  # tick 5 of episode 1
    assert games[0].actions == [3] * 5 + [0] * 3  # it rests, so that the next episode begins calmly
    assert frames[:, 0, 0, 0].tolist() == [3, 0]  # tick 3 and tick 0 of episode 2
    lanes.close()


def test_seeds_are_used_once_and_count_up() -> None:
    lanes = counters(2, 2)
    lanes.seed(40)
    lanes.reset()
    assert [info["seed"] for info in lanes.reset_infos] == [40, 41]
    lanes.reset()
    assert [info["seed"] for info in lanes.reset_infos] == [None, None]
    lanes.close()


def test_pictures_are_shown_in_the_worlds_own_size(setup: Callable[..., Setup]) -> None:
    lanes = make_lanes(setup())
    assert lanes.observation_space.shape == (36, 36, 6)
    lanes.reset()
    assert [image.shape for image in lanes.get_images()] == [(32, 48, 3)] * 2
    assert lanes.render(mode="rgb_array").shape[2] == 3
    lanes.close()


def test_monitor_counts_whole_episodes(setup: Callable[..., Setup]) -> None:
    lanes = VecMonitor(counters(4, 4, repeat=2))
    lanes.reset()
    lanes.step(np.zeros(2, int))
    infos = lanes.step(np.zeros(2, int))[3]
    assert [info["episode"]["r"] for info in infos] == [4, 4]
    lanes.close()


def test_attributes_and_methods_reach_the_lanes(setup: Callable[..., Setup]) -> None:
    for lanes in (SB3Vec(make_vector(setup())), counters(2, 2)):
        codecs = lanes.get_attr("codec")
        assert len(codecs) == 2 and codecs[0].preset == "discrete"
        assert lanes.get_attr("codec", indices=1) == [codecs[1]]
        assert not lanes.has_attr("no_such_thing")
        assert lanes.env_is_wrapped(gymnasium.Wrapper) == [False, False]
        lanes.close()


class Named(Counter):
    """A lane that counts how often it was greeted."""

    greeted = 0

    def greet(self, word: str) -> str:
        self.greeted += 1
        return f"{word} {self.length}"


def test_methods_reach_the_chosen_lanes_only() -> None:
    lanes = SB3Vec(ThreadVectorEnv([lambda n=n: Named(n) for n in (2, 3, 4)]))
    assert lanes.env_method("greet", "hi", indices=[2, 0]) == ["hi 4", "hi 2"]
    assert lanes.get_attr("greeted") == [1, 0, 1]
    lanes.set_attr("greeted", 7, indices=1)
    assert lanes.get_attr("greeted") == [1, 7, 1]
    lanes.close()


def test_lanes_of_one_env_are_all_meant_or_refused(setup: Callable[..., Setup]) -> None:
    lanes = SB3Vec(make_vector(setup()))
    lanes.reset()
    for refused in (
        lambda: lanes.env_method("undo", indices=0),
        lambda: lanes.set_attr("output", "numpy", indices=[1]),
    ):
        with pytest.raises(UsageError, match="the lanes share one env"):
            refused()
    one, other = lanes.get_attr("np_random")
    assert isinstance(one, np.random.Generator) and one is not other
    assert lanes.get_attr("np_random", indices=1) == [other]
    lanes.close()


def test_dict_actions_are_refused_with_the_presets_to_use(setup: Callable[..., Setup]) -> None:
    with pytest.raises(
        ValueError, match=r"action_space='minerl'.*'multidiscrete'.*'discrete'.*'box'"
    ):
        make_lanes(setup(action_space="minerl"))


def test_other_autoreset_modes_are_refused() -> None:
    with pytest.raises(ValueError, match="SAME_STEP"):
        SB3Vec(SyncVectorEnv([lambda: Counter(2)], autoreset_mode=AutoresetMode.NEXT_STEP))


def test_threads_do_what_one_thread_does() -> None:
    together = ThreadVectorEnv([lambda n=n: Counter(n) for n in (2, 3)])
    apart = SyncVectorEnv(
        [lambda n=n: Counter(n) for n in (2, 3)], autoreset_mode=AutoresetMode.SAME_STEP
    )
    for env in (together, apart):
        env.action_space.seed(0)
    assert (together.reset(seed=1)[0] == apart.reset(seed=1)[0]).all()
    for _ in range(5):
        action = together.action_space.sample()
        mine, theirs = together.step(action), apart.step(action)
        for one, other in zip(mine[:4], theirs[:4], strict=True):
            assert (one == other).all()
        assert sorted(mine[4]) == sorted(theirs[4])
    together.close()


def test_a_game_that_dies_costs_its_episode_only() -> None:
    class Mortal(Counter):
        def step(self, action: object) -> object:
            if self.episode == 1 and self.clock == 1:
                raise GameDied("the game ended")
            return super().step(action)

    lanes = SB3Vec(ThreadVectorEnv([lambda: Mortal(9), lambda: Counter(9)]))
    lanes.reset()
    lanes.step(np.zeros(2, int))
    frames, rewards, dones, infos = lanes.step(np.zeros(2, int))
    assert dones.tolist() == [True, False] and rewards.tolist() == [0, 1]
    assert infos[0]["game_died"] and infos[0]["TimeLimit.truncated"]
    assert frames[0].max() == 0  # episode 2 has begun
    lanes.close()
