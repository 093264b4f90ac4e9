"""Which crops are worth a look: unchanged → keep, somebody there → blocked, settled and new → look.

Everything is judged on thumbnails of a thousand pixels, one a slot, that show the slot and a
margin around it. Two questions are asked of each:

- Does something move, in the slot or just around it? It differs from the picture before.
- Does somebody stand still in front? The strip below it differs from how it looked for long.
  Whoever hides a slot stands on the floor, and so hides the rail and the tag below it too; what
  is taken out of a slot, or stacked behind it, shows above and beside the rail, not on it.

Waiting until nobody is in front is what the field's patents do as well (WO2018204836: detect
motion, its end, wait, then look).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from enum import Enum
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from edge.thumbnails import (
    Mask,
    Pixels,
    Thumbnails,
    differing,
    light_of_all,
    light_of_each,
    share_of,
)
from edge.types import Frame, Image, Score, Slot

HIDING = 32.0
"""Grey levels of 255 a pixel must differ, even after light and white balance have drifted."""
MOVING_SHARE = 0.04  # of the slot
MOVING_SHARE_AROUND = 0.2  # of its margin: who passes by does not hide the slot
PATTERNED = 8.0  # of 255: the spread of brightness in a strip with tags, edges or gaps
SAME_PRINT = 0.4  # correlation with what it was; another tag keeps more, a coat none
NEW_SHARE = 0.03  # of the slot, against the last look
OTHER_SHARE = 0.1  # of a denied slot, against how it looked when staff denied it
ADAPT_S, ADAPT_CHANGED_S = 60.0, 900.0
"""How soon the memory of the surroundings follows: the light, and what has changed, such as a tag.

Who stands at the edge of a slot for a minute must not become part of it."""
REFRESH_S = 120.0  # an unchanged slot is looked at again after so long
ADOPT_TIMES, ADOPT_S = 2.0, 900.0
"""A margin that stays changed for twice as long as the old one was seen replaces it.

So who stands in front at the start is soon forgotten, and a trolley in front of a shelf that was
seen for long is not taken for the shelf before ADOPT_S."""


class Verdict(Enum):
    BLOCKED = "blocked"
    UNCHANGED = "unchanged"
    LOOK = "look"


class Sight(NamedTuple):
    """What is to be done with a slot. Since since_s nothing has moved in it, if it is clear.

    changed_since_denial: a denied slot is clear and shows something else than its picture.
    picture: the one that a denied slot was compared with, if it is clear.
    """

    slot: Slot
    verdict: Verdict
    since_s: float
    changed_since_denial: bool = False
    picture: bytes | None = None


class Gate:
    """Sorts the slots of one camera, frame by frame."""

    def __init__(self, slots: Sequence[Slot]):
        self._slots = tuple(slots)
        self._memory: _Memory | None = None
        self._scores: dict[str, Score] = {}

    def sort(
        self,
        frame: Frame,
        undecided: Collection[str] = (),
        denied: Mapping[str, bytes | None] | None = None,
    ) -> list[Sight]:
        """Return what is to be done with each slot of the frame.

        Args:
            frame: the next picture of this camera; it must be newer than the last one.
            undecided: ids of slots of which each clear picture is wanted, because something is
                about to be decided.
            denied: by their ids slots that are compared with a picture of them, one that a Sight
                gave; it gives one where there is None.
        """
        clock_s = frame.clock_s
        if not self._slots:
            return []
        if self._memory is None or not self._memory.thumbnails.fit(frame.image):
            self._memory = _Memory(self._slots, frame.image, clock_s)
            return [Sight(slot, Verdict.LOOK, clock_s) for slot in self._slots]

        memory, since_s = self._memory, self._memory.clock_s
        now = memory.thumbnails.cut(frame.image)
        moving = _moving(now, memory)
        hidden = _hidden(now, memory)
        hidden &= ~memory.adopt_lasting(now, hidden, moving, clock_s)
        clear = ~(moving | hidden)
        awaited = np.array([slot.slot_id in undecided for slot in self._slots], bool)
        looked_at = clear & (_is_new(now, memory, clock_s) | awaited)
        pictures = self._pictures(denied or {}, memory, clear)
        other = _is_other(now, memory, pictures)
        memory.take(now, clear, looked_at, clock_s)
        return [
            Sight(
                slot,
                _verdict(clear[index], looked_at[index]),
                since_s,
                index in other,
                _corners(slot) + pictures[index].tobytes() if index in pictures else None,
            )
            for index, slot in enumerate(self._slots)
        ]

    def keep(self, slot_id: str, score: Score) -> None:
        """Remember the score of a look for the frames in which the slot stays as it is."""
        self._scores[slot_id] = score

    def kept(self, slot_id: str) -> Score:
        """Return the score of the slot's last look. KeyError: it was never looked at."""
        return self._scores[slot_id]

    def _pictures(
        self, denied: Mapping[str, bytes | None], memory: _Memory, clear: Mask
    ) -> dict[int, NDArray[np.uint8]]:
        """Return the pictures (T, T, 3) that the denied slots which are clear are compared with."""
        return {
            index: _unpacked(denied[slot.slot_id], slot, memory.looked[index])
            for index, slot in enumerate(self._slots)
            if clear[index] and slot.slot_id in denied
        }


