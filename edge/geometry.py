"""Quads: from four corners in a picture to an upright rectangle, and back."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
from numpy.typing import NDArray

from edge.types import Image, Quad

Matrix = NDArray[np.float64]

BITS = 8  # of a pixel's fraction that OpenCV is told
COUNTED = 32  # points along a side where a share is counted


def cut(image: Image, quad: Quad) -> Image:
    """Return the upright picture of a quad, at the resolution it has in the image.

    Args:
        image: (height, width, 3) uint8.
        quad: the facing's own top left, top right, bottom right and bottom left, as fractions
            of the picture; the camera may hang rotated.

    Returns:
        (h, w, 3) uint8; w and h are the mean lengths of the opposite sides in pixels, at least 1.
    """
    corners = to_pixels(quad, image.shape[1], image.shape[0])
    width, height = side_lengths(corners)
    return flattened(image, corners, max(1, round(width)), max(1, round(height)))


def flattened(image: Image, corners: NDArray[np.float32], width: int, height: int) -> Image:
    """Return what four corners (4, 2), in pixels, enclose, as an upright width x height picture."""
    onto = cv2.getPerspectiveTransform(corners, _rectangle(width, height))
    upright = cv2.warpPerspective(
        image, onto, (width, height), flags=cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE
    )
    return np.asarray(upright, np.uint8)


def to_pixels(quad: Quad, width: int, height: int) -> NDArray[np.float32]:
    """Return the corners, (4, 2) float32, where (0, 0) is the centre of the first pixel."""
    return np.array(quad, np.float32) * np.array([width, height], np.float32) - np.float32(0.5)


def side_lengths(corners: NDArray[np.float32]) -> tuple[float, float]:
    """Return (width, height): the mean lengths of top and bottom, and of left and right."""
    top, right, bottom, left = np.linalg.norm(np.roll(corners, -1, axis=0) - corners, axis=1)
    return float(top + bottom) / 2, float(left + right) / 2


def around(quad: Quad, margin: float, size: int, width: int, height: int) -> Matrix:
    """Return where the pixels of a thumbnail of the quad and its surroundings lie in the picture.

    The thumbnail shows the quad in its middle and, in the quad's own perspective, `margin` times
    the quad's sides around it.

    Returns:
        (size, size, 2) float64: x and y in pixels of a width x height picture.
    """
    corners = to_pixels(quad, width, height)
    unit = np.array([[0, 0], [1, 0], [1, 1], [0, 1]], np.float32)
    to_picture = cv2.getPerspectiveTransform(unit, corners)
    steps = (np.arange(size) + 0.5) / size * (1 + 2 * margin) - margin
    points = np.stack(np.meshgrid(steps, steps), axis=-1).reshape(1, -1, 2)
    return np.asarray(cv2.perspectiveTransform(points, to_picture), np.float64).reshape(
        size, size, 2
    )


def divide(
    quad: Quad, us: Sequence[float], rows: Sequence[tuple[float, float]]
) -> tuple[tuple[Quad, ...], ...]:
    """Return the quads of a shelf's slots in its true perspective, row by row.

    Args:
        quad: the shelf's own corners, convex and not mirrored.
        us: the boundaries along the shelf, ascending, 0 its left and 1 its right end.
        rows: (top, bottom) of each row across the shelf, 0 its upper and 1 its lower end. What
            lies between two rows, such as a price rail, belongs to no slot.
    """
    vs = np.array(rows, np.float64).reshape(-1)
    grid = project(unit_to(quad), np.stack(np.meshgrid(us, vs), axis=-1).astype(np.float64))
    top, bottom = grid[0::2], grid[1::2]
    slots = np.stack([top[:, :-1], top[:, 1:], bottom[:, 1:], bottom[:, :-1]], axis=2)
    return tuple(
        tuple(tuple((float(x), float(y)) for x, y in slot) for slot in row) for row in slots
    )


def unit_to(quad: Quad) -> Matrix:
    """Return the homography (3, 3) that takes the unit square to a convex quad.

    In closed form, because the page computes the same in JavaScript, to the last digits.
    """
    (x0, y0), (x1, y1), (x2, y2), (x3, y3) = quad
    dx1, dx2, sx = x1 - x2, x3 - x2, x0 - x1 + x2 - x3
    dy1, dy2, sy = y1 - y2, y3 - y2, y0 - y1 + y2 - y3
    bend = dx1 * dy2 - dx2 * dy1
    g, h = (sx * dy2 - dx2 * sy) / bend, (dx1 * sy - sx * dy1) / bend
    return np.array(
        [
            [x1 - x0 + g * x1, x3 - x0 + h * x3, x0],
            [y1 - y0 + g * y1, y3 - y0 + h * y3, y0],
            [g, h, 1.0],
        ]
    )


def project(homography: Matrix, points: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return where a homography takes the points (…, 2)."""
    flat = cv2.perspectiveTransform(points.reshape(1, -1, 2), homography)
    return np.asarray(flat, np.float64).reshape(points.shape)


def contains(quad: Quad, points: NDArray[np.float64]) -> NDArray[np.bool_]:
    """Return which points (…, 2), in fractions of the picture, lie inside the convex quad."""
    corners = np.asarray(quad, np.float64)
    inside = np.ones(points.shape[:-1], bool)
    for (x0, y0), (x1, y1) in zip(corners, np.roll(corners, -1, axis=0), strict=True):
        inside &= (x1 - x0) * (points[..., 1] - y0) - (y1 - y0) * (points[..., 0] - x0) >= 0
    return inside


def share_inside(quad: Quad, others: Sequence[Quad]) -> float:
    """Return how much of a quad lies in any of the others, 0 to 1, all of them convex.

    Of the quad as it is seen upright, for that is what the model gets; counted on a grid of
    points, as the page does.
    """
    steps = (np.arange(COUNTED) + 0.5) / COUNTED
    points = project(unit_to(quad), np.stack(np.meshgrid(steps, steps), axis=-1))
    inside = np.zeros((COUNTED, COUNTED), bool)
    for other in others:
        inside |= contains(other, points)
    return float(inside.mean())


def _rectangle(width: int, height: int) -> NDArray[np.float32]:
    right, bottom = width - 0.5, height - 0.5
    return np.array([[-0.5, -0.5], [right, -0.5], [right, bottom], [-0.5, bottom]], np.float32)


def paint_over(image: Image, quad: Quad) -> None:
    """Make each pixel black that the quad touches, and at most a pixel beyond."""
    height, width = image.shape[:2]
    corners = np.rint(to_pixels(quad, width, height) * 2**BITS).astype(np.int32)
    cv2.fillPoly(image, [corners], (0, 0, 0), shift=BITS)
    cv2.polylines(image, [corners], isClosed=True, color=(0, 0, 0), thickness=2, shift=BITS)
