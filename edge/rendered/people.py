"""People before the shelf: how they look, how they hold themselves, and their outlines.

The outlines are both what is drawn and what the truth calls an occlusion.
"""

from __future__ import annotations

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from edge.rendered.products import Colour
from edge.rendered.shelf import Points

_COATS: tuple[Colour, ...] = (
    (70, 62, 58), (96, 58, 36), (52, 66, 112), (64, 84, 66), (150, 156, 164), (58, 96, 150),
    (120, 92, 72), (46, 44, 128), (186, 190, 196), (88, 70, 96),
)  # fmt: skip
_HAIR: tuple[Colour, ...] = ((46, 42, 42), (44, 50, 62), (50, 68, 100), (150, 152, 156))
_SKIN: tuple[Colour, ...] = ((150, 182, 226), (128, 164, 212), (108, 140, 190))
_BAGS: tuple[Colour | None, ...] = (None, None, (44, 62, 96), (52, 52, 56), (90, 120, 60))
_Placer = Callable[[Sequence[tuple[float, float]]], Points]
"""(x, height) pairs of a person of 170 cm, seen from behind → world points."""

_TROUSERS: Colour = (58, 50, 46)
UNIFORM: Colour = (112, 148, 28)
APRON: Colour = (58, 64, 68)


@dataclass(frozen=True, slots=True)
class Looks:
    """height is centimetres; build scales the width; sway is centimetres while standing still."""

    height: float
    build: float
    coat: Colour
    hair: Colour
    long_hair: bool
    skin: Colour
    bag: Colour | None
    sway: float
    clerk: bool = False


@dataclass(frozen=True, slots=True)
class Posture:
    """A person at one moment.

    facing is the walking direction, -1 or 1; turned goes from 0 (in profile) to 1 (with the face
    to the shelf); step is the phase of the gait in radians. hand is where the reaching hand is,
    None while both hang; carried is the place whose product it holds.
    """

    x: float
    z: float
    facing: int
    turned: float
    step: float
    hand: tuple[float, float, float] | None = None
    carried: int | None = None


@dataclass(frozen=True, slots=True, eq=False)
class Part:
    """One filled outline: (n, 3) world points; bulge is how round it is shaded, 0 to 1."""

    outline: Points
    colour: Colour
    bulge: float = 1.0
    cloth: bool = False


def shopper(chance: random.Random) -> Looks:
    """Return somebody."""
    return Looks(
        height=chance.uniform(154, 178),
        build=chance.uniform(0.92, 1.1),
        coat=chance.choice(_COATS),
        hair=chance.choice(_HAIR),
        long_hair=chance.random() < 0.45,
        skin=chance.choice(_SKIN),
        bag=chance.choice(_BAGS),
        sway=chance.choice([0.0, 0.0, 0.12, 0.2]),
    )


def clerk(chance: random.Random) -> Looks:
    """Return somebody who works here."""
    return Looks(
        height=chance.uniform(160, 174),
        build=1.0,
        coat=UNIFORM,
        hair=_HAIR[0],
        long_hair=False,
        skin=chance.choice(_SKIN),
        bag=None,
        sway=0.1,
        clerk=True,
    )


def arm(looks: Looks, posture: Posture) -> list[Part]:
    """Return the arm that reaches into the shelf, behind the body; nothing while none does."""
    if posture.hand is None:
        return []
    unit = looks.height / 170
    hand = np.array(posture.hand)
    side = 1 if hand[0] >= posture.x else -1
    shoulder = np.array([posture.x + side * 17.5 * unit * looks.build, 137 * unit, posture.z - 2])
    elbow = (shoulder + hand) / 2 + np.array([side * 3.0, -6.0, 3.0])
    wrist = hand + (elbow - hand) * 0.16
    sleeve = wrist + (elbow - wrist) * (0.55 if looks.clerk else 0.04)
    parts = [
        Part(_capsule(wrist, sleeve, 2.6, 3.0), looks.skin),
        Part(_ellipse(hand + np.array([0, 0.5, 0]), 3.6, 4.6), looks.skin),
        Part(_capsule(sleeve, elbow, 4.0, 5.0), looks.coat, cloth=True),
        Part(_capsule(elbow, shoulder, 5.0, 6.2), looks.coat, cloth=True),
    ]
    for finger in (-2.2, -0.7, 0.8, 2.2):
        tip = hand + np.array([finger * 1.2, 6.2 - abs(finger) * 0.5, 0])
        parts.insert(1, Part(_capsule(hand + np.array([finger, 2, 0]), tip, 1.0, 0.8), looks.skin))
    return parts


