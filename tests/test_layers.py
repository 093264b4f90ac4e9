"""The order of things. A module imports only from the rows above its own."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from graphlib import TopologicalSorter
from pathlib import Path

import pytest
from conftest import REPOSITORY

EDGE = REPOSITORY / "edge"
LAYERS = [
    {"types"},  # the words
    {"errors", "versions", "signals", "niceness"},
    {"payloads", "atomicfile"},
    {
        "yamlfile",
        "geometry",
        "picture",
        "preprocess",
        "redact",
        "decide",
        "messages",
        "truth",
        "history",
        "pin",
    },
    {"view", "thumbnails", "state_rows", "places"},
    {"past", "figures"},
    {"statefile"},
    {"section", "gate", "classifier", "store", "sinks", "rendered"},
    {"cameras"},
    {"overlay", "address", "planogram", "grabber", "ledger", "publisher", "album", "training"},
    {"site", "eye", "health", "observe", "amqtt_broker"},
    {"config", "lookout", "broker"},
    {"plan", "outlet", "recording"},
    {"board", "drawing"},
    {"desk", "aim"},
    {"web"},
    {"monitor", "schemas", "status", "replay", "snapshot"},  # start reading in the monitor
    {"demo", "doctor", "calibrate"},
    {"cli"},
]
HEIGHT = {name: height for height, layer in enumerate(LAYERS) for name in layer}
FILES = sorted(EDGE.rglob("*.py"))


def imports(path: Path) -> Iterator[str]:
    """Yield the full name of each module that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}:{node.lineno}: imports are written in full"
            if node.module in ("edge", "trainer"):  # `import messages`, but not `__version__`
                names = [one.name for one in node.names if not one.name.startswith("_")]
                yield from (f"{node.module}.{name}" for name in names)
            elif node.module:
                yield node.module


def part(path: Path) -> str:
    """Return the module or folder of edge that a file belongs to."""
    return path.relative_to(EDGE).parts[0].removesuffix(".py")


def module(path: Path) -> str:
    """Return the full name of the module in a file."""
    name = ".".join(path.relative_to(REPOSITORY).with_suffix("").parts)
    return name.removesuffix(".__init__")


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(EDGE)))
def test_a_module_imports_only_from_lower_layers(path):
    own = part(path)
    for name in imports(path):
        package, _, rest = name.partition(".")
        assert package not in ("trainer", "torch"), f"{path} imports {name}; edge runs without it"
        other = rest.partition(".")[0]
        if package == "edge" and other != own:
            for one in (own, other):
                assert one in HEIGHT, f"{one} has no place in LAYERS yet"
            assert HEIGHT[other] < HEIGHT[own], f"{path} may not import edge.{other}"


def test_the_trainers_modules_import_each_other_without_a_cycle():
    trainer = {module(path): path for path in (REPOSITORY / "trainer").rglob("*.py")}
    graph = {name: trainer.keys() & set(imports(path)) for name, path in trainer.items()}
    assert graph["trainer.__main__"] == {"trainer.cli"}
    TopologicalSorter(graph).prepare()  # raises CycleError, which names the modules


def test_the_table_names_only_what_there_is():
    assert set(HEIGHT) <= {part(path) for path in FILES}


def loaded_by(code: str) -> set[str]:
    """Return the names of all modules that a fresh interpreter holds after the code."""
    command = [sys.executable, "-c", f"import sys\n{code}\nprint(*sys.modules)"]
    run = subprocess.run(command, check=False, capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return set(run.stdout.splitlines()[-1].split())  # before it the code may have printed


def test_the_daemon_never_loads_torch():
    modules = [module(path) for path in FILES if path.stem != "__main__"]
    assert "edge.cli" in modules
    loaded = loaded_by("import " + ", ".join(modules))
    assert "edge.cli" in loaded
    assert loaded & {"torch", "torchvision", "trainer"} == set()


def test_a_command_waits_only_for_what_it_needs():
    heavy = {"cv2", "onnxruntime", "av", "amqtt", "paho", "starlette", "uvicorn"}
    for command in ("import edge.cli", "from edge.cli import version; version()"):
        assert loaded_by(command) & heavy == set()


def test_a_replay_needs_no_broker_and_no_pages():
    assert loaded_by("import edge.replay") & {"amqtt", "starlette", "uvicorn"} == set()


def test_only_who_opens_a_stream_or_a_video_loads_ffmpeg():
    assert "av" not in loaded_by("import edge.monitor, edge.replay, edge.calibrate, edge.doctor")
