"""`python -m duo VERB`: verbs are the workflow's, which lies beside this package in a checkout; `audit` needs none."""

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    if (Path(__file__).parents[1] / "workflow" / "__main__.py").is_file():
        runpy.run_module("workflow", run_name="__main__", alter_sys=True)
    elif sys.argv[1:2] == ["audit"]:
        from duo.auditing import command

        command.main(sys.argv[2:])
    else:
        sys.exit("error: no experiment here; run this in a checkout of the project, where workflow/ lies")
