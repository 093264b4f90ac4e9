"""From a file to pixels: upright, BGR, 8 bits; and what is no picture, found out before it hurts.

OpenCV decodes, as it does for the daemon; Pillow what may be transparent. OpenCV may answer half of
a JPEG with a picture that is grey from somewhere on, so a file is looked at first: it must be of a
kind that is read, and have an end.
"""

from __future__ import annotations

import io
import struct
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from hashlib import sha256
from pathlib import Path
from typing import TypeVar

import cv2
import numpy as np
from PIL import ExifTags, ImageOps
from PIL import Image as PillowImage
from PIL.JpegImagePlugin import JpegImageFile

from edge.errors import UnavailableError
from edge.types import Image

T = TypeVar("T")

ENDINGS = {".jpg", ".jpeg", ".jpe", ".jfif", ".png", ".webp", ".bmp"}
OTHER_ENDINGS = {
    ".heic", ".heif", ".avif", ".gif", ".tif", ".tiff", ".jxl", ".jp2", ".pjpeg", ".jpg_large",
    ".ppm", ".pgm", ".psd", ".dng", ".cr2", ".cr3", ".nef", ".arw", ".raf", ".orf", ".rw2",
}  # fmt: skip
"""Pictures too, of kinds that are not read: they are named, not overlooked."""

END_BYTES = 32 << 10
"""So much of a file's beginning and of its end is looked at where reading all would take long."""
THREADS, BLOCK, TRIED_EVERY = 8, 32, 64
"""For looking at files: how many threads at most, files at a time, and after how many such blocks
it is tried anew what one thread and what several take."""

START_OF_SCAN, HEIGHT_AND_WIDTH = 0xDA, slice(5, 9)
ONE_SCAN, TABLES = (0xC0, 0xC1), (0xC4, 0xDB, 0xDD)
REMARKS = (*range(0xE0, 0xF0), 0xFE)
"""What the parts of a JPEG's header begin with, and where in one the picture's sides stand."""
LONGEST_SIDE = 1 << 14
"""Pixels. Every decoder takes a picture of this width and height."""

SKIP = "take it out of the data, or write `unreadable: skip` in the recipe"
JPEG_END, PNG_END = b"\xff\xd9", b"IEND\xae\x42\x60\x82"
KINDS = {
    b"\xff\xd8\xff": "JPEG", b"\x89PNG\r\n\x1a\n": "PNG", b"BM": "BMP",
    b"GIF8": "GIF", b"II*\0": "TIFF", b"MM\0*": "TIFF", b"\xff\x0a": "JPEG XL",
}  # fmt: skip
BRANDS = {b"avif": "AVIF", b"avis": "AVIF", b"heic": "HEIC", b"heix": "HEIC", b"heim": "HEIC",
          b"heis": "HEIC", b"hevc": "HEIC", b"mif1": "HEIC", b"msf1": "HEIC"}  # fmt: skip
DAMAGED = (
    OSError, SyntaxError, ValueError, PillowImage.DecompressionBombError,
    struct.error, TypeError, AttributeError, LookupError, ArithmeticError,
)  # fmt: skip
"""What Pillow raises of a damaged picture, and in the second line of damaged EXIF."""


class UnreadableError(UnavailableError):
    """A file is no picture. why goes without the file's name."""

    def __init__(self, file: Path, why: str):
        super().__init__(f"{file}: cannot be read as a picture: {why}; {SKIP}")
        self.file, self.why = file, why


def read_pixels(file: Path, near: int | None = None) -> Image:
    """Return a file's pixels: (height, width, 3) uint8, BGR, upright.

    Transparent parts are white, the ground that product photos are cut out for; no camera sends
    any. 16 bits become 8; grey, palettes and CMYK become BGR.

    near: pixels that the shorter side needs at most. A larger picture is shrunk to it by area, a
    JPEG already while it is decoded.

    Raises UnreadableError where the file is no picture, or not all of one. Damage inside a JPEG
    whose end is there is not found: no decoder at hand tells of it.
    """
    data = _all_of(file)
    _check(file, data, data, len(data))
    try:
        pixels = _decoded(data, near)
    except cv2.error:
        pixels = None
    if pixels is None:
        raise UnreadableError(file, "what is in it is damaged")
    return pixels if near is None else _shrunk(pixels, near)


def check_ends(file: Path) -> None:
    """Raise UnreadableError where a file's ends show that it is no picture, or not all of one."""
    _look(file, *_ends(file))


def check_readable(file: Path) -> None:
    """Raise UnreadableError where `read_pixels` would; long files are seldom decoded for it.

    In a JPEG's one scan no decoder finds any damage, so that what goes before it is enough to try.
    """
    head, tail, size = _ends(file)
    if head is tail or _kind(head) != "JPEG":
        read_pixels(file, near=1)
        return
    _look(file, head, tail, size)
    if not (_begins_well(head) or _begins_well(_all_of(file))):
        read_pixels(file, near=1)


