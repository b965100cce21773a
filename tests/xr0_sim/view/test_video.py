import imageio_ffmpeg
import numpy as np
import pytest
from toys import Detour, DoubleIntegrator

from xr0_sim.errors import ConfigError, RenderError
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
