"""What learns, from what, and how it is tested: usually the whole net, from pictures.

Where the body is frozen and no picture is ever varied, a picture's features are the same in every
epoch: they are computed once, and the head alone learns from them. What comes out is the same run,
in a fraction of the time.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import islice

import torch
from torch import Tensor, nn

from edge.classifier import MAX_BATCH
from edge.preprocess import resize, to_batch
from edge.types import Image
from trainer.answering import small_reader, top1, true_columns
from trainer.checkpoint import State
from trainer.mixture import Mixture, batches, size_at
from trainer.net import SlotNet
from trainer.picture import Picture
from trainer.recipe import Recipe
from trainer.tricks import resized
from trainer.workers import Workers

HELD_OUT_BYTES = 512 << 20
"""Of held-out pictures, small, that are not decoded anew in each epoch."""
Measure = Callable[[SlotNet], float]
"""A net that has learnt so far, to its top-1 on held-out pictures."""


@dataclass(frozen=True)
class Lesson:
    """learner: what a step calls; batches: with what, and the columns of the true classes.

    shown: what the learner sees of a batch after this share of the steps; a teacher may see more.
    """

    learner: nn.Module
    batches: Iterator[tuple[Tensor, Tensor]]
    shown: Callable[[Tensor, float], Tensor]
    test: Measure | None


def open_lesson(
    mixture: Mixture, held_out: Sequence[Picture], state: State, team: Workers
) -> Lesson:
    """Return what is left to learn. test is None where there are no held-out pictures."""
    recipe, net = mixture.recipe, state.model
    if features_stay(net, recipe):
        test = _test_of_features(net, recipe, held_out) if held_out and team.leads else None
        return Lesson(net.head, _features(mixture, state, team), lambda x, share: x, test)
    read = small_reader(recipe.input_size, HELD_OUT_BYTES)
    test = partial(top1, recipe=recipe, pictures=held_out, read=read)
    return Lesson(
        net,
        _pictures(mixture, state, team),
        lambda x, share: resized(x, size_at(recipe, share)),
        test if held_out and team.leads else None,
    )


def features_stay(net: SlotNet, recipe: Recipe) -> bool:
    """Return whether a photo has the same features in every epoch."""
    varied = recipe.augment != "none" or any(source.widen for source in recipe.data)
    blended = recipe.mixup or recipe.cutmix or recipe.distill
    return net.body_is_frozen and not (varied or blended or recipe.balanced or recipe.train_sizes)


def _pictures(mixture: Mixture, state: State, team: Workers) -> Iterator[tuple[Tensor, Tensor]]:
    for images, labels in batches(mixture, state.step, state.steps, team.rank, team.count):
        yield torch.from_numpy(images).to(team.device), torch.from_numpy(labels)


def _features(mixture: Mixture, state: State, team: Workers) -> Iterator[tuple[Tensor, Tensor]]:
    recipe, numbers = mixture.recipe, range(len(mixture.pictures))
    images = (mixture.image(i, augmented=False)[0] for i in numbers)
    shuffled = features_of(state.model, images, recipe.input_size)
    # The first epoch has each photo once.
    places = torch.tensor([mixture.photo_number(i) for i in numbers])
    features = torch.empty_like(shuffled)
    features[places] = shuffled
    columns = torch.from_numpy(true_columns(mixture.pictures, recipe.classes))
    for step in range(state.step, state.steps):
        mine = range(step * recipe.batch + team.rank, (step + 1) * recipe.batch, team.count)
        photos = [mixture.photo_number(i) for i in mine]
        yield features[photos], columns[photos]


def _test_of_features(net: SlotNet, recipe: Recipe, held_out: Sequence[Picture]) -> Measure:
    features = features_of(net, (picture.read() for picture in held_out), recipe.input_size)
    truth = torch.from_numpy(true_columns(held_out, recipe.classes)).to(features.device)

    @torch.no_grad()
    def test(average: SlotNet) -> float:
        guess = average.head.eval()(features).argmax(dim=1)
        return float((guess == truth).double().mean())

    return test


@torch.no_grad()
def features_of(net: SlotNet, images: Iterable[Image], size: int) -> Tensor:
    """Return what the head is asked about pictures (BGR, any size): (n, features)."""
    was_training = net.training
    net.eval()
    rows, rest = [], (resize(image, size) for image in images)  # a photo may be large
    while part := list(islice(rest, MAX_BATCH)):
        batch = torch.from_numpy(to_batch(part, size)).to(net.scale.device)
        rows.append(net.features(batch))
    net.train(was_training)
    return torch.cat(rows)
