"""One thread a camera: newest frame, growing patience, and no camera that can stop another."""

from __future__ import annotations

import contextlib
import threading
import time
from dataclasses import replace
from datetime import UTC, datetime
from itertools import pairwise

import numpy as np
import pytest
from conftest import require_gst_rtsp, require_program
from rtsp_server import RtspServer, encode

from edge.errors import CameraError, SourceEndedError
from edge.grabber import Grabber, Patience
from edge.types import CameraReason, CameraStatus

PICTURE = np.full((12, 16, 3), 90, np.uint8)
QUICK = Patience(
    first_retry_s=0.05,
    last_retry_s=0.4,
    first_login_s=0.3,
    last_login_s=0.6,
    offline_s=0.4,
    hang_s=0.2,
    left_behind=2,
)
OFFLINE, ONLINE = CameraStatus.OFFLINE, CameraStatus.ONLINE


class Script:
    """A kind of camera that does what each step says: give a picture, raise, or run a function.

    The last step is repeated for ever.
    """

    def __init__(self, *steps, opens=()):
        self.steps, self.opens = list(steps), list(opens)
        self.opened_s: list[float] = []
        self.closed = 0

    def open(self, url, every_s):
        self.opened_s.append(time.monotonic())
        self._do(self.opens)
        return self

    def read(self):
        time.sleep(0.005)
        return self._do(self.steps)

    def close(self):
        self.closed += 1

    @staticmethod
    def _do(steps):
        step = steps.pop(0) if len(steps) > 1 else steps[0] if steps else None
        if isinstance(step, Exception):
            raise step
        return step() if callable(step) else step


def fails(reason=CameraReason.CONNECT_FAILED):
    return CameraError("it is broken", reason)


class Stop(threading.Event):
    """Knows which waits a grabber's thread asked for, in seconds: how much longer they take is the
    machine's affair."""

    def __init__(self):
        super().__init__()
        self.waits_s: list[float] = []

    def wait(self, timeout=None):
        if threading.current_thread().name.endswith(" grab"):
            self.waits_s.append(timeout)
        return super().wait(timeout)


@pytest.fixture
def stop():
    return Stop()


@pytest.fixture
def grab(stop):
    """Start grabbers that the test need not stop."""
    started = []

    def start(script, patience=QUICK, every_s=0.1):
        grabber = Grabber("aisle", "test:", every_s, stop, patience, opener=script.open)
        started.append(grabber)
        grabber.start()
        return grabber

    yield start
    stop.set()
    for grabber in started:
        grabber.join()


def wait_for(what, timeout_s=5.0):
    deadline_s = time.monotonic() + timeout_s
    while not (found := what()):
        assert time.monotonic() < deadline_s, "waited in vain"
        time.sleep(0.005)
    return found


def said(grabber):
    condition = grabber.condition()
    return condition and condition[:2]


def test_who_comes_after_waits_until_the_camera_is_let_go_and_says_nothing_meanwhile(grab):
    holders = []

    class OneAtATime(Script):
        def open(self, url, every_s):
            if holders:
                raise CameraError("another program uses it")
            holders.append(self)
            return self

        def read(self):
            time.sleep(0.8)  # until the next picture is due
            return PICTURE

        def close(self):
            holders.remove(self)

    patience, ends = Patience(first_retry_s=0.05), [threading.Event(), threading.Event()]
    before = Grabber("aisle", "test:", 0.1, ends[0], patience, opener=OneAtATime().open)
    before.start()
    wait_for(before.take)
    ends[0].set()
    opener = OneAtATime().open
    after = Grabber("aisle", "test:", 0.1, ends[1], patience, opener=opener, after=before)
    after.start()
    said_of_it = set()

    def taken():
        said_of_it.add(said(after))
        return after.take()

    wait_for(taken)
    ends[1].set()
    after.join()
    assert said_of_it <= {None, (ONLINE, None)}


def test_who_comes_after_one_that_never_began_waits_for_the_one_before_that(grab):
    reading = threading.Event()
    first = grab(Script(PICTURE, reading.wait), Patience())
    wait_for(first.take)
    script, patience = Script(PICTURE), Patience(first_retry_s=0.05)
    second, third = (threading.Event() for _ in range(2))

    def begun(stop, after):
        opened = Grabber("aisle", "test:", 0.1, stop, patience, opener=script.open, after=after)
        opened.start()
        return opened

    waiting = begun(second, first)
    second.set()
    waiting.join()
    last = begun(third, waiting)
    time.sleep(0.3)
    assert (script.opened_s, said(last)) == ([], None)
    first._stop.set()
    reading.set()
    wait_for(last.take)
    third.set()


def test_who_comes_after_one_that_hangs_does_not_wait_for_ever(grab):
    hanging = threading.Event()
    before = grab(Script(PICTURE, hanging.wait))
    wait_for(before.take)
    stop = threading.Event()
    after = Grabber("aisle", "test:", 0.1, stop, QUICK, opener=Script(PICTURE).open, after=before)
    after.start()
    wait_for(after.take)
    stop.set()
    hanging.set()


