"""Names of what duo.studies.joint_gain measures, for whoever refers to it: claims, figures and pages.

Each is of one context, which stands as the statistic's reference. Gains are over the reference route.
"""

from duo.stats import Statistic
from duo.studies.gain_statistics import chooser_words
from duo.terms import FIXED, ISOLATED, ORACLE, SEQUENCE


def gain(context: str, subject: str, kind: str, budget: int) -> Statistic:
    """What routes gain over the reference route, by their isolated or joint losses.

    subject: who chose them, the oracle, sequence, fixed, or a chooser by its name: what that gains is foreseeable.
    """
    whose = {
        ORACLE: "the oracle",
        SEQUENCE: "the best route of each document",
        FIXED: "the best fixed route",
    }.get(subject) or f"the routes that {chooser_words(subject)} expects to be best"
    how = "each route tried for itself" if kind == ISOLATED else "all tokens run together"
    words = f"gain of {whose} in context {context} at budget {budget}, {how}"
    return Statistic(f"{kind}_gain", subject, context, budget, words=words)


def null_gain(context: str, chooser: str, budget: int) -> Statistic:
    """What the oracle's isolated gain is in expectation where the chooser's prediction is right."""
    words = f"what the oracle gains in expectation in context {context} at budget {budget} where labels come as "
    return Statistic("null_gain", chooser, context, budget, words=f"{words}{chooser_words(chooser)} says")


def beyond_null(context: str, chooser: str, budget: int) -> Statistic:
    """The oracle's isolated gain less that: 0 in expectation where the prediction is right."""
    words = f"isolated gain of the oracle in context {context} at budget {budget}, less what it is in expectation "
    words += f"where labels come as {chooser_words(chooser)} says"
    return Statistic("beyond_null", chooser, context, budget, words=words)


def luck(context: str, chooser: str, budget: int) -> Statistic:
    """The part of the null's gain that the chooser itself could not have: its expected loss less the oracle's."""
    words = f"what the oracle gains in context {context} at budget {budget} over the routes that "
    words += f"{chooser_words(chooser)} expects to be best, where labels come as it says"
    return Statistic("luck", chooser, context, budget, words=words)


def unexplained(context: str, chooser: str, budget: int) -> Statistic:
    """The rest of the oracle's isolated gain that is neither foreseen nor luck."""
    words = f"oracle's isolated gain in context {context} at budget {budget} that {chooser_words(chooser)} neither "
    return Statistic("unexplained", chooser, context, budget, words=f"{words}foresees nor counts as luck")
