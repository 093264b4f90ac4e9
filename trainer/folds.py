"""Which pictures are learnt from and which are asked about, when there are too few for both.

Pictures that show the same thing, or were cut from the same photo, are one group and stay
together: a net that has seen half of a shelf photo knows the other half.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from unicodedata import normalize

import numpy as np
from numpy.typing import NDArray
from sklearn.model_selection import StratifiedGroupKFold

from edge.errors import UsageError
from trainer.decode import fingerprints
from trainer.picture import Picture

Indices = tuple[int, ...]


def groups_of(pictures: Sequence[Picture]) -> NDArray[np.int64]:
    """Return the group number of each picture (n,).

    Joined are pictures of one `group` of a data set, of one photo (column `source`, over all data
    sets) and of one file or its copies.
    """
    content = fingerprints(picture.file for picture in pictures)
    first_with: dict[tuple[str, ...], int] = {}
    parent: list[int] = []

    def root(i: int) -> int:
        while parent[i] != i:
            i = parent[i]
        return i

    for here, picture in enumerate(pictures):
        parent.append(here)
        for key in (*named(picture), ("file", content[picture.file])):
            parent[root(here)] = root(first_with.setdefault(key, here))
    roots = np.array([root(i) for i in range(len(parent))])
    return np.asarray(np.unique(roots, return_inverse=True)[1], np.int64)


def named(picture: Picture) -> list[tuple[str, ...]]:
    """Return by which names the data says what a picture belongs together with."""
    names: list[tuple[str, ...]] = [("group", picture.data_set, picture.group)]
    if picture.columns.get("source"):
        names.append(("photo", picture.columns["source"]))
    return names


def seen_of(learnt: Sequence[Picture], asked: Sequence[Picture]) -> NDArray[np.bool_]:
    """Return which pictures (n,) that are asked about share a group with one that was learnt."""
    groups = groups_of([*learnt, *asked])
    return np.isin(groups[len(learnt) :], groups[: len(learnt)])


def subset(
    wanted: Mapping[str, int], labels: Sequence[str], groups: NDArray[np.int64], seed: int
) -> Indices:
    """Return so many pictures of each label, in order: whole groups, then part of one more.

    Labels that are not wanted by name are left out. Raises UsageError where there are too few.
    """
    taken: list[int] = []
    for label, count in wanted.items():
        same = normalize("NFC", label)  # as labels are
        own = np.array([i for i, name in enumerate(labels) if name == same], np.int64)
        if len(own) < count:
            raise UsageError(
                f"--subset {label}={count}: there are only {len(own)} pictures of '{label}'"
            )
        order = np.random.default_rng((seed, count)).permutation(np.unique(groups[own]))
        room = count
        torn: NDArray[np.int64] = np.array([], np.int64)
        for group in order:
            members = own[groups[own] == group]
            if len(members) <= room:
                taken += members.tolist()
                room -= len(members)
            elif not len(torn):
                torn = members
        taken += torn[:room].tolist()
    return tuple(sorted(taken))


def split(
    labels: Sequence[str],
    groups: NDArray[np.int64],
    folds: int,
    seed: int,
    for_ensemble: bool = False,
) -> list[tuple[Indices, Indices]]:
    """Return for each fold the pictures to learn from and those to ask about.

    Classes are spread as evenly as whole groups allow; each picture is asked about exactly once.
    for_ensemble: the pictures are what another fold learns from.
    Raises UsageError where there are fewer groups than folds, or a fold cannot learn some class.
    """
    try:
        return _split(labels, groups, folds, seed)
    except UsageError as error:
        if not for_ensemble:
            raise
        raise UsageError(
            f"too few pictures are left for the inner folds of --ensemble: {error}; or leave "
            "--ensemble out"
        ) from None


def _split(
    labels: Sequence[str], groups: NDArray[np.int64], folds: int, seed: int
) -> list[tuple[Indices, Indices]]:
    _check(labels, groups, folds)
    parts = StratifiedGroupKFold(folds, shuffle=True, random_state=seed).split(
        np.zeros(len(labels)), labels, groups
    )
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that a rare class is in few folds
        found = [(tuple(learns.tolist()), tuple(asked.tolist())) for learns, asked in parts]
    for learns, asked in found:
        lost = set(labels) - {labels[i] for i in learns}
        if lost or not asked:
            raise UsageError(
                f"{folds} folds: all pictures of '{min(lost, default='')}' fell into one; take "
                "another seed (--set seed=1), other folds, or pictures of more groups"
            )
    return found


def _check(labels: Sequence[str], groups: NDArray[np.int64], folds: int) -> None:
    count = len(set(groups.tolist()))
    if count < folds:
        raise UsageError(
            f"--folds {folds}: there are only {count} groups of pictures that may be parted; take "
            "fewer folds, or pictures of more groups"
        )
    most = max(Counter(labels).values())
    if most < folds:
        raise UsageError(
            f"--folds {folds}: no class has more than {_pictures(most)}; take fewer folds, or more "
            "pictures"
        )
    for label in sorted(set(labels)):
        own = [g for name, g in zip(labels, groups.tolist(), strict=True) if name == label]
        if len(set(own)) < 2:
            raise UsageError(
                f"class '{label}' has {_pictures(len(own))} in one group, which is either learnt "
                "from or asked about: add pictures of it from elsewhere, or leave it out "
                "(`only` in the recipe's data)"
            )


def _pictures(count: int) -> str:
    return "1 picture" if count == 1 else f"{count} pictures"
