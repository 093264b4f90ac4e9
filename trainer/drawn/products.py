"""Drawn products: what may stand in a slot, from a full row of cans to one clear bottle.

Everything is a silhouette, given by its half-width from the bottom to the top, filled with a
material. A pixel knows two numbers: v, its height in the product (0 bottom, 1 top), and u, its
place across (-1 left edge, 1 right edge). Shading, labels and refraction are functions of them.
"""

from __future__ import annotations

import cv2
import numpy as np
from numpy.random import Generator

from edge.types import Image
from trainer.drawn.looks import Canvas, Field, Look, some_look


def stock(canvas: Canvas, rng: Generator, floor: float, photo: Image | None) -> None:
    """Put products on the canvas, standing at floor (fraction of its height).

    One product a slot, as in a shop: a few pieces beside each other, sometimes piled, sometimes
    with another row behind; sometimes a single thin one with much wall around it.
    """
    height, width = canvas.shape[:2]
    look = some_look(rng, photo)
    aspect = rng.uniform(*look.shape.aspect)
    close = rng.random() < 0.25  # the quad shows a part of a row, cut where it happens to be
    if close:
        floor += rng.uniform(0, 0.3)
    piece_h = height * (
        rng.uniform(0.8, 1.8) if close else min(rng.uniform(0.45, 1.05), floor + 0.1)
    )
    rows = int(rng.integers(1, 5)) if look.shape.piles else 1
    if aspect > 1.2:
        rows = int(rng.integers(2, 9))
    piece_h /= rows
    piece_w = max(piece_h * aspect, 0.16 * width)
    most = max(1, int(1.1 * width / piece_w))
    if close:
        columns = most + 2
    else:
        columns = 1 if rng.random() < 0.4 else int(rng.integers(1, min(most, 5) + 1))
        if columns == 1 and piece_w < 0.35 * width and rng.random() < 0.6:
            piece_w *= rng.uniform(1, 1.8)
        piece_w = min(piece_w, 1.15 * width)
    gap = rng.uniform(0.98, 1.15)
    if close:
        centre = width / 2 + piece_w * rng.uniform(-0.5, 0.5)
    else:
        room = max(0.0, width - columns * piece_w * gap)
        centre = width / 2 + room * rng.uniform(-0.35, 0.35)
    floor_px = floor * height

    shadow = rng.uniform(0.15, 0.6)
    span = columns * piece_w * gap
    _contact_shadow(canvas, centre, floor_px, span / 2, shadow)
    for depth in range(int(rng.integers(0, 3)), -1, -1):  # the furthest row first
        shrink, lift = 0.9**depth, 0.07 * depth * height
        for column in range(columns):
            x = centre + (column - (columns - 1) / 2) * piece_w * gap * shrink
            for row in range(rows):
                bottom = floor_px - lift - row * piece_h * shrink * 0.97
                jitter = rng.normal(0, 0.015, 2) * piece_w
                box = (x + jitter[0], bottom + jitter[1] * (row == 0))
                _piece(canvas, rng, look, *box, piece_w * shrink, piece_h * shrink, 0.8**depth)


def neighbour(
    canvas: Canvas, rng: Generator, floor: float, photo: Image | None, reach: float
) -> None:
    """Let the edges of the products next door, on the left, reach so far into the canvas."""
    height, width = canvas.shape[:2]
    look = some_look(rng, photo)
    piece_h = height * rng.uniform(0.4, 1.1)
    piece_w = float(np.clip(piece_h * rng.uniform(*look.shape.aspect), 0.2 * width, 1.2 * width))
    inside = width * reach
    for depth in range(int(rng.integers(0, 4)), -1, -1):  # further rows draw in to the middle
        shrink = 0.92**depth
        x = inside - piece_w * shrink / 2 + 0.03 * width * depth
        foot = (floor - 0.05 * depth) * height
        _piece(canvas, rng, look, x, foot, piece_w * shrink, piece_h * shrink, 0.75**depth)


