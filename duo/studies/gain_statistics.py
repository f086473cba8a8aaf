"""Names of what duo.studies.gain measures, for whoever refers to it: claims, figures and pages."""

from collections.abc import Iterable

from duo.stats import Statistic
from duo.terms import FIXED, MATCHED, ORACLE, OTHERS, OWN, PLACEBO, STACK, TRUE

NORMALISED = "normalised"
# Strategies of a chooser: the routes that it expects to be best, and the oracle where its prediction is right.
FORESEEN, NULL = "foreseen", "null"


def best_chooser(choosers: Iterable[str]) -> str:
    """The chooser that knows most: all of them pooled, or the only one."""
    names = list(choosers)
    return STACK if STACK in names else names[0]


def chooser_words(chooser: str) -> str:
    """A chooser in words."""
    known = {
        OWN: "the model's own prediction",
        OTHERS: "the mean prediction of other seeds",
        STACK: "the pool of all predictions",
    }
    return known.get(chooser, f"the prediction of {chooser}")


def route_words(name: str) -> str:
    """A reference route in words, of its name in a table (duo.routes.route_name)."""
    known = {"all_big": "all layers big", "all_small": "all layers small"}
    return known.get(name) or f"the route with code {name.removeprefix('route_')}"


OF_LABELS = {TRUE: "", PLACEBO: "on sampled labels", MATCHED: "on words of like surprisal in the same context"}


def gain(route: str, budget: int, labels: str = TRUE) -> Statistic:
    """What the oracle gains over the reference route, on true labels or on matched words."""
    words = f"gain of the oracle at budget {budget} over {route_words(route)}"
    return Statistic("gain", ORACLE, route, budget, words=words).of(labels, OF_LABELS[labels])


def foreseeable(chooser: str, route: str, budget: int, labels: str = TRUE) -> Statistic:
    """What a chooser gains over the reference route without the label."""
    words = f"gain over {route_words(route)} of the routes that {chooser_words(chooser)} expects to be best"
    words += f", at budget {budget}"
    return Statistic("foreseeable", chooser, route, budget, words=words).of(labels, OF_LABELS[labels])


def share_foreseeable(chooser: str, budget: int) -> Statistic:
    """The same as a share of the oracle's gain."""
    words = f"share of the oracle's gain at budget {budget} that {chooser_words(chooser)} foresees"
    return Statistic("foreseeable_share", chooser, ORACLE, budget, words=words)


def beyond(chooser: str, budget: int) -> Statistic:
    """What the oracle gains over a chooser's routes."""
    words = f"loss at budget {budget} of the routes that {chooser_words(chooser)} expects to be best, less the oracle's"
    return Statistic("beyond_foreseeable", chooser, ORACLE, budget, words=words)


def luck(chooser: str, budget: int) -> Statistic:
    """What it would in expectation if the chooser's prediction were right."""
    words = f"what that is in expectation at budget {budget} where labels come as {chooser_words(chooser)} says"
    return Statistic("luck", chooser, ORACLE, budget, words=words)


def share_of_luck(chooser: str, budget: int) -> Statistic:
    """The same as a share of the oracle's gain."""
    words = f"luck by {chooser_words(chooser)} as a share of the oracle's gain at budget {budget}"
    return Statistic("luck_share", chooser, ORACLE, budget, words=words)


def unexplained(chooser: str, budget: int) -> Statistic:
    """The rest of the gain that is neither foreseen nor luck."""
    words = f"oracle's gain at budget {budget} that {chooser_words(chooser)} neither foresees nor counts as luck"
    return Statistic("unexplained", chooser, ORACLE, budget, words=words)


def matched_excess(route: str, budget: int, labels: str = TRUE) -> Statistic:
    """The gain on the true label less that on words of like surprisal in the same context."""
    words = f"gain of the oracle at budget {budget} on the label less on words of like surprisal in the same context"
    return Statistic("matched_excess", ORACLE, route, budget, words=words).of(labels, OF_LABELS[labels])


def cells_excess(route: str, budget: int) -> Statistic:
    """The same across contexts."""
    words = f"gain of the oracle at budget {budget} on the label less on words of like surprisal in like contexts"
    return Statistic("cells_excess", ORACLE, route, budget, words=words)


def cells_covered(budget: int) -> Statistic:
    """Share of the true labels whose cell has words to compare with."""
    return Statistic("cells_covered", ORACLE, budget=budget, words=f"share of labels so compared at budget {budget}")


def other_mass(budget: int) -> Statistic:
    """How much of the matched words' chance is not the label's own."""
    words = f"share of the matched words' chance that is not the label's, budget {budget}"
    return Statistic("matched_other_mass", ORACLE, budget=budget, words=words)


def difference(strategy: str, reference: str, budget: int) -> Statistic:
    """Loss of fixed, normalised or a chooser's routes at a budget, less that of a reference."""
    subject = {FIXED: "best fixed route", NORMALISED: "oracle made a proper distribution"}.get(strategy)
    subject = subject or f"routes that {chooser_words(strategy)} expects to be best"
    less = "the best fixed route" if reference == FIXED else route_words(reference)
    return Statistic("difference", strategy, reference, budget, words=f"{subject} at budget {budget}, less {less}")


def cross_entropy(chooser: str) -> Statistic:
    """How well a chooser knows the labels."""
    return Statistic("cross_entropy", chooser, words=f"cross entropy of {chooser_words(chooser)}")


def calibration(chooser: str) -> Statistic:
    """Whether its prediction is as sure as it is right; below 0 it is too sure."""
    return Statistic("calibration", chooser, words=f"entropy of {chooser_words(chooser)}, less its cross entropy")
