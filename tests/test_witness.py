"""Who says how long the machine stood still excuses the machine, and nothing else."""

from __future__ import annotations

import signal
import time

import pytest


def test_what_the_machine_stood_still_is_not_counted(witness):
    begun_s = time.monotonic()
    witness.process.send_signal(signal.SIGSTOP)  # to it that is a machine that stands still
    time.sleep(0.5)
    witness.process.send_signal(signal.SIGCONT)
    end_s = time.monotonic()
    assert witness.ran_s(begun_s, end_s) < end_s - begun_s - 0.3
    with pytest.raises(ZeroDivisionError):
        witness.sees(lambda: 1 / 0)


def test_a_part_that_failed_is_tried_again_only_where_the_machine_stood_still(witness):
    tried = []

    def fails(stop: bool) -> None:
        tried.append(stop)
        if stop:
            witness.process.send_signal(signal.SIGSTOP)
            time.sleep(0.3)
            witness.process.send_signal(signal.SIGCONT)
        assert len(tried) == 2

    witness.sees(lambda: fails(stop=True))
    assert tried == [True, True]


def test_code_that_lets_no_other_thread_run_is_not_excused(witness):
    def greedy() -> None:
        while time.thread_time() < until_s:
            sum(range(3_000_000))  # some tenth of a second, and the lock is held all along

    until_s = time.thread_time() + 1.0
    assert witness.took_s(greedy) > 0.5
