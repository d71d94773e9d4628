"""One update of every algorithm on every action space it takes; files that can be trusted."""

import json
import zipfile
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.torch import load
from stable_baselines3 import PPO

from agents import train_dqn, train_ppo, train_recurrent_ppo
from agents.callbacks import LAST
from agents.lanes import Setup, codec_of, make_lanes
from agents.rivals import make_rival
from agents.saving import publish, resume, save_agent
from agents.zoo_dqn import hyperparams as zoo_dqn
from agents.zoo_ppo import hyperparams as zoo_ppo
from nfd_gym.agent import FACTS, WEIGHTS, Agent, AgentError, Policy, read_facts
from nfd_gym.errors import UsageError

PRESETS = ("multidiscrete", "discrete", "box")


def words(world: Path, out: Path, *more: str) -> list[str]:
    return [
        "--env", "NFD-v0", "--world", str(world), "--lanes", "2", "--horizon", "4", "--repeat", "2",
        "--view", "36", "36", "--stack", "2", "--engine", "eager", "--out", str(out),
        "--film-every", "16", *more,
    ]  # fmt: skip


def weights(path: Path) -> dict[str, torch.Tensor]:
    with zipfile.ZipFile(path) as archive:
        return dict(load(archive.read(WEIGHTS)))


@pytest.mark.parametrize("preset", PRESETS)
def test_ppo_updates_on_every_action_space(preset: str, setup: Callable[..., Setup]) -> None:
    lanes = make_lanes(setup(action_space=preset))
    model = PPO("CnnPolicy", lanes, n_steps=4, batch_size=8, n_epochs=1, seed=0)
    before = [part.clone() for part in model.policy.parameters()]
    model.learn(8)
    after = list(model.policy.parameters())
    assert all(part.isfinite().all() for part in after)
    assert any((old != new).any() for old, new in zip(before, after, strict=True))
    lanes.close()


def test_the_script_trains_films_and_resumes(camera_world_path: Path, tmp_path: Path) -> None:
    out = tmp_path / "run"
    more = ["--n-steps", "4", "--keep-every", "16", "--steps"]
    assert train_ppo.main(words(camera_world_path, out, *more, "16")) == 0
    first = weights(out / LAST)
    assert train_ppo.main(words(camera_world_path, out, *more, "48")) == 0
    facts = read_facts(out / LAST)
    assert (
        facts["ticks"] == 48 and facts["timesteps"] == 24 and facts["codec"]["preset"] == "discrete"
    )
    assert sorted(path.name for path in out.glob("agent-*.zip")) == [
        f"agent-{ticks:09d}.zip" for ticks in (16, 32, 48)
    ]
    assert any((first[key] != part).any() for key, part in weights(out / LAST).items())
    assert list((out / "films").glob("*.mp4"))
    events = b"".join(path.read_bytes() for path in (out / "tensorboard").rglob("events.*"))
    assert b"GIF89a" in events and b"rollout/ep_rew_mean" in events


def test_resuming_restores_weights_optimizer_and_clock(
    setup: Callable[..., Setup], tmp_path: Path
) -> None:
    lanes = make_lanes(setup())
    kind = {"n_steps": 4, "batch_size": 8, "n_epochs": 1}
    model = PPO("CnnPolicy", lanes, seed=0, **kind).learn(8)
    save_agent(model, tmp_path / "a.zip", facts_of(model, lanes, setup()))
    other = PPO("CnnPolicy", lanes, seed=1, **kind)
    assert resume(other, tmp_path / "a.zip")["timesteps"] == 8 == other.num_timesteps
    for part, same in zip(model.policy.parameters(), other.policy.parameters(), strict=True):
        assert torch.equal(part, same)
    states = [m.policy.optimizer.state_dict()["state"] for m in (model, other)]
    assert states[0] and all(
        torch.equal(states[0][k]["exp_avg"], states[1][k]["exp_avg"]) for k in states[0]
    )
    assert PPO.load(tmp_path / "a.zip").num_timesteps == 8  # it is an ordinary SB3 zip as well
    lanes.close()


