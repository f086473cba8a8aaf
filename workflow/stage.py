"""What every stage script shares: its log, and the one-line error with which it ends on bad input."""

import logging
import sys
from collections.abc import Callable

from duo.errors import InputError


def run(main: Callable[..., None]) -> None:
    """Call main with the command line's words; an InputError becomes one message and exit status 1."""
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stderr)
    try:
        main(*sys.argv[1:])
    except InputError as error:
        sys.exit(f"error: {error}")
