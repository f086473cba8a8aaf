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
    before = signal.signal(signal.SIGTERM, _terminate)
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
        signal.signal(signal.SIGTERM, before)
    return 0


def _terminate(*_: Any) -> None:
    raise Terminated


def _told(line: str, status: int) -> int:
    print(line, file=sys.stderr)
    return status
