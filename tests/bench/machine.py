"""On what was measured: figures of another machine, or beside another load, are other figures."""

from __future__ import annotations

import os
import platform
from dataclasses import dataclass
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

PACKAGES = ("onnxruntime", "opencv-python-headless", "av", "numpy", "torch")
VECTORS = ("avx", "avx2", "avx_vnni", "avx512f", "avx512_vnni", "amx_int8")


@dataclass(frozen=True)
class Machine:
    cpu: str
    cores: int
    vectors: tuple[str, ...]
    python: str
    packages: dict[str, str]
    load: tuple[float, float, float]
    at: str

    def __str__(self) -> str:
        packages = ", ".join(f"{name} {number}" for name, number in self.packages.items())
        return (
            f"{self.cpu}, {self.cores} cores, {' '.join(self.vectors)}; Python {self.python}, "
            f"{packages}; {self.at}, load average {' '.join(f'{one:.1f}' for one in self.load)} "
            "before the run"
        )


def this_machine() -> Machine:
    model, flags = _cpu()
    return Machine(
        cpu=model,
        cores=len(os.sched_getaffinity(0)),
        vectors=tuple(name for name in VECTORS if name in flags),
        python=platform.python_version(),
        packages={name: version(name) for name in PACKAGES},
        load=os.getloadavg(),
        at=datetime.now(UTC).isoformat(timespec="minutes"),
    )


def _cpu() -> tuple[str, set[str]]:
    """Return the processor's name and what it can, as the kernel tells it."""
    lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
    found = {
        key.strip(): value.strip() for key, _, value in (line.partition(":") for line in lines)
    }
    return found.get("model name", platform.machine()), set(found.get("flags", "").split())
