"""What is on disk survives a full disk and a killed writer."""

import multiprocessing
import os
import resource
import signal
import subprocess
import sys

import numpy as np
import pytest
import torch

from xr0_sim.atomic import write_bytes
from xr0_sim.data.chunk_schema import StoreMeta
from xr0_sim.data.chunk_store import ChunkStore
from xr0_sim.data.chunk_writer import ChunkWriter
from xr0_sim.errors import ConfigError, StorageError
from xr0_sim.model.checkpoints.shipped import load_weights, save_weights
from xr0_sim.training.run_log import RunLog
from xr0_sim.types import RobotState


class FullDisk:
    """Lets no file grow beyond some bytes, as a disk without room does."""

    def __init__(self, room):
        self.room = room

    def __enter__(self):
        self._ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        self._limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (self.room, self._limits[1]))

    def __exit__(self, *_):
        resource.setrlimit(resource.RLIMIT_FSIZE, self._limits)
        signal.signal(signal.SIGXFSZ, self._ignored)


def test_a_full_disk_leaves_the_previous_weights_and_says_so(tmp_path):
    path = tmp_path / "dit.safetensors"
    module = torch.nn.Linear(64, 64)
    save_weights(path, module.state_dict())
    other = torch.nn.Linear(64, 64)
    with FullDisk(1000), pytest.raises(StorageError, match="intact, free some room") as caught:
        save_weights(path, other.state_dict())
    assert "\n" not in str(caught.value) and str(path) in str(caught.value)
    assert [file.name for file in tmp_path.iterdir()] == [path.name]
    load_weights(path, other)
    torch.testing.assert_close(other.weight, module.weight.half().float())


def test_a_full_disk_is_one_line_on_the_command_line(tmp_path):
    code = (
        "import signal, resource, sys; signal.signal(signal.SIGXFSZ, signal.SIG_IGN);"
        "import experiments.cli as cli;"
        "resource.setrlimit(resource.RLIMIT_FSIZE, (2000, resource.RLIM_INFINITY));"
        f"sys.exit(cli.main(['collect', '--out', {str(tmp_path / 'store')!r}, '--episodes', '1',"
        "'--env', 'towel_folding', '--source', 'sighting', '--workers', '1']))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=240, check=False
    )
    last = done.stderr.strip().splitlines()[-1]
    assert done.returncode != 0 and "Traceback" not in done.stderr
    assert "expected to write it" in last and "free some room" in last


def _meta():
    return StoreMeta(horizon=4, image_size=8, grounding_dim=0, grounding=None)


def _fill(writer, seed):
    robot = RobotState(
        joint_pos=np.zeros((2, 6)),
        joint_vel=np.zeros((2, 6)),
        jaw=np.zeros(2),
        tool_pos=np.zeros((2, 3)),
        tool_quat=np.tile([1.0, 0, 0, 0], (2, 1)),
        command=np.zeros(14),
    )
    writer.add(
        images=np.zeros((3, 8, 8, 3), np.uint8),
        robot=robot,
        instruction="fold",
        actions=np.zeros((4, 14)),
        action_tools=np.tile([0, 0, 0, 1.0, 0, 0, 0], (4, 2, 1)),
        valid_steps=4,
        episode_seed=seed,
        tick=0,
        source="demo",
    )


def _die_in_the_middle(root):
    saved = np.save

    def save(path, array):
        if path.name == "jaw.npy":
            os.kill(os.getpid(), signal.SIGKILL)
        saved(path, array)

    np.save = save
    writer = ChunkWriter(root, _meta(), "demo")
    _fill(writer, 2)
    writer.flush()


def test_a_writer_killed_in_the_middle_leaves_whole_shards(tmp_path):
    with ChunkWriter(tmp_path, _meta(), "demo") as writer:
        _fill(writer, 1)
    killed = multiprocessing.get_context("spawn").Process(
        target=_die_in_the_middle, args=(tmp_path,)
    )
    killed.start()
    killed.join(120)
    assert killed.exitcode == -signal.SIGKILL
    assert len(ChunkStore(tmp_path)) == 1
    with ChunkWriter(tmp_path, _meta(), "demo") as writer:
        assert writer.finished_seeds() == {1}
        _fill(writer, 2)
    assert sorted(ChunkStore(tmp_path).column("episode_seed")) == [1, 2]


def test_a_folder_that_may_not_be_written_is_one_line(tmp_path):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    with pytest.raises(StorageError, match="expected to write it") as caught:
        write_bytes(blocked / "weights", b"x")
    assert "\n" not in str(caught.value) and blocked.read_text() == "not a folder"


def test_tensorboard_is_optional(tmp_path, monkeypatch):
    RunLog(tmp_path, 2, lambda line: None, tensorboard=True).write(1, {"loss": 0.5})
    assert list((tmp_path / "tensorboard").glob("events.out.tfevents.*"))
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match="pip install tensorboard"):
        RunLog(tmp_path, 2, lambda line: None, tensorboard=True)
