"""What every route through a decoder costs, token by token, and how much of the best one is selection bias.

    import duo

    space = duo.RouteSpace(4)                                # every layer small or big: 16 routes
    losses = duo.losses(model, tokens, labels, space)        # [documents, length, routes] nats
    best = duo.oracle(losses, space, budget=2)               # .routes and .losses of every token
    null = duo.null(model, tokens, space, budget=2)          # .gain and .bias on sampled labels
    print(duo.bootstrap(losses[..., -1] - best.losses))      # mean, with its interval over documents

`model` is a Duo, an OPT made one, a model of transformers, or any decoder behind the few methods of duo.Routable.
duo.audit asks whether the gain of leaving out layers is real in a model that has too many routes to try all. duo.load
reads what a run wrote: its models, tables and losses. Names are imported when they are first used, so that
`import duo` costs nothing.
"""

import sys
from importlib import import_module
from types import ModuleType

__version__ = "0.1.0"

_HOMES = {
    "Duo": "duo.model.transformer",
    "InputError": "duo.errors",
    "Routable": "duo.model.routable",
    "RouteSpace": "duo.routes",
    "audit": "duo.api",
    "bootstrap": "duo.api",
    "load": "duo.run",
    "loss_table": "duo.run",
    "losses": "duo.api",
    "null": "duo.api",
}
__all__ = [*_HOMES, "oracle"]


class _Oracle(ModuleType):
    """What routes cost when all are tried. Called, it gives the best route of every token: see duo.api.oracle."""

    def __call__(self, losses, space, budget=None, seed=0):
        """The best route with exactly `budget` big layers, or of all, for every token: see duo.api.oracle."""
        return import_module("duo.api").oracle(losses, space, budget, seed)


# A function and a package of one name: duo.oracle(losses, ...) chooses routes, duo.oracle.tree tries them.
_package = import_module("duo.oracle")
_package.__class__, _package.__doc__ = _Oracle, _Oracle.__doc__


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module 'duo' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    setattr(sys.modules[__name__], name, value)
    return value


def __dir__() -> list[str]:
    return sorted([*__all__, "__version__"])
