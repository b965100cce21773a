"""The stage every task shares: table, lights, cameras, physics options and both arms."""

from __future__ import annotations

from dataclasses import dataclass

import mujoco

from envs.robot.arms import attach_arms
from envs.robot.servos import Servo
from envs.scene.views import Views, add_cameras, views_of
from envs.world import FIRST, World

TABLE_HALF_SIZE = (0.42, 0.62)
"""Half extents of the table top in x and y [m]."""
TABLE_THICKNESS = 0.04
"""Thickness of the table top; its upper face is z = 0 [m]."""
FLOOR_Z = -0.72
"""Height of the floor [m]."""

COLLIDE_ARM, COLLIDE_OBJECT, COLLIDE_STATIC = 1, 2, 4
"""Collision bits: arms and objects meet everything, static parts never meet each other."""

TABLE_RGBA = (0.62, 0.58, 0.52, 1.0)


@dataclass(frozen=True)
class Physics:
    """Integrator and constraint solver of a scene.

    Attributes:
        integrator: How a step is taken.
        solver: Which algorithm solves the constraints.
        jacobian: Dense or sparse constraint Jacobian.
        impratio: Frictional over normal constraint impedance.
        ls_iterations: Line-search steps per iteration.
        tolerance: Improvement per iteration at which the solver stops early.
        iterations: Of the solver, at most; fewer than 50 make friction wrong with conjugate
            gradients.
    """

    integrator: mujoco.mjtIntegrator
    solver: mujoco.mjtSolver
    jacobian: mujoco.mjtJacobian
    impratio: float
    ls_iterations: int
    tolerance: float
    iterations: int = 50


RIGID = Physics(
    mujoco.mjtIntegrator.mjINT_IMPLICITFAST,
    mujoco.mjtSolver.mjSOL_NEWTON,
    # MuJoCo 4.0.0's sparse Newton returns wrong accelerations (upstream #3767); dense is right.
    mujoco.mjtJacobian.mjJAC_DENSE,
    impratio=10,
    ls_iterations=20,
    tolerance=1e-8,
)
"""Scenes of rigid bodies."""
CLOTH = Physics(
    # The other integrators fail with the elasticity of flexes.
    mujoco.mjtIntegrator.mjINT_DISCRETE,
    mujoco.mjtSolver.mjSOL_CG,
    mujoco.mjtJacobian.mjJAC_SPARSE,
    impratio=5,
    ls_iterations=15,
    tolerance=1e-6,
)
"""Scenes with cloth: hundreds of freedoms, where conjugate gradients are twice as fast."""


def base_scene(
    name: str,
    timestep_s: float,
    physics: Physics = RIGID,
    world: World = FIRST,
    servo: Servo | None = None,
    views: Views | None = None,
) -> mujoco.MjSpec:
    """Table, lights, cameras and the two arms; tasks add their objects to ``spec.worldbody``.

    Args:
        name: Name of the model.
        timestep_s: Physics step [s].
        physics: Integrator and solver.
        world: Which physics and views hold.
        servo: How the joints follow; None for the ideal servo.
        views: Fixed cameras; None for those of the world.
    """
    spec = mujoco.MjSpec()
    spec.modelname = name
    option = spec.option
    option.timestep = timestep_s
    option.integrator = physics.integrator
    option.cone = mujoco.mjtCone.mjCONE_ELLIPTIC
    option.impratio = physics.impratio
    option.iterations = physics.iterations
    option.ls_iterations = physics.ls_iterations
    option.solver = physics.solver
    option.jacobian = physics.jacobian
    option.tolerance = physics.tolerance
    _add_visuals(spec)
    _add_stage(spec, world)
    add_cameras(spec, views or views_of(world))
    attach_arms(spec, world, servo)
    return spec


