from __future__ import annotations

import re
import shutil
import subprocess

import pytest
from conftest import REPOSITORY

from edge.errors import ConfigError

UNIT = REPOSITORY / "deploy/shelf-edge.service"


@pytest.fixture
def systemd_analyze() -> str:
    program = shutil.which("systemd-analyze")
    if program is None:
        pytest.skip("there is no systemd-analyze on this system")
    return program


def test_the_unit_holds_nothing_that_systemd_does_not_know(systemd_analyze, tmp_path):
    unit = tmp_path / UNIT.name
    unit.write_text(re.sub(r"ExecStart=\S+", "ExecStart=/bin/true", UNIT.read_text()))
    verify = [systemd_analyze, "verify", "--man=no", str(unit)]
    run = subprocess.run(verify, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stderr) == (0, "")


def test_the_unit_leaves_an_attacker_little(systemd_analyze):
    command = [systemd_analyze, "security", "--offline=yes", "--threshold=15", str(UNIT)]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stdout


def test_systemd_starts_the_daemon_again_whatever_ended_it_but_an_invalid_configuration():
    assert "Restart=always\n" in UNIT.read_text()
    assert f"RestartPreventExitStatus={ConfigError.exit_code}\n" in UNIT.read_text()
