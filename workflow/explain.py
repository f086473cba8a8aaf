"""What is wrong with params.yaml, in words: key, value, and what would be right; what an old key is called now."""

import difflib

from duo.data.sources import SOURCES, Domain, TaskWheel, Wheel
from duo.groups import Group
from duo.settings import NAMED

# Keys of older files, and what they are called now; none where a key had a single value and is gone.
RENAMED = {
    "enumerate.models": "route_losses.models",
    "enumerate.context": None,
    "enumerate.documents": "evaluation_set.documents",
    "enumerate.tokens": "evaluation_set.tokens",
    "enumerate.shards": "route_losses.shards",
    "enumerate.precision": "route_losses.precision",
    "enumerate.rows": "route_losses.chunk",
    "skips.skip": "skips.scope",
    "luck.labels": "sampled_labels.reference",
    "luck.temperature": None,
    "sampled_labels.temperature": None,
    "luck.draws": "sampled_labels.samples",
    "luck.teachers": "sampled_labels.teachers",
    "contexts.kinds": "joint.contexts",
    "contexts.reference": "joint.reference",
    "contexts.documents": "joint.documents",
    "contexts.budgets": "joint.budgets",
    "ablation.frozen": "ablation.models",
    "policies.train": "policies.train_documents",
    "policies.validation": "policies.validation_documents",
    "policies.objectives": "policies.routers",
    **{
        f"policies.{key}": f"policies.training.{key}"
        for key in ("inputs", "networks", "hidden", "steps", "batch", "learning_rate", "temperatures")
    },
    "evaluate.confidence": "bootstrap.confidence",
    "evaluate.resamples": "bootstrap.resamples",
    **{
        f"{group}.{old}": f"{group}.{new}"
        for group in ("pretrain", "router")
        for old, new in {"warmup": "warmup_fraction", "final": "final_lr_ratio", "clip": "grad_clip"}.items()
    },
}


def explain(problem: dict, whole: type[Group]) -> str:
    """One pydantic problem with params.yaml, whose groups are those of `whole`, as a line."""
    location, model = _follow(problem["loc"], whole)
    key, value = ".".join(location), problem["input"]
    match problem["type"]:
        case "extra_forbidden":
            if renamed := _renamed(key):
                return renamed
            known = list(model.model_fields)
            near = difflib.get_close_matches(location[-1], known, n=1)
            return f"{key}: unknown key; " + (
                f"did you mean {near[0]!r}?" if near else f"known here: {', '.join(known)}"
            )
        case "missing":
            return f"{key}: is missing"
        case "union_tag_not_found":
            return f"{key}.source: is missing; it is one of {', '.join(SOURCES)}"
        case "union_tag_invalid":
            return f"{key}.source: {value['source']!r} should be one of {', '.join(SOURCES)}"
        case "value_error":
            message = str(problem["ctx"]["error"])
            return f"{key}.{message}" if key else message
    shown = repr(value) if len(repr(value)) < 60 else type(value).__name__
    return f"{key}: {shown}: {problem['msg'][0].lower()}{problem['msg'][1:]}"


def _renamed(key: str) -> str | None:
    """The error for a key of an older params.yaml, with what it is called now; None where it is no such key."""
    now = {old: new for old, new in RENAMED.items() if old == key or old.startswith(f"{key}.")}
    if not now:
        return None
    return f"{key}: has a new name; " + ", ".join(
        f"{old} is now {new}" if new else f"{old} is gone" for old, new in now.items()
    )


def _follow(location: tuple, whole: type[Group]) -> tuple[list[str], type[Group]]:
    """A pydantic location as the file's own key path, and the group in which its last key stands."""
    if location[:1] == ("tasks",) and len(location) > 2:
        path, model = list(location), TaskWheel
    elif location[:1] == ("corpus",) and len(location) > 2:
        domain, source, *rest = location[1:]
        path = ["corpus", domain, *rest]
        model = Wheel if rest[:1] == ["wheels"] and len(rest) > 2 else SOURCES.get(source, Domain)
    else:
        path = list(location)
        model = whole.model_fields[path[0]].annotation if len(path) > 1 else whole
        for group, named in NAMED.items():
            parts = group.split(".")
            if path[: len(parts)] == parts and len(path) > len(parts) + 1:
                model = named
    return [str(part) for part in path if part != "[key]"], model