def facts_of(model: PPO, lanes: object, where: Setup) -> dict[str, object]:
    return {
        "algorithm": "ppo", "codec": codec_of(lanes).to_json(), "size": list(where.view),  # type: ignore[arg-type]
        "stack": where.stack, "repeat": where.repeat, "policy_kwargs": {}, "ticks": 0,
    }  # fmt: skip


@pytest.fixture
def zip_path(setup: Callable[..., Setup], tmp_path: Path) -> Path:
    lanes = make_lanes(setup())
    model = PPO("CnnPolicy", lanes, n_steps=4, batch_size=8, seed=0)
    save_agent(model, tmp_path / "agent.zip", facts_of(model, lanes, setup()))
    lanes.close()
    return tmp_path / "agent.zip"


def test_a_policy_read_back_sees_and_does_what_it_did_in_training(
    setup: Callable[..., Setup], zip_path: Path
) -> None:
    """Area-resizing, stacking and repeating happen in two places; both must agree."""
    lanes = make_lanes(setup(horizon=40))
    model = PPO("CnnPolicy", lanes, n_steps=4, batch_size=8, seed=0)
    raw = lanes.unwrapped.lanes  # type: ignore[attr-defined]
    policy = Policy(zip_path, deterministic=True)
    policy.begin([0, 1])
    lanes.seed(5)
    seen = lanes.reset()
    for _ in range(3):
        wanted, _ = model.predict(seen, deterministic=True)
        shown = np.stack(raw.render())
        assert (policy.act(shown) == wanted).all()
        assert (policy._seen == seen.transpose(0, 3, 1, 2)).all()
        for _ in range(setup().repeat - 1):
            assert (policy.act(np.zeros_like(shown)) == wanted).all()  # held: it does not look
        seen, *_ = lanes.step(wanted)
    lanes.close()


def test_a_published_agent_is_small_and_acts_alike(
    zip_path: Path, setup: Callable[..., Setup]
) -> None:
    small = zip_path.with_name("small.zip")
    assert publish(zip_path, small) < 0.5 * zip_path.stat().st_size
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    actions = []
    for path in (zip_path, small):
        policy = Policy(path, deterministic=True)
        policy.begin([0, 1])
        actions.append(policy.act(frames))
    assert (actions[0] == actions[1]).all()
    codec = Policy(small).codec
    assert Agent(small, codec).vector(None, frames[0]).shape == (codec.width,)


