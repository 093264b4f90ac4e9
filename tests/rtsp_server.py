"""A real RTSP server on loopback: GStreamer's, in a process that can be killed, hung and resumed.

It repeats a pre-encoded H.264 file without encoding anything, so it takes little of the CPU
that a benchmark measures. The file runs in two Pythons: imported by the tests, and, as a script,
by the system's own interpreter, where Debian installs GStreamer's bindings.
"""

from __future__ import annotations

import argparse
import os
import select
import signal
import socket
import subprocess
import sys
import threading
import time
from pathlib import Path
from types import TracebackType
from typing import Any
from urllib.parse import quote

SYSTEM_PYTHON = "/usr/bin/python3"
START_S = 30.0


def encode(
    target: Path,
    *,
    source: str = "testsrc2",
    filters: str = "null",
    size: tuple[int, int] = (320, 240),
    fps: int = 15,
    key_s: float = 2.0,
    seconds: float = 6.0,
    bitrate: str = "4M",
    b_frames: int = 0,
) -> Path:
    """Write an H.264 file (Annex B) for RtspServer and return its path.

    source is one of FFmpeg's test pictures or the path of a video, which is repeated. 4 Mbit/s
    is what an IP camera sends at 1080p.
    """
    width, height = size
    origin = ["-f", "lavfi", "-i", f"{source}=size={width}x{height}:rate={fps}"]
    if Path(source).exists():
        origin = ["-stream_loop", "-1", "-i", source]
    command = ["ffmpeg", "-y", "-loglevel", "error", *origin, "-an", "-t", str(seconds)]
    command += ["-vf", f"{filters},scale={width}:{height},fps={fps},format=yuv420p"]
    command += [*encoder(fps, key_s, bitrate, b_frames), str(target)]
    subprocess.run(command, check=True)
    return target


def encoder(fps: int, key_s: float, bitrate: str = "4M", b_frames: int = 0) -> list[str]:
    """Return FFmpeg's options for a stream as a camera sends it and as RtspServer reads it."""
    key = str(round(fps * key_s))
    options = ["-c:v", "libx264", "-preset", "veryfast"]
    options += ["-b:v", bitrate, "-maxrate", bitrate, "-bufsize", bitrate]
    options += ["-g", key, "-keyint_min", key, "-sc_threshold", "0", "-bf", str(b_frames)]
    return [*options, "-x264-params", "aud=1:repeat-headers=1", "-f", "h264"]


COUNTING = "geq=lum='16+2*N':cb=128:cr=128"


def encode_counting(target: Path, **options: Any) -> Path:
    """Write a stream whose pictures are grey and tell their number: see number_of()."""
    return encode(target, source="nullsrc", filters=COUNTING, size=(160, 120), **options)


def number_of(image: Any) -> float:
    """Return which frame of encode_counting() this is, to about one."""
    return float(image.mean()) * 219 / 255 / 2


