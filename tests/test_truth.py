"""Figures of a replay against the truth: section by section, the rules of matching."""

from __future__ import annotations

import json

import pytest

from edge.errors import ConfigError
from edge.truth import Change, Judge, Truth, read_truth
from edge.types import State

STOCKED, EMPTY, UNKNOWN = State.STOCKED, State.EMPTY, State.UNKNOWN


def truth(**slots: list[tuple[float, str]]) -> Truth:
    entries = {name: [{"t": t, "state": state} for t, state in one] for name, one in slots.items()}
    return Truth.model_validate({"camera": "cam", "truth": entries})


def stated(t: float, after: State, slot: str = "a") -> Change:
    return Change(t, slot, STOCKED if after is EMPTY else EMPTY, after, 0.9)


def figures(judge: Judge, slots: int = 1, seconds: float = 86_400.0):
    return judge.figures(slots, seconds, ended_t=seconds)


def test_a_change_within_the_tolerance_matches_and_its_delay_is_measured():
    judge = Judge(truth(a=[(0, "stocked"), (100, "empty")]), tolerance_s=10)
    judge.change(stated(107, EMPTY))
    found = figures(judge)
    assert (found["matched"], found["missed"], found["false"]) == (1, 0, 0)
    assert found["delay_s"] == {"median": 7, "p95": 7}
    assert (found["precision"], found["recall"]) == (1, 1)


@pytest.mark.parametrize(("t", "matched"), [(98.9, 0), (99.1, 1), (110, 1), (110.1, 0)])
def test_a_change_may_be_a_second_early_and_no_later_than_the_tolerance(t, matched):
    judge = Judge(truth(a=[(0, "stocked"), (100, "empty")]), tolerance_s=10)
    judge.change(stated(t, EMPTY))
    assert figures(judge)["matched"] == matched
    assert figures(judge)["false"] == 1 - matched


def test_each_true_change_matches_once_the_earliest_first():
    entries = [(0, "stocked"), (100, "empty"), (102, "stocked"), (104, "empty")]
    judge = Judge(truth(a=entries), tolerance_s=10)
    judge.change(stated(105, EMPTY))
    assert figures(judge)["delay_s"]["median"] == 5
    judge.change(stated(106, EMPTY))
    judge.change(stated(107, EMPTY))
    assert (figures(judge)["matched"], figures(judge)["false"]) == (2, 1)


def test_a_change_to_the_wrong_state_or_of_another_slot_is_false():
    judge = Judge(truth(a=[(0, "stocked"), (100, "empty")], b=[(0, "stocked")]), tolerance_s=10)
    judge.change(stated(101, STOCKED))
    judge.change(stated(101, EMPTY, slot="b"))
    assert (figures(judge)["false"], figures(judge)["missed"]) == (2, 1)


def test_what_happens_behind_a_shopper_counts_from_when_it_can_be_seen():
    entries = [(0, "stocked"), (100, "occluded"), (130, "empty")]
    judge = Judge(truth(a=entries), tolerance_s=10)
    judge.change(stated(138, EMPTY))
    assert figures(judge)["delay_s"]["median"] == 8


def test_a_shopper_who_changes_nothing_is_no_change():
    entries = [(0, "stocked"), (100, "occluded"), (130, "stocked")]
    judge = Judge(truth(a=entries), tolerance_s=10)
    judge.change(stated(110, EMPTY))
    assert (figures(judge)["truth_changes"], figures(judge)["false"]) == (0, 1)


def test_pictures_judged_one_by_one_match_at_the_same_picture_only():
    judge = Judge(truth(a=[(0, "empty"), (3, "stocked")]), tolerance_s=0)
    judge.change(stated(3, STOCKED))
    assert figures(judge)["matched"] == 1
    late = Judge(truth(a=[(0, "empty"), (3, "stocked")]), tolerance_s=0)
    late.change(stated(4, STOCKED))
    assert figures(late)["false"] == 1


def test_accuracy_leaves_out_the_time_to_settle_and_hidden_slots_and_counts_unknown_as_wrong():
    entries = [(0, "stocked"), (100, "empty"), (200, "occluded"), (300, "empty")]
    judge = Judge(truth(a=entries), tolerance_s=10)
    for t, state in [(50, STOCKED), (60, UNKNOWN), (105, STOCKED), (110, EMPTY), (250, STOCKED)]:
        judge.look(t, {"a": state})
    found = figures(judge)
    assert found["state_accuracy"] == pytest.approx(2 / 3, abs=1e-6)
    assert found["unknown_share"] == pytest.approx(1 / 3, abs=1e-6)


def test_true_changes_after_the_end_of_the_recording_are_not_missed():
    judge = Judge(truth(a=[(0, "stocked"), (100, "empty")]), tolerance_s=10)
    assert judge.figures(1, 90, ended_t=90)["missed"] == 0


def test_no_data_gives_null_and_never_nan():
    found = Judge(truth(a=[(0, "stocked")]), tolerance_s=10).figures(1, 0, ended_t=0)
    for key in ("precision", "recall", "false_per_slot_day", "state_accuracy", "unknown_share"):
        assert found[key] is None
    assert "NaN" not in json.dumps(found)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{", "JSON"),
        ('{"camera": "c"}', "truth: Field required"),
        ('{"camera": "c", "truth": {"a": []}}', "truth.a: has no entry"),
        ('{"camera": "c", "truth": {"a": [{"t": 1, "state": "gone"}]}}', "truth.a.0.state"),
        (
            '{"camera": "c", "truth": {"a": [{"t": 2, "state": "empty"}, {"t": 1, "state": '
            '"stocked"}]}}',
            "in order",
        ),
    ],
)
def test_a_wrong_truth_file_is_named_with_what_is_wrong(tmp_path, text, says):
    path = tmp_path / "truth.json"
    path.write_text(text)
    with pytest.raises(ConfigError) as raised:
        read_truth(path)
    assert str(path) in str(raised.value)
    assert says in str(raised.value)


def test_a_missing_truth_file_is_one_message(tmp_path):
    with pytest.raises(ConfigError, match="cannot be read"):
        read_truth(tmp_path / "none.json")
