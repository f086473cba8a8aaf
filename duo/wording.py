"""What the statistics' names mean, in words, for the report and the pages."""

import re

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
}


def statistic(name: str) -> str:
    """The name in words; a name that is not known here stands for itself."""
    for pattern, words in _WORDS.items():
        if match := re.fullmatch(pattern, name):
            return words.format(*match.groups())
    return name