class RtspServer:
    """Serves one H.264 file at any number of paths; every path is a camera of its own.

    Use as a context manager; after kill(), start() serves on the same port again.
    """

    def __init__(
        self,
        video: Path,
        *,
        fps: int = 15,
        paths: tuple[str, ...] = ("/stream",),
        user: str | None = None,
        password: str | None = None,
        digest: bool = False,
        start_s: float = 0.0,
        shared: bool = True,
    ):
        """start_s: where in the file the first picture lies; it must be a key frame's time.

        shared: all who look see the same picture; else each has the file to itself from its first
        picture on, and nobody who leaves can disturb who comes.
        """
        self.port = _free_port()
        self._user, self._password = user, password
        self._command = [SYSTEM_PYTHON, __file__, str(video), f"--port={self.port}"]
        self._command += [f"--fps={fps}", f"--first={round(start_s * fps)}"]
        self._command += [f"--path={path}" for path in paths]
        self._command += [] if shared else ["--unshared"]
        self._digest = digest
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, path: str = "/stream", password: str | None = None) -> str:
        """Return the address of one camera; password: another than the right one."""
        login = ""
        if self._user is not None:
            secret = password if password is not None else self._password or ""
            login = f"{quote(self._user, safe='')}:{quote(secret, safe='')}@"
        return f"rtsp://{login}127.0.0.1:{self.port}{path}"

    def start(self) -> None:
        """Start, and return when connections are accepted."""
        env = dict(os.environ, GST_DEBUG="0")
        if self._user is not None:
            env |= {"RTSP_USER": self._user, "RTSP_PASSWORD": self._password or ""}
            env |= {"RTSP_DIGEST": "1" if self._digest else ""}
        self._process = subprocess.Popen(self._command, env=env, stdout=subprocess.PIPE)
        said = self._process.stdout
        assert said is not None
        if not select.select([said], [], [], START_S)[0] or said.readline() != b"ready\n":
            ended = self._process.poll()
            self.kill()
            raise RuntimeError(f"the RTSP server did not start: {ended}")

    @property
    def pid(self) -> int:
        assert self._process is not None
        return self._process.pid

    def kill(self) -> None:
        """End at once, as a camera without power does."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            assert self._process.stdout is not None
            self._process.stdout.close()
            self._process = None

    def hang(self) -> None:
        """Keep every connection and answer nothing more, until resume()."""
        os.kill(self.pid, signal.SIGSTOP)

    def resume(self) -> None:
        os.kill(self.pid, signal.SIGCONT)

    def __enter__(self) -> RtspServer:
        self.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.kill()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _access_units(stream: bytes) -> list[bytes]:
    """Cut an Annex B stream at its access unit delimiters (NAL unit type 9)."""
    delimiter = b"\x00\x00\x00\x01\x09"
    return [delimiter + unit for unit in stream.split(delimiter)[1:]]


def _serve(video: Path, port: int, fps: int, first: int, paths: list[str], shared: bool) -> None:
    import gi

    gi.require_version("Gst", "1.0")
    gi.require_version("GstRtspServer", "1.0")
    from gi.repository import GLib, Gst, GstRtspServer  # type: ignore[attr-defined]

    Gst.init(None)
    units = _access_units(video.read_bytes())
    pipeline = (
        "( appsrc name=source is-live=true format=time do-timestamp=true"
        " caps=video/x-h264,stream-format=byte-stream,alignment=au"
        " ! h264parse config-interval=-1 ! rtph264pay name=pay0 pt=96 )"
    )

    def feed(media: object) -> None:
        source = media.get_element().get_by_name("source")  # type: ignore[attr-defined]
        alive = threading.Event()
        media.connect("unprepared", lambda _: alive.set())  # type: ignore[attr-defined]

        def push() -> None:
            due, index = time.monotonic(), first
            while not alive.wait(max(0.0, due - time.monotonic())):
                buffer = Gst.Buffer.new_wrapped(units[index % len(units)])
                if source.emit("push-buffer", buffer) != Gst.FlowReturn.OK:
                    return
                # A process that was stopped goes on in the present, as a camera does.
                due, index = max(due + 1 / fps, time.monotonic() - 1), index + 1

        threading.Thread(target=push, daemon=True).start()

    server = GstRtspServer.RTSPServer(address="127.0.0.1", service=str(port))
    if os.environ.get("RTSP_USER"):
        server.set_auth(_login(GstRtspServer))
    for path in paths:
        factory = GstRtspServer.RTSPMediaFactory(launch=pipeline, shared=shared)
        factory.connect("media-configure", lambda _, media: feed(media))
        if os.environ.get("RTSP_USER"):
            viewer = GstRtspServer.RTSPPermissions()
            for right in ("media.factory.access", "media.factory.construct"):
                viewer.add_permission_for_role("viewer", right, True)
            factory.set_permissions(viewer)
        server.get_mount_points().add_factory(path, factory)
    if server.attach(None) == 0:
        sys.exit("the port is in use")
    print("ready", flush=True)
    GLib.MainLoop().run()


def _login(rtsp: object) -> object:
    from gi.repository import GstRtsp  # type: ignore[attr-defined]

    user, password = os.environ["RTSP_USER"], os.environ["RTSP_PASSWORD"]
    auth, token = rtsp.RTSPAuth(), rtsp.RTSPToken()  # type: ignore[attr-defined]
    token.set_string("media.factory.role", "viewer")
    if os.environ.get("RTSP_DIGEST"):
        auth.set_supported_methods(GstRtsp.RTSPAuthMethod.DIGEST)
        auth.add_digest(user, password, token)
    else:
        auth.add_basic(rtsp.RTSPAuth.make_basic(user, password), token)  # type: ignore[attr-defined]
    return auth


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("video", type=Path)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--fps", type=int, default=15)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--path", action="append", required=True)
    parser.add_argument("--unshared", action="store_true")
    given = parser.parse_args()
    _serve(given.video, given.port, given.fps, given.first, given.path, not given.unshared)
