"""How a command ends: with the exit status that shells know and, where its user should know why, one line."""

import errno
import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from duo.errors import InputError

# What the machine refuses, whatever code asks for it: rights, a read-only disk, a full one.
REFUSED = (errno.EACCES, errno.EPERM, errno.EROFS, errno.ENOSPC, errno.EDQUOT)

AGAIN = "interrupted; run again to go on"  # of what keeps what it has done


class Terminated(KeyboardInterrupt):
    """SIGTERM, which is cleaned up after as Ctrl-C is."""


def exit_status(work: Callable[[], None], interrupted: str = "interrupted") -> int:
    """0 once the work is done; 1 after an InputError or where the machine refuses a file, 130 after Ctrl-C, 143 after
    SIGTERM, 141 where nobody reads its output any more. All but the last are told on stderr.

    interrupted: what is said after Ctrl-C or SIGTERM.
    """
    handlers = {signal.SIGINT: signal.default_int_handler, signal.SIGTERM: _terminate}
    before = {number: listen(number, handler) for number, handler in handlers.items()}
    try:
        work()
        sys.stdout.flush()
    except InputError as error:
        return _told(f"error: {error}", 1)
    except KeyboardInterrupt as interrupt:
        return _told(interrupted, 128 + (signal.SIGTERM if isinstance(interrupt, Terminated) else signal.SIGINT))
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for what is still to be flushed
        return 128 + signal.SIGPIPE
    except OSError as error:
        if error.errno not in REFUSED:
            raise
        return _told(f"error: {error.filename or 'a file'}: {error.strerror}", 1)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
    return 0


def listen(number: signal.Signals, handler: Callable[[int, Any], Any]) -> Any:
    """Have a signal handled, unless it is ignored, as by what runs in the background; how it was handled before."""
    before = signal.getsignal(number)
    return before if before == signal.SIG_IGN else signal.signal(number, handler)


def leave(number: int, frame: Any) -> None:
    """Handle a signal where there is nothing to clean up: say so and be gone."""
    os.write(2, f"{AGAIN}\n".encode())
    os._exit(128 + number)


def _terminate(*_: Any) -> None:
    raise Terminated


def _told(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status
