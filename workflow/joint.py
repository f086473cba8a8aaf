"""The run of context reference, as params name it: what the stages share that try routes in contexts."""

from collections.abc import Mapping

import numpy as np

from duo.data.evaluation_set import EvaluationSet
from duo.oracle import joint
from duo.settings import OneRouter
from duo.tables.routers import ROUTED


def reference(run: str, routers: Mapping[str, OneRouter], sample: EvaluationSet, layers: int, seed: int) -> np.ndarray:
    """Codes [documents, length] of the routes that the tokens keep in a run: one that duo.oracle.joint knows by its
    name, or a router's.
    """
    if run not in routers:
        return joint.reference_routes(run, sample, layers, seed)
    return joint.router_routes(ROUTED.read(router=run), routers[run].choices, sample, layers)
