"""One thin script a stage.

A script's imports take seconds, in which `workflow.stage.run` does not yet watch for Ctrl-C; so this does.
"""

import sys
from typing import Any

from duo import commands


def _tell(kind: type[BaseException], error: BaseException, traceback: Any) -> None:
    if issubclass(kind, KeyboardInterrupt):
        print(commands.AGAIN, file=sys.stderr)
    else:
        sys.__excepthook__(kind, error, traceback)


sys.excepthook = _tell
