"""`python -m duo VERB`: the verbs are the workflow's, which lies beside this package in a checkout."""

import runpy
import sys

if __name__ == "__main__":
    try:
        runpy.run_module("workflow", run_name="__main__", alter_sys=True)
    except ImportError as error:
        if error.name != "workflow":
            raise
        sys.exit("error: no experiment here; run this in a checkout of the project, where workflow/ lies")
