"""`file:` a recorded video: played at its own pace as a camera, or read as fast as it goes."""

from __future__ import annotations

import bisect
import logging
import math
import time
from collections.abc import Generator
from pathlib import Path

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge.cameras import path_of
from edge.errors import CameraError, SourceEndedError
from edge.types import Image

log = logging.getLogger(__name__)

EPSILON_S = 1e-6  # 3 · 0.1 > 0.3: a frame on the very moment counts as at it


def open_file(url: str, every_s: float) -> FileCamera:
    return FileCamera(path_of(url), every_s)


class FileCamera:
    """Shows each every_s the picture that a camera in its place would show by then."""

    def __init__(self, path: Path, every_s: float):
        self._frames = frames(path, every_s)
        self._first = next(self._frames, None)  # now: a file that cannot be read is told at once
        self._begun_s = time.monotonic()

    def read(self) -> Image:
        timed, self._first = self._first or next(self._frames, None), None
        if timed is None:
            raise SourceEndedError
        at_s, image = timed
        time.sleep(max(0.0, self._begun_s + at_s - time.monotonic()))
        return image

    def close(self) -> None:
        self._frames.close()


def frames(path: Path, every_s: float) -> Generator[tuple[float, Image], None, None]:
    """Yield (seconds since the first frame, picture): the first frame at or after k · every_s.

    Pictures are BGR, turned as the recording says. Groups of frames that hold none of these
    are not decoded. Raises CameraError at the first next() if the file cannot be read.
    """
    try:
        name = f"file:{path}"  # else FFmpeg takes what stands before a colon for a protocol
        with av.open(name) as container, av.open(name) as index:
            if not container.streams.video:
                raise CameraError(f"{path}: holds no video")
            yield from _frames(container, _key_times(index), every_s)
    except OSError as error:
        raise CameraError(f"{path}: cannot be read: {error.strerror}") from None
    except av.error.FFmpegError as error:
        raise CameraError(f"{path}: is not a video that can be played: {error.strerror}") from None


def _key_times(container: InputContainer) -> list[int]:
    """Return when the groups of frames begin, in the stream's own units; nothing is decoded."""
    packets = container.demux(container.streams.video[0])
    return sorted(packet.pts for packet in packets if packet.is_keyframe and packet.pts is not None)


def _frames(
    container: InputContainer, keys: list[int], every_s: float
) -> Generator[tuple[float, Image], None, None]:
    stream = container.streams.video[0]
    stream.thread_type = "AUTO"  # a recording is read once and fast; a camera takes one thread
    clock = _Clock(stream, keys)
    due_s, from_s, until_s, decoding = 0.0, 0.0, math.inf, False
    for packet in container.demux(stream):
        if packet.is_keyframe:
            begins_s, until_s = clock.group(packet)
            if not decoding:  # frames shown before this one lean on the group that was left out
                stream.codec_context.flush_buffers()
                from_s = begins_s
            decoding = due_s < until_s
        if not decoding:
            continue
        for frame in _decode(stream, packet):
            at_s = clock.seconds(frame)
            if at_s < max(due_s, from_s) - EPSILON_S:
                continue
            yield at_s, _picture(frame)
            due_s = (math.floor((at_s + EPSILON_S) / every_s) + 1) * every_s
        decoding = due_s < until_s


class _Clock:
    """Turns a recording's time stamps into seconds since its first frame."""

    def __init__(self, stream: VideoStream, keys: list[int]):
        self._keys = keys
        self._unit_s = float(stream.time_base or 0)
        self._frame_s = 1 / float(stream.average_rate or 25)
        self._count = 0

    def group(self, key: Packet[VideoStream]) -> tuple[float, float]:
        """Return when the group of a key frame begins and when the next one does."""
        if key.pts is None:
            return 0.0, math.inf
        after = bisect.bisect_right(self._keys, key.pts)
        ends_s = self._since_first(self._keys[after]) if after < len(self._keys) else math.inf
        return self._since_first(key.pts), ends_s

    def seconds(self, frame: VideoFrame) -> float:
        self._count += 1
        if frame.pts is None or not self._keys:  # a bare stream: all that is known is the order
            return (self._count - 1) * self._frame_s
        return self._since_first(frame.pts)

    def _since_first(self, pts: int) -> float:
        return (pts - self._keys[0]) * self._unit_s


def _decode(stream: VideoStream, packet: Packet[VideoStream]) -> list[VideoFrame]:
    try:
        return stream.codec_context.decode(packet)
    except av.error.InvalidDataError:
        log.warning("a damaged part of the recording is left out")
        return []


def _picture(frame: VideoFrame) -> Image:
    image = np.asarray(frame.to_ndarray(format="bgr24"), np.uint8)
    return np.ascontiguousarray(np.rot90(image, frame.rotation // 90)) if frame.rotation else image