def body(looks: Looks, posture: Posture) -> list[Part]:
    """Return everything else of a person, in the order in which it is drawn."""
    unit, wide = looks.height / 170, looks.build * (0.66 + 0.34 * posture.turned)
    swing = math.sin(posture.step) * (1 - posture.turned)
    bob = 0.9 * abs(math.cos(posture.step)) * (1 - posture.turned)

    def place(points: Sequence[tuple[float, float]]) -> Points:
        return np.array(
            [(posture.x + x * unit * wide, y * unit + bob, posture.z) for x, y in points]
        )

    foot = 14 + 6 * swing
    legs = [(-15, 84), (15, 84), (foot, 30), (2, 30), (-2, 30), (-foot, 30)]
    neck = [(-5.4, 152), (5.4, 152), (8, 138), (-8, 138)]
    reaching = None if posture.hand is None else (1 if posture.hand[0] >= posture.x else -1)
    spread = 0.35 + 0.65 * posture.turned
    far, near = (
        _hanging_arm(looks, posture, side * spread, swing * side, bob) if side != reaching else []
        for side in (posture.facing, -posture.facing)
    )
    in_profile = posture.turned < 0.5  # then the near arm swings before the body
    return [
        Part(place(legs), _TROUSERS),
        Part(place(neck), looks.skin),
        *far,
        *([] if in_profile else near),
        Part(_smooth(place(_TORSO)), looks.coat, 0.9, cloth=True),
        *(_apron(place) if looks.clerk else _coat(looks, place)),
        *_bag(looks, place),
        *(near if in_profile else []),
        *_head(looks, posture, bob),
    ]


_TORSO = [
    (-18, 74), (-18, 92), (-19, 108), (-21, 122), (-22, 132), (-19, 139), (-11, 143), (-5, 147),
    (5, 147), (11, 143), (19, 139), (22, 132), (21, 122), (19, 108), (18, 92), (18, 74),
]  # fmt: skip


def _hanging_arm(
    looks: Looks, posture: Posture, side: float, swing: float, bob: float
) -> list[Part]:
    unit = looks.height / 170
    at_x = posture.x + side * 20.5 * unit * looks.build
    shoulder = np.array([at_x, 136 * unit + bob, posture.z])
    elbow = shoulder + np.array([side * 2.5 + 6 * swing, -27 * unit, 0])
    hand = elbow + np.array([9 * swing * posture.facing, -25 * unit, 0])
    end = elbow + (hand - elbow) * (0.2 if looks.clerk else 0.92)
    return [
        Part(_ellipse(hand, 3.6, 4.8), looks.skin),
        Part(_capsule(end, hand, 2.7, 2.5), looks.skin),
        Part(_capsule(elbow, end, 4.8, 4.0), looks.coat, cloth=True),
        Part(_capsule(shoulder, elbow, 6.0, 4.9), looks.coat, cloth=True),
    ]


def _apron(place: _Placer) -> list[Part]:
    """From behind an apron is its crossed straps, a bow and the skirt's two edges."""
    return [
        Part(place([(-15, 141), (-11, 142.5), (12, 98), (9, 96)]), APRON, 0.2),
        Part(place([(15, 141), (11, 142.5), (-12, 98), (-9, 96)]), APRON, 0.2),
        Part(place([(-19, 101), (19, 101), (19, 97), (-19, 97)]), APRON, 0.2),
        Part(place([(-19, 98), (-8, 98), (-10, 74), (-18, 74)]), APRON, 0.3),
        Part(place([(19, 98), (8, 98), (10, 74), (18, 74)]), APRON, 0.3),
        Part(place([(-6, 102), (0, 99), (6, 102), (6, 96), (0, 99), (-6, 96)]), APRON, 0.2),
    ]


def _bag(looks: Looks, place: _Placer) -> list[Part]:
    if looks.bag is None:
        return []
    side = 1 if looks.height % 2 < 1 else -1
    strap = [(side * -14, 143), (side * -10.5, 144.5), (side * 18, 100), (side * 15, 99)]
    pouch = [(side * 9, 100), (side * 25, 100), (side * 26, 78), (side * 10, 77)]
    return [Part(place(strap), looks.bag, 0.2), Part(_smooth(place(pouch), 1), looks.bag, 0.8)]


