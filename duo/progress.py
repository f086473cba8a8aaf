"""How far long work has come: a bar on a terminal; elsewhere, as in a log, a line at both ends and one a minute."""

import io
import logging
import sys
from collections.abc import Iterable
from typing import Any

from tqdm import tqdm

log = logging.getLogger(__name__)

INTERVAL = 60.0  # seconds between two lines


def progress(
    what: str, unit: str, items: Iterable[Any] | None = None, total: int | None = None, initial: int = 0
) -> tqdm:
    """A bar of tqdm's, with rate and time left, of so many things of a kind; one over `items` is gone through as they
    are.

    what: is done; unit: what is counted, in the plural.
    """
    words = {"desc": what, "unit": f" {unit}", "total": total, "initial": initial, "unit_scale": (total or 0) >= 10_000}
    if sys.stderr.isatty():
        return tqdm(items, **words)
    return _Lines(items, **words, mininterval=INTERVAL, miniters=1, file=io.StringIO())


class _Lines(tqdm):
    """Logs what it would draw."""

    def display(self, msg: str | None = None, pos: int | None = None) -> bool:
        """Log a line; tqdm calls it where its bar is due."""
        now = self.format_dict
        done, total, elapsed = now["n"], now["total"], now["elapsed"]
        counted = f"{_short(done)}{now['unit']}" if total is None else f"{_short(done)} of {_short(total)}{now['unit']}"
        said = [f"{now['prefix']}: {counted}"]
        rate = (done - now["initial"]) / elapsed if elapsed else 0
        if rate:
            said.append(f"{self.format_interval(elapsed)} passed")
            said.append(f"{_short(rate) if rate >= 100 else f'{rate:.2g}'}{now['unit']} a second")
            if total and done < total:
                said.append(f"{self.format_interval((total - done) / rate)} left")
        log.info(", ".join([*said, *([now["postfix"]] if now["postfix"] else [])]))
        return True


def _short(number: float) -> str:
    """A count in three digits: 12.3M."""
    return tqdm.format_sizeof(number) if number >= 1000 else f"{number:.0f}"