def size_of(file: Path) -> tuple[int, int] | None:
    """Return (width, height) of a picture as it is seen upright, by its header alone.

    None where that does not tell.
    """
    try:
        with PillowImage.open(file) as picture:
            wide, high = picture.size
            about = PillowImage.Exif()  # not picture.getexif(), which believes XMP, too
            about.load(picture.info.get("exif", b""))
            lies = about.get(ExifTags.Base.Orientation, 1) > 4
    except DAMAGED:
        return None
    return (high, wide) if lies else (wide, high)


def fingerprints(files: Iterable[Path]) -> dict[Path, str]:
    """Return what tells the contents of files apart: a hash of length, beginning and end.

    Not of everything: twenty thousand photos may be 60 GB. Files of up to 64 KiB, as most crops
    are, are hashed whole; in a longer one a change is seen if it reaches the first or the last
    32 KiB or changes the length, and saving a JPEG, PNG or WebP anew does. A BMP is hashed whole,
    however long: without compression, two photos with white margins are alike at both ends. Raises
    UnreadableError where a file is gone.
    """
    files = sorted(set(files))
    return dict(zip(files, of_each(_fingerprint, files), strict=True))


def of_each(
    told: Callable[[Path], T], files: Sequence[Path], threads: int = THREADS
) -> Iterator[T]:
    """Yield what is told of each file, in their order.

    A slow disk answers several questions at once faster than one after another, and threads decode
    on all cores. Where there is little to wait for they stand in each other's way, and one alone is
    three to five times as fast. So it is tried out, block by block.
    """
    with ThreadPoolExecutor(threads) as pool:
        ways, took_s = (map, pool.map), [0.0, 0.0]
        for number, first in enumerate(range(0, len(files), BLOCK)):
            trial = number % TRIED_EVERY
            way = trial if trial < len(ways) else took_s.index(min(took_s))
            began_s = time.monotonic()
            yield from ways[way](told, files[first : first + BLOCK])
            took_s[way] = time.monotonic() - began_s


def _fingerprint(file: Path) -> str:
    head, tail, size = _ends(file)
    if head is not tail and _kind(head) == "BMP":
        head, tail = _all_of(file), b""
    return sha256(b"%d " % size + head + tail).hexdigest()


def _all_of(file: Path) -> bytes:
    _check_is_file(file)
    try:
        return file.read_bytes()
    except OSError as error:
        raise UnreadableError(file, error.strerror or str(error)) from None


def _check_is_file(file: Path) -> None:
    """Raise UnreadableError where it is a pipe or a device: reading it might never end."""
    if not file.is_file() and not file.is_dir() and file.exists():
        raise UnreadableError(file, "it is a pipe or a device")


def _ends(file: Path) -> tuple[bytes, bytes, int]:
    """Return a file's first and last bytes, both all of it where it is short, and its length."""
    _check_is_file(file)
    try:
        with file.open("rb") as content:
            head = content.read(2 * END_BYTES)
            size = content.seek(0, 2)
            if size <= len(head):
                return head, head, size
            content.seek(-END_BYTES, 2)
            return head[:END_BYTES], content.read(), size
    except OSError as error:
        raise UnreadableError(file, error.strerror or str(error)) from None


# -- what kind of file it is, and whether all of it is there --------------------------------------


def _look(file: Path, head: bytes, tail: bytes, size: int) -> None:
    if head is not tail and _kind(head) == "JPEG" and tail.rfind(JPEG_END) < 0:
        head = tail = _all_of(file)  # phones append films and more to a photo
    _check(file, head, tail, size)


def _check(file: Path, head: bytes, tail: bytes, size: int) -> None:
    """Raise UnreadableError unless it is whole; head and tail are one where they are all of it."""
    kind = _kind(head)
    if not size:
        raise UnreadableError(file, "it is empty")
    if kind is None:
        raise UnreadableError(file, "it is no JPEG, PNG, WebP or BMP, whatever its name")
    if kind not in ("JPEG", "PNG", "WebP", "BMP"):
        raise UnreadableError(file, f"it is {kind}; convert it to JPEG or PNG")
    if not _has_end(kind, head, tail, size):
        raise UnreadableError(file, "it breaks off; copy it again")


def _kind(head: bytes) -> str | None:
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return "WebP"
    if head[4:8] == b"ftyp":
        return BRANDS.get(head[8:12])
    return next((kind for magic, kind in KINDS.items() if head.startswith(magic)), None)


def _has_end(kind: str, head: bytes, tail: bytes, size: int) -> bool:
    if kind == "JPEG":
        # The thumbnail in the header has an end of its own, which is not meant.
        begin = _jpeg_frame(head)[2] if head is tail else 0
        return tail.rfind(JPEG_END, begin) >= 0  # from behind: that is where it mostly is
    if kind == "PNG":
        return PNG_END in tail
    start = 4 if kind == "WebP" else 2
    stated = int.from_bytes(head[start : start + 4], "little") + (8 if kind == "WebP" else 0)
    return stated <= size


