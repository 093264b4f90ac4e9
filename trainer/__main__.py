"""The `trainer` command. A shop's PC has it without torch; then it says what is missing."""

from __future__ import annotations

import signal
import sys

from edge.errors import UnavailableError


def main() -> None:
    try:
        from trainer.cli import main as run
    except ModuleNotFoundError as error:
        package = (error.name or "").partition(".")[0]
        if package in ("", "edge", "trainer"):
            raise  # a bug, not an installation
        print(
            f"error: {package} is not installed; training needs more than a shop's PC: "
            "pip install -e '.[trainer]' in the checkout",
            file=sys.stderr,
        )
        raise SystemExit(UnavailableError.exit_code) from None
    except KeyboardInterrupt:  # loading torch takes seconds
        raise SystemExit(128 + signal.SIGINT) from None
    run()


if __name__ == "__main__":
    main()