class _Memory:
    """What a gate remembers of its n slots: thumbnails (n, T, T, 3), clocks (n,) in seconds."""

    def __init__(self, slots: Sequence[Slot], image: Image, clock_s: float):
        self.thumbnails = Thumbnails(slots, image.shape[1], image.shape[0])
        self.clock_s = clock_s
        self.previous = self.thumbnails.cut(image)
        self.looked = self.previous.copy()  # the picture at the last look
        self.looked_s = np.full(len(slots), clock_s)
        self.standing = self.previous.copy()  # the picture when nobody stands in front …
        self.standing_s = np.zeros(len(slots))  # … and for how long it has been seen
        self.changed_s = np.full(len(slots), np.inf)  # since when it is still but different

    def take(self, now: Pixels, clear: Mask, looked_at: Mask, clock_s: float) -> None:
        """Take in a picture; `standing` follows it where it is clear."""
        passed_s = clock_s - self.clock_s
        slow, quick = -np.expm1(-passed_s / np.array([ADAPT_CHANGED_S, ADAPT_S], np.float32))
        changed = differing(now, self.standing, light_of_all(now, self.standing))
        rate = np.where(changed, slow, quick)[..., None]
        self.standing[clear] += (rate * (now - self.standing))[clear]
        self.standing_s[clear] += passed_s
        self.looked[looked_at] = now[looked_at]
        self.looked_s[looked_at] = clock_s
        self.previous, self.clock_s = now, clock_s

    def adopt_lasting(self, now: Pixels, hidden: Mask, moving: Mask, clock_s: float) -> Mask:
        """Take what has stood in front long and still for part of the shelf; return where."""
        settled = hidden & ~moving
        self.changed_s = np.where(settled, np.fmin(self.changed_s, clock_s), np.inf)
        patience_s = np.minimum(ADOPT_TIMES * self.standing_s, ADOPT_S)
        adopted = np.asarray(settled & (clock_s - self.changed_s >= patience_s))
        self.standing[adopted] = now[adopted]
        self.standing_s[adopted] = 0.0
        self.changed_s[adopted] = np.inf
        return adopted


def _moving(now: Pixels, memory: _Memory) -> Mask:
    """Return where something differs from the picture before, in the slot or around it."""
    thumbnails = memory.thumbnails
    light = light_of_each(now, memory.previous, thumbnails.outside)
    changed = differing(now, memory.previous, light)
    inside, outside = share_of(changed, thumbnails.inside), share_of(changed, thumbnails.outside)
    return (inside >= MOVING_SHARE) | (outside >= MOVING_SHARE_AROUND)


def _hidden(now: Pixels, memory: _Memory) -> Mask:
    """Return where what stands below the slot differs from what it was for long."""
    thumbnails = memory.thumbnails
    light = light_of_all(now, memory.standing)
    changed = differing(now, memory.standing, light, HIDING)
    hidden = share_of(changed, thumbnails.rail) >= thumbnails.hidden_share
    # Where neighbours stand for the rail, their print goes with the products that are taken.
    return np.asarray(
        hidden | thumbnails.has_rail & _lost_print(now, memory.standing, thumbnails.rail)
    )


def _corners(slot: Slot) -> bytes:
    return np.array(slot.quad, "<f4").tobytes()


def _unpacked(packed: bytes | None, slot: Slot, looked: Pixels) -> NDArray[np.uint8]:
    """Return a picture (T, T, 3) that a Sight gave, or how the slot looked last.

    The latter where the slot was drawn anew since, or thumbnails had another size.
    """
    corners = _corners(slot)
    if not packed or not packed.startswith(corners) or len(packed) != len(corners) + looked.size:
        return looked.round().astype(np.uint8)
    return np.frombuffer(packed, np.uint8, offset=len(corners)).reshape(looked.shape)


def _is_other(
    now: Pixels, memory: _Memory, pictures: Mapping[int, NDArray[np.uint8]]
) -> Collection[int]:
    """Return which slots look different from their pictures.

    Looks go on meanwhile, so this one is not compared with the last look: what is taken piece by
    piece would never be much of a change.
    """
    if not pictures:
        return ()
    which = list(pictures)
    before = np.stack([pictures[index] for index in which]).astype(np.float32)
    thumbnails = memory.thumbnails
    light = light_of_each(now[which], before, thumbnails.outside[which])
    changed = share_of(differing(now[which], before, light), thumbnails.inside[which])
    return {index for index, share in zip(which, changed, strict=True) if share >= OTHER_SHARE}


def _lost_print(now: Pixels, standing: Pixels, rail: Mask) -> Mask:
    """Return where the strip was patterned and its pattern is gone: a coat as bright as the rail.

    The measure is the correlation of brightness, which no change of light touches.
    """
    count = np.maximum(1, rail.sum((1, 2)))
    grey, grey_before = (np.where(rail, one.mean(-1), 0) for one in (now, standing))
    flat, flat_before = (
        np.where(rail, one - (one.sum((1, 2)) / count)[:, None, None], 0)
        for one in (grey, grey_before)
    )
    spread, spread_before = (np.sqrt((one**2).sum((1, 2)) / count) for one in (flat, flat_before))
    alike = (flat * flat_before).sum((1, 2)) / count / np.maximum(1, spread * spread_before)
    return np.asarray((spread_before >= PATTERNED) & (alike < SAME_PRINT))


def _is_new(now: Pixels, memory: _Memory, clock_s: float) -> Mask:
    """Return where the slot differs from its last look, or that is long ago."""
    light = light_of_each(now, memory.looked, memory.thumbnails.outside)
    changed = differing(now, memory.looked, light)
    differs = share_of(changed, memory.thumbnails.inside) >= NEW_SHARE
    return np.asarray(differs | (clock_s - memory.looked_s >= REFRESH_S))


def _verdict(clear: bool, wanted: bool) -> Verdict:
    if not clear:
        return Verdict.BLOCKED
    return Verdict.LOOK if wanted else Verdict.UNCHANGED
