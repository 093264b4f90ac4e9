"""Pictures that a run keeps back, where a user brings one folder and nothing to test on."""

from __future__ import annotations

import logging
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from hashlib import sha256

import numpy as np

from trainer.decode import fingerprints
from trainer.folds import groups_of, seen_of
from trainer.picture import Picture
from trainer.wording import some_of

log = logging.getLogger(__name__)


def hold_out(
    sources: Sequence[Sequence[Picture]], share: float
) -> tuple[list[list[Picture]], list[Picture]]:
    """Return what is left of each source, and what is kept back of them.

    Kept back is the share of each class's groups, at least one where there are two: a group's
    pictures show the same thing, so half of it would tell of the other half. Rare classes choose
    first, and no class loses its last group. Which groups does not depend on the seed, on paths or
    on the order: runs can be compared, and an export years later finds the same ones.
    """
    numbers = iter(groups_of([picture for own in sources for picture in own]).tolist())
    numbered = [[(picture, next(numbers)) for picture in own] for own in sources]
    members: dict[int, list[Picture]] = defaultdict(list)
    for own in numbered:
        for picture, number in own:
            members[number].append(picture)
    back = _chosen(members, share)
    left = [[picture for picture, number in own if number not in back] for own in numbered]
    return left, [picture for own in numbered for picture, number in own if number in back]


def _chosen(members: dict[int, list[Picture]], share: float) -> set[int]:
    """Return the numbers of the groups that are kept back."""
    groups_with = _groups_with(members, _in_order(members))
    left = Counter({label: len(numbers) for label, numbers in groups_with.items()})
    back: set[int] = set()
    for numbers in sorted(groups_with.values(), key=len):
        wanted = min(max(1, round(share * len(numbers))), len(numbers) - 1)
        for number in numbers:
            if len(back.intersection(numbers)) >= wanted:
                break
            labels = {picture.label for picture in members[number]}
            if number not in back and all(left[own] > 1 for own in labels):
                back.add(number)
                left.subtract(labels)
    return back


def _groups_with(members: dict[int, list[Picture]], numbers: Iterable[int]) -> dict[str, list[int]]:
    """Return for each label the numbers of the groups that have a picture of it."""
    found: dict[str, list[int]] = defaultdict(list)
    for number in numbers:
        for label in sorted({picture.label for picture in members[number]}):
            found[label].append(number)
    return found


def warn_of_unmeasured(learnt: Sequence[Picture], held_out: Sequence[Picture]) -> None:
    """Say of which classes there is no picture to measure on, and why hold_out kept none back."""
    measured = {picture.label for picture in held_out}
    without = sorted({picture.label for picture in learnt} - measured)
    if not without:
        return
    groups: dict[str, set[int]] = defaultdict(set)
    for picture, number in zip(learnt, groups_of(learnt), strict=True):
        groups[picture.label].add(int(number))
    log.warning(
        "hold_out keeps back no picture of %s, so %s: %s; add pictures from elsewhere",
        some_of([f"'{label}'" for label in without]),
        "no figure says how well they are told" if measured else "nothing measures the model",
        "all pictures of a class are in one group, which is learnt from"
        if all(len(groups[label]) == 1 for label in without)
        else "no group can be spared without taking a class's last one",
    )


def warn_of_learnt(learnt: Sequence[Picture], held_out: Sequence[Picture]) -> None:
    """Say how many pictures that a recipe holds out show what is learnt."""
    if count := np.count_nonzero(seen_of(learnt, held_out)):
        log.warning(
            "%d of the %d held-out pictures show what is learnt: they flatter the figures of the "
            "curve, and which checkpoint is the best", count, len(held_out),
        )  # fmt: skip


def _in_order(members: dict[int, list[Picture]]) -> list[int]:
    """Return the groups in a fixed, arbitrary order: by a hash of their names, and by content where
    data sets share a name."""
    names = {number: min(p.group for p in pictures) for number, pictures in members.items()}
    count = Counter(names.values())
    twins = {number for number, name in names.items() if count[name] > 1}
    content = fingerprints(picture.file for number in twins for picture in members[number])

    def lot(number: int) -> tuple[str, list[str]]:
        own = [content[p.file] for p in members[number]] if number in twins else []
        return sha256(names[number].encode("utf-8", "surrogateescape")).hexdigest(), sorted(own)

    return sorted(members, key=lot)
