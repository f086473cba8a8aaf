"""What the statistics' names mean, in words, for the report and the pages."""

import re
from collections.abc import Mapping

_ROUTES = r"all_big|all_small|route_\d+"
_POLICIES = "expected_loss|value|distillation|straight_through|token_table|neighbours"  # what learns from the losses of all routes
# A name of artifacts.CONTRASTS or of another table of statistics, as a pattern; its groups go into the words in {}.
_WORDS = {
    "oracle_budget": "the oracle's best budget",
    "oracle_1-all_big": "oracle with one big layer, less all layers big",
    "oracle-random_all": "oracle at its best budget, less the best random route for all tokens there",
    "oracle-random_token": "oracle at its best budget, less the best random routes drawn for each token there",
    "oracle-fixed": "oracle, where there are several budgets at its best, less the best fixed route there",
    "oracle": "loss of the oracle, nats a token",
    "fixed": "loss of the best fixed route, nats a token",
    "mean": "mean loss of all routes, nats a token",
    "fixed_1-all_big": "best fixed route with one big layer, less all layers big",
    "oracle_best-all_small": "oracle at its best budget, less all layers small",
    "oracle_best-all_big": "oracle at its best budget, less all layers big",
    "oracle_half-best_other": "oracle at half of the layers big, less the lowest at any other budget",
    "fixed_slope": "slope of the fixed route's loss, nats a big layer",
    "fixed_all_big-best_other": "all layers big, less the best fixed route of any other budget",
    r"lean_(\d+)": "lean of the oracle at budget {}: share of big in the upper half of the layers, less the lower half",
    "consistency": "variance between the layers of how often each is kept, beyond chance",
    "early_exit": "how far kept layers lie below skipped ones, less the midway between no order and early exit",
    "halves": "correlation of a layer's skip share in both halves of a sequence",
    "consecutive": "likeness of the skips of consecutive tokens",
    "halves-shuffled": "correlation of a layer's skip share in both halves of a sequence, less the same shuffled",
    "consecutive-shuffled": "likeness of the skips of consecutive tokens, less the same shuffled",
    "within_layer_halves-shuffled": "the correlation of halves without what layers prefer on the whole, less the same shuffled",
    "within_layer_consecutive-shuffled": "the likeness of neighbours without what layers prefer on the whole, less the same shuffled",
    "router_slope": "slope of the hard router's loss, nats a big layer that it really uses",
    "router_nearer_fixed": "router's distance to fixed, less its distance to the oracle, mean over budgets",
    r"router_lean_(.+)": "lean of router {}: share of big in the upper half of the layers, less the lower half",
    r"router_early_(.+)": "router {}: share of big in the first half of the positions, less the second half",
    r"router_skip_lean_(.+)": "router {}: share of skips in the upper half of the layers, less the lower half",
    r"router_skip_late_(.+)": "router {}: share of skips in the second half of the positions, less the first half",
    r"oracle_average-oracle_exact_(\d+)": "oracle with {} big layers on average over the sequence, less exactly as many for each token",
    "falling-constant": "oracle with a budget that falls along the sequence, less a constant one of the same total",
    "rising-constant": "oracle with a budget that rises along the sequence, less a constant one of the same total",
    r"(falling|rising)-shuffled": "oracle with a {} budget, less the same budgets in random order",
    r"(falling|rising)_mean-constant_mean": "mean of all routes with a {} budget, less a constant one of the same total",
    r"(falling|rising)_mean-shuffled_mean": "mean of all routes with a {} budget, less the same budgets in random order",
    "high_loss_no_gain": "share of the high-loss tokens that gain nothing",
    "high_loss_no_gain_all_big": "share of the high-loss tokens that gain nothing from all layers big",
    "loss_gap_rank": "rank correlation of loss and gap",
    "line_start_loss": "loss at line starts, less the rest, all layers small",
    "line_start_gap": "gap at line starts, less the rest",
    "line_start_relative_gap": "gap over loss at line starts, less the rest",
    "nearness_loss": "Duo less dense at all layers big, less half of that at all layers small; losses",
    "nearness_accuracy": "dense less Duo at all layers big, less half of that at all layers small; accuracies",
    r"duo-dense_([\d.]+)_loss": "Duo less the dense model of equal FLOPs, big by chance {}; losses",
    r"dense-duo_([\d.]+)_accuracy": "the dense model of equal FLOPs less Duo, big by chance {}; accuracies",
    r"frozen-scratch_([\d.]+)_loss": "small after big, frozen, less both from scratch, big by chance {}; losses",
    r"scratch-frozen_([\d.]+)_accuracy": "both from scratch, less small after big, frozen, big by chance {}; accuracies",
    r"gain_(\d+)": "gain of the oracle at budget {} over the route that labels are drawn from",
    r"gain-null_gain_(\d+)": "gain of the oracle at budget {} on true labels, less that on drawn ones",
    r"luck_(\d+)": "luck of the oracle at budget {}: on drawn labels, routes that their own predictions prefer, less the oracle",
    rf"corrected-({_ROUTES})_(\d+)": "oracle at budget {1}, luck taken off, less {0}",
    "calibration": "the route that labels are drawn from, its loss on them less that on true labels",
    r"luck_share_(\d+)": "share of the oracle's gain at budget {} that drawn labels give too",
    rf"normalised-({_ROUTES})_(\d+)": "oracle at budget {1}, made a proper distribution, less {0}",
    rf"fixed-({_ROUTES})_(\d+)": "best fixed route at budget {1}, less {0}",
    r"ceiling_(\d+)-fixed_\d+": "routes at budget {} that the first teacher prefers without the label, less fixed",
    r"ceiling_(.+)-fixed_(\d+)": "routes at budget {1} that the teacher '{0}' prefers without the label, less the best fixed route there",
    rf"ceiling_(.+)-({_ROUTES})_(\d+)": "routes at budget {2} that the teacher '{0}' prefers without the label, less {1}",
    r"held_out_(\d+)-fixed_\d+": "fixed route at budget {}, chosen on other documents, less the one chosen on all",
    r"(shared|reference|greedy)_joint_(\d+)-\w+_isolated_\d+": "oracle in context {} at budget {}, joint less isolated",
    r"(shared|reference|greedy)_joint_(\d+)-(shared|reference)_\w+": "oracle at budget {1}, joint: context {0} less context {2}",
    r"(shared|reference|greedy)_joint_(\d+)-fixed_\d+": "oracle in context {} at budget {}, joint, less the best fixed route",
    r"(shared|reference|greedy)_joint_(\d+)-all_big": "oracle in context {} at budget {}, joint, less all layers big",
    r"agree_(\w+)_(\w+)_(\d+)": "share of the tokens that have the same oracle route at budget {2} in contexts {0} and {1}",
    r"share_(\w+)_joint_(\d+)": "share of the attainable gap that {} closes at budget {}, joint",
    r"share_(\w+)_(\d+)": "share of the attainable gap that {} closes at budget {}",
    r"(\w+)_average_joint_(\d+)-fixed_\d+": "routes of {} with {} big layers on average, joint, less fixed",
    r"(\w+)_average_(\d+)-fixed_\d+": "routes of {} with {} big layers on average, less fixed",
    r"(\w+)_joint_(\d+)-fixed_\d+": "routes of {} at budget {}, joint, less fixed",
    r"(\w+)_(\d+)-fixed_\d+": "routes of {} at budget {}, less fixed",
    r"spread_(\d+)": "highest less lowest loss at budget {} among all that learn from the losses of all routes",
    rf"({_POLICIES})_(\d+)-({_POLICIES})_\d+": "routes of {0} less those of {2}, at budget {1}",
    r"fixed_(\d+)-other_\d+": "fixed route at budget {}, less the routes that other seeds' oracles chose",
    r"transfer_(\d+)": "share of the oracle's gain over fixed at budget {} that is left with routes of other seeds' oracles",
    r"other_(\d+)-all_big": "routes of other seeds' oracles at budget {}, less all layers big",
    "other_budget": "best budget for routes of other seeds' oracles",
    r"additive_(\d+)-oracle_\d+": "routes at budget {} chosen by what each layer does on its own, less the oracle",
    r"additive_share_(\d+)": "share of the oracle's gain over the mean at budget {} that choosing by what each layer does on its own gets",
    r"(\w+)_rank_(\w+)-(\w+)_rank_\w+": "rank correlation with the known {1}: of the {0}, less of the {2}",
    r"(\w+)_rank_(\w+)": "rank correlation of the {} with the known {}",
    r"noise_called_difficult_by_(\w+)": "share of the noise whose {} is at least the median of copies and sums",
    r"(\w+)_(\d+)-random_\d+": "regret of {} at budget {}, less random routes, all tries spent",
}
# Before a name that is known: the same statistic of other labels.
_LABELS = {"null_": "on drawn labels", "corrected_": "luck taken off"}


