import os
import resource
import signal
from pathlib import Path

import imageio_ffmpeg
import numpy as np
import pytest
from toys import Detour, DoubleIntegrator

from xr0_sim.errors import ConfigError, RenderError, StorageError
from xr0_sim.perturb import AtTick, FreezeCamera
from xr0_sim.runtime import Constant, Executor, Sync, run_episode
from xr0_sim.view import Overlay, VideoFile, VideoRecorder


class Scene(DoubleIntegrator):
    def freeze_camera(self, camera, duration_s):
        pass

    def render(self):
        return np.full((91, 161, 3), 40 + self.tick, np.uint8)


def film(tmp_path, plant, max_ticks=25, overlay=None, every=1, extra=()):
    recorder = VideoRecorder(tmp_path / "videos", "toy", plant.render, overlay, every)
    executor = Executor(Detour(), Sync(10), Constant(0.08))
    options = {"events": [FreezeCamera(trigger=AtTick(6))]}
    try:
        run_episode(
            plant, executor, [recorder, *extra], seed=7, options=options, max_ticks=max_ticks
        )
    finally:
        paths = recorder.paths
    return paths


def probe(path):
    """Frames, (width, height) and frame rate of a video."""
    reader = imageio_ffmpeg.read_frames(str(path))
    meta = next(reader)
    frames = [np.frombuffer(f, np.uint8) for f in reader]
    return frames, meta


def test_a_video_is_named_with_the_outcome_and_playable(tmp_path):
    (path,) = film(tmp_path, Scene())
    assert path.name == "toy_seed7_failure.mp4"
    assert [p.name for p in path.parent.iterdir()] == [path.name]
    frames, meta = probe(path)
    assert len(frames) == 25 and meta["fps"] == 30 and meta["size"] == (162, 92)
    assert meta["codec"] == "h264" and meta["pix_fmt"].startswith("yuv420p")
    assert frames[0].mean() == pytest.approx(41, abs=3)
    assert frames[-1].mean() == pytest.approx(65, abs=3)


def test_the_outcome_is_shown_for_a_second(tmp_path):
    (path,) = film(tmp_path, Scene(), overlay=Overlay("reach", "sync"))
    assert len(probe(path)[0]) == 25 + 30


def test_every_second_tick_plays_in_real_time(tmp_path):
    (path,) = film(tmp_path, Scene(), max_ticks=24, every=2)
    frames, meta = probe(path)
    assert len(frames) == 12 and meta["fps"] == 15


@pytest.mark.parametrize(
    ("error", "outcome"), [(KeyboardInterrupt, "interrupted"), (RuntimeError, "error")]
)
def test_an_interrupted_video_keeps_what_it_has(tmp_path, error, outcome):
    class Breaks(Scene):
        def render(self):
            if self.tick == 11:
                raise error
            return super().render()

    with pytest.raises(error):
        film(tmp_path, Breaks())
    (path,) = (tmp_path / "videos").iterdir()
    assert path.name == f"toy_seed7_{outcome}.mp4"
    assert len(probe(path)[0]) == 10


def test_a_video_without_frames_is_no_file(tmp_path):
    file = VideoFile(tmp_path / "none.mp4", 30)
    assert file.finish() is None
    assert list(tmp_path.iterdir()) == []


def test_frames_are_checked(tmp_path):
    file = VideoFile(tmp_path / "a.mp4", 30)
    with pytest.raises(RenderError, match="expected \\(H, W, 3\\) uint8"):
        file.write(np.zeros((4, 4, 3)))
    file.write(np.zeros((64, 64, 3), np.uint8))
    with pytest.raises(RenderError, match="expected shape"):
        file.write(np.zeros((64, 32, 3), np.uint8))
    file.finish()
    with pytest.raises(ConfigError, match="every >= 1"):
        VideoRecorder(tmp_path, "a", lambda: None, every=0)


def encoder_pid():
    """Id of the encoder process that this process has started."""
    (pid,) = [
        int(p.name)
        for p in Path("/proc").iterdir()
        if p.name.isdigit() and parent_of(p) == os.getpid() and b"ffmpeg" in name_of(p)
    ]
    return pid


def parent_of(process):
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[1])
    except OSError:
        return None


def name_of(process):
    return (process / "cmdline").read_bytes()


@pytest.mark.skipif(not Path("/proc/self").is_dir(), reason="needs /proc")
@pytest.mark.parametrize("at_end", [True, False])
def test_a_killed_encoder_is_one_line_and_leaves_no_file(tmp_path, at_end):
    file = VideoFile(tmp_path / "a.mp4", 30)
    frame = np.random.default_rng(0).integers(0, 256, (480, 640, 3), dtype=np.uint8)
    file.write(frame)
    os.kill(encoder_pid(), signal.SIGKILL)
    with pytest.raises(RenderError, match=r"a\.mp4: expected the encoder .* signal 9") as caught:
        for _ in range(0 if at_end else 20):
            file.write(frame)
        file.finish()
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []
    assert file.finish() is None


def test_a_film_that_does_not_fit_leaves_no_file_and_says_so(tmp_path):
    frames = np.random.default_rng(0).integers(0, 256, (40, 120, 160, 3), dtype=np.uint8)
    ignored = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (20_000, limits[1]))
    try:
        file = VideoFile(tmp_path / "a.mp4", 30)
        with pytest.raises(StorageError, match="free some room") as caught:
            for frame in frames:
                file.write(frame)
            file.finish()
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, ignored)
    assert "\n" not in str(caught.value) and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["a:b", "-x", "~", "ü 袋", "50%d"])
def test_a_film_may_lie_in_any_folder(tmp_path, monkeypatch, name):
    monkeypatch.chdir(tmp_path)
    file = VideoFile(Path(name) / "-a:b.mp4", 30)
    file.write(np.zeros((32, 32, 3), np.uint8))
    assert file.finish().stat().st_size > 0
    assert [p.name for p in (tmp_path / name).iterdir()] == ["-a:b.mp4"]


def test_a_whole_film_takes_the_place_of_an_interrupted_one_and_not_the_reverse(tmp_path):
    class Breaks(Scene):
        def render(self):
            if self.tick == 5:
                raise KeyboardInterrupt
            return super().render()

    def names():
        return sorted(p.name for p in (tmp_path / "videos").iterdir())

    with pytest.raises(KeyboardInterrupt):
        film(tmp_path, Breaks())
    assert names() == ["toy_seed7_interrupted.mp4"]
    film(tmp_path, Scene(), max_ticks=10)
    assert names() == ["toy_seed7_failure.mp4"]
    with pytest.raises(KeyboardInterrupt):
        film(tmp_path, Breaks())
    assert "toy_seed7_failure.mp4" in names()
