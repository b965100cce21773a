"""The command line: a table of subcommands, each loaded when it is called.

A subcommand is one line in `COMMANDS`. Its module offers a frozen dataclass, the options, and
``run(config) -> int``, the exit status: 0 done, 130 interrupted, anything else failed.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from importlib import import_module

from experiments.runner.interruption import interruptible
from experiments.runner.streams import discard, standard_streams
from experiments.runner.uncollected import leave_uncollected, uncollected
from xr0_sim.errors import NOT_WRITABLE, ConfigError, Xr0SimError, not_written, unknown_name

PROGRAM = "xr0-sim"
EXIT_BAD_INPUT = 2
EXIT_INTERRUPTED = 130


@dataclass(frozen=True)
class Command:
    """Where a subcommand lives.

    Attributes:
        module: Imported when the command is called; has ``run(config) -> int``.
        config: Name of the options dataclass in that module.
        summary: One line for the overview.
    """

    module: str
    config: str
    summary: str


COMMANDS: dict[str, Command] = {
    "rollout": Command(
        "experiments.commands.rollout", "RolloutConfig", "run episodes: video, tick log and table"
    ),
    "view": Command(
        "experiments.commands.view",
        "ViewConfig",
        "one episode of a run as a page: timeline, replay beside its twin, film",
    ),
    "watch": Command(
        "experiments.commands.watch",
        "WatchConfig",
        "the live environment in a browser: pause, push, another latency or strategy",
    ),
    "realtime": Command(
        "experiments.commands.realtime",
        "RealtimeConfig",
        "episodes against the wall clock, repeated in virtual time with their latencies",
    ),
    "left-states": Command(
        "experiments.commands.left_states",
        "LeftStatesConfig",
        "where failed episodes ended, for the expert to go on from",
    ),
    "film": Command(
        "experiments.commands.film", "FilmConfig", "a film of an episode that was run before"
    ),
    "compare": Command(
        "experiments.commands.compare",
        "CompareConfig",
        "same seeds, several strategies and latencies: picture",
    ),
    "ablate": Command(
        "experiments.commands.ablate",
        "AblateConfig",
        "any factors of a condition, same seeds: one table",
    ),
    "report": Command(
        "experiments.commands.report", "ReportConfig", "the table of a study that was run before"
    ),
    "verify": Command(
        "experiments.commands.verify",
        "VerifyConfig",
        "random rows of a study again: same digests or not",
    ),
    "oracle-grid": Command(
        "experiments.commands.oracle_grid",
        "OracleGridConfig",
        "the oracle over delays of 0 to 10 ticks",
    ),
    "expert-eval": Command(
        "experiments.commands.expert_eval", "ExpertEvalConfig", "success of the scripted expert"
    ),
    "serve": Command(
        "experiments.commands.serve",
        "ServeConfig",
        "a policy behind a websocket, openpi's protocol",
    ),
    "collect": Command(
        "experiments.commands.collect",
        "CollectConfig",
        "training samples: demonstrations or corrections",
    ),
    "dataset show": Command(
        "experiments.commands.dataset_show",
        "DatasetShowConfig",
        "what a sample store holds, and which code and policy it comes from",
    ),
    "dataset export": Command(
        "experiments.commands.dataset_export",
        "DatasetExportConfig",
        "a run, or a sample store, as a LeRobotDataset",
    ),
    "dataset import": Command(
        "experiments.commands.dataset_import",
        "DatasetImportConfig",
        "a LeRobotDataset into a sample store, for train",
    ),
    "train": Command(
        "experiments.commands.train", "TrainConfig", "VLM, base and heads from collected samples"
    ),
    "train-correction": Command(
        "experiments.commands.train_correction",
        "TrainCorrectionConfig",
        "a head that corrects a policy's rows in every tick, from an expert's advice",
    ),
    "train-rl": Command(
        "experiments.commands.train_rl",
        "TrainRlConfig",
        "an agent for a stage of the block task, with Stable-Baselines3",
    ),
    "ship": Command(
        "experiments.commands.export",
        "ShipConfig",
        "a trained policy with its record, into the assets",
    ),
    "probe": Command(
        "experiments.commands.prefix_probe",
        "ProbeConfig",
        "how far a head follows prefix and pictures",
    ),
    "vl-eval": Command(
        "experiments.commands.vqa_eval",
        "VlEvalConfig",
        "what a VLM answers about held-out pictures",
    ),
    "checkpoint inspect": Command(
        "experiments.commands.checkpoint_inspect",
        "CheckpointInspectConfig",
        "weight files: parts and gaps",
    ),
    "list": Command(
        "experiments.commands.list_plugs", "ListConfig", "every plug with its fields and source"
    ),
    "doctor": Command(
        "experiments.commands.doctor",
        "DoctorConfig",
        "what works on this machine, and what to install",
    ),
    "bench env": Command(
        "experiments.benchmarks.env",
        "BenchEnvConfig",
        "cost of a step and of its pictures",
    ),
    "bench pictures": Command(
        "experiments.benchmarks.pictures",
        "BenchPicturesConfig",
        "pictures of what is seen against whole scenes",
    ),
    "bench executor": Command(
        "experiments.benchmarks.executor",
        "BenchExecutorConfig",
        "cost of a tick under every strategy, model excluded",
    ),
    "bench policy": Command(
        "experiments.benchmarks.policy",
        "BenchPolicyConfig",
        "one inference against a naive forward",
    ),
    "bench card": Command(
        "experiments.benchmarks.card",
        "BenchCardConfig",
        "every check that needs a graphics card, in one go",
    ),
    "bench cost": Command(
        "experiments.benchmarks.cost",
        "BenchCostConfig",
        "constants of a study's cost, and what it would take on other machines",
    ),
    "bench start": Command(
        "experiments.benchmarks.start",
        "BenchStartConfig",
        "start-up of a command and of a worker, against a bare import",
    ),
    "bench events": Command(
        "experiments.benchmarks.events",
        "BenchEventsConfig",
        "what events move, what they overlap, whether the expert copes",
    ),
    "bench study": Command(
        "experiments.benchmarks.study",
        "BenchStudyConfig",
        "rows per CPU minute of a study, overhead, workers, engines",
    ),
    "bench change": Command(
        "experiments.benchmarks.change",
        "BenchChangeConfig",
        "what own motion and events change in a picture: threshold of event_triggered",
    ),
    "bench first-look": Command(
        "experiments.benchmarks.first_look",
        "BenchFirstLookConfig",
        "a policy's first chunk behind an event against the expert's",
    ),
    "bench correction": Command(
        "experiments.benchmarks.correction",
        "BenchCorrectionConfig",
        "what a correction takes, and its network's share of it",
    ),
    "bench tracking": Command(
        "experiments.benchmarks.tracking", "BenchTrackingConfig", "tool error on lines and circles"
    ),
    "bench clutch": Command(
        "experiments.benchmarks.clutch", "BenchClutchConfig", "pull and peel that open a clutch"
    ),
    "bench physics": Command(
        "experiments.benchmarks.physics.command",
        "BenchPhysicsConfig",
        "contacts, forces, speeds and cloth of the expert's episodes",
    ),
}


def overview(prefix: str = "") -> str:
    """Help text for all commands, or for those that start with ``prefix``."""
    names = [name for name in COMMANDS if name.startswith(prefix)]
    width = max(len(name) for name in names)
    lines = [f"  {name:<{width}}  {COMMANDS[name].summary}" for name in names]
    return "\n".join(
        [
            f"usage: {PROGRAM} {prefix}COMMAND [OPTIONS]".replace("  ", " "),
            "",
            "Wind tunnel for real-time vision-language-action policies.",
            "",
            "commands:",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help lists the options of a command; every command takes",
            "--plugin FILE_OR_MODULE, which adds strategies, latencies, events, policies or tasks.",
            f"First run: {PROGRAM} doctor, then {PROGRAM} rollout --policy oracle",
        ]
    )


def find_command(arguments: Sequence[str]) -> tuple[str, list[str]] | None:
    """Command name and the arguments left for it; None if only help was asked for.

    Raises:
        ConfigError: No such command.
    """
    words = list(arguments)
    if not words or words[0] in ("-h", "--help", "help", "-V", "--version"):
        return None
    if words[0] in COMMANDS:
        return words[0], words[1:]
    group = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if not group:
        raise unknown_name("command", words[0], {name.split()[0] for name in COMMANDS})
    if len(words) == 1 or words[1] in ("-h", "--help"):
        return None
    name = f"{words[0]} {words[1]}"
    if name not in COMMANDS:
        raise unknown_name(f"{words[0]} command", words[1], [n.split()[1] for n in group])
    return name, words[2:]


def dispatch(arguments: Sequence[str]) -> int:
    """Runs one command; lets errors through."""
    found = find_command(arguments)
    if found is None:
        if arguments and arguments[0] in ("--version", "-V"):
            return _print_version()
        group = arguments[0] if arguments and arguments[0].isalpha() else ""
        print(overview(f"{group} " if group not in ("", "help") else ""))
        return 0
    name, rest = found
    with uncollected():
        rest = load_plugins(rest)
        command = COMMANDS[name]
        module = import_module(command.module)
        from experiments.options.arguments import parse_config

        config = parse_config(getattr(module, command.config), rest, f"{PROGRAM} {name}")
    return int(module.run(config))


def load_plugins(words: Sequence[str]) -> list[str]:
    """Loads every ``--plugin FILE_OR_MODULE`` and returns the other words.

    Plug-ins are loaded before options are read, since they may add what options name.
    """
    rest: list[str] = []
    pending = iter(words)
    for word in pending:
        option, equals, value = word.partition("=")
        if option != "--plugin":
            rest.append(word)
            continue
        name = value if equals else next(pending, "")
        if not name:
            raise ConfigError("--plugin: expected a file or a module, got nothing")
        from xr0_sim.plugins import load_plugin

        load_plugin(name)
    return rest


def _print_version() -> int:
    from xr0_sim import __version__

    print(f"{PROGRAM} {__version__}")
    return 0


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point of the console script; returns the exit status."""
    ends_process = arguments is None
    with standard_streams():
        status = _main(sys.argv[1:] if arguments is None else arguments, ends_process)
    if ends_process:
        leave_uncollected()
    return status


def _main(arguments: Sequence[str], ends_process: bool) -> int:
    try:
        with interruptible(ends_process=ends_process):
            status = dispatch(arguments)
        sys.stdout.flush()
        return status
    except Xr0SimError as error:
        print(f"{PROGRAM}: {' '.join(str(error).split())}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except BrokenPipeError:
        # Whoever reads the output has closed it, e.g. ``| head``; nothing is left to say.
        discard(sys.stdout)
        return 1
    except OSError as error:
        if error.errno not in NOT_WRITABLE:
            raise
        discard(sys.stdout)
        print(f"{PROGRAM}: {not_written(error.filename or 'output', error)}", file=sys.stderr)
        return EXIT_BAD_INPUT
    except KeyboardInterrupt:
        print(f"{PROGRAM}: interrupted", file=sys.stderr)
        return EXIT_INTERRUPTED


if __name__ == "__main__":
    sys.exit(main())
