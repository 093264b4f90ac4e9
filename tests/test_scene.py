import subprocess
import sys
from itertools import pairwise

import cv2
import numpy as np
import pytest

from edge.cameras.demo import build_scene, parse_demo_url
from edge.rendered.scene import Scene

HALF_HOUR_S = 1800.0


@pytest.fixture(scope="module", params=[1, 2, 3])
def half_hour(request):
    """A store that closes after half an hour, and what really happened in it."""
    scene = Scene(request.param, closes_s=HALF_HOUR_S)
    return scene, scene.truth(HALF_HOUR_S)["truth"]


def shown(entries):
    """The states of the shelf alone, without the times when nobody could see them."""
    states = [entry for entry in entries if entry["state"] != "occluded"]
    return [b for a, b in pairwise([{"state": None}, *states]) if a["state"] != b["state"]]


def test_half_an_hour_brings_thirty_to_eighty_changes_in_both_directions(half_hour):
    _, truth = half_hour
    changes = [entry["state"] for entries in truth.values() for entry in shown(entries)[1:]]
    assert 30 <= len(changes) <= 80
    assert min(changes.count("empty"), changes.count("stocked")) >= 12


@pytest.mark.parametrize("seed", range(1, 9))
def test_a_small_shelf_that_is_sold_out_has_visitors_all_the_same(seed):
    scene = build_scene(parse_demo_url(f"demo:?seed={seed}&shelves=1&slots=6"))
    assert len(scene.visits(86_400)) > 500


def test_shoppers_stand_still_for_a_minute_before_stocked_and_before_empty_slots(half_hour):
    scene, _ = half_hour
    places = scene.shelf.places
    before = {True: 0, False: 0}
    lookers = [visit for visit in scene.visits(HALF_HOUR_S) if visit.still_s >= 60]
    for visit in lookers:
        t = (visit.start_s + visit.end_s) / 2
        over = scene.shelf.lens.over_shelf(visit.posture(t, scene.shelf).x, visit.z)
        for place, count in zip(places, scene.stock(t), strict=True):
            before[count > 0] += abs(place.centre - over) < 20
    assert len(lookers) >= 4
    assert min(before.values()) >= 2


def test_a_change_can_be_seen_for_a_minute_before_the_next_one(half_hour):
    _, truth = half_hour
    for entries in truth.values():
        for one, after in pairwise(shown(entries)[1:]):
            assert after["t"] - one["t"] > 60


def test_products_go_one_by_one_and_what_is_taken_for_a_look_comes_back(half_hour):
    scene, _ = half_hour
    stocks = np.array([scene.stock(t) for t in np.arange(0, HALF_HOUR_S, 0.5)])
    capacities = [place.capacity for place in scene.shelf.places]
    assert np.abs(np.diff(stocks, axis=0)).max() == 1
    assert stocks.min() == 0
    assert (stocks.max(axis=0) <= capacities).all()
    put_back = [
        visit
        for visit in scene.visits(HALF_HOUR_S)
        for a, b in pairwise(visit.reaches)
        if a.place == b.place and (a.change, b.change) == (-1, 1)
    ]
    assert put_back


def test_the_last_minute_before_closing_changes_nothing(half_hour):
    scene, truth = half_hour
    assert max(visit.end_s for visit in scene.visits(HALF_HOUR_S)) <= HALF_HOUR_S - 60
    assert not any(entries[-1]["state"] == "occluded" for entries in truth.values())


def test_the_world_does_not_depend_on_the_order_in_which_it_is_asked():
    asked_late_first, asked_in_order = Scene(5), Scene(5)
    times = [0.0, 7.5, 90.0, 400.0, 1234.5]
    backwards = [(t, asked_late_first.stock(t), asked_late_first.people(t)) for t in times[::-1]]
    for t, stock, people in backwards[::-1]:
        assert stock == asked_in_order.stock(t)
        assert [p.posture for p in people] == [p.posture for p in asked_in_order.people(t)]


def test_the_world_does_not_depend_on_the_process():
    code = (
        "from edge.rendered.scene import Scene; s = Scene(5);"
        "print(s.slots(), s.stock(500), s.light(77))"
    )
    run = [sys.executable, "-c", code]
    outputs = {
        subprocess.run(run, check=True, capture_output=True, env={"PYTHONHASHSEED": seed}).stdout
        for seed in ("1", "2")
    }
    assert len(outputs) == 1


@pytest.mark.parametrize("seed", range(8))
def test_with_a_high_pace_the_first_slot_is_soon_emptied_and_refilled(seed):
    truth = Scene(seed, pace=8).truth(45)["truth"]
    emptied = {
        entries[0]["t"]: slot_id
        for slot_id, seen in truth.items()
        if (entries := [e for e in shown(seen)[1:] if e["state"] == "empty"])
    }
    first = min(emptied)
    assert first < 14
    again = [e["t"] for e in shown(truth[emptied[first]]) if e["state"] == "stocked"]
    assert first < again[-1] < 40


@pytest.mark.parametrize(("rows", "columns"), [(2, 12), (4, 10), (1, 24)])
def test_every_slot_is_a_convex_quad_inside_the_picture_with_a_topic_word(rows, columns):
    slots = Scene(3, rows, columns).slots("aisle")
    assert len({slot.slot_id for slot in slots}) == rows * columns
    for slot in slots:
        quad = np.array(slot.quad, np.float32)
        assert slot.camera_id == "aisle"
        assert (quad >= 0).all()
        assert (quad <= 1).all()
        assert cv2.isContourConvex((quad * 1000).astype(np.int32))
        assert cv2.contourArea(quad, oriented=True) > 0  # clockwise: not mirrored


def test_products_are_many_and_some_share_two_facings():
    slots = Scene(7).slots()
    skus = [slot.sku for slot in slots]
    assert all(len(sku) == 13 and sku.startswith("20") for sku in skus)
    assert 14 <= len(set(skus)) < len(skus)
    assert len({place.product.kind for place in Scene(7).shelf.places}) >= 5


def test_an_arm_before_a_slot_occludes_it_and_not_the_far_end():
    scene = Scene(4, pace=8)
    reach = next(visit for visit in scene.visits(60) if visit.reaches).reaches[0]
    truth = scene.truth(20)["truth"]
    slots = scene.slots()
    far = max(
        range(len(slots)),
        key=lambda n: abs(scene.shelf.places[n].centre - scene.shelf.places[reach.place].centre),
    )

    def at(index, t):
        entries = truth[slots[index].slot_id]
        return [entry["state"] for entry in entries if entry["t"] <= t][-1]

    assert at(reach.place, reach.grasp_s + 0.2) == "occluded"
    assert at(far, reach.grasp_s + 0.2) != "occluded"


def test_light_drifts_by_at_most_fifteen_percent():
    light = np.array([Scene(6).light(t) for t in np.arange(0, 3600, 10.0)])
    assert 0.84 < light.min() < 0.95
    assert 1.05 < light.max() < 1.16
