"""What pictures show of every slot: from the gate through the classifier.

The main loop and the replay of a recording both look with these eyes.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence

from edge.classifier import Classifier
from edge.gate import Gate, Sight, Verdict
from edge.geometry import cut
from edge.types import Frame, Observation, SlotCrop


def observe(
    frames: Sequence[Frame],
    gates: Mapping[str, Gate],
    classifier: Classifier,
    undecided: Collection[str] = (),
    denied: Mapping[str, bytes | None] | None = None,
    looked: Callable[[int, float], None] = lambda crops, took_s: None,
) -> list[Observation]:
    """Return what the frames show of every slot; all crops worth a look go in one batch.

    Args:
        gates: by the camera's id; they keep what they are shown.
        undecided: ids of slots about which something is being decided.
        denied: by their ids slots that staff said are not empty, and how they looked; reported
            when they look different.
        looked: told how many crops went through the classifier, and how many seconds that took.
    """
    sights = [(f, sight) for f in frames for sight in gates[f.camera_id].sort(f, undecided, denied)]
    looks = [(f, sight.slot) for f, sight in sights if sight.verdict is Verdict.LOOK]
    crops = [SlotCrop(slot, cut(frame.image, slot.quad)) for frame, slot in looks]
    begun_s = time.monotonic()
    scores = classifier.score(crops) if crops else []
    if crops:
        looked(len(crops), time.monotonic() - begun_s)
    for (frame, slot), score in zip(looks, scores, strict=True):
        gates[frame.camera_id].keep(slot.slot_id, score)
    return [_observation(frame, sight, gates[frame.camera_id]) for frame, sight in sights]


def _observation(frame: Frame, sight: Sight, gate: Gate) -> Observation:
    blocked = sight.verdict is Verdict.BLOCKED
    return Observation(
        slot=sight.slot,
        taken_at=frame.taken_at,
        clock_s=frame.clock_s,
        score=None if blocked else gate.kept(sight.slot.slot_id),
        since_s=sight.since_s,
        fresh=sight.verdict is Verdict.LOOK,
        changed_since_denial=sight.changed_since_denial,
        picture=sight.picture,
    )
