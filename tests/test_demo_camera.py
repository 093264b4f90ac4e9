import time
from collections import deque

import numpy as np
import pytest

from edge.cameras.demo import DemoOptions, demo_recording, demo_slots, open_demo, parse_demo_url
from edge.errors import SourceEndedError, UsageError


def test_a_bare_url_is_the_usual_store():
    assert parse_demo_url("demo:") == DemoOptions()


def test_every_option_is_read():
    url = "demo:?seed=3&minutes=0.5&pace=8&shelves=3&slots=10&width=1920"
    assert parse_demo_url(url) == DemoOptions(3, 0.5, 8.0, 3, 10, 1920)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("demo:?sed=3", "demo: has no option 'sed'; did you mean 'seed'?"),
        ("demo:?seed=x", "demo: seed=x: must be a whole number from 0 to"),
        ("demo:?minutes=0", "demo: minutes=0: must be a number from 0.01 to 10080"),
        ("demo:?slots=500", "demo: slots=500: must be a whole number from 6 to 24"),
        ("demo:?seed=", "demo: seed=: must be a whole number"),
        ("demo:seven", "demo:seven: write it as demo:?seed=7&minutes=30"),
    ],
)
def test_a_wrong_option_is_named_with_the_way_out(url, message):
    with pytest.raises(UsageError) as caught:
        parse_demo_url(url)
    assert str(caught.value).startswith(message)


def test_a_live_store_shows_its_pictures_at_the_pace_wanted_and_closes(asked_s):
    camera = open_demo("demo:?seed=2&minutes=0.05&width=320", every_s=0.5)  # 3 s
    begun_s = time.monotonic()
    pictures = [camera.read(), camera.read(), camera.read()]
    took_s = time.monotonic() - begun_s
    assert took_s > 0.9
    assert sum(asked_s) < 1.2
    rest = (camera.read() for _ in range(5))
    with pytest.raises(SourceEndedError, match="closed"):
        deque(rest)
    assert time.monotonic() - begun_s > 2.9
    camera.close()
    assert [picture.shape for picture in pictures] == [(180, 320, 3)] * 3


def test_a_recording_ends_after_its_minutes_and_brings_slots_and_truth():
    url = "demo:?seed=2&minutes=0.5&width=320"
    frames, slots, truth = demo_recording(url, "aisle", every_s=5)
    times = [t for t, image in frames if image.dtype == np.uint8]
    assert times == [0, 5, 10, 15, 20, 25]
    assert slots == demo_slots(url, "aisle")
    assert truth["camera"] == "aisle"
    assert truth["source"] == url
    assert truth["slots"] == [slot.slot_id for slot in slots] == list(truth["truth"])
    assert all(entries[0]["t"] == 0 for entries in truth["truth"].values())
