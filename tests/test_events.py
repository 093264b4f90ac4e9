"""The hub of the staff page's events: one writing for all, nothing lost, nobody waited for."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import replace
from types import SimpleNamespace

import pytest
from test_board import FULL, Loop

from edge import board
from edge.board import Board
from edge.types import CameraState, CameraStatus, State
from edge.web import events
from edge.web.events import QUEUE, Hub


@pytest.fixture
def loop(tmp_path) -> Loop:
    shop = Loop(tmp_path)
    site = shop.plan.config.site
    site.node, site.web = "shop", SimpleNamespace(pictures=True)
    shop.plan.config.planogram = SimpleNamespace(reference_size=lambda camera_id: None)
    shop.plan.slots_of = lambda camera_id: shop.plan.slots
    for _ in range(2):
        shop.look(FULL, FULL, states={"a1": State.STOCKED, "a2": State.STOCKED})
    return shop


def play(loop: Loop, scene: Callable[[Hub], Awaitable[None]]) -> None:
    async def run() -> None:
        async with asyncio.timeout(20):
            await scene(Hub(loop.board))

    asyncio.run(run())


async def read(stream: AsyncIterator[bytes]) -> tuple[str, str | None, dict]:
    """Return the next event's name, id and data."""
    text = (await anext(stream)).decode()
    fields = dict(line.split(": ", 1) for line in text.rstrip("\n").split("\n"))
    return fields["event"], fields.get("id"), json.loads(fields["data"])


def empty(loop: Loop, slot_id: str, incident: str | None = "i") -> None:
    state = State.EMPTY if incident else State.STOCKED
    loop.ledger.states[slot_id] = replace(
        loop.ledger.states[slot_id], state=state, incident_id=incident
    )
    loop.idle()


def test_a_page_hears_everything_first_and_then_only_what_has_changed(loop):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        name, number, data = await read(stream)
        assert (name, number) == ("hello", f"{data['boot']}-{data['seq']}")
        assert [slot["id"] for slot in data["snapshot"]["slots"]] == ["a1", "a2"]
        empty(loop, "a2")
        name, number, patch = await read(stream)
        assert (name, number) == ("patch", f"{data['boot']}-{data['seq'] + 1}")
        assert [slot["id"] for slot in patch["slots"]] == ["a2"]
        assert patch["slots"][0]["incident"]["id"] == "i"
        assert (patch["cameras"], patch["gone"], "recent" in patch) == ([], [], False)
        await stream.aclose()

    play(loop, scene)


def test_what_happens_within_a_tenth_of_a_second_is_one_patch(loop, monkeypatch):
    assert events.GAP_S == 0.1
    monkeypatch.setattr(events, "GAP_S", 2.0)  # else a stall of the machine ends the rest

    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await read(stream)
        empty(loop, "a1")
        assert [slot["id"] for slot in (await read(stream))[2]["slots"]] == ["a1"]
        empty(loop, "a2")  # the hub rests after a patch; what happens meanwhile …
        await asyncio.sleep(0.01)
        empty(loop, "a1", None)
        _, _, patch = await read(stream)
        assert sorted(slot["id"] for slot in patch["slots"]) == ["a1", "a2"]  # … is told at once
        await stream.aclose()

    play(loop, scene)


def test_all_pages_are_sent_the_same_bytes(loop):
    async def scene(hub: Hub) -> None:
        streams = [hub.stream(None) for _ in range(3)]
        for stream in streams:
            await anext(stream)
        empty(loop, "a1")
        first, *others = [await anext(stream) for stream in streams]
        assert all(other is first for other in others)
        for stream in streams:
            await stream.aclose()

    play(loop, scene)


def test_a_page_that_comes_back_hears_what_it_missed_with_nobody_else_there(loop):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        _, number, _ = await read(stream)
        await stream.aclose()
        empty(loop, "a1")
        back = hub.stream(number)
        name, _, patch = await read(back)
        assert (name, [slot["id"] for slot in patch["slots"]]) == ("patch", ["a1"])
        await back.aclose()

    play(loop, scene)


@pytest.mark.parametrize("last_id", ["", "abcdef01-0", "-3", "%s-999", "%s-x", "%s"])
def test_a_page_that_knows_of_another_start_or_of_nonsense_hears_everything(loop, last_id):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        _, _, data = await read(stream)
        back = hub.stream(last_id.replace("%s", data["boot"]))
        assert (await read(back))[0] == "hello"
        await stream.aclose()
        await back.aclose()

    play(loop, scene)


def test_a_page_that_was_away_for_too_long_hears_everything(loop, monkeypatch):
    monkeypatch.setattr(events, "RING", 3)

    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        _, number, _ = await read(stream)
        for turn in range(5):
            empty(loop, "a1", f"i{turn}")
            await read(stream)
        back = hub.stream(number)
        assert (await read(back))[0] == "hello"
        await stream.aclose()
        await back.aclose()

    play(loop, scene)


