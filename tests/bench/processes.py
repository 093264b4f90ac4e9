"""Other processes: begun, measured from outside, and ended whatever happens."""

from __future__ import annotations

import contextlib
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import psutil


@contextlib.contextmanager
def running(command: Sequence[str], log: Path) -> Iterator[psutil.Popen]:
    """Run a command that does not end by itself; end it afterwards. Its output goes to the log."""
    with log.open("ab") as output:
        process = psutil.Popen(command, stdout=output, stderr=output)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(15)
        except psutil.TimeoutExpired:
            process.kill()
            process.wait()


def cpu_a_minute(
    processes: Mapping[str, psutil.Popen], windows: int, window_s: float
) -> dict[str, list[float]]:
    """Return the CPU seconds a minute of each process, all threads, one figure a window."""
    found: dict[str, list[float]] = {name: [] for name in processes}
    before, begun_s = _cpu_s(processes), time.monotonic()
    for _ in range(windows):
        time.sleep(window_s)
        after, now_s = _cpu_s(processes), time.monotonic()
        for name, figures in found.items():
            figures.append((after[name] - before[name]) * 60 / (now_s - begun_s))
        before, begun_s = after, now_s
    return found


def peak_mb(process: psutil.Popen) -> float:
    """Return the most memory that the process ever held, in 10⁶ bytes."""
    status = Path(f"/proc/{process.pid}/status").read_text(encoding="ascii")
    (line,) = (line for line in status.splitlines() if line.startswith("VmHWM:"))
    return int(line.split()[1]) * 1024 / 1e6


def _cpu_s(processes: Mapping[str, psutil.Popen]) -> dict[str, float]:
    found = {}
    for name, process in processes.items():
        if process.poll() is not None:
            raise SystemExit(f"{name} ended by itself (exit code {process.returncode})")
        times = process.cpu_times()
        found[name] = times.user + times.system
    return found
