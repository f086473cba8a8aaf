"""A class of the user's own, by the name that settings give it: `module:Class`.

So a router, a baseline or a route strategy can take part in an experiment from a file outside of this package. The
module is one that Python can import from the working directory, such as examples/own_router.py as examples.own_router.
"""

import importlib
import importlib.util
import inspect
import os
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from duo.errors import InputError

# What classes have: a strategy as duo.oracle.select.Strategy, a router or baseline as duo.routers.policy.OwnRouter.
STRATEGY = ("choose",)
POLICY = ("fit", "scores|losses")


def load(name: str, methods: Sequence[str]) -> Any:
    """An instance of the class that `module:Class` names, made without arguments.

    methods: what it must have; `scores|losses` stands for one of the two. InputError where the name has no colon, the
    module can't be found or is not valid Python, there is no such class in it, it can't be made without arguments, or
    it lacks a method.
    """
    module_name, colon, class_name = name.partition(":")
    if not (colon and module_name and class_name.isidentifier()):
        raise InputError(f"{name!r}: should be module:Class, such as examples.own_router:EntropyRouter")
    module = _module(module_name, name)
    made = getattr(module, class_name, None)
    if not isinstance(made, type):
        classes = [each for each, value in vars(module).items() if isinstance(value, type)]
        raise InputError(f"{name!r}: {_place(module)} has no class {class_name}; it has {_listed(classes)}")
    lacking = [
        method for method in methods if not any(callable(getattr(made, word, None)) for word in method.split("|"))
    ]
    if lacking:
        words = ", ".join(method.replace("|", " or ") for method in lacking)
        raise InputError(f"{name!r}: class {class_name} of {_place(module)} lacks the method {words}")
    try:
        inspect.signature(made).bind()
    except TypeError as error:
        raise InputError(f"{name!r}: can't be made without arguments: {error}") from None
    except ValueError:  # a compiled class may not tell its arguments
        pass
    with theirs(f"{name!r}: __init__"):
        return made()


def method(made: Any, name: str) -> str:
    """A method of an instance, as module:Class.method."""
    return f"{type(made).__module__}:{type(made).__qualname__}.{name}"


@contextmanager
def theirs(place: str) -> Iterator[None]:
    """Context of code of the user's own: an InputError is told to be of this place, and to any other exception, whose
    traceback the user needs, a last line is added that names the place.
    """
    try:
        yield
    except InputError as error:
        raise InputError(f"{place}: {error}") from error
    except Exception as error:
        error.add_note(f"{place} raised {type(error).__name__}")
        raise


def described(given: Any) -> str:
    """What a method of the user's gave, in a word or two: its type, and its shape or length."""
    words = type(given).__name__
    if hasattr(given, "dtype") and hasattr(given, "shape"):
        return f"{words} of {given.dtype}, shape {tuple(given.shape)}"
    return f"{words} of length {len(given)}" if hasattr(given, "__len__") else words


def _module(module_name: str, name: str) -> Any:
    """The module, looked for where Python looks, and before that in the working directory."""
    here = os.getcwd()
    if here not in sys.path:
        sys.path.insert(0, here)
    importlib.invalidate_caches()
    with theirs(f"{name!r}: import of {module_name}"):
        try:
            if _is_there(module_name):
                return importlib.import_module(module_name)
        except SyntaxError as error:
            place = f"{os.path.relpath(error.filename) if error.filename else module_name}:{error.lineno}"
            raise InputError(f"{place}: not valid Python: {error.msg}") from None
    raise InputError(
        f"{name!r}: no module {module_name}; it was looked for in the working directory, {here}, and among what is "
        "installed"
    )


def _is_there(module_name: str) -> bool:
    try:
        return importlib.util.find_spec(module_name) is not None
    except (ImportError, ValueError):  # a package on the way to it isn't there, or is no package
        return False


def _place(module: Any) -> str:
    return os.path.relpath(module.__file__) if getattr(module, "__file__", None) else module.__name__


def _listed(names: Sequence[str]) -> str:
    return ", ".join(names) if names else "none"
