"""The pictures that somebody draws on: few, for a while, and found by nobody else."""

from __future__ import annotations

import gc
import weakref
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from mosquitto import wait_for

from edge.drawing.stills import MOST, Still, StillGoneError, Stills
from edge.drawing.viewfinder import Capture
from edge.types import Frame, Moment


def capture(camera_id: str = "aisle", width: int = 64, height: int = 48) -> Capture:
    now = Moment.now()
    image = np.full((height, width, 3), 100, np.uint8)
    return Capture(Frame(camera_id, image, now.at, now.clock_s), moving=False)


def is_kept(stills: Stills, still: Still) -> bool:
    try:
        return stills.find(still.token) is still
    except StillGoneError:
        return False


def test_the_newest_few_are_kept_and_one_that_is_used_stays():
    stills = Stills()
    first = stills.keep(capture())
    others = []
    for _ in range(MOST):
        others.append(stills.keep(capture()))
        assert is_kept(stills, first)
    assert [is_kept(stills, one) for one in others] == [False] + [True] * (MOST - 1)


def test_of_large_pictures_fewer_are_kept_but_never_less_than_two():
    stills = Stills()
    large = [stills.keep(capture(width=7680, height=4320)) for _ in range(3)]
    assert [is_kept(stills, one) for one in large] == [False, True, True]


def test_a_picture_is_found_for_its_own_camera_only():
    stills = Stills()
    still = stills.keep(capture("aisle"))
    assert stills.find(still.token, "aisle") is still
    for token, camera in ((still.token, "fridge"), (still.token[:-1], None), ("", None)):
        with pytest.raises(StillGoneError):
            stills.find(token, camera)


def test_what_nobody_uses_gives_its_memory_back_by_itself():
    stills = Stills(keep_s=0.2)
    picture = weakref.ref(stills.keep(capture()))
    wait_for(lambda: gc.collect() >= 0 and picture() is None, 10)


def test_tokens_are_long_and_each_is_another():
    stills = Stills()
    tokens = {stills.keep(capture()).token for _ in range(100)}
    assert len(tokens) == 100
    assert min(map(len, tokens)) >= 22  # 128 bits


def test_a_picture_is_compressed_for_many_askers_alike():
    still = Stills().keep(capture())
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: still.jpeg, range(32)))) == 1
    assert still.jpeg.startswith(b"\xff\xd8\xff")
