"""The program that another Python runs: a simulator that answers over the socket it was given.

`xr0_sim.outside.client` starts it as
``PYTHON process.py DESCRIPTOR OURS MSGPACK FILE CLASS ARGUMENTS``. The other environment need not
have this package: ``xr0_sim``, of which only the base is used, is read from the folder OURS, and
``msgpack`` from MSGPACK where the environment has none. Nothing else is taken from there, so that
numpy and MuJoCo are the other environment's own.

A request is a map with the name of a call and its arguments; an answer has one entry: ``answer``,
``refused`` (the request does not fit) or ``failed`` (the simulator broke), the last two with one
line of text. A trace goes to standard error alone.
"""

import json
import os
import socket
import sys
import traceback
from importlib.machinery import ModuleSpec, PathFinder
from importlib.util import module_from_spec, spec_from_file_location
from typing import Any

CALLS = ("describe", "reset", "step", "pictures", "snapshot", "restore", "shift", "knock")
"""Methods of a simulator that the other end may call, see `xr0_sim.outside.simulator`; a class with
other methods names its own in an attribute of this name."""


class Borrowed:
    """Finds one top-level package in a folder that is not on the path.

    Args:
        name: The package.
        folder: Where it lies.
    """

    def __init__(self, name: str, folder: str) -> None:
        self._name, self._folder = name, folder

    def find_spec(self, name: str, path: Any = None, target: Any = None) -> ModuleSpec | None:
        """See `importlib.abc.MetaPathFinder`."""
        return PathFinder.find_spec(name, [self._folder]) if name == self._name else None


def answer(simulator: Any, request: dict[str, Any]) -> dict[str, Any]:
    """What a simulator says to a request; raises nothing."""
    from xr0_sim.errors import ConfigError

    call = request.pop("call", None)
    calls = getattr(type(simulator), "CALLS", CALLS)
    try:
        if call not in calls:
            raise ConfigError(f"call: expected one of {', '.join(calls)}, got {call!r}")
        return {"answer": getattr(simulator, call)(**request)}
    except ConfigError as error:
        return {"refused": _one_line(error)}
    except Exception as error:
        traceback.print_exc()
        return {"failed": f"{type(error).__name__}: {_one_line(error)}"}


def serve(make: Any, stream: socket.socket) -> None:
    """Makes the simulator, then answers until the other end closes."""
    from xr0_sim.outside.channel import Channel
    from xr0_sim.wire import WireError

    channel, simulator = Channel(stream), None
    try:
        while True:
            request = channel.receive()
            if simulator is None:
                try:
                    simulator = make()
                except Exception as error:
                    traceback.print_exc()
                    channel.send({"refused": f"{type(error).__name__}: {_one_line(error)}"})
                    return
            try:
                channel.send(answer(simulator, request))
            except WireError as error:
                channel.send({"failed": _one_line(error)})
    except (EOFError, OSError, WireError):
        return  # nobody is there to be told


def main(words: list[str]) -> None:
    """Takes the socket, loads the class, serves."""
    descriptor, ours, msgpack, file, name, arguments = words
    here = os.path.dirname(os.path.abspath(__file__))
    sys.path[:] = [place for place in sys.path if os.path.abspath(place) != here]
    sys.meta_path.insert(0, Borrowed("xr0_sim", ours))
    sys.meta_path.append(Borrowed("msgpack", msgpack))
    stream = socket.socket(fileno=int(descriptor))

    def make() -> Any:
        spec = spec_from_file_location("outside_simulator", file)
        assert spec is not None and spec.loader is not None
        module = module_from_spec(spec)
        sys.modules[spec.name] = module
        spec.loader.exec_module(module)
        return getattr(module, name)(**json.loads(arguments))

    serve(make, stream)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split())[:500]


if __name__ == "__main__":
    main(sys.argv[1:])
    sys.stderr.flush()
    # Renderers of other projects complain when the interpreter takes them down.
    os._exit(0)
