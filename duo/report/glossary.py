"""The words that this project uses in a sense of its own; docs/glossary.md and the report are made from them."""

from duo.figures.base import EXPANDED

TERMS = {
    "Routes": {
        "big, small": "The two feed-forward networks (FFNs) side by side in every layer; attention is shared.",
        "skip": "A third choice at a layer: no FFN at all, or with scope `layer` no attention either.",
        "route": "One choice per layer, for one token. With two choices and 12 layers there are 4096.",
        "route code": "A route as an integer: its choices read as digits, the first layer first, 1 for big.",
        "budget, k": "How many layers of a token's route are big.",
        "exact, average": "Whether every token meets the budget, or only the mean over a sequence's tokens does.",
        "all-big, all-small": "The routes without a choice: the dense model of the big FFNs, or of the small ones.",
    },
    "Ways to choose a route": {
        "oracle": "The best route of each token, chosen with the true next token in hand: no router can do that.",
        "fixed": "The one route for all tokens of a domain; for each half of the clusters, the best of the other half.",
        "sequence": "The best single route of each document.",
        "random_all, random_token": "The best of n random routes, tried for all tokens alike or for each token anew.",
        "router": "A small network that chooses from what the model itself has computed.",
        "policy": "Anything that chooses a route per token without its label: a router, or a baseline such as fixed.",
        "hard, exact, soft": "How a router is run: its likeliest choice; its k highest layers; its mix of all choices.",
        "upfront": "A policy that chooses all layers at once, from the hidden state before the first choice.",
        "ceiling, teacher": "The route of lowest expected loss under another model's predictions: what a "
        "router that knows as much as the teacher could get.",
    },
    "Losses": {
        "isolated loss": "A token's loss while its route is tried and the other tokens follow the context.",
        "joint loss": "A token's loss in one run in which every token takes its chosen route.",
        "context": "What the other tokens do during a trial. shared: take the same route. reference: keep those of one "
        "run. greedy: chosen left to right, earlier tokens keep the route that won.",
        "expected loss": "A route's mean loss over labels as a prediction gives them, rather than on the true label.",
        "evaluation set": "Windows of held-out documents, one of each, that every comparison is made on.",
        "domain": "A kind of text, such as text or code.",
        "cluster": "What is independent of the rest, and what the bootstrap draws: a document, or a package of many.",
        "interval": f"From the bootstrap over clusters, by percentiles that are {EXPANDED}: few clusters' percentiles "
        "lie too close together, so ones further out are taken, which cover as often as Student's t (Hesterberg 2015).",
        "paired difference": "A loss less that of a reference on the same tokens, in every replicate of the bootstrap. "
        "Text is hard or easy for every route alike, so it is known much better than either loss.",
        "BOS token": "The token that stands before every document, so that its first word is predicted too.",
        "gap": "Loss with all layers small, less the oracle's: how much computation could help a token. Not the gap "
        "of gap closed, which is fixed less teacher-informed.",
    },
    "Is the gain real?": {
        "reference route": "The route that gains are measured from, and whose predictions are the model's own.",
        "chooser": "Who chooses routes without the label, by a prediction of it: the model's own, other seeds', "
        "another model's (a teacher), or all pooled, each calibrated on validation text.",
        "foreseeable gain": "What a chooser's routes gain, scored on the true label: a lower bound on what can be "
        "known.",
        "luck, selection bias, winner's curse": "What the oracle gains over a chooser's routes if labels come as that "
        "chooser predicts. The lowest of many losses is low even where routes differ by nothing but noise.",
        "unexplained": "What is left of the gain: the chooser's prediction is off, or some route knows more than it.",
        "shift": "What differs on code of packages that no model has seen, from other code of those that models read.",
        "matched words": "Those that surprise the model as much as the true label does, in the same context.",
        "excess": "A number on the true labels less the same on labels sampled among matched words.",
        "placebo": "The same analysis where a sampled label plays the truth, so that all is luck.",
        "normalised oracle": "The best probability of any route for each word, divided by their sum: a distribution.",
        "calibration": "A prediction's entropy less its cross entropy; below 0 it is too sure of itself.",
        "transfer": "What one seed's choices gain on another seed's model, as a share of what they gain on their own.",
        "learning curve": "What a router gains over fixed against the tokens that both learn from.",
        "noise-free losses": "Those that a teacher expects: what a router is told has then no noise of a label in it.",
        "gap closed": "(fixed - policy) / (fixed - ceiling), of losses at an exact budget.",
    },
    "Shapes and searches": {
        "depth bias": "Share of big in the upper half of the layers, less that in the lower half.",
        "early bias": "The same of positions: first half of the sequence less second half.",
        "order": "How many layers interact in a term of the Walsh-Hadamard spectrum of a token's losses.",
        "effective number of routes": "How many independent routes would give the oracle's gain over the mean.",
        "growth, remainder": "What of the gain of the best of m routes grows with m as the best of m normal numbers "
        "does, and what doesn't. Luck that routes share leaves a remainder too, so it need be no real gain.",
        "regret": "The lowest loss that a search has met, less the lowest that there is.",
    },
    "Verdicts": {
        "smallest effect of interest": "How large an effect must be for a claim to hold; docs/claims.md sets it "
        "beforehand.",
        "holds, no such effect, fails": "A claim's statistic is shown to lie beyond the smallest effect of interest, "
        "within it, or on the other side; else it is undecided.",
        "more than luck": "The same of what the statistic has beyond luck, or of a chooser that sees no label.",
    },
}


def page() -> str:
    """docs/glossary.md."""
    lines = [
        "# Glossary",
        "",
        "Words that this project uses in a sense of its own, or that a reader of the paper lacks. Written by",
        "`python -m duo publish` from duo/report/glossary.py, as is the glossary of a run's report.",
    ]
    for title, terms in TERMS.items():
        lines += ["", f"## {title}", "", "| word | meaning |", "|---|---|"]
        lines += [f"| {word} | {meaning} |" for word, meaning in terms.items()]
    return "\n".join(lines) + "\n"