def _piece(
    canvas: Canvas, rng: Generator, look: Look, x: float, bottom: float, width: float,
    height: float, light: float,
) -> None:  # fmt: skip
    """Draw one piece: its middle at x, its foot at bottom, all in pixels."""
    top, left = int(np.floor(bottom - height)), int(np.floor(x - width * 0.6))
    rows = np.arange(max(top, 0), min(int(np.ceil(bottom)) + 1, canvas.shape[0]))
    columns = np.arange(max(left, 0), min(int(np.ceil(x + width * 0.6)) + 1, canvas.shape[1]))
    if len(rows) < 2 or len(columns) < 2:
        return
    v = np.clip((bottom - rows - 0.5) / height, 0, 1).astype(np.float32)
    points = np.array(look.shape.profile)
    half = np.interp(v, points[:, 0], points[:, 1]) * width / 2
    if look.lean:
        half *= 1 + look.lean * np.sin(v * rng.uniform(4, 14) + rng.uniform(0, 6))
    across = columns[None, :] + 0.5 - x
    mask = np.clip(half[:, None] - np.abs(across) + 0.5, 0, 1)
    mask *= (
        np.clip(bottom - rows, 0, 1)[:, None] * np.clip(rows - (bottom - height) + 1, 0, 1)[:, None]
    )
    u = np.clip(across / half[:, None], -1, 1).astype(np.float32)
    v2 = np.broadcast_to(v[:, None], u.shape)

    behind = canvas[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
    body = _clear_body(behind, u, v2, look, rng) if look.clear else _opaque_body(u, v2, look, rng)
    if look.label is not None:
        print_ = _wrap(look.label, u, v2, look)
        on = ((v2 >= look.label_from) & (v2 <= look.label_to))[..., None]
        body = np.where(on, print_ * _shade(u, look)[..., None], body)
    if look.shape.cap < 1:
        ribs = 1 + 0.12 * np.sin(u * 25)
        cap = look.cap * (_shade(u, look) * ribs)[..., None]
        body = np.where((v2 >= look.shape.cap)[..., None], cap, body)
    body = body * light
    behind[:] = behind + mask[..., None].astype(np.float32) * (body - behind)


def _shade(u: Field, look: Look) -> Field:
    """Brightness across: a cylinder falls off towards its edges and has one bright streak."""
    if not look.shape.round:
        side = look.side
        on_side = (u > 1 - 2 * side) if side > 0 else (u < -1 - 2 * side)
        return np.where(on_side & (side != 0), np.float32(0.6), np.float32(1))
    shade = 0.35 + 0.65 * np.sqrt(np.clip(1 - (u * 0.95) ** 2, 0, 1))
    return shade + look.gloss * 0.5 * np.exp(-(((u + 0.4) / 0.12) ** 2))


def _opaque_body(u: Field, v: Field, look: Look, rng: Generator) -> Canvas:
    shade = _shade(u, look)
    if look.lean:  # crinkled film
        wave = np.sin(u * rng.uniform(3, 9) + v * rng.uniform(-9, 9) + rng.uniform(0, 6))
        shade = shade * (0.85 + 0.2 * wave + look.gloss * 0.4 * (wave > 0.93))
    shade = shade * (0.86 + 0.14 * v)
    if look.shape.piles:  # the dark joint under each piece of a pile
        shade = shade * (1 - 0.45 * np.exp(-v / 0.04))
    return look.colour * shade[..., None]


def _clear_body(behind: Canvas, u: Field, v: Field, look: Look, rng: Generator) -> Canvas:
    """What one sees through glass: the background mirrored and squeezed, tinted, with bright
    streaks, dark edges, the level of what is in it, and a thick foot that scatters light."""
    h, w = u.shape
    filled = (v < look.filled_to).astype(np.float32)
    bend = np.where(filled > 0, -0.9, 0.85) * rng.uniform(0.6, 1.1)
    xs = (w / 2 + u * bend * w * 0.45).astype(np.float32)
    ys = np.broadcast_to(np.arange(h, dtype=np.float32)[:, None], u.shape)
    seen = cv2.remap(behind, xs, np.ascontiguousarray(ys), cv2.INTER_LINEAR,
                     borderMode=cv2.BORDER_REPLICATE)  # fmt: skip
    strength = 0.35 + 0.65 * filled
    seen = seen * (1 - strength[..., None] * (1 - look.tint))
    edge = np.abs(u) ** rng.uniform(4, 12)
    seen = seen * (1 - rng.uniform(0.15, 0.75) * edge)[..., None]
    in_the_dark = max(0.0, 1 - float(behind.mean()) / 60)  # there one sees but its rims
    light = edge * in_the_dark * rng.uniform(0.2, 0.6)
    for _ in range(rng.integers(1, 4)):
        at, wide = rng.uniform(-0.85, 0.85), rng.uniform(0.02, 0.12)
        low, high = sorted(rng.uniform(0.05, 0.95, 2))
        run = 1 / (1 + np.exp(-(v - low) * 30)) / (1 + np.exp((v - high) * 30))
        light += rng.uniform(0.2, 1.0) * np.exp(-(((u - at) / wide) ** 2)) * run
    if look.filled_to:
        level = np.exp(-(((v - look.filled_to) / 0.012) ** 2))
        light += level * rng.uniform(-0.3, 0.5)
    foot = np.exp(-v / 0.05) * np.sin(u * rng.uniform(6, 16) + rng.uniform(0, 6))
    light += foot * rng.uniform(0.1, 0.5)
    return (
        seen
        + (255 - seen) * np.clip(light, 0, 1)[..., None]
        + np.minimum(light, 0)[..., None] * 160
    )


def _wrap(label: Image, u: Field, v: Field, look: Look) -> Canvas:
    """Sample the label around the body: compressed towards the edges where the body is round."""
    across = np.arcsin(u * 0.98) / np.pi + 0.5 if look.shape.round else (u + 1) / 2
    up = 1 - (v - look.label_from) / (look.label_to - look.label_from)
    xs = (across * 63).astype(np.float32)
    ys = np.clip(up * 63, 0, 63).astype(np.float32)
    return cv2.remap(label, xs, ys, cv2.INTER_LINEAR).astype(np.float32)


def _contact_shadow(canvas: Canvas, x: float, y: float, half_px: float, depth: float) -> None:
    """Darken the deck at the products' feet and a little of what is behind them."""
    rows = np.arange(canvas.shape[0])[:, None]
    columns = np.arange(canvas.shape[1])[None, :]
    tall = 0.05 * canvas.shape[0]
    blob = np.exp(-(((columns - x) / (half_px * 1.1)) ** 4) - ((rows - y) / tall) ** 2)
    canvas *= (1 - depth * blob)[..., None].astype(np.float32)
