"""One thin script a stage."""

import signal
import sys

from duo import commands

if sys.argv[0] == "-m":  # one of them is being started; its imports, which take seconds, may catch any exception
    for number in (signal.SIGINT, signal.SIGTERM):
        commands.listen(number, commands.leave)
