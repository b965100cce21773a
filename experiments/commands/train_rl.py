"""``xr0-sim train-rl``: an agent for a stage of the block task, with Stable-Baselines3."""

from __future__ import annotations

import importlib.util
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from experiments.options.task_options import TaskOptions
from xr0_sim.errors import ConfigError
from xr0_sim.metrics.statistics import wilson
from xr0_sim.metrics.summary import format_interval

TASK = "block_dismantling"
MOST_ASKED = 100_000
"""Episodes with a teacher; their seeds end where those of the evaluations begin."""


@dataclass(frozen=True)
class TrainRlConfig(TaskOptions):
    """Trains by soft actor-critic from a teacher's decisions; goes on where it was.

    Attributes:
        env: The block task, or block_dismantling:field=value,... with its arguments.
        stage: What is learnt: reach, grasp, separate or sort.
        out: Run folder: agent, curve, checkpoint.
        steps: Decisions of the agent, six per simulated second.
        demonstrations: Episodes of the teacher to begin from; 0 for none.
        rounds: How often the clone plays, is advised, and is trained again before it learns alone.
        round_episodes: Episodes of each round.
        clone_steps: Gradient steps of cloning in each round; four times as many in the last.
        gradient_steps: Gradient steps per decision.
        evaluate_every: Decisions between two evaluations; the agent of the best one is kept.
        evaluation_episodes: Episodes of each.
        test_episodes: Episodes on held-out seeds at the end; 0 for none.
        test_seed: Seed of the first of those.
        agent: Agent file to test, instead of training.
        save_seconds: Time between two checkpoints [s].
        tensorboard: Also write TensorBoard event files; needs the package tensorboard.
        seed: Of networks, noise and order.
        json: Print the result of the test as one JSON object.
    """

    env: str = TASK
    stage: str = "separate"
    out: str = "runs/rl_separate"
    steps: int = 20_000
    demonstrations: int = 60
    rounds: int = 6
    round_episodes: int = 40
    clone_steps: int = 2000
    gradient_steps: int = 1
    evaluate_every: int = 2000
    evaluation_episodes: int = 20
    test_episodes: int = 100
    test_seed: int = 60_000
    agent: str = ""
    save_seconds: float = 120.0
    tensorboard: bool = False
    seed: int = 0
    json: bool = False


def run(config: TrainRlConfig) -> int:
    """Trains and tests; returns the exit status, 130 when interrupted."""
    from policies.rl.staged_env import StagedBlocks

    env_kwargs = _checked(config)
    StagedBlocks(config.stage, **env_kwargs).close()  # refuses before anything is written
    path = Path(config.agent)
    if not config.agent:
        import torch

        from experiments.rl.run_folder import AGENT_FILE
        from experiments.rl.training import RlTraining, train

        torch.set_num_threads(1)  # its matrices are too small for more
        names = set(RlTraining.__dataclass_fields__) - {"env_kwargs"}
        chosen: dict[str, Any] = {name: getattr(config, name) for name in names}
        folder = Path(config.out)
        if not train(RlTraining(env_kwargs=env_kwargs, **chosen), folder, _say):
            _say("stopped; the same command goes on from here")
            return 130
        path = folder / AGENT_FILE
    if config.test_episodes:
        _test(config, env_kwargs, path)
    return 0


def _checked(config: TrainRlConfig) -> dict[str, Any]:
    if config.task != TASK:
        raise ConfigError(f"--env: expected {TASK}, which has stages, got {config.task!r}")
    for name, least, most in (
        ("steps", 1, 10**8),
        ("demonstrations", 0, 10**5),
        ("rounds", 0, 99),
        ("round_episodes", 1, 1000),
        ("clone_steps", 0, 10**6),
        ("gradient_steps", 1, 64),
        ("evaluate_every", 1, 10**8),
        ("evaluation_episodes", 1, 10**4),
        ("test_episodes", 0, 10**5),
        ("test_seed", 0, 2**31),
        ("save_seconds", 1, 10**6),
        ("seed", 0, 2**31),
    ):
        value = getattr(config, name)
        if not least <= value <= most:
            flag = f"--{name.replace('_', '-')}"
            raise ConfigError(f"{flag}: expected {least} .. {most}, got {value}")
    asked = config.demonstrations + config.rounds * config.round_episodes
    if asked > MOST_ASKED:
        raise ConfigError(
            f"--rounds: expected at most {MOST_ASKED} episodes with a teacher, got {asked}; the "
            "seeds behind them are those of the evaluations"
        )
    if not config.agent:
        _needs("stable_baselines3", "pip install 'xr0-sim[sb3]'", "train-rl")
        if config.tensorboard:
            _needs("tensorboard", "pip install tensorboard, or read curve.jsonl", "--tensorboard")
    return config.env_kwargs()


def _needs(package: str, remedy: str, what: str) -> None:
    if importlib.util.find_spec(package) is None:
        raise ConfigError(
            f"{what}: expected the package {package}, which is not installed; {remedy}"
        )


def _test(config: TrainRlConfig, env_kwargs: dict[str, Any], path: Path) -> None:
    from experiments.rl.evaluation import evaluate
    from policies.rl.agent import load_agent
    from policies.rl.staged_env import StagedBlocks
    from policies.rl.stages import STAGES

    agent = load_agent(path)
    env = StagedBlocks(config.stage, **env_kwargs)
    seeds = range(config.test_seed, config.test_seed + config.test_episodes)
    rows = evaluate(agent, env, seeds, lambda row: _say(json.dumps(row)))
    env.close()
    n = len(rows)
    failing = [row["seed"] for row in rows if not row["success"]]
    if config.json:
        rate = (n - len(failing)) / n
        print(json.dumps({"stage": config.stage, "n": n, "success": rate, "failing": failing}))
        return
    print(f"{path}, stage {config.stage}, seeds {seeds[0]} to {seeds[-1]}, n = {n}")
    for name in (*STAGES[: STAGES.index(config.stage) + 1], "apart"):
        found = wilson(sum(row[name] for row in rows), n)
        print(f"  {name:<10} {format_interval(found, n, True)}")
    print(f"  success    {format_interval(wilson(n - len(failing), n), n, True)}")
    print(f"  failing    {', '.join(map(str, failing)) or 'none'}")


def _say(line: str) -> None:
    print(line, file=sys.stderr, flush=True)
