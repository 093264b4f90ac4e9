"""What is taken for what, and the mistakes themselves."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from trainer.picture import Picture
from trainer.report.answers import Answers
from trainer.report.page import Figure, bdi, count, details, scrolling, table, words
from trainer.report.svg import capped, escape, percent, shortened
from trainer.report.thumbs import placeholder, thumbnail
from trainer.wording import some_of

MOST_CLASSES = 12
MOST_PAIRS, MOST_MISTAKES = 6, 24
"""Three pictures a pair, one a mistake: 42 in all."""
NAMED_COLUMNS = 4
"""Of more classes the columns of the confusion matrix have numbers."""

Counts = NDArray[np.int64]
MayShow = Callable[[Picture], bool]


def confusion(answers: Answers, coarse_of: Mapping[str, str], may_show: MayShow) -> Figure:
    """Return the confusion matrix, of the most confused classes where there are many."""
    counts = _counted(answers)
    blocks = _most_confused(counts, answers.classes, coarse_of)
    shown = sum(len(block) for _, block in blocks)
    wrong = int((~answers.right).sum())
    numbered = ", with the same numbers" if shown > NAMED_COLUMNS else ""
    parts = [f"Counts of {count(len(answers.truth), 'picture')}; a row is what is there, a column "
             f"what it says{numbered}."]  # fmt: skip
    if shown < len(answers.classes):
        parts.append(
            f"The {shown} most confused of {len(answers.classes)} classes, and all the rest."
        )
    if coarse_of and wrong:
        kinds = np.array([coarse_of.get(name, name) for name in answers.classes])
        within = int((kinds[answers.truth] == kinds[answers.guess])[~answers.right].sum())
        parts.append(f"{within} of {count(wrong, 'mistake')} stay within the coarse class.")
    never = [n for k, n in enumerate(answers.classes) if counts[k].sum() and not counts[:, k].sum()]
    if never:
        parts.append(f"Never said: {some_of([shortened(name) for name in never])}.")
    body = _matrix(counts, answers.classes, blocks) + _pairs(answers, counts, may_show)
    return Figure(_title(counts, answers.classes), body, " ".join(parts), wide=True)


def _title(counts: Counts, classes: Sequence[str]) -> str:
    worst = _worst_pairs(counts)
    if not worst:
        return "Nothing is taken for anything else on these pictures"
    true, said = worst[0]
    n, of = int(counts[true, said]), int(counts[true].sum())
    return (
        f"Most often {shortened(classes[true], 40)} is taken for {shortened(classes[said], 40)}: "
        f"{n} of its {count(of, 'picture')}"
    )


def _counted(answers: Answers) -> Counts:
    counts = np.zeros((len(answers.classes),) * 2, np.int64)
    np.add.at(counts, (answers.truth, answers.guess), 1)
    return counts


def _worst_pairs(counts: Counts) -> list[tuple[int, int]]:
    """Return (true, said) of what was confused, the most frequent first."""
    off = counts - np.diag(counts.diagonal())
    order = np.argsort(-off, axis=None, kind="stable")
    pairs = [divmod(int(place), len(counts)) for place in order]
    return [(true, said) for true, said in pairs if off[true, said]]


def _most_confused(
    counts: Counts, classes: Sequence[str], coarse_of: Mapping[str, str]
) -> list[tuple[str, list[int]]]:
    """Return the classes to show in blocks: (coarse class, columns), the largest block first.

    Classes whose kind has no other among them are one block at the end. Without coarse classes
    there is one block without a name.
    """
    chosen = list(range(len(classes)))
    if len(classes) > MOST_CLASSES:
        both = [k for pair in _worst_pairs(counts) for k in pair]
        seen = np.argsort(-counts.sum(axis=1), kind="stable").tolist()
        chosen = sorted(list(dict.fromkeys([*both, *seen]))[:MOST_CLASSES])
    if not coarse_of:
        return [("", chosen)]
    kinds: dict[str, list[int]] = {}
    for k in chosen:
        kinds.setdefault(coarse_of.get(classes[k], classes[k]), []).append(k)
    blocks = [(kind, own) for kind, own in kinds.items() if len(own) > 1]
    blocks.sort(key=lambda block: (-len(block[1]), block[0]))
    alone = [own[0] for own in kinds.values() if len(own) == 1]
    return [*blocks, ("each of another kind", alone)] if alone else blocks


def _matrix(counts: Counts, classes: Sequence[str], blocks: Sequence[tuple[str, list[int]]]) -> str:
    shown = [k for _, block in blocks for k in block]
    is_part = len(shown) < len(counts)
    numbers = "".join(
        f'<th scope="col" class="said" title="{escape(classes[k])}">'
        f"{bdi(classes[k]) if len(shown) <= NAMED_COLUMNS else i}</th>"
        for i, k in enumerate(shown, start=1)
    )
    other = '<th scope="col" class="said">the rest</th>' if is_part else ""
    rows = []
    for kind, block in blocks:
        if kind:
            wide = len(shown) + 2 + is_part
            rows.append(f'<tr><td class="kind" colspan="{wide}">{bdi(kind)}</td></tr>')
        rows += [_matrix_row(counts[k], k, shown, classes[k]) for k in block]
    return scrolling(
        '<table class="matrix"><thead><tr>'
        f'<th scope="col">there ↓ says →</th>{numbers}{other}'
        f'<th scope="col" class="said">found</th></tr></thead><tbody>{"".join(rows)}</tbody>'
        "</table>",
        "Confusion matrix: what is there against what it says",
    )


def _matrix_row(counts: Counts, k: int, shown: Sequence[int], name: str) -> str:
    """counts: (classes,), how often pictures of class k were called what."""
    total = int(counts.sum())
    cells = "".join(_cell(int(counts[m]), total, k == m) for m in shown)
    if len(shown) < len(counts):
        cells += _cell(total - int(counts[list(shown)].sum()), total, False)
    found = percent(counts[k] / total) if total else "–"
    number = f"&nbsp;{shown.index(k) + 1}" if len(shown) > NAMED_COLUMNS else ""
    return (
        f'<tr><th scope="row" title="{escape(name)}">{bdi(name)}{number}</th>{cells}'
        f'<td class="found">{words(found)}</td></tr>'
    )


def _cell(n: int, total: int, is_right: bool) -> str:
    if is_right:
        return f'<td class="right">{n}</td>'
    if not n:
        return "<td></td>"
    # A single mistake is to be seen among hundreds, and its number to be read on any shade.
    return f'<td style="--share:{12 + 36 * n / total:.0f}">{n}</td>'


def _pairs(answers: Answers, counts: Counts, may_show: MayShow) -> str:
    """Return for each of the worst pairs: the thing, the mistake, what it was taken for."""
    items = []
    for true, said in _worst_pairs(counts)[:MOST_PAIRS]:
        mistakes = np.flatnonzero((answers.truth == true) & (answers.guess == said))
        mistake = int(mistakes[np.argmax(answers.confidence[mistakes])])
        thumb = _thumb(answers, mistake, "taken for", may_show)
        if not thumb:
            continue
        before, after = (_example(answers, k, mistake, may_show) for k in (true, said))
        a, b = (bdi(answers.classes[k], 40) for k in (true, said))
        times = count(int(counts[true, said]), "time")
        items.append(f"<li><p>{a} taken for {b}, {times}</p><div>{before}{thumb}{after}</div></li>")
    return f'<ul class="pairs">{"".join(items)}</ul>' if items else ""


def _example(answers: Answers, k: int, but: int, may_show: MayShow) -> str:
    """Return another picture of a class, one that is recognised if there is one."""
    own = [int(i) for i in np.flatnonzero(answers.truth == k) if i != but]
    if not own:
        name = bdi(answers.classes[k])
        alone = "no other picture" if (answers.truth == k).any() else "no picture"
        return f'<div class="thumb">{placeholder(alone)}<b>{name}</b></div>'
    best = max(own, key=lambda i: (answers.right[i], answers.p[i, k]))
    hidden = f'<div class="thumb">{placeholder("not shown")}<b>{bdi(answers.classes[k])}</b></div>'
    return _thumb(answers, best, "", may_show) or hidden


def _thumb(answers: Answers, i: int, word: str, may_show: MayShow) -> str:
    """Return picture i and what is there; with a word also what it says. "" if not to be shown."""
    if not may_show(answers.pictures[i]):
        return ""
    true, said = (answers.classes[k] for k in (answers.truth[i], answers.guess[i]))
    alt, text = true, f"<b>{bdi(true)}</b>"
    if word:
        alt = f"{true}, taken for {said}"
        text += (
            f'{word} <b class="said">{bdi(said)}</b>'
            f"at {words(percent(float(answers.confidence[i])))}"
        )
    return f'<div class="thumb">{thumbnail(answers.pictures[i], alt)}{text}</div>'


def worst(answers: Answers, may_show: MayShow) -> list[Figure]:
    """Return the contact sheet of the surest mistakes; nothing where there is no mistake."""
    wrong = np.flatnonzero(~answers.right)
    if not len(wrong):
        return []
    order = wrong[np.argsort(-answers.confidence[wrong], kind="stable")][:MOST_MISTAKES]
    sure = int((answers.confidence[wrong] >= 0.9).sum())
    items = [shown for i in order if (shown := _thumb(answers, int(i), "said", may_show))]
    sheet = "".join(f"<li>{item}</li>" for item in items)
    rows = [
        (
            place,
            answers.classes[answers.truth[i]],
            answers.classes[answers.guess[i]],
            capped(float(answers.confidence[i]), 3),
            capped(float(answers.p[i, answers.truth[i]]), 3),
        )
        for i, place in zip(order, places([answers.pictures[i] for i in order]), strict=True)
    ]
    numbers = table(("file", "true", "said", "p(said)", "p(true)"), rows)
    listed = details("The files", numbers) if items else numbers
    return [
        Figure(
            f"Of {count(len(wrong), 'mistake')} {sure} {'was' if sure == 1 else 'were'} made with "
            "90 % certainty or more",
            (f'<ul class="sheet">{sheet}</ul>' if items else "") + listed,
            f"The {count(len(order), 'mistake')} it was surest of, of "
            f"{count(len(answers.truth), 'picture')}: what is there, what it says, and the "
            "probability it gives to that. Wrong labels are found here first."
            + ("" if len(items) == len(order) else " Pictures that are not shown are left out."),
            wide=True,
        )
    ]


def places(pictures: Sequence[Picture]) -> list[str]:
    """Return where each is: its path from the nearest folder that holds all, and its box."""
    files = [picture.file.absolute() for picture in pictures]
    common = os.path.commonpath([file.parent for file in files])
    boxes = ["" if p.box is None else " at " + ", ".join(map(str, p.box)) for p in pictures]
    return [f"{file.relative_to(common)}{box}" for file, box in zip(files, boxes, strict=True)]


def per_class(answers: Answers) -> Figure:
    """Return the table of all classes."""
    rows = [
        (name, one["support"], _say(one["precision"]), _say(one["recall"]))
        for name, one in sorted(
            answers.figures["per_class"].items(),
            key=lambda item: (item[1]["recall"] is None, item[1]["recall"]),
        )
    ]
    known = [row for row in rows if row[1]]
    weakest = known[0]
    hardest = shortened(str(weakest[0]), 40)
    title = f"The hardest class is {hardest}: {weakest[3]} of its pictures found"
    if min(answers.figures["per_class"][row[0]]["recall"] for row in known) == 1:
        title = "Every class is found in each of its pictures"
    heads = ("class", "pictures", "precision", "recall")
    body = table(heads, rows[:MOST_CLASSES], numbers=True)
    if len(rows) > MOST_CLASSES:
        rest = table(heads, rows[MOST_CLASSES:], numbers=True)
        body += details(f"{count(len(rows) - MOST_CLASSES, 'more class')}", rest)
    return Figure(title, body, "Precision: right, of all times it is said. Recall: found, of all "
                  "there are. The hardest first.")  # fmt: skip


def _say(share: float | None) -> str:
    return "–" if share is None else percent(share)
