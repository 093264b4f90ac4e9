"""What can go wrong and be explained.

EdgeError                    exit code
├── UsageError               2    the command line asks for something impossible
├── ConfigError              78   a file the operator wrote is wrong; carries every problem
├── UnavailableError         69   something that is needed is not there (model, port, camera …)
│   ├── ModelError                a model file that cannot be used
│   └── CameraError               a camera that gives no picture; carries the reason
│       ├── SourceEndedError      a recording has no further picture
│       └── BrokenOffError        a live camera failed in a replay (edge/recording.py)
├── ChangedError             69   a file was changed by somebody else since it was read
├── StoreError               69   the state file could not be read or written now
│
│   Answered where they arise; none of these ends a command:
├── SinkError                     an event could not be delivered now; `permanent` if never
├── RequestError                  a request that cannot be understood
├── ActError                      what somebody wants done cannot be done
│   └── ClosedError               the incident it is about is closed
├── AlignmentError                two pictures cannot be brought together; carries the reason
└── of the calibration page, in edge/drawing: NoCameraError, NoVersionError, NotWritableError,
    MovingError, StillGoneError

Anything else that escapes is a bug and keeps its traceback.
"""

from __future__ import annotations

from collections.abc import Sequence

from edge.types import CameraReason


class EdgeError(Exception):
    """A failure that can be explained to the person at the terminal."""

    exit_code = 69  # never 1: that is a bug's, which comes with a traceback


class UsageError(EdgeError):
    exit_code = 2


class UnavailableError(EdgeError):
    """Something that is needed is not there; the message says what, and the way out."""


class ModelError(UnavailableError):
    """The model file cannot be used; the message names the file and the way out."""


class CameraError(UnavailableError):
    """The camera gives no picture. The message never holds the address: it may hold a password."""

    def __init__(self, message: str, reason: CameraReason = CameraReason.CONNECT_FAILED):
        super().__init__(message)
        self.reason = reason


class SourceEndedError(CameraError):
    """A file or folder has no further picture; nothing is wrong and nothing is retried."""

    def __init__(self, message: str = "the recording has ended"):
        super().__init__(message, CameraReason.ENDED)


class ConfigError(EdgeError):
    """All problems of one or more files at once, one line each."""

    exit_code = 78

    def __init__(self, problems: Sequence[str]):
        super().__init__("\n".join(problems))
        self.problems = tuple(problems)


class AlignmentError(EdgeError):
    """It cannot be told how the camera moved. reason: a word for programs."""

    def __init__(self, reason: str, message: str):
        super().__init__(message)
        self.reason = reason


class ChangedError(EdgeError):
    """The file is not what it was when it was read; nothing was written."""


class SinkError(EdgeError):
    """Not everything was delivered: only the first `arrived` messages were.

    permanent: the same message will never be accepted.
    """

    def __init__(self, message: str, permanent: bool = False, arrived: int = 0):
        super().__init__(message)
        self.permanent = permanent
        self.arrived = arrived


class ActError(EdgeError):
    """What somebody wants done cannot be done; code tells a page which of its words fit."""

    def __init__(self, message: str, code: str):
        super().__init__(message)
        self.code = code


class ClosedError(ActError):
    """The incident that somebody acts on is closed, or another one by now."""

    def __init__(self, message: str):
        super().__init__(message, "already_closed")


class RequestError(EdgeError):
    """A request cannot be understood. transaction is the sender's mark, where it could be read."""

    def __init__(self, message: str, transaction: str | int | None = None):
        super().__init__(message)
        self.transaction = transaction


class StoreError(EdgeError):
    """The state file could not be read or written now; nothing of that call was written.

    The same call may succeed later. Whoever makes it says what happens until then: the ledger
    decides nothing new and the publisher tries again, a page's question is refused.
    """
