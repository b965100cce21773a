"""Import layers, import cost and public names, read from the source with `ast`."""

from __future__ import annotations

import ast
import subprocess
import sys
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = ("xr0_sim", "assets", "envs", "policies", "experiments")
BASE = {
    "__version__",
    "atomic",
    "conventions",
    "errors",
    "fields",
    "grammar",
    "plain_text",
    "plugins",
    "registry",
    "rotations",
    "types",
    "wire",
}
"""What everything may use."""
MAY_IMPORT = {
    "xr0_sim": set(),
    "assets": set(),
    "envs": {"assets", "xr0_sim"},
    "policies": {"assets", "envs", "xr0_sim"},
    "experiments": {"assets", "envs", "policies", "xr0_sim"},
}
CORE_MAY_IMPORT = {
    "model": set(),
    "data": {"model"},
    "training": {"data", "model"},
    "runtime": set(),
    "outside": set(),
    "perturb": {"runtime"},
    "record": {"perturb", "runtime"},
    "metrics": {"runtime"},
    "view": {"metrics", "record", "runtime"},
}
CORE_PARTS_FOR = {
    "envs": {"outside", "perturb"},
    "policies": {"metrics", "model", "perturb", "record", "runtime"},
}
"""Packages of the core that envs and policies may use; none of them is about training."""
HEAVY = ("torch", "mujoco", "transformers")


def module_name(path):
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


PATHS = {
    module_name(path): path
    for package in PACKAGES
    for path in sorted((ROOT / package).rglob("*.py"))
}
TREES = {name: ast.parse(path.read_text(encoding="utf-8")) for name, path in PATHS.items()}


def is_type_checking(node):
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(node, lazy, typing):
    """Names (``a.b.c``) that a tree imports, as far as asked also in functions and for types."""
    found = set()
    for child in ast.iter_child_nodes(node):
        if isinstance(child, ast.Import):
            found |= {alias.name for alias in child.names}
        elif isinstance(child, ast.ImportFrom):
            assert child.level == 0, "relative import"
            found |= {f"{child.module}.{alias.name}" for alias in child.names}
        elif isinstance(child, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda) and not lazy:
            continue
        elif is_type_checking(child) and not typing:
            found |= imported(ast.Module(child.orelse, []), lazy, typing)
        else:
            found |= imported(child, lazy, typing)
    return found


def ours(names):
    return {name for name in names if name.split(".")[0] in PACKAGES}


def as_module(name):
    """The module that an imported name is, or is taken from."""
    return name if name in TREES else name.rpartition(".")[0]


def own_packages(module):
    parts = module.split(".")
    return {".".join(parts[:k]) for k in range(1, len(parts) + 1)}


def import_graph():
    """Module -> modules that importing it executes first, packages of the target included."""
    graph = {}
    for module, tree in TREES.items():
        targets = {as_module(name) for name in ours(imported(tree, lazy=False, typing=False))}
        # A module's own packages are always under way already.
        loaded = set().union(*(own_packages(target) for target in targets)) if targets else set()
        graph[module] = (loaded & set(TREES)) - own_packages(module) | (targets - {module})
    return graph


def find_cycle(graph):
    done, path = set(), []

    def visit(module):
        if module in path:
            return [*path[path.index(module) :], module]
        if module in done:
            return None
        path.append(module)
        for target in sorted(graph.get(module, ())):
            cycle = visit(target)
            if cycle:
                return cycle
        path.pop()
        done.add(module)
        return None

    for module in sorted(graph):
        cycle = visit(module)
        if cycle:
            return cycle
    return None