def _jpeg_frame(data: bytes) -> tuple[int, int, int]:
    """Return height and width, 0 where unknown, and where the first scan's pixels begin."""
    height, width, scan = 0, 0, 2
    for marker, start, end in _jpeg_header(data):
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            height, width = _sides(data[start : start + HEIGHT_AND_WIDTH.stop])
        scan = end
    return height, width, scan


def _jpeg_header(data: bytes) -> Iterator[tuple[int, int, int]]:
    """Yield what each part of a JPEG's header is, and where it begins and ends; the last is that of
    the first scan."""
    at, marker = 2, 0
    while at + 9 < len(data) and data[at] == 0xFF and marker != START_OF_SCAN:
        marker = data[at + 1]
        if marker == 0xFF:  # padding
            at += 1
            continue
        start, at = at, at + 2 + int.from_bytes(data[at + 2 : at + 4], "big")
        yield marker, start, at


def _sides(frame: bytes) -> tuple[int, int]:
    sides = frame[HEIGHT_AND_WIDTH]
    return int.from_bytes(sides[:2], "big"), int.from_bytes(sides[2:], "big")


def _begins_well(data: bytes) -> bool:
    """Return whether a JPEG has one scan and a header that is whole; False where that is not sure.

    A picture of a few pixels with its tables is decoded, by Pillow: OpenCV would complain aloud
    that it has no pixels.
    """
    few, frame, scan = b"\xff\xd8", b"", b""
    for marker, start, end in _jpeg_header(data):
        part = data[start:end]
        if marker in ONE_SCAN and not frame:
            frame = part
            part = part[: HEIGHT_AND_WIDTH.start] + b"\0\1\0\1" + part[HEIGHT_AND_WIDTH.stop :]
        elif marker == START_OF_SCAN:
            scan = part
        elif marker not in (*TABLES, *REMARKS):
            return False
        few += b"" if marker in REMARKS else part
    if not frame or not scan or frame[9:10] != scan[4:5]:  # a scan for each colour
        return False
    high, wide = _sides(frame)
    if not 0 < min(high, wide) <= max(high, wide) <= LONGEST_SIDE:
        return False
    try:
        JpegImageFile(io.BytesIO(few + JPEG_END)).load()
    except DAMAGED:
        return False
    return True


# -- pixels ---------------------------------------------------------------------------------------


def _decoded(data: bytes, near: int | None) -> Image | None:
    if _may_be_transparent(data):
        return _on_white(data)
    code = np.frombuffer(data, np.uint8)
    flag = cv2.IMREAD_COLOR
    if near is not None and _kind(data) == "JPEG":
        height, width, _ = _jpeg_frame(data)
        flag = _scaled_decoding(min(height, width), near)
    pixels = cv2.imdecode(code, flag)
    return None if pixels is None else np.asarray(pixels, np.uint8)


def _scaled_decoding(side: int, near: int) -> int:
    """Return the flag by which a JPEG's shorter side comes out as small as near allows."""
    if side >= 8 * near:
        return cv2.IMREAD_REDUCED_COLOR_8
    if side >= 4 * near:
        return cv2.IMREAD_REDUCED_COLOR_4
    return cv2.IMREAD_REDUCED_COLOR_2 if side >= 2 * near else cv2.IMREAD_COLOR


def _may_be_transparent(data: bytes) -> bool:
    kind = _kind(data)
    if kind == "PNG":  # a colour type with alpha, or a palette with some transparent colours
        return data[25:26] in (b"\4", b"\6") or b"tRNS" in data[: max(0, data.find(b"IDAT"))]
    if kind != "WebP" or len(data) < 21:
        return False
    return data[12:16] == b"VP8L" or bool(data[20] & 0x10)


def _on_white(data: bytes) -> Image | None:
    """By Pillow: OpenCV gives what is transparent only as it lies in the file, not upright.

    None where something in it is damaged: in EXIF, Pillow raises whatever it stumbles over.
    """
    try:
        picture = ImageOps.exif_transpose(PillowImage.open(io.BytesIO(data)))
        if picture.mode.startswith("I;16"):
            picture = _of_8_bits(picture)
        ground = PillowImage.new("RGBA", picture.size, "white")
        ground.alpha_composite(picture.convert("RGBA"))
    except DAMAGED:
        return None
    return np.asarray(cv2.cvtColor(np.asarray(ground), cv2.COLOR_RGBA2BGR), np.uint8)


def _of_8_bits(grey: PillowImage.Image) -> PillowImage.Image:
    """Pillow takes all that is above 255 of 65,535 for white. One grey may be transparent."""
    deep = np.asarray(grey)
    clear = grey.info.get("transparency")
    shown = np.full(deep.shape, 255, np.uint8) if clear is None else np.uint8(255) * (deep != clear)
    light = PillowImage.fromarray((deep >> 8).astype(np.uint8))
    return PillowImage.merge("LA", (light, PillowImage.fromarray(shown.astype(np.uint8))))


def _shrunk(pixels: Image, near: int) -> Image:
    scale = near / min(pixels.shape[:2])
    if scale >= 1:
        return pixels
    return np.asarray(cv2.resize(pixels, None, fx=scale, fy=scale, interpolation=cv2.INTER_AREA))
