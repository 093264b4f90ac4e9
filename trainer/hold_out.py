"""Pictures that a run keeps back, where a user brings one folder and nothing to test on."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from hashlib import sha256

from trainer.data import Picture, Sources
from trainer.folds import groups_of


def hold_out(sources: Sources, share: float) -> tuple[list[list[Picture]], list[list[Picture]]]:
    """Return what is left of each source, and what is kept back of it.

    Kept back is the share of each class's groups, at least one where there are two: a group's
    pictures show the same thing, so half of it would tell of the other half. Rare classes choose
    first, and no class loses its last group. Which groups does not depend on the seed, on paths or
    on the order: runs can be compared, and an export years later finds the same ones.
    """
    numbers = iter(groups_of(sources).tolist())
    members: dict[int, list[Picture]] = defaultdict(list)
    numbered = [[(picture, next(numbers)) for picture in pictures] for _, pictures in sources]
    for pictures in numbered:
        for picture, number in pictures:
            members[number].append(picture)
    back = _chosen(members, share)
    left = [[picture for picture, number in each if number not in back] for each in numbered]
    return left, [[picture for picture, number in each if number in back] for each in numbered]


def _chosen(members: dict[int, list[Picture]], share: float) -> set[int]:
    """Return the numbers of the groups that are kept back."""
    groups_with: dict[str, list[int]] = defaultdict(list)
    for number in sorted(members, key=lambda number: _lot(members[number])):
        for label in sorted({picture.label for picture in members[number]}):
            groups_with[label].append(number)
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


def _lot(pictures: Sequence[Picture]) -> str:
    return sha256(min(picture.group for picture in pictures).encode()).hexdigest()
