"""The trainer: from a recipe and pictures to a bundle that the daemon can open."""

import edge as edge  # first: it keeps ONNX Runtime from reporting to its maker