def _coat(looks: Looks, place: _Placer) -> list[Part]:
    """What makes a coat of the shape: a hood or a collar, and the seam of the back."""
    darker = _shade(looks.coat, 0.78)
    seam = Part(place([(-0.35, 134), (0.35, 134), (0.35, 74), (-0.35, 74)]), darker, 0.0)
    if looks.build > 1.0:
        hood = [(-11, 146), (11, 146), (13, 139), (8, 128), (0, 123), (-8, 128), (-13, 139)]
        return [seam, Part(_smooth(place(hood)), _shade(looks.coat, 0.9), 1.0, cloth=True)]
    collar = [(-8, 149), (8, 149), (10.5, 141), (0, 139), (-10.5, 141)]
    return [seam, Part(_smooth(place(collar), 1), _shade(looks.coat, 0.86), 0.8)]


def _shade(colour: Colour, share: float) -> Colour:
    blue, green, red = (round(value * share) for value in colour)
    return blue, green, red


def _head(looks: Looks, posture: Posture, bob: float) -> list[Part]:
    """A face, seen where the person walks, ears, and the hair, which is most of it from behind."""
    unit = looks.height / 170
    middle = np.array([posture.x, 158.5 * unit + bob, posture.z])
    ahead = posture.facing * (1 - posture.turned)

    def spot(x: float, y: float) -> Points:
        return np.asarray(middle + np.array([x, y * unit, 0.0]))

    ears = [spot(-1.2 * ahead, -2.4)] if abs(ahead) > 0.5 else [spot(-7.6, -2.4), spot(7.6, -2.4)]
    ear_parts = [Part(_ellipse(ear, 1.5, 2.6), looks.skin, 0.6) for ear in ears]
    parts = [
        Part(_capsule(spot(1.6 * ahead, 0.5), spot(2.6 * ahead, -5.0), 7.3, 5.6), looks.skin),
        *([Part(_ellipse(spot(9.3 * ahead, -2.0), 1.3, 1.8), looks.skin)] if ahead else []),
        *([] if abs(ahead) > 0.5 else ear_parts),
        Part(_ellipse(spot(-2.2 * ahead, 2.4), 8.5, 9.4 * unit), looks.hair, cloth=True),
    ]
    if looks.long_hair:
        width = 8.4 - 2.0 * abs(ahead)
        fall = _capsule(spot(-2.6 * ahead, 1.0), spot(-4.2 * ahead, -14), width, width * 0.86)
        parts.append(Part(fall, looks.hair, cloth=True))
    elif abs(ahead) > 0.5:
        parts += ear_parts
    if looks.clerk:
        parts.append(Part(_ellipse(spot(-1.6 * ahead, 6.0), 8.9, 7.0), UNIFORM, 0.8))
        band = _capsule(spot(-8.4, 2.6), spot(8.4 + 4 * ahead, 2.6), 1.1, 1.1)
        parts.append(Part(band, APRON, 0.3))
    return parts


_TURN = np.linspace(0, 2 * np.pi, 28, endpoint=False)
_CIRCLE = np.stack([np.cos(_TURN), np.sin(_TURN), np.zeros(28)], axis=1)
_HALF_TURN = np.linspace(-np.pi / 2, np.pi / 2, 9)[:, None]
_AHEAD, _ACROSS = np.cos(_HALF_TURN), np.sin(_HALF_TURN)


def _ellipse(middle: Points, across: float, along: float) -> Points:
    return middle + _CIRCLE * (across, along, 0)


def _capsule(start: Points, end: Points, first: float, last: float) -> Points:
    """A limb: two half circles of different radius around start and end, joined."""
    along = end - start
    along[2] = 0
    along /= max(math.hypot(along[0], along[1]), 1e-6)
    across = np.array([-along[1], along[0], 0])
    far = end + last * (_AHEAD * along + _ACROSS * across)
    near = start - first * (_AHEAD * along + _ACROSS * across)
    return np.concatenate([near, far])


def _smooth(points: Points, times: int = 2) -> Points:
    """Chaikin's corner cutting."""
    for _ in range(times):
        after = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * after, 0.25 * points + 0.75 * after], axis=1)
        points = points.reshape(-1, 3)
    return points
