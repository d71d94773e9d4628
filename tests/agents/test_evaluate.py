"""Scores are the lanes' own sums, whatever the number of lanes; films and files say the same."""

import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from agents import evaluate, transfer
from agents.lanes import Setup, make_vector
from agents.rivals import make_rival
from agents.threads import ThreadVectorEnv
from nfd_gym.data.video import index_video
from nfd_gym.games.luanti.install import check
from tests.agents.conftest import Counter


def test_returns_and_ticks_are_counted_to_each_lanes_own_end() -> None:
    lanes = ThreadVectorEnv([lambda n=n: Counter(n, terminates=n == 3) for n in (3, 7)])
    played = evaluate.play(lanes, make_rival("hold:forward"), [10, 11], film=True)
    assert [(e.seed, e.reward, e.ticks, e.terminated) for e in played] == [
        (10, 3.0, 3, True), (11, 7.0, 7, False),
    ]  # fmt: skip
    for episode in played:
        assert episode.frames is not None
        clocks = episode.frames[:, 0, 0, 0] - 100
        assert clocks.tolist() == list(range(episode.ticks + 1))
    lanes.close()


@pytest.mark.parametrize("name", ["random", "scripted", "noop"])
def test_an_episode_does_not_depend_on_the_lanes_beside_it(
    name: str, setup: Callable[..., Setup]
) -> None:
    one = setup(horizon=6, world=setup().world)
    many = evaluate.score(make_rival(name), replace(one, lanes=3), 3, seed=5)
    alone = evaluate.score(make_rival(name), replace(one, lanes=1), 3, seed=5)
    assert many.returns == alone.returns and [e.seed for e in many.episodes] == [5, 6, 7]
    assert all(e.ticks == 6 for e in many.episodes)


def test_random_play_is_seeded_and_holds_its_actions(setup: Callable[..., Setup]) -> None:
    space = make_vector(setup()).single_action_space
    logs = []
    for _ in range(2):
        rival = make_rival("random:3")
        rival.begin([1, 2], space)
        logs.append([list(rival.act(np.zeros(0, np.uint8), [])) for _ in range(9)])
    assert logs[0] == logs[1]
    changes = [t for t in range(1, 9) if logs[0][t] != logs[0][t - 1]]
    assert changes and all(t % 3 == 0 for t in changes)


def test_the_command_writes_scores_plot_and_three_films(
    camera_world_path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    words = [
        "--policy",
        "hold:forward",
        "noop",
        "--env",
        "NFD-v0",
        "--world",
        str(camera_world_path),
    ]
    words += ["--horizon", "8", "--episodes", "3", "--lanes", "2", "--engine", "eager"]
    assert evaluate.main([*words, "--out", str(tmp_path)]) == 0
    written = json.loads((tmp_path / "scores.json").read_text())
    first = written["scores"][0]
    assert first["policy"] == "hold:forward" and len(first["episodes"]) == 3
    assert first["mean"] == pytest.approx(np.mean([e["return"] for e in first["episodes"]]))
    assert written["commit"] and written["machine"] and "--episodes 3" in written["command"]
    films = sorted(path.name for path in (tmp_path / "hold-forward-NFD-v0").iterdir())
    assert films == ["best.mp4", "median.mp4", "worst.mp4"]
    assert len(index_video(tmp_path / "hold-forward-NFD-v0" / "best.mp4")) == 9
    assert (tmp_path / "scores.png").stat().st_size > 1000
    assert "hold:forward" in capsys.readouterr().out


def test_unknown_policies_are_refused_with_what_there_is() -> None:
    with pytest.raises(ValueError, match=r"random\[:TICKS\], noop, hold:COMBINATION"):
        make_rival("clever")
    with pytest.raises(ValueError, match="did you mean 'forward'"):
        make_rival("hold:foward")


def row(
    policy: str, dream: list[float], real: list[float], env: str = "", ticks: int = 0
) -> transfer.Row:
    facts = {"setup": {"env": env}, "ticks": ticks, "seconds": 60.0} if env else {}

    def made(returns: list[float]) -> evaluate.Score:
        episodes = [evaluate.Episode(i, r, 10, False) for i, r in enumerate(returns)]
        return evaluate.Score(policy, {"env": "x"}, episodes, 1.0, facts)

    return transfer.Row(policy, made(dream), made(real))


def spread(mean: float) -> list[float]:
    return [mean - 0.2, mean - 0.1, mean, mean + 0.1, mean + 0.2]


def test_the_table_states_shares_winners_and_reward_hacking() -> None:
    dream, real = "NFD-Minecraft-v0", "Luanti-v0"
    rows = [
        row("random", spread(1), spread(1)),
        row("runs/real/agent-1.zip", spread(5), spread(8), real, 1000),
        row("runs/real/agent-9.zip", spread(5), spread(99), real, 9000),  # more ticks: no yardstick
        row("runs/good/agent-1.zip", spread(6), spread(6), dream, 1000),
        row("runs/bad/agent-1.zip", spread(2), spread(4), dream, 500),
        row("runs/bad/agent-2.zip", spread(9), spread(1), dream, 1000),
    ]
    figures = transfer.compare(rows)
    table = {line[0]: dict(zip(figures["table"]["columns"], line, strict=True))
             for line in figures["table"]["rows"]}  # fmt: skip
    good, bad = table["runs/good/agent-1.zip"], table["runs/bad/agent-2.zip"]
    assert good["share of real-trained"] == pytest.approx(6 / 8)
    assert good["beats random in reality"] is True and good["flag"] == ""
    assert bad["beats random in reality"] is False and "since 500 ticks" in bad["flag"]
    assert table["random"]["share of real-trained"] is None
    assert figures["flagged"] == ["runs/bad/agent-2.zip"]
    assert figures["enough_policies"] is False and "too few" in transfer.verdict(figures)


def test_an_interrupted_comparison_continues_and_changed_settings_do_not(
    camera_world_path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    words = ["--policy", "noop", "hold:forward", "--dream", "NFD-v0", "--real", "NFD-v0"]
    words += ["--world", str(camera_world_path), "--horizon", "4", "--episodes", "2"]
    words += ["--engine", "eager", "--out", str(tmp_path)]
    assert transfer.main(words) == 0
    figures = json.loads((tmp_path / "transfer.json").read_text())
    assert [line[0] for line in figures["table"]["rows"]] == ["noop", "hold:forward"]
    assert (tmp_path / "transfer.png").exists()
    asked = []

    def count(*arguments: object, **named: object) -> evaluate.Score:
        asked.append(arguments)
        return evaluate.score(*arguments, **named)  # type: ignore[arg-type]

    monkeypatch.setattr(transfer, "score", count)
    assert transfer.main(words) == 0 and not asked
    assert transfer.main([*words, "--seed", "1"]) == 0 and len(asked) == 2  # dream is real here


@pytest.mark.slow
@pytest.mark.skipif(bool(check()), reason="; ".join(check()) or "installed")
def test_policies_are_scored_on_the_real_island() -> None:
    setup = Setup(env="Luanti-v0", task="goto-tower", lanes=1, horizon=8)
    scored = evaluate.score(make_rival("noop"), setup, 1, seed=4)
    assert scored.episodes[0].ticks == 8
