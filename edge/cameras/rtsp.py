"""`rtsp:` and `rtsps:` cameras, by PyAV (FFmpeg).

Decoding is what a network camera costs, so a key frame is decoded alone, once each time a look
is due, and everything between is only received. A camera that sends key frames more rarely than
looks are wanted ("smart codec", "H.264+") is decoded frame by frame instead.
"""

from __future__ import annotations

import errno
import logging
import time
from collections.abc import Sequence

import av
import av.error
import numpy as np
from av.container import InputContainer
from av.packet import Packet
from av.video.frame import VideoFrame
from av.video.stream import VideoStream

from edge.errors import CameraError
from edge.types import CameraReason, Image

log = logging.getLogger(__name__)

OPEN_S = 10.0
READ_S = 5.0  # measured: a stopped server is given up after twice this
KEY_LATE = 1.2  # a key frame due each every_s may be late by a fifth before all are decoded
MOST_HELD = 900  # packets, half a minute: some 20 MB
OPTIONS = {
    "rtsp_transport": "tcp",
    "allowed_media_types": "video",  # no sound is asked for: nobody may record it in a shop
    "fpsprobesize": "0",  # else opening waits for some 30 frames only to guess the frame rate
}


def open_rtsp(
    url: str, every_s: float, open_s: float = OPEN_S, read_s: float = READ_S
) -> RtspCamera:
    """Return the opened camera; open_s and read_s are how long it may be silent.

    Raises CameraError: connect_failed or, where the camera wants another login, auth_failed.
    """
    begun_s = time.monotonic()
    try:
        container = av.open(url, options=OPTIONS, timeout=(open_s, read_s))
    except (av.error.HTTPUnauthorizedError, av.error.HTTPForbiddenError):
        raise CameraError(
            "the camera refuses the login; check user and password", CameraReason.AUTH_FAILED
        ) from None
    except av.error.FFmpegError as error:
        raise CameraError(_why(error, time.monotonic() - begun_s, open_s)) from None
    if not container.streams.video:
        container.close()
        raise CameraError("the stream holds no video", CameraReason.NO_FRAMES)
    return RtspCamera(container, every_s)


def _why(error: av.error.FFmpegError, took_s: float, limit_s: float) -> str:
    """Return what went wrong. Never str(error): FFmpeg adds the address to it."""
    if took_s >= limit_s:
        return f"no answer within {limit_s:g} s; check address, port and network"
    if isinstance(error, av.error.HTTPNotFoundError):
        return "the camera has no such stream (404); check the path in the URL"
    if isinstance(error, av.error.InvalidDataError):
        return "what answers there does not speak RTSP; check address and port"
    if error.errno == errno.EINVAL:
        return "the URL is not valid; percent-encode special characters in user and password"
    if error.errno == errno.EIO:  # FFmpeg's word for a name that is not found
        return "no connection; check the name of the host and the network"
    return f"{error.strerror}; check address, port and network"


class RtspCamera:
    """Hands out a picture each every_s, fresh from the camera."""

    def __init__(self, container: InputContainer, every_s: float):
        stream = container.streams.video[0]
        stream.codec_context.thread_count = 1
        self._container = container
        self._codec = stream.codec_context
        self._packets = container.demux(stream)
        self._every_s = every_s
        self._due_s = 0.0
        self._key_s: float | None = None  # when the last key frame came
        self._key_gap_s = 0.0  # and how long after the one before
        self._held: list[Packet[VideoStream]] = []  # all since then: needed if the next one is late
        self._decoding_all = False

    def read(self) -> Image:
        try:
            for packet in self._packets:
                frame = self._follow(packet)
                if frame is not None:
                    return np.asarray(frame.to_ndarray(format="bgr24", threads=1), np.uint8)
        except av.error.ExitError:  # what PyAV's read timeout ends in
            raise CameraError("the stream fell silent", CameraReason.NO_FRAMES) from None
        except av.error.FFmpegError as error:
            message = f"the stream broke off: {error.strerror}"
            raise CameraError(message, CameraReason.NO_FRAMES) from None
        raise CameraError("the camera ended the stream", CameraReason.NO_FRAMES)

    def close(self) -> None:
        self._held.clear()
        self._container.close()

    def _follow(self, packet: Packet[VideoStream]) -> VideoFrame | None:
        """Take in the next packet; return the newest frame if one is due."""
        now_s = time.monotonic()
        if packet.is_keyframe:
            self._begin_group(now_s)
        if self._key_s is None:
            return None  # joined between two key frames: nothing can be decoded yet
        due = now_s >= self._due_s - (0.0 if self._decoding_all else self._key_gap_s / 2)

        if self._decoding_all:
            frame = self._decode([packet])
        elif packet.is_keyframe and due:
            frame = self._decode_alone(packet)
        elif now_s - self._key_s > KEY_LATE * self._every_s or len(self._held) >= MOST_HELD:
            self._decoding_all = True
            frame = self._decode([*self._held, packet])
            self._held.clear()
        else:
            frame = None
        if not self._decoding_all:
            self._held.append(packet)

        if frame is None or not due:
            return None
        self._due_s += self._every_s
        if self._due_s < now_s:
            self._due_s = now_s + self._every_s
        return frame

    def _begin_group(self, now_s: float) -> None:
        if self._key_s is not None:
            self._key_gap_s = now_s - self._key_s
            self._decoding_all = self._key_gap_s > KEY_LATE * self._every_s
        self._key_s = now_s
        self._held.clear()

    def _decode_alone(self, packet: Packet[VideoStream]) -> VideoFrame | None:
        frame = self._decode([packet, None])  # None: what a codec with B-frames still keeps back
        self._codec.flush_buffers()
        return frame

    def _decode(self, packets: Sequence[Packet[VideoStream] | None]) -> VideoFrame | None:
        """Return the last frame that the packets give, if any."""
        frame = None
        for packet in packets:
            try:
                frames = self._codec.decode(packet)
            except av.error.InvalidDataError:
                log.debug("a damaged packet is skipped")
            else:
                frame = frames[-1] if frames else frame
        return frame
