"""What `trend` in params.yaml must agree with; checks alone, as in workflow.params."""

from typing import Any

from duo.groups import require, require_a_step, require_tried
from duo.training import points
from duo.trend_settings import TrendPoint


def require_trend(params: Any, trained: list[str]) -> None:
    """That the other groups of params.yaml (workflow.params.Params) agree with the trend; trained: names of the domains
    that have training text.
    """
    trend = params.trend
    if trend.points:
        require_points(params, trained)
    else:
        require(not trend.lines, "trend.lines", list(trend.lines), "have no points (trend.points)")


def require_points(params: Any, trained: list[str]) -> None:
    trend, most = params.trend, params.evaluation_set.documents
    remedy = f"is above evaluation_set.documents ({most})"
    require(trend.windows <= most, "trend.windows", trend.windows, remedy)
    for key, model in {
        "tokens.pretrained": params.tokens.pretrained,
        "model.pretrained": params.model.pretrained,
    }.items():
        require(not model, key, model, "has one vocabulary and one size: leave trend.points empty")
    remedy = "has no training split, but the trend calibrates on the packed text of every domain (those: "
    remedy += f"{', '.join(trained)}): leave trend.points empty"
    for domain in params.corpus:
        require(domain in trained, "corpus", domain, remedy)
    remedy = f"is none of trend.points: {list(trend.points)}"
    require(trend.teacher in trend.points, "trend.teacher", trend.teacher, remedy)
    whole = {name: points.whole(point, params.pretrain, params.model) for name, point in trend.points.items()}
    for name, point in whole.items():
        require_point(params, f"trend.points.{name}", point)
    for factor, names in trend.lines.items():
        require_line(f"trend.lines.{factor}", factor, names, whole)


def require_point(params: Any, key: str, point: TrendPoint) -> None:
    remedy = f"is not in trend.vocabularies {params.trend.vocabularies}"
    require(point.vocabulary in params.trend.vocabularies, f"{key}.vocabulary", point.vocabulary, remedy)
    try:
        points.shape(point, params.model)
    except ValueError as error:
        raise ValueError(f"{key}.{error}") from None
    require_tried(f"{key}.layers", point.layers, 2**point.layers)
    require_a_step(f"{key}.tokens", point.tokens, params.pretrain.batch, params.tokens.sequence)
    budgets = [points.budget(share, point.layers) for share in params.trend.shares]
    apart = budgets == sorted(set(budgets)) and budgets[0] > 0 and budgets[-1] < point.layers
    remedy = f"are too few for trend.shares {params.trend.shares}, which would be budgets {budgets}"
    require(apart, f"{key}.layers", point.layers, remedy)


def require_line(key: str, factor: str, names: list[str], whole: dict[str, TrendPoint]) -> None:
    for name in names:
        require(name in whole, key, name, f"is none of trend.points: {list(whole)}")
    first, *others = (points.rest(whole[name], factor) for name in names)
    for name, other in zip(names[1:], others, strict=True):
        unlike = [setting for setting in first if first[setting] != other[setting]]
        remedy = f"differs from {names[0]!r} in {', '.join(unlike)} too, but only {factor} may vary along this line"
        require(not unlike, key, name, remedy)
    places = [points.place(whole[name], factor) for name in names]
    require(places == sorted(set(places)), key, names, f"must be in ascending order of {factor}, which are {places}")
