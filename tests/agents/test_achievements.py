"""Crafter's players in the game and in the dream; cloning of recordings; agents that see grey."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from stable_baselines3 import PPO

pytest.importorskip("crafter")

from agents import achievements, clone, train_ppo
from agents.callbacks import LAST
from agents.evaluate import score
from agents.lanes import Setup, make_lanes
from agents.rivals import GREY, make_rival
from agents.saving import save_agent
from agents.scores import crafter_score
from nfd_gym.data import open_source
from nfd_gym.errors import UsageError
from nfd_gym.games.crafter.env import CrafterEnv
from nfd_gym.games.crafter.readings import HudReader, view_of
from nfd_gym.games.crafter.seen import Seen
from nfd_gym.games.crafter.spec import ACHIEVEMENTS
from nfd_gym.games.crafter.tiles import TileReader


def test_what_is_seen_is_what_the_game_says() -> None:
    env, seen = CrafterEnv(), Seen(HudReader.from_game(), TileReader())
    frame, info = env.reset(seed=4)
    for action in (1, 1, 3, 5, 0):
        told = seen.look(frame, info["position"], info["achievements"])
        for name in ("inventory", "position", "facing", "asleep", "achievements"):
            assert told[name] == info[name]
        x, y = info["position"]
        assert np.array_equal(
            told["semantic"][x - 4 : x + 5, y - 3 : y + 4], view_of(info["semantic"], (x, y))
        )
        frame, _, _, _, info = env.step(action)
    assert 0 < (seen.map > 0).mean() < 0.1  # the rest of the map was never in view


@pytest.mark.slow
def test_the_scout_achieves_in_the_game_and_acts_in_the_dream() -> None:
    game = Setup(env="Crafter-v0", lanes=2, horizon=60, repeat=1)
    dream = Setup(env="NFD-Crafter-v0", lanes=1, horizon=3, repeat=1, engine="eager")
    played = score(make_rival("scout"), game, 2, seed=0), score(make_rival("scout"), dream, 1, 0)
    for episode in played[0].episodes:
        assert {"collect_wood", "place_table"} <= set(episode.unlocked) and episode.ticks <= 60
        assert episode.reward == pytest.approx(len(episode.unlocked), abs=0.95)  # and health
    assert played[1].episodes[0].ticks == 3
    scores = list(zip(("game", "dream"), played, strict=True))
    rates = achievements.rates_table(scores)
    assert [row[0] for row in rates["rows"]] == list(ACHIEVEMENTS)
    assert sum(row[1] for row in rates["rows"]) == pytest.approx(
        achievements.agents_table(scores)["rows"][0][8]
    )


def test_the_score_is_a_geometric_mean_that_counts_rare_ones() -> None:
    done = np.zeros((10, 22))
    assert crafter_score(done).mean == 0
    done[:, 0] = 1
    assert crafter_score(done).mean == pytest.approx(101 ** (1 / 22) - 1)
    done[0, 1:] = 1
    span = crafter_score(done)
    assert span.mean == pytest.approx((101 * 11**21) ** (1 / 22) - 1)
    assert span.low <= span.mean <= span.high


@pytest.mark.slow
def test_a_blank_agent_sees_grey_in_training_and_in_play(
    setup: Callable[..., Setup], tmp_path: Path
) -> None:
    lanes = make_lanes(setup(blank=True))
    assert (lanes.reset()[..., -3:] == GREY).all()  # black before an episode
    for _ in range(3):  # an episode ends
        frames, _, dones, infos = lanes.step(np.zeros(2, int))
        assert (frames[..., -3:] == GREY).all()
    assert dones.all() and all((info["terminal_observation"] == GREY).all() for info in infos)
    codec = lanes.get_attr("codec")[0]
    model = PPO("CnnPolicy", lanes, n_steps=4, batch_size=8, n_epochs=1, seed=0)
    facts = {"algorithm": "ppo", "codec": codec.to_json(), "size": [36, 36], "stack": 2,
             "repeat": 2, "policy_kwargs": {}, "setup": setup(blank=True).facts()}  # fmt: skip
    save_agent(model, tmp_path / "grey.zip", facts)
    save_agent(model, tmp_path / "eyes.zip", {**facts, "setup": setup().facts()})
    for name, blind in (("grey.zip", True), ("eyes.zip", False), ("blank:eyes.zip", True)):
        kind, _, file = name.rpartition(":")
        rival = make_rival(f"{kind}:{tmp_path / file}" if kind else str(tmp_path / file))
        shown: list[np.ndarray] = []
        rival.policy.act = lambda frames, to=shown: to.append(frames) or frames[:, 0, 0, 0]  # type: ignore[attr-defined]
        rival.act(np.zeros((2, 36, 36, 3), np.uint8), [{}, {}])
        assert (shown[0] == (GREY if blind else 0)).all()


@pytest.mark.slow
def test_a_clone_does_what_was_done_and_training_goes_on_from_it(
    dots: Path, setup: Callable[..., Setup], tmp_path: Path
) -> None:
    """Recordings in which the picture says the action; the critic hears of the rewards."""
    lanes = make_lanes(setup(lanes=1, repeat=1, stack=2))
    codec, source = lanes.get_attr("codec")[0], open_source(dots)
    told = clone.read(source, range(len(source.names)), setup(stack=2, repeat=1), codec)
    assert len(told.frames) == len(told.actions) == sum(n - 1 for n in source.lengths)
    black = clone.seen(told, told.firsts[:1], 2)
    assert (black[:, :3] == 0).all() and (black[:, 3:] > 0).any()
    model = PPO("CnnPolicy", lanes, n_steps=8, batch_size=8, n_epochs=1, seed=0)
    before = clone.accuracy(model, told, 2)
    clone.fit(model, told, 2, 150, 32, 1e-3)
    assert clone.accuracy(model, told, 2) > max(0.9, before)
    words = ["--env", "NFD-v0", "--world", setup().world, "--view", "36", "36", "--stack", "2"]
    words += ["--repeat", "1", "--engine", "eager", "--lanes", "2", "--horizon", "4"]
    assert clone.main(
        [*words, "--data", str(dots), "--steps", "5", "--out", str(tmp_path / "clone")]
    ) == 0  # fmt: skip
    begun = str(tmp_path / "clone" / LAST)
    more = ["--n-steps", "2", "--batch-size", "4", "--no-board", "--out", str(tmp_path / "run")]
    assert train_ppo.main([*words, *more, "--steps", "4", "--start", begun]) == 0
    with pytest.raises(UsageError, match="--repeat 1"):
        clone.main([*words, "--repeat", "2", "--data", str(dots), "--out", str(tmp_path)])


@pytest.fixture
def dots(tmp_path: Path, setup: Callable[..., Setup]) -> Path:
    """Bright frames are followed by one combination, dark ones by another."""
    from nfd_gym.data.clip import Clip
    from nfd_gym.data.store import ClipWriter

    lanes = make_lanes(setup(lanes=1))
    codec = lanes.get_attr("codec")[0]
    lanes.close()
    store = ClipWriter(tmp_path / "dots", codec, fps=20.0, size=(36, 36), crf=0)
    random = np.random.default_rng(0)
    for index in range(4):
        bright = random.random(20) < 0.5
        frames = np.where(bright, 230, 30).astype(np.uint8)[:, None, None, None]
        chosen = [codec.encode(codec.noop())]
        chosen += [codec.encode(1 if one else 2) for one in bright[:-1]]
        store.write(
            Clip(
                np.broadcast_to(frames, (20, 36, 36, 3)).copy(),
                np.stack(chosen).astype(np.float32),
                rewards=bright.astype(np.float32),
                name=f"dots-{index}",
                fps=20.0,
            )
        )
    return tmp_path / "dots"


def test_rewards_are_discounted_from_each_step_on() -> None:
    assert clone.discounted(np.array([1.0, 0.0, 2.0]), 0.5).tolist() == [1.5, 1.0, 2.0]
