"""A LeRobot v3.0 dataset laid out by hand: all episodes in one mp4 and one parquet file."""

import json

import numpy as np

CHUNK = "chunk-000"


def lay_out(root, encode_mp4, camera, frames, actions, lengths, stats, rewards=None):
    """Writes episodes of `lengths` frames; frames (T,H,W,3) and actions (T,A) lie end to end."""
    import pyarrow
    from pyarrow import parquet

    def write(folder, columns):
        parquet.write_table(pyarrow.table(columns), root / folder / CHUNK / "file-000.parquet")

    features = {
        camera: {"dtype": "video", "shape": list(frames.shape[1:])},
        "action": {"dtype": "float32", "shape": [actions.shape[1]]},
    }
    rows = {
        "action": actions.tolist(),
        "episode_index": np.repeat(range(len(lengths)), lengths).tolist(),
    }
    if rewards is not None:
        features["next.reward"] = {"dtype": "float32", "shape": [1]}
        rows["next.reward"] = list(rewards)
    info = {
        "codebase_version": "v3.0",
        "fps": 10,
        "total_episodes": len(lengths),
        "data_path": "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet",
        "video_path": "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4",
        "features": features,
    }
    video = f"videos/{camera}"
    for folder in ("meta/episodes", "data", video):
        (root / folder / CHUNK).mkdir(parents=True)
    (root / "meta/info.json").write_text(json.dumps(info))
    (root / "meta/stats.json").write_text(json.dumps({"action": stats}))
    encode_mp4(root / video / CHUNK / "file-000.mp4", frames, fps=10, gop=2, bframes=0)
    write("data", rows)
    ends, none = np.cumsum(lengths) / 10, [0] * len(lengths)
    write(
        "meta/episodes",
        {
            "episode_index": list(range(len(lengths))),
            "length": list(lengths),
            "data/chunk_index": none,
            "data/file_index": none,
            f"{video}/chunk_index": none,
            f"{video}/file_index": none,
            f"{video}/from_timestamp": [0.0, *ends[:-1].tolist()],
            f"{video}/to_timestamp": ends.tolist(),
        },
    )