def statistic(name: str) -> str:
    """The name in words; a name that is not known here stands for itself."""
    for pattern, words in _WORDS.items():
        if match := re.fullmatch(pattern, name):
            return words.format(*map(route, match.groups()))
    for prefix, words in _LABELS.items():
        rest = name.removeprefix(prefix)
        if rest != name and (known := statistic(rest)) != rest:
            return f"{known}, {words}"
    return name


def route(name: str) -> str:
    """A route in words, of its name in a statistic (settings.Luck.route); what isn't one stands for itself."""
    words = {"all_big": "all layers big", "all_small": "all layers small"}
    return words.get(name) or re.sub(r"^route_(\d+)$", r"the route with code \1", name)


def gain(domain: str, budget: int, found: Mapping[str, Mapping]) -> list[str]:
    """What is left of the oracle's gain on a domain at a budget, in sentences; rows of gain_artifacts.GAIN_STATISTICS
    by name.
    """
    names = ("gain", "null_gain", "gain-null_gain", "luck", "luck_share")
    own, null, left, luck, share = (found[f"{name}_{budget}"] for name in names)
    (reference,) = (
        name.split("-")[1].removesuffix(f"_{budget}")
        for name in found
        if re.fullmatch(rf"normalised-.+_{budget}", name)
    )
    words = route(reference)
    rest = (
        "more than those predictions explain"
        if left["low"] > 0
        else "less"
        if left["high"] < 0
        else "not told apart from none"
    )
    without = found[f"corrected-{reference}_{budget}"]
    verdict = "a gain still" if without["high"] < 0 else "no gain" if without["low"] > 0 else "not told apart"
    sentences = [
        f"On {domain} the oracle at budget {budget} gains {_nats(own)} over {words}.",
        f"On labels drawn from the predictions of {words}, which no route can beat in expectation, it gains {_nats(null)}, all of it luck"
        f"{'' if None in share.values() else ': {value:.0%} as much ({low:.0%} to {high:.0%})'.format_map(share).replace('%', ' %')}.",
        f"The difference is {_nats(left)}: {rest}.",
        f"Luck of choosing alone, its gain there over the routes of the budget that those predictions prefer themselves, is {_nats(luck)}; "
        f"taken off, the oracle is at {_nats(without)} from {words}: {verdict}.",
        f"The loss of {words} on the drawn labels is {_nats(found['calibration'])} from that on the true ones, where calibrated "
        "predictions lose as much on both; the null is only as good as they are.",
        f"Made a proper distribution, the oracle is at {_nats(found[f'normalised-{reference}_{budget}'])} from {words}.",
    ]
    for name, row in found.items():
        if ceiling := re.fullmatch(rf"ceiling_(.+)-fixed_{budget}", name):
            sentences.append(
                f"Routes that the teacher '{ceiling[1]}' prefers without the label are at {_nats(row)} from the best fixed route there."
            )
    return sentences


def _nats(row: Mapping) -> str:
    return f"{row['value']:+.3f} nats a token ({row['low']:+.3f} to {row['high']:+.3f})"
