"""What this program is made of."""

from __future__ import annotations

import platform
from importlib.metadata import version

from edge import __version__

PACKAGES = ("numpy", "onnxruntime", "opencv-python-headless", "av", "paho-mqtt")


def versions() -> dict[str, str]:
    """Return name → version. Loads none of it."""
    return {
        "shelf-edge": __version__,
        "python": platform.python_version(),
        **{package: version(package) for package in PACKAGES},
    }