def test_bad_zips_are_refused_by_name(zip_path: Path, tmp_path: Path) -> None:
    with pytest.raises(AgentError, match=r"no agent at .*missing\.zip"):
        Policy(tmp_path / "missing.zip")
    data = zip_path.read_bytes()
    (tmp_path / "cut.zip").write_bytes(data[: len(data) // 2])
    with pytest.raises(AgentError, match=r"cut\.zip is no readable agent zip"):
        Policy(tmp_path / "cut.zip")
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr("data", "{}")
    with pytest.raises(AgentError, match="not saved by nfd_gym"):
        Policy(tmp_path / "foreign.zip")


def test_a_sampling_policy_does_not_depend_on_the_other_lanes(zip_path: Path) -> None:
    """Returns of a scored agent once changed with --lanes: all lanes drew from one generator."""
    policy = Policy(zip_path)
    frames = np.random.default_rng(0).integers(0, 256, (24, 3, 32, 48, 3), np.uint8)

    def acted(lanes: list[int], seeds: list[int]) -> np.ndarray:
        policy.begin(seeds)
        torch.manual_seed(len(lanes))  # whatever else draws from it
        return np.stack([policy.act(shown[lanes]) for shown in frames])

    together = acted([0, 1, 2], [5, 6, 7])
    assert len(np.unique(together)) > 3, "it samples"
    for lane in range(3):
        assert (acted([lane], [5 + lane])[:, 0] == together[:, lane]).all()
    assert (acted([0], [8])[:, 0] != together[:, 0]).any(), "another seed, other samples"
    before = torch.random.get_rng_state()
    policy.begin([0])
    policy.act(frames[0, :1])
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize(
    "facts",
    [
        {"size": [10**6, 10**6]},
        {"size": [96]},
        {"size": [2, 2]},
        {"stack": 10**9},
        {"repeat": 0},
        {"policy_kwargs": {"net_arch": [10**8]}},
        {"policy_kwargs": {"net_arch": {"pi": [64] * 1000}}},
        {"policy_kwargs": {"features_extractor_class": "os.system"}},
        {"policy_kwargs": {"lstm_hidden_size": 64}},
        {"policy_kwargs": 3},
        {"aliases": {"log_std": "missing"}},
        {"aliases": 3},
    ],
    ids=str,
)
def test_a_foreign_zip_cannot_ask_for_memory_or_break_sb3(
    zip_path: Path, tmp_path: Path, facts: dict[str, object]
) -> None:
    with zipfile.ZipFile(zip_path) as archive:
        known, weights = json.loads(archive.read(FACTS)), archive.read(WEIGHTS)
    with zipfile.ZipFile(tmp_path / "foreign.zip", "w") as archive:
        archive.writestr(FACTS, json.dumps(known | facts))
        archive.writestr(WEIGHTS, weights)
    with pytest.raises(AgentError, match=r"foreign\.zip"):
        Policy(tmp_path / "foreign.zip")


def test_a_zip_that_unpacks_too_large_is_refused(
    zip_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nfd_gym.agent.MOST_WEIGHTS", 1000)
    with pytest.raises(AgentError, match="larger than 1000 bytes"):
        Policy(zip_path)


def test_shipped_agents_are_called_by_name(zip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("agents.rivals.shipped", lambda kind: {"walker": zip_path})
    assert make_rival("walker").facts == make_rival(str(zip_path)).facts


def test_no_pickle_is_loaded(zip_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SB3's own load unpickles half of the zip; ours reads tensors and JSON."""
    import cloudpickle

    def refuse(*_: object) -> None:
        raise AssertionError("unpickled")

    monkeypatch.setattr(cloudpickle, "loads", refuse)
    Policy(zip_path)


def test_dqn_updates_and_names_the_space_it_needs(camera_world_path: Path, tmp_path: Path) -> None:
    more = ["--learning-starts", "4", "--buffer", "64", "--steps", "24", "--no-board"]
    assert train_dqn.main(words(camera_world_path, tmp_path / "dqn", *more)) == 0
    assert Policy(tmp_path / "dqn" / LAST).act(np.zeros((1, 32, 48, 3), np.uint8)).shape == (1,)
    with pytest.raises(UsageError, match="use --action-space discrete"):
        train_dqn.main(words(camera_world_path, tmp_path / "no", "--action-space", "multidiscrete"))


def test_recurrent_ppo_updates_and_remembers(camera_world_path: Path, tmp_path: Path) -> None:
    more = ["--n-steps", "4", "--steps", "16", "--no-board", "--memory", "16", "--stack", "1"]
    assert train_recurrent_ppo.main(words(camera_world_path, tmp_path / "lstm", *more)) == 0
    policy = Policy(tmp_path / "lstm" / LAST)
    frames = np.random.default_rng(0).integers(0, 256, (2, 32, 48, 3), np.uint8)
    policy.begin([0, 1])
    policy.act(frames)
    memory = policy._memory[0][0].copy()
    for _ in range(policy.repeat):
        policy.act(frames)
    assert memory.any() and (policy._memory[0][0] != memory).any()


@pytest.mark.parametrize(("table", "script"), [(zoo_ppo, train_ppo), (zoo_dqn, train_dqn)])
def test_the_zoo_is_given_what_the_algorithm_takes(table: dict, script: object) -> None:
    import inspect

    from stable_baselines3 import DQN

    takes = inspect.signature(PPO if script is train_ppo else DQN).parameters
    own = {"n_envs", "n_timesteps", "frame_stack", "env_wrapper"}  # rl_zoo3's
    for values in table.values():
        assert set(values) - own <= set(takes) and values["policy"] == "CnnPolicy"


def test_training_options_are_shared() -> None:
    scripts: Sequence = (train_ppo, train_dqn, train_recurrent_ppo)
    for script in scripts:
        args = script.make_parser().parse_args(["--out", "x", "--task", "chop"])
        assert args.task == "chop" and args.steps == 500_000 and args.view == (96, 56)