def test_the_newest_frame_is_handed_out_once(grab):
    pictures = [np.full((12, 16, 3), number, np.uint8) for number in range(5)]
    all_read, blocked = threading.Event(), threading.Event()

    def block():
        all_read.set()
        blocked.wait()
        return PICTURE

    grabber = grab(Script(*pictures, block), Patience())
    assert all_read.wait(5)
    frame = grabber.take()
    assert frame.image[0, 0, 0] == 4
    assert grabber.take() is None
    blocked.set()


def test_a_frame_is_stamped_with_both_clocks_and_cannot_be_drawn_on(grab):
    before_s, before = time.monotonic(), datetime.now(UTC)
    frame = wait_for(grab(Script(PICTURE.copy())).take)
    assert before_s < frame.clock_s < time.monotonic()
    assert before < frame.taken_at < datetime.now(UTC)
    assert frame.camera_id == "aisle"
    with pytest.raises(ValueError, match="read-only"):
        frame.image[0, 0] = 0


def test_nothing_is_said_of_a_camera_that_is_still_being_opened(grab):
    gate = threading.Event()
    grabber = grab(Script(PICTURE, opens=[gate.wait]), Patience())
    assert grabber.condition() is None
    gate.set()
    wait_for(lambda: said(grabber) == (ONLINE, None))
    assert grabber.condition().last_frame is not None


def test_waits_grow_up_to_a_limit(grab, stop):
    script = Script(PICTURE, opens=[fails()])
    grab(script)
    wait_for(lambda: len(script.opened_s) >= 7)
    waits = [after - before for before, after in pairwise(script.opened_s)]
    wanted = [0.05, 0.1, 0.2, 0.4, 0.4, 0.4]
    for asked_s, wait_s, wanted_s in zip(stop.waits_s[1:], waits, wanted, strict=False):
        assert 0.75 * wanted_s <= asked_s <= 1.25 * wanted_s
        assert 0.75 * wanted_s <= wait_s


def test_a_good_frame_makes_waits_short_again(grab, stop):
    script = Script(PICTURE, fails(), opens=[fails(), fails(), fails(), None])
    grab(script)
    wait_for(lambda: len(script.opened_s) >= 5)
    assert stop.waits_s[4] <= 1.25 * 0.05
    wait_for(lambda: script.closed >= 1)


def test_a_first_failure_is_told_at_once(grab):
    grabber = grab(Script(PICTURE, opens=[fails()]), Patience())
    wait_for(lambda: said(grabber) == (OFFLINE, CameraReason.CONNECT_FAILED))
    assert grabber.condition().message == "it is broken"


def test_a_blip_is_not_told(grab):
    script = Script(PICTURE, fails(), PICTURE)
    grabber = grab(script, replace(QUICK, offline_s=60))  # a slow machine is no silence
    told = set()
    wait_for(lambda: told.add(said(grabber)) or len(script.opened_s) >= 2)
    wait_for(lambda: grabber.take() is not None)
    assert told <= {None, (ONLINE, None)}


def test_a_loss_is_told_after_the_first_retry_and_so_is_the_return(grab):
    seen = threading.Event()
    script = Script(
        PICTURE, fails(CameraReason.NO_FRAMES), PICTURE, opens=[None, fails(), seen.wait]
    )
    grabber = grab(script, replace(QUICK, hang_s=60))
    wait_for(lambda: said(grabber) == (OFFLINE, CameraReason.CONNECT_FAILED))
    assert grabber.condition().last_frame is not None
    seen.set()
    wait_for(lambda: said(grabber) == (ONLINE, None))


def test_a_refused_login_is_told_at_once_and_seldom_tried_again(grab):
    script = Script(PICTURE, opens=[fails(CameraReason.AUTH_FAILED)])
    grabber = grab(script)
    wait_for(lambda: said(grabber) == (OFFLINE, CameraReason.AUTH_FAILED))
    wait_for(lambda: len(script.opened_s) >= 3)
    first_s, second_s = (after - before for before, after in pairwise(script.opened_s[:3]))
    assert first_s >= 0.75 * 0.3
    assert second_s >= 0.75 * 0.6


def test_a_recording_ends_after_its_last_picture_was_taken(grab):
    script = Script(PICTURE, SourceEndedError())
    grabber = grab(script)
    wait_for(lambda: said(grabber) == (OFFLINE, CameraReason.ENDED))
    assert not grabber.ended
    assert grabber.take() is not None
    assert grabber.ended
    time.sleep(0.3)
    assert len(script.opened_s) == 1


def test_a_failure_nobody_foresaw_is_retried_too(grab, caplog):
    script = Script(ZeroDivisionError("a bug"), PICTURE)
    grabber = grab(script)
    assert wait_for(grabber.take) is not None
    assert "ZeroDivisionError: a bug" in caplog.text


