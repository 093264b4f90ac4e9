"""The model once more, for the page: the main loop's own session is not for two threads."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from pathlib import Path

from edge.classifier import EMPTY, SHIPPED, BundleInfo, Classifier, open_classifier
from edge.types import Image


class Jury:
    """Opens the model when it is first asked for, and anew when another stands in its place."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._classifier: Classifier | None = None
        self._made_from: tuple[Path, int] | None = None

    def info(self, bundle: Path | None) -> BundleInfo:
        """Return what the model says of itself. Raises ModelError."""
        with self._lock:
            return self._opened(bundle).info

    def p_empty(self, bundle: Path | None, crops: Sequence[Image]) -> list[float]:
        """Return what the model says of each crop, one caller at a time. Raises ModelError."""
        with self._lock:
            classifier = self._opened(bundle)
            column = classifier.info.classes.index(EMPTY)
            return [float(row[column]) for row in classifier.probabilities(crops)]

    def _opened(self, bundle: Path | None) -> Classifier:
        path = bundle or SHIPPED
        made_from = path, path.stat().st_mtime_ns if path.exists() else 0
        if self._classifier is None or self._made_from != made_from:
            self._classifier, self._made_from = open_classifier(bundle), made_from
        return self._classifier