def test_a_page_that_reads_too_slowly_gets_everything_anew_and_holds_nobody_up(loop):
    async def scene(hub: Hub) -> None:
        slow, quick = hub.stream(None), hub.stream(None)
        await anext(slow)
        await anext(quick)
        for turn in range(QUEUE + 5):
            empty(loop, "a1", f"i{turn}")
            hub.snapshot()
            assert (await read(quick))[0] == "patch"
        seen = [await read(slow) for _ in range(2)]
        assert seen[0][0] == "hello"
        (slot, _) = seen[0][2]["snapshot"]["slots"]
        assert slot["incident"]["id"] == f"i{QUEUE + 4}"
        await slow.aclose()
        await quick.aclose()

    play(loop, scene)


def test_a_quiet_shop_is_told_from_a_dead_line(loop, monkeypatch):
    monkeypatch.setattr(events, "BEAT_S", 0.2)

    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await anext(stream)
        name, number, data = await read(stream)
        assert (name, number, list(data)) == ("beat", None, ["server_time"])
        await stream.aclose()

    play(loop, scene)


def test_a_slot_that_is_gone_is_told(loop):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await anext(stream)
        loop.plan = SimpleNamespace(**{**vars(loop.plan), "slots": loop.plan.slots[:1]})
        del loop.ledger.states["a2"]
        loop.idle()
        name, _, patch = await read(stream)
        assert (name, patch["gone"]) == ("patch", ["a2"])
        await stream.aclose()

    play(loop, scene)


def test_a_camera_that_is_gone_is_told(loop):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await anext(stream)
        site = SimpleNamespace(**{**vars(loop.plan.config.site), "cameras": ()})
        config = SimpleNamespace(**{**vars(loop.plan.config), "site": site})
        loop.plan = SimpleNamespace(**{**vars(loop.plan), "config": config, "slots": ()})
        loop.idle()
        name, _, patch = await read(stream)
        assert (name, patch["gone_cameras"]) == ("patch", ["cam"])
        await stream.aclose()

    play(loop, scene)


def test_a_cameras_trouble_is_told_at_once_and_its_pictures_now_and_then(loop):
    def say(status: CameraStatus) -> None:
        loop.ledger.cameras["cam"] = CameraState("cam", status, None, loop.now().at, None)
        loop.idle()

    async def scene(hub: Hub) -> None:
        say(CameraStatus.ONLINE)
        stream = hub.stream(None)
        await anext(stream)
        for _ in range(5):
            loop.look(FULL, FULL)
            hub.snapshot()
        say(CameraStatus.OFFLINE)
        patches = []
        while not any(
            camera["status"] == "offline" for one in patches for camera in one["cameras"]
        ):
            patches.append((await read(stream))[2])
        assert len([one for one in patches if one["cameras"]]) == 1
        await stream.aclose()

    play(loop, scene)


def test_with_the_last_page_ends_the_work(loop):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await anext(stream)
        tasks = len(asyncio.all_tasks())
        await stream.aclose()
        await asyncio.sleep(0.05)
        assert len(asyncio.all_tasks()) == tasks - 1
        assert loop.board._listeners == (loop.told.append,)

    play(loop, scene)


def test_a_page_that_opens_before_the_first_round_waits_for_it_but_not_for_ever(loop, monkeypatch):
    monkeypatch.setattr(events, "FIRST_S", 0.3)

    async def scene(hub: Hub) -> None:
        assert await hub.is_ready()
        empty_hub = Hub(Board())
        assert not await empty_hub.is_ready()
        assert empty_hub.snapshot() is None

    play(loop, scene)


def test_a_main_loop_that_stands_still_beats_no_more(loop, monkeypatch):
    monkeypatch.setattr(events, "BEAT_S", 0.1)

    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await read(stream)
        assert (await read(stream))[0] == "beat"
        monkeypatch.setattr(board, "STILL_S", -1.0)  # what it published last is older than that
        for _ in range(3):  # what was told before may still be on its way
            heard = asyncio.create_task(read(stream))
            done, _ = await asyncio.wait({heard}, timeout=1.0)
            if not done:
                break
        assert not done
        heard.cancel()
        assert not await hub.is_ready()
        assert hub.snapshot() is None

    play(loop, scene)


def test_where_the_news_fail_the_pages_come_again(loop, monkeypatch, caplog):
    async def scene(hub: Hub) -> None:
        stream = hub.stream(None)
        await anext(stream)
        monkeypatch.setattr(hub, "_refresh", lambda: 1 / 0)
        loop.idle()
        empty(loop, "a1")
        assert [event async for event in stream] == [b""]
        assert "the pages' news failed" in caplog.text

    play(loop, scene)
