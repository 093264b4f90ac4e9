"""Recordings and this PC's own cameras: videos, folders of pictures, usb."""

from __future__ import annotations

import math
import pkgutil
import subprocess
import time

import av
import cv2
import numpy as np
import pytest
from conftest import require_data, require_program

from edge.cameras import KINDS, folder, open_camera
from edge.cameras import file as video
from edge.errors import CameraError, SourceEndedError, UsageError
from edge.picture import read_picture
from edge.types import CameraReason

FPS = 10
BARE_FPS = 25  # what FFmpeg takes for a stream that does not say


def write_video(path, *options, seconds=6, filters="null", key=FPS):
    """Write a video whose grey tells the frame's number: luma 16 + 2 · number."""
    require_program("ffmpeg")
    source = f"nullsrc=size=160x120:rate={FPS}"
    drawn = f"geq=lum='16+2*N':cb=128:cr=128,{filters},format=yuv420p"
    command = ["ffmpeg", "-y", "-loglevel", "error", "-f", "lavfi", "-i", source]
    command += ["-t", str(seconds), "-vf", drawn, "-c:v", "libx264", "-g", str(key), *options]
    subprocess.run([*command, str(path)], check=True)
    return path


def number_of(image):
    return round(float(image[:100].mean()) * 219 / 255 / 2 + 0.2)


def write_picture(path, level):
    cv2.imwrite(str(path), np.full((12, 16, 3), level, np.uint8))


# The video


@pytest.mark.parametrize("ending", ["mp4", "mkv", "ts"])
@pytest.mark.parametrize("every_s", [0.1, 0.3, 0.25, 1.0, 2.5, 100.0])
def test_a_recording_gives_the_first_frame_at_or_after_each_look(tmp_path, ending, every_s):
    path = write_video(tmp_path / f"shelf.{ending}")
    got = list(video.frames(path, every_s))
    wanted, k = [], 0
    for number in range(6 * FPS):
        if number / FPS >= k * every_s - 1e-9:
            wanted.append(number)
            k = math.floor(number / FPS / every_s + 1e-9) + 1
    assert [at_s for at_s, _ in got] == pytest.approx([number / FPS for number in wanted], abs=1e-3)
    assert [number_of(image) for _, image in got] == pytest.approx(wanted, abs=1)


def test_frames_that_are_skipped_to_equal_those_that_are_reached_frame_by_frame():
    path = require_data("sequences/aisle/aisle.mp4")
    every = {round(at_s * 15): image for at_s, image in video.frames(path, 1 / 15)}
    some = list(video.frames(path, 5.0))
    assert [round(at_s * 15) for at_s, _ in some] == list(range(0, 1056, 75))
    for at_s, image in some:
        assert np.array_equal(image, every[round(at_s * 15)])


def test_groups_of_frames_without_a_look_are_not_decoded(tmp_path):
    path = write_video(tmp_path / "long.mp4", seconds=8)
    costs = []
    for every_s in (0.1, 8.0):
        begun_s = time.process_time()
        for _ in range(5):
            list(video.frames(path, every_s))
        costs.append(time.process_time() - begun_s)
    assert costs[1] < costs[0] / 2


def test_a_recording_without_time_stamps_is_timed_by_its_frames(tmp_path):
    path = write_video(tmp_path / "bare.h264")
    got = [at_s for at_s, _ in video.frames(path, 1.0)]
    assert got == pytest.approx([0.0, 1.0, 2.0])  # it seems to end after 2.4 s


def test_a_recording_that_was_filmed_upright_is_upright(tmp_path):
    plain = write_video(tmp_path / "plain.mp4", filters="drawbox=x=0:y=0:w=40:h=30:c=white:t=fill")
    turned = tmp_path / "turned.mp4"
    command, source = ["ffmpeg", "-y", "-loglevel", "error"], ["-i", str(plain), "-c", "copy"]
    new = subprocess.run(
        [*command, "-display_rotation", "90", *source, str(turned)], capture_output=True
    )
    if new.returncode:  # before FFmpeg 6
        subprocess.run([*command, *source, "-metadata:s:v:0", "rotate=90", str(turned)], check=True)
    ((_, image),) = video.frames(turned, 100.0)
    shown = cv2.VideoCapture(str(turned), cv2.CAP_FFMPEG).read()[1]
    assert image.shape == (160, 120, 3)
    assert np.abs(image.astype(int) - shown).mean() < 3


def test_a_video_camera_plays_at_its_own_pace_and_ends(tmp_path, asked_s):
    path = write_video(tmp_path / "short.mp4", seconds=1).rename(tmp_path / "10:30.mp4")
    camera = open_camera(f"file:{path}", 0.4)
    begun_s = time.monotonic()
    numbers = [number_of(camera.read()) for _ in range(3)]
    assert time.monotonic() - begun_s > 0.7
    assert sum(asked_s) < 1.2
    assert numbers == pytest.approx([0, 4, 8], abs=1)
    with pytest.raises(SourceEndedError):
        camera.read()
    camera.close()


def test_files_that_are_no_video_say_so(tmp_path):
    with pytest.raises(CameraError, match=r"nothing\.mp4: cannot be read: No such file"):
        open_camera(f"file:{tmp_path}/nothing.mp4", 1.0)
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    with pytest.raises(CameraError, match=r"text\.mp4: is not a video"):
        open_camera(f"file:{text}", 1.0)
    sound = tmp_path / "sound.wav"
    with av.open(str(sound), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000)
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
    with pytest.raises(CameraError, match=r"sound\.wav: holds no video"):
        open_camera(f"file:{sound}", 1.0)