@pytest.mark.parametrize("where", ["open", "read"])
def test_a_call_that_hangs_is_abandoned_and_what_it_brings_later_is_thrown_away(grab, where):
    hanging, late = threading.Event(), np.full((12, 16, 3), 7, np.uint8)

    def hang():
        hanging.wait()
        return late

    script = Script(PICTURE, opens=[hang, None]) if where == "open" else Script(hang, PICTURE)
    grabber = grab(script)
    assert wait_for(grabber.take).image[0, 0, 0] == 90
    hanging.set()
    wait_for(lambda: script.closed >= 1)
    for _ in range(20):
        frame = wait_for(grabber.take)
        assert frame.image[0, 0, 0] == 90


def test_a_camera_that_is_silent_is_offline_before_it_is_abandoned(grab, witness):
    hanging = threading.Event()
    script = Script(PICTURE, hanging.wait)
    begun_s = time.monotonic()
    grabber = grab(script, Patience(offline_s=0.2, hang_s=60))
    wait_for(lambda: said(grabber) == (OFFLINE, CameraReason.NO_FRAMES))
    end_s = time.monotonic()
    assert end_s - begun_s > 0.25
    assert witness.ran_s(begun_s, end_s) < 1.0
    assert len(script.opened_s) == 1
    hanging.set()


def test_no_more_than_a_few_threads_are_left_behind(grab):
    hanging = threading.Event()
    script = Script(hanging.wait)
    grab(script)
    wait_for(lambda: len(script.opened_s) == 1 + QUICK.left_behind)
    time.sleep(1.0)
    assert len(script.opened_s) == 1 + QUICK.left_behind
    hanging.set()


def test_a_hanging_camera_does_not_hold_up_the_end(monkeypatch):
    stop, begun, hanging = threading.Event(), threading.Event(), threading.Event()

    def hang():
        begun.set()
        hanging.wait()

    grabber = Grabber("aisle", "test:", 5.0, stop, opener=Script(hang).open)
    grabber.start()
    assert begun.wait(30)
    stop.set()
    asked_s, join = [], threading.Thread.join

    def noted(thread, timeout=None):
        join(thread, timeout)
        if thread.is_alive():  # so that it took all of its time
            asked_s.append(timeout)

    monkeypatch.setattr(threading.Thread, "join", noted)
    grabber.join(timeout_s=0.3)
    assert 0.29 < sum(asked_s) < 0.5
    hanging.set()


def test_a_camera_that_is_killed_hung_and_restarted_comes_back_and_disturbs_no_other(
    tmp_path, witness
):
    """Against real servers: the other camera's pictures keep their pace all the time."""
    require_gst_rtsp()
    require_program("ffmpeg")
    stream = encode(tmp_path / "stream.h264", size=(160, 120), key_s=0.2)
    stop = threading.Event()
    quick = Patience(first_retry_s=0.2, last_retry_s=0.5, offline_s=1.0, hang_s=1.5)
    with contextlib.ExitStack() as end:
        # Unshared: the abandoned read leaves while the next comes, and no camera lets that matter.
        shaky = end.enter_context(RtspServer(stream, shared=False))
        steady = end.enter_context(RtspServer(stream))
        end.callback(stop.set)  # also where the test fails: a thread left behind never ends
        victim = Grabber("victim", shaky.url(), 0.4, stop, quick)
        other = Grabber("other", steady.url(), 0.4, stop, quick)
        frames_at_s: list[float] = []
        watching = threading.Thread(target=note_frames, args=(other, frames_at_s, stop))
        for part in (victim, other, watching):
            part.start()
        wait_for(lambda: victim.take() and frames_at_s)

        shaky.kill()
        wait_for(lambda: said(victim) == (OFFLINE, CameraReason.CONNECT_FAILED))
        shaky.start()
        wait_for(lambda: said(victim) == (ONLINE, None))
        shaky.hang()
        wait_for(lambda: said(victim) == (OFFLINE, CameraReason.NO_FRAMES))
        time.sleep(2.0)  # long enough that the hanging read is abandoned
        shaky.resume()
        wait_for(lambda: said(victim) == (ONLINE, None))
        assert said(other) == (ONLINE, None)
        shaky.hang()  # and it hangs at the end
        stop.set()
        begun_s = time.monotonic()
        for part in (victim, other, watching):
            part.join()
        assert witness.ran_s(begun_s, time.monotonic()) < 2.5
    assert max(witness.ran_s(*both) for both in pairwise(frames_at_s)) < 0.9
    assert len(frames_at_s) >= 0.7 * witness.ran_s(frames_at_s[0], frames_at_s[-1]) / 0.4


def note_frames(grabber, at_s, stop):
    while not stop.wait(0.01):
        if frame := grabber.take():
            at_s.append(frame.clock_s)