def run_python(*words):
    done = subprocess.run([sys.executable, *words], capture_output=True, text=True, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    return done


def test_the_five_packages_resolve_into_one_tree():
    homes = {Path(find_spec(name).origin).resolve().parent.parent for name in PACKAGES}
    assert homes == {ROOT}


@pytest.mark.parametrize("package", PACKAGES)
def test_packages_import_only_lower_layers(package):
    allowed = MAY_IMPORT[package] | {package}
    modules = [module for module in TREES if module.split(".")[0] == package]
    assert modules
    wrong = {
        f"{module} imports {name}"
        for module in modules
        for name in ours(imported(TREES[module], lazy=True, typing=True))
        if name.split(".")[0] not in allowed
    }
    assert not wrong


def core_parts(module, typing):
    names = ours(imported(TREES[module], lazy=True, typing=typing))
    return {name.split(".")[1] for name in names if name.startswith("xr0_sim.")}


def test_every_part_of_the_core_has_a_layer():
    parts = {module.split(".")[1] for module in TREES if module.startswith("xr0_sim.")}
    assert parts == set(CORE_MAY_IMPORT) | (BASE - {"__version__"})


@pytest.mark.parametrize("part", CORE_MAY_IMPORT)
def test_parts_of_the_core_import_only_lower_layers(part):
    allowed = CORE_MAY_IMPORT[part] | BASE | {part}
    for module in TREES:
        if module.startswith(f"xr0_sim.{part}"):
            assert core_parts(module, typing=False) <= allowed, module


def test_the_base_of_the_core_stands_on_itself():
    for name in BASE - {"__version__"}:
        assert core_parts(f"xr0_sim.{name}", typing=True) <= BASE, name
    assert not ours(imported(TREES["xr0_sim"], lazy=True, typing=True))


@pytest.mark.parametrize("package", CORE_PARTS_FOR)
def test_envs_and_policies_use_only_their_parts_of_the_core(package):
    for module in TREES:
        if module.split(".")[0] == package:
            assert core_parts(module, typing=True) <= CORE_PARTS_FOR[package] | BASE, module


def task_packages():
    return sorted(
        name.split(".")[1] for name in TREES if name.startswith("envs.") and name.endswith(".spec")
    )


def reached(graph, module):
    """Modules that importing one executes, itself included."""
    found, todo = set(), [module]
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += graph.get(name, ())
    return found


@pytest.mark.parametrize(
    ("home", "task"),
    [
        *((f"envs.{task}", task) for task in ("block_dismantling", "towel_folding")),
        ("policies.scripted.blocks", "block_dismantling"),
        ("policies.scripted.towel", "towel_folding"),
    ],
)
def test_a_task_never_imports_another_task(home, task):
    assert {"block_dismantling", "towel_folding"} <= set(task_packages())
    graph = import_graph()
    modules = [module for module in TREES if module.startswith(home)]
    assert len(modules) > 2
    others = [f"envs.{other}" for other in task_packages() if other != task]
    for module in modules:
        seen = reached(graph, module) | {
            as_module(name) for name in imported(TREES[module], lazy=True, typing=True)
        }
        assert not [name for name in seen if name.startswith(tuple(others))], module


def test_what_tasks_share_imports_no_task():
    tasks = tuple(f"envs.{task}" for task in task_packages())
    for module in TREES:
        if module.split(".")[0] == "envs" and not module.startswith(tasks):
            names = imported(TREES[module], lazy=True, typing=True)
            assert not [name for name in names if name.startswith(tasks)], module


def test_imports_are_told_apart_by_when_they_happen():
    tree = ast.parse(
        "import a.b\nif TYPE_CHECKING:\n    from c import d\nelse:\n    import e\n"
        "class F:\n    import g\n    def h(self):\n        from i.j import k\n"
    )
    assert imported(tree, lazy=False, typing=False) == {"a.b", "e", "g"}
    assert imported(tree, lazy=True, typing=False) == {"a.b", "e", "g", "i.j.k"}
    assert imported(tree, lazy=False, typing=True) == {"a.b", "c.d", "e", "g"}


def test_no_module_needs_itself_to_be_imported():
    graph = import_graph()
    assert {"xr0_sim.types", "xr0_sim.conventions"} <= graph["xr0_sim.runtime.executor"]
    assert find_cycle(graph) is None


def test_a_cycle_would_be_found():
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": set()}) is None
    assert find_cycle({"a": {"b"}, "b": {"c"}, "c": {"b"}}) == ["b", "c", "b"]


@pytest.mark.parametrize(
    ("part", "forbidden"),
    [
        ("runner", {"commands", "datagen", "report", "study"}),
        ("options", {"commands", "datagen", "report", "study"}),
        ("study", {"commands", "datagen", "benchmarks"}),
        ("report", {"commands", "datagen", "benchmarks"}),
    ],
)
def test_parts_of_the_experiments_import_only_lower_ones(part, forbidden):
    modules = [module for module in TREES if module.startswith(f"experiments.{part}")]
    assert modules
    for module in modules:
        found = ours(imported(TREES[module], lazy=True, typing=True))
        parts = {name.split(".")[1] for name in found if name.startswith("experiments.")}
        assert not parts & forbidden, module


def with_all():
    def offers(node):
        targets = node.targets if isinstance(node, ast.Assign) else [getattr(node, "target", None)]
        return "__all__" in [target.id for target in targets if isinstance(target, ast.Name)]

    return [module for module, tree in TREES.items() if any(map(offers, tree.body))]


@pytest.mark.parametrize("module", with_all())
def test_every_public_name_resolves(module):
    loaded = import_module(module)
    assert len(set(loaded.__all__)) == len(loaded.__all__)
    for name in loaded.__all__:
        assert getattr(loaded, name) is not None, name


def test_packages_that_offer_names_say_which():
    for module, tree in TREES.items():
        if PATHS[module].name == "__init__.py" and ours(imported(tree, lazy=False, typing=True)):
            assert module in with_all(), module


@pytest.mark.parametrize(
    "module",
    ["xr0_sim", "xr0_sim.runtime", "xr0_sim.perturb", "xr0_sim.metrics", "assets", "policies"],
)
def test_light_modules_load_nothing_heavy(module):
    done = run_python(
        "-c", f"import sys, {module}; print([n for n in {HEAVY} if n in sys.modules])"
    )
    assert done.stdout == "[]\n"


@pytest.mark.parametrize("module", ["envs", "envs.block_dismantling.env"])
def test_environments_load_no_network_library(module):
    done = run_python(
        "-c", f"import sys, {module}; print([n for n in sys.modules if n in {HEAVY}])"
    )
    assert done.stdout in ("[]\n", "['mujoco']\n")
    assert module != "envs" or "mujoco" not in done.stdout


def test_help_loads_nothing_heavy():
    done = run_python("-X", "importtime", "-m", "experiments.cli", "--help")
    loaded = {line.split("|")[-1].strip() for line in done.stderr.splitlines() if "|" in line}
    assert "usage: xr0-sim" in done.stdout
    assert "xr0_sim.errors" in loaded
    assert not {name for name in loaded if name.split(".")[0] in HEAVY}