def test_a_video_that_breaks_off_gives_what_it_holds(tmp_path):
    path = write_video(tmp_path / "cut.ts")
    data = path.read_bytes()
    path.write_bytes(data[: len(data) // 2])
    numbers = [number_of(image) for _, image in video.frames(path, 1.0)]
    assert numbers[:2] == pytest.approx([0, 10], abs=1)
    assert len(numbers) < 6


# The folder


def test_pictures_come_in_natural_order_and_other_files_are_ignored(tmp_path):
    for number in (10, 9, 1, 2):
        write_picture(tmp_path / f"Frame_{number}.jpg", number * 10)
    write_picture(tmp_path / "frame_3.PNG", 30)
    (tmp_path / "notes.txt").write_text("no picture")
    (tmp_path / "frame_4.jpg").mkdir()
    got = [(t, round(float(image.mean()))) for t, image in folder.frames(str(tmp_path))]
    assert got == [(0.0, 10), (1.0, 20), (2.0, 30), (3.0, 90), (4.0, 100)]


def test_a_glob_pattern_is_expanded_here(tmp_path):
    for name in ("a_2.jpg", "a_10.jpg", "b_1.jpg"):
        write_picture(tmp_path / name, 50)
    names = [path.name for path in folder.pictures(f"{tmp_path}/a_*.jpg")]
    assert names == ["a_2.jpg", "a_10.jpg"]
    assert len(folder.pictures(f"{tmp_path}/b_1.jpg")) == 1


def test_pictures_can_be_thinned_out(tmp_path):
    for number in range(7):
        write_picture(tmp_path / f"{number}.png", number)
    assert [t for t, _ in folder.frames(str(tmp_path), 2.5)] == [0, 3, 5]


def test_a_corrupt_picture_is_reported_and_the_rest_goes_on(tmp_path, caplog):
    for number in range(4):
        write_picture(tmp_path / f"{number}.jpg", 10 * number)
    (tmp_path / "1.jpg").write_bytes((tmp_path / "1.jpg").read_bytes()[:-100])
    (tmp_path / "2.jpg").write_bytes(b"")
    camera = open_camera(f"folder:{tmp_path}", 0.01)
    assert [round(float(camera.read().mean())) for _ in range(2)] == [0, 30]
    with pytest.raises(SourceEndedError):
        camera.read()
    assert "1.jpg: the JPEG is cut short; it is left out" in caplog.text
    assert "2.jpg: the picture is empty; it is left out" in caplog.text


def test_a_photo_of_a_phone_with_a_thumbnail_and_a_trailer_is_whole(tmp_path):
    write_picture(tmp_path / "0.jpg", 90)
    data = (tmp_path / "0.jpg").read_bytes()
    thumbnail = b"\xff\xe1" + (2 + len(data)).to_bytes(2, "big") + data
    photo = data[:2] + thumbnail + data[2:]
    (tmp_path / "0.jpg").write_bytes(photo + b"trailer")
    assert read_picture(tmp_path / "0.jpg").mean() == 90
    (tmp_path / "0.jpg").write_bytes(photo[:-20])
    with pytest.raises(CameraError, match="cut short"):
        read_picture(tmp_path / "0.jpg")


def test_a_folder_camera_shows_one_picture_each_every_s(tmp_path, asked_s):
    for number in range(3):
        write_picture(tmp_path / f"{number}.jpg", 50)
    camera = open_camera(f"folder:{tmp_path}", 0.3)
    begun_s = time.monotonic()
    for _ in range(3):
        camera.read()
    assert time.monotonic() - begun_s > 0.55
    assert sum(asked_s) < 0.9


def test_a_folder_without_pictures_and_a_missing_one_say_so(tmp_path):
    with pytest.raises(CameraError, match="holds no picture"):
        open_camera(f"folder:{tmp_path}", 1.0)
    with pytest.raises(CameraError, match="no such folder"):
        open_camera(f"folder:{tmp_path}/none", 1.0)


# The camera of this PC, and the table of kinds


def test_a_usb_camera_that_is_not_there_is_named():
    for url, device in (
        ("usb:97", "/dev/video97"),
        ("usb:/dev/video98?size=640x480", "video98"),
        ("usb:///dev/video99", "no /dev/video99"),
    ):
        with pytest.raises(CameraError, match=rf"there is .*{device}; cameras of") as caught:
            open_camera(url, 1.0)
        assert caught.value.reason is CameraReason.CONNECT_FAILED


def test_a_device_that_is_no_camera_is_refused():
    with pytest.raises(CameraError, match="is no camera"):
        open_camera("usb:/dev/null", 1.0)


def test_a_picture_size_that_is_none_is_explained():
    with pytest.raises(CameraError, match=r"usb:0\?size=1280x720"):
        open_camera("usb:97?size=large", 1.0)


def test_an_unknown_scheme_is_answered_with_the_nearest():
    with pytest.raises(UsageError, match=r"'rstp'; did you mean rtsp:\?"):
        open_camera("rstp://viewer:sesame@h/s", 1.0)
    with pytest.raises(UsageError, match="use one of rtsp, rtsps, usb") as caught:
        open_camera("gopher9://viewer:sesame@h/s", 1.0)
    assert "sesame" not in str(caught.value)


@pytest.mark.parametrize("scheme", KINDS)
def test_every_kind_names_what_opens_it(scheme):
    assert callable(pkgutil.resolve_name(KINDS[scheme].opener))


def test_only_files_and_folders_end():
    kinds = {scheme for scheme, kind in KINDS.items() if kind.is_recording}
    assert kinds == {"file", "folder"}
