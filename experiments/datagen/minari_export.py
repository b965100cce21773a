"""The episodes of a run as a Minari dataset: transitions as Gymnasium's state environment has them.

Observations are those of ``gymnasium.make(ID, observation="state")``, actions its actions in
[-1, 1], so `minari` recovers an environment that they fit. Pictures are a LeRobotDataset's affair.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from envs import ENV_IDS
from envs.robot.actions import to_unit
from envs.tasks import register_events
from experiments.datagen.lerobot_run import RunSource
from experiments.runner.episode_rows import Row, log_path
from experiments.runner.folder_lock import FolderLock
from experiments.runner.replay import Replay
from xr0_sim.errors import ConfigError, not_written
from xr0_sim.record.ticklog import read_ticklog

if TYPE_CHECKING:
    import gymnasium
    from minari.data_collector import EpisodeBuffer

PACKAGES = ("minari", "h5py")


def export_minari(source: RunSource, target: Path, say: Callable[[str], None]) -> None:
    """Writes the set; it appears by one rename.

    Args:
        source: What is exported.
        target: Folder of the set; must not exist. Its name becomes part of the dataset's id.
        say: Called with a line for every episode.

    Raises:
        ConfigError: The target exists, the extra is missing, or no id is registered for the task.
        DatasetError: An episode comes out otherwise than its tick log says.
    """
    task = source.condition.env
    if any(find_spec(name) is None for name in PACKAGES):
        raise ConfigError(
            f"--format minari: expected the packages {', '.join(PACKAGES)}; install them with pip "
            "install 'xr0-sim[minari]'"
        )
    if task not in ENV_IDS:
        raise ConfigError(
            f"--format minari: expected a task with an id of Gymnasium, {', '.join(ENV_IDS)}, got "
            f"{task!r}; use --format lerobot"
        )
    if target.exists():
        raise ConfigError(f"--out {target}: expected a new name, got what exists; choose another")
    scratch = target.with_name(f".{target.name}.export")
    try:
        scratch.mkdir(parents=True, exist_ok=True)
        with FolderLock(scratch):
            fresh = scratch / "set"
            shutil.rmtree(fresh, ignore_errors=True)
            fresh.mkdir()
            _write(source, fresh, f"xr0_sim/{target.name}-v0", say)
            os.rename(fresh, target)
            shutil.rmtree(scratch)
    except OSError as error:
        raise not_written(target, error) from error


def _write(source: RunSource, folder: Path, name: str, say: Callable[[str], None]) -> None:
    import gymnasium
    import minari
    from minari.dataset.minari_storage import MinariStorage

    condition = source.condition
    register_events(condition.env)
    env = gymnasium.make(ENV_IDS[condition.env], observation="state", **condition.env_kwargs)
    try:
        spaces = (env.observation_space, env.action_space)
        storage = MinariStorage.new(folder, *spaces, env_spec=env.spec, data_format="hdf5")
        for number, row in enumerate(source.rows, start=1):
            storage.update_episodes([_episode(source, env, row)])
            say(f"{number}/{len(source.rows)} seed {row['seed']}: {row['outcome']}")
        storage.update_metadata(
            {
                "dataset_id": name,
                "minari_version": minari.__version__,
                "algorithm_name": condition.policy,
                "description": f"xr0-sim {condition.env}, {len(source.rows)} episodes",
            }
        )
    finally:
        env.close()


def _episode(source: RunSource, env: gymnasium.Env, row: Row) -> EpisodeBuffer:
    """Plays an episode again; observations before every tick and after the last."""
    from minari.data_collector import EpisodeBuffer

    scene: Any = env.unwrapped
    seed = int(row["seed"])
    table = read_ticklog(log_path(source.folder, seed))
    replay = Replay(scene, seed, source.condition.events, table)
    seen = [scene.gym_observation() for _ in replay.ticks()]
    seen.append(scene.gym_observation())
    ended = replay.success[-1] or bool(row["protective_stop"])
    last = np.arange(len(table)) == len(table) - 1
    return EpisodeBuffer(
        seed=seed,
        observations={key: np.stack([one[key] for one in seen]) for key in seen[0]},
        actions=to_unit(table["action"]),
        rewards=table["reward"].tolist(),
        terminations=(last & ended).tolist(),
        truncations=(last & (not ended)).tolist(),
        infos={"success": np.array([False, *replay.success])},
    )
