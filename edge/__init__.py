"""The stock monitor that runs in the store: shelf cameras in, MQTT events out."""

import os

# Before anything imports ONNX Runtime, whose wheels report to their maker from 1.29 on: a daemon
# that works without the internet asks for none.
os.environ.setdefault("ORT_DISABLE_TELEMETRY", "1")

__version__ = "0.1.0"
