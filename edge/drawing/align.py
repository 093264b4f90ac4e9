"""How a camera has moved: where the points of the reference picture lie in a new one.

Goods come and go, so the shelf itself must carry the answer: points that are found again are
matched, and only a movement on which many of them agree, over much of the picture, is believed.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.errors import AlignmentError
from edge.geometry import Matrix, project
from edge.types import Image

SIDE = 640  # the longer one of the pictures that are compared
POINTS = 2500
DOUBT = 80  # below so many agreeing points the slower, surer kind of point is asked as well
RATIO = 0.8  # how much nearer the best match must be than the second: shelves repeat themselves
WITHIN_PX = 3.0  # of SIDE, from where the movement takes a point to where it was found
LEAST_POINTS, LEAST_SHARE = 60, 0.2  # of the matches must agree
LEAST_AREA = 0.25  # of the picture must lie between the agreeing points
SCALE, TURN_DEG = (0.75, 1.33), 12.0  # beyond these it is another view, to be drawn anew

Points = NDArray[np.float32]
"""(n, 2) pixels."""


@dataclass(frozen=True, slots=True, eq=False)
class Alignment:
    """A movement. homography (3, 3) takes fractions of the reference to fractions of the picture.

    inliers: points that agree on it. moved_share: how far the middle of the picture went, in
    picture widths. rotation_deg: clockwise. scale: above 1 where things look larger now.
    """

    homography: Matrix
    inliers: int
    moved_share: float
    rotation_deg: float
    scale: float


@dataclass(frozen=True, slots=True, eq=False)
class _Agreement:
    """What a kind of point says: a homography in pixels, the points that agree, of how many."""

    homography: Matrix
    points: Points
    matches: int


def align(reference: Image, picture: Image) -> Alignment:
    """Return how the camera moved between two pictures of the same shelf.

    The same two pictures always give the same answer. Raises AlignmentError where they do not
    show the same, or the camera looks at it too differently.
    """
    before, after = _prepared(reference), _prepared(picture)
    found = _agreement(before, after, _binary())
    if found is None or len(found.points) < DOUBT:
        found = _surer(found, _agreement(before, after, _gradient()))
    if (
        found is None
        or len(found.points) < LEAST_POINTS
        or len(found.points) < LEAST_SHARE * found.matches
    ):
        raise AlignmentError("nothing_in_common", "the pictures do not show the same shelf")
    return _judged(found, before.shape, after.shape)


def _prepared(picture: Image) -> NDArray[np.uint8]:
    """Return the picture grey, of a common size, with light and shade evened out."""
    grey = cv2.cvtColor(picture, cv2.COLOR_BGR2GRAY)
    shrunk = SIDE / max(grey.shape)
    if shrunk < 1:
        grey = cv2.resize(grey, None, fx=shrunk, fy=shrunk, interpolation=cv2.INTER_AREA)
    return np.asarray(cv2.createCLAHE(2.0, (8, 8)).apply(grey), np.uint8)


def _binary() -> tuple[cv2.Feature2D, int]:
    return cv2.ORB.create(POINTS, fastThreshold=10), cv2.NORM_HAMMING


def _gradient() -> tuple[cv2.Feature2D, int]:
    return cv2.SIFT.create(POINTS), cv2.NORM_L2


def _agreement(
    before: NDArray[np.uint8], after: NDArray[np.uint8], kind: tuple[cv2.Feature2D, int]
) -> _Agreement | None:
    """Match the points of one kind and find what most of them agree on; None where nothing."""
    detector, norm = kind
    keys, old = detector.detectAndCompute(before, None)
    new_keys, new = detector.detectAndCompute(after, None)
    if old is None or new is None or len(new) < 2:
        return None
    pairs = cv2.BFMatcher(norm).knnMatch(old, new, k=2)
    good = [best for best, second in pairs if best.distance < RATIO * second.distance]
    if len(good) < LEAST_POINTS:
        return None
    here = np.array([keys[match.queryIdx].pt for match in good], np.float32)
    there = np.array([new_keys[match.trainIdx].pt for match in good], np.float32)
    homography, agree = cv2.findHomography(
        here, there, cv2.USAC_MAGSAC, WITHIN_PX, maxIters=5000, confidence=0.9999
    )
    if homography is None:
        return None
    return _Agreement(np.asarray(homography, np.float64), here[agree.ravel() > 0], len(good))


def _surer(one: _Agreement | None, other: _Agreement | None) -> _Agreement | None:
    return max((one, other), key=lambda found: 0 if found is None else len(found.points))


def _judged(found: _Agreement, old: tuple[int, ...], new: tuple[int, ...]) -> Alignment:
    """Return the movement in fractions. Raises AlignmentError where it is not to be believed."""
    (old_high, old_wide), (new_high, new_wide) = old, new
    hull = cv2.contourArea(cv2.convexHull(found.points))
    if hull < LEAST_AREA * old_high * old_wide:
        raise AlignmentError(
            "too_little_in_common", "only a small part of the pictures shows the same"
        )
    to_pixels = np.diag([old_wide, old_high, 1.0])
    homography = np.diag([1 / new_wide, 1 / new_high, 1.0]) @ found.homography @ to_pixels
    homography /= homography[2, 2]
    corners = np.array([[0.0, 0.0], [1.0, 0.0], [1.0, 1.0], [0.0, 1.0]])
    went = project(homography, corners)
    middle = project(homography, np.array([[0.5, 0.5], [0.51, 0.5], [0.5, 0.51]]))
    aspect = new_high / new_wide
    right, down = (middle[1:] - middle[0]) * (100.0, 100.0 * aspect)
    turn_deg = math.degrees(math.atan2(right[1], right[0]))
    scale = math.sqrt(abs(right[0] * down[1] - right[1] * down[0]) * old_wide / old_high)
    if not _convex(went) or not SCALE[0] < scale < SCALE[1] or abs(turn_deg) > TURN_DEG:
        raise AlignmentError("too_different", "the camera looks at the shelf too differently")
    moved = float(np.hypot(*((middle[0] - 0.5) * (1.0, aspect))))
    return Alignment(homography, len(found.points), moved, turn_deg, scale)


def _convex(corners: NDArray[np.float64]) -> bool:
    """Whether the corners still turn clockwise: the picture was not folded over."""
    sides = np.roll(corners, -1, axis=0) - corners
    after = np.roll(sides, -1, axis=0)
    return bool((sides[:, 0] * after[:, 1] - sides[:, 1] * after[:, 0] > 0).all())
