"""Senses by name, each figure with its source or the word "chosen"."""

from __future__ import annotations

from envs.senses.base import Senses
from xr0_sim.registry import senses

senses.add("clean", Senses(), "perfect cameras and encoders, as before senses could be chosen")

senses.add(
    "realistic",
    Senses(
        # 38 dB on white, what 3 µm pixels reach (about 6 300 electrons): 255 / 10^(38/20). Chosen
        # within the class of the camera's OV9782 (3 µm, global shutter, docs.luxonis.com).
        shot_noise=3.2,
        # Chosen: three electrons in 6 300 at gain 8, as indoors.
        read_noise=1.0,
        # Chosen: what an automatic exposure still wanders by once it has settled.
        exposure_stops=0.25,
        # Chosen: likewise of an automatic white balance, about ±300 K at 5 000 K.
        white_balance=0.05,
        # A Bayer mosaic resolves two of its pixels: 480 rows on a picture of 224.
        blur_px=0.5,
        # D400 imagers take 60-70 ms to the host (librealsense issue 1242, a maintainer); the colour
        # of a D405 is that of its left imager (issue 11784).
        camera_delay_s=0.060,
        # 60 frames/s (a mode of the D405, issue 13732) run free of the control tick.
        camera_jitter_s=1 / 60,
        # Chosen: a bracket put back after cleaning.
        camera_shift_m=0.003,
        camera_turn_deg=0.5,
        # AS5045, the encoder of XM540 servos (Robotis e-manual): transition noise 0.06° rms
        # (ams data sheet, revision 1.2, section 13.2).
        joint_noise_deg=0.06,
        # Robotis e-manual, XM540-W270 and XM430-W350: 4096 steps/turn, speeds of 0.229 rev/min.
        encoder_counts=4096,
        speed_unit_rpm=0.229,
        # Chosen: joints read in turn at 100 Hz.
        joint_delay_s=0.010,
    ),
    "data sheets of RealSense D405 and Dynamixel XM540; see envs/senses/table.py",
)

senses.add("noisy", Senses(shot_noise=10.0, read_noise=5.0), "chosen: a camera in the dusk")
senses.add("dim", Senses(exposure_stops=1.0), "chosen: exposure off by up to a stop")
senses.add("blurred", Senses(blur_px=1.5), "chosen: out of focus")
senses.add("late", Senses(camera_delay_s=0.1), "chosen: a camera behind a slow link")
senses.add(
    "loose",
    Senses(camera_shift_m=0.01, camera_turn_deg=2.0),
    "chosen: cameras put up anew every time",
)
senses.add(
    "coarse",
    Senses(joint_noise_deg=0.3, encoder_counts=1024, joint_delay_s=1 / 30),
    "chosen: servos of a cheaper kind",
)