def _add_visuals(spec: mujoco.MjSpec) -> None:
    visual = spec.visual
    visual.global_.offwidth = 1280
    visual.global_.offheight = 960
    visual.quality.offsamples = 0
    visual.quality.shadowsize = 0
    visual.headlight.ambient = [0.42, 0.42, 0.42]
    visual.headlight.diffuse = [0.22, 0.22, 0.22]
    visual.headlight.specular = [0.0, 0.0, 0.0]
    visual.map.znear = 0.01
    visual.map.zfar = 8.0
    spec.stat.extent = 1.0
    spec.stat.center = [0.0, 0.0, 0.1]
    spec.add_texture(
        name="sky",
        type=mujoco.mjtTexture.mjTEXTURE_SKYBOX,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_GRADIENT,
        rgb1=[0.86, 0.89, 0.93],
        rgb2=[0.52, 0.58, 0.66],
        width=128,
        height=768,
    )
    spec.add_texture(
        name="wood",
        type=mujoco.mjtTexture.mjTEXTURE_2D,
        builtin=mujoco.mjtBuiltin.mjBUILTIN_FLAT,
        mark=mujoco.mjtMark.mjMARK_RANDOM,
        random=0.02,
        rgb1=list(TABLE_RGBA[:3]),
        rgb2=list(TABLE_RGBA[:3]),
        markrgb=[0.57, 0.52, 0.46],
        width=256,
        height=256,
    )
    material = spec.add_material(name="table", specular=0.15, shininess=0.2, reflectance=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "wood"
    spec.add_material(name="frame", rgba=[0.30, 0.31, 0.34, 1])
    spec.add_material(name="floor", rgba=[0.60, 0.63, 0.67, 1])


def _add_stage(spec: mujoco.MjSpec, world: World) -> None:
    _add_table(spec.worldbody, world)
    _add_lights_and_cameras(spec.worldbody)


def _add_table(body: mujoco.MjsBody, world: World) -> None:
    """Table and floor: what is drawn is the same in every world, what is touched is not."""
    half_x, half_y = TABLE_HALF_SIZE
    surface = {
        "contype": COLLIDE_STATIC,
        "friction": [0.7, 0.01, 0.0001],
        "solref": [0.008, 1],
        "group": 3,
        "rgba": [0, 0, 0, 0],
    }
    touched = COLLIDE_ARM | COLLIDE_OBJECT
    plane, box = mujoco.mjtGeom.mjGEOM_PLANE, mujoco.mjtGeom.mjGEOM_BOX
    if world.table == "plane":
        # Endless, at half the cost of a box.
        body.add_geom(name="table", type=plane, size=[2, 2, 0.1], conaffinity=touched, **surface)
    else:
        half_z = TABLE_THICKNESS / 2
        body.add_geom(
            name="table",
            type=box,
            size=[half_x, half_y, half_z],
            pos=[0, 0, -half_z],
            conaffinity=touched,
            **surface,
        )
        # What falls off the edge comes to rest; arms cannot reach down here.
        body.add_geom(
            name="floor",
            type=plane,
            size=[4, 4, 0.1],
            pos=[0, 0, FLOOR_Z],
            conaffinity=COLLIDE_OBJECT,
            **surface,
        )
    drawn = {"contype": 0, "conaffinity": 0, "group": 2}
    body.add_geom(
        type=box, size=[half_x, half_y, 0.02], pos=[0, 0, -0.0201], material="table", **drawn
    )
    for x in (-half_x + 0.04, half_x - 0.04):
        for y in (-half_y + 0.04, half_y - 0.04):
            body.add_geom(
                type=box, size=[0.025, 0.025, 0.34], pos=[x, y, -0.38], material="frame", **drawn
            )
    body.add_geom(type=plane, size=[4, 4, 0.1], pos=[0, 0, FLOOR_Z], material="floor", **drawn)


def _add_lights_and_cameras(world: mujoco.MjsBody) -> None:
    world.add_light(
        name="key",
        type=mujoco.mjtLightType.mjLIGHT_SPOT,
        pos=[-0.5, 0.5, 1.8],
        dir=[0.28, -0.26, -0.95],
        diffuse=[0.55, 0.53, 0.50],
        specular=[0.2, 0.2, 0.2],
        cutoff=50,
        exponent=1,
        castshadow=True,
    )
    world.add_light(
        name="fill",
        type=mujoco.mjtLightType.mjLIGHT_DIRECTIONAL,
        pos=[0.5, -0.6, 1.6],
        dir=[-0.3, 0.4, -0.87],
        diffuse=[0.22, 0.23, 0.26],
        specular=[0.0, 0.0, 0.0],
        castshadow=False,
    )
