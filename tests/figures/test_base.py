"""Styles of what nobody listed: each its own, and the same wherever it is drawn alone."""

from itertools import combinations

from made_up import setting

from duo.figures import base


def look(line: base.Line) -> tuple:
    return line.colour, line.marker, line.dashes


def test_listed_names_keep_their_style_and_order():
    styles = base.lines(["oracle", "plug_in", "fixed"], {"oracle": "other words"})
    assert list(styles) == ["oracle", "plug_in", "fixed"]
    assert styles["fixed"] == base.LINES["fixed"] and look(styles["oracle"]) == look(base.LINES["oracle"])
    assert styles["oracle"].label == "other words" and styles["plug_in"].label == "plug_in"


def test_what_nobody_listed_shares_no_colour_and_no_marker_while_there_are_enough():
    styles = base.lines([f"model-{index}" for index in range(6)]).values()
    for first, second in combinations(styles, 2):
        assert first.colour != second.colour and first.marker != second.marker


def test_many_names_still_differ():
    names = [*base.LINES, *(f"policy-{index}" for index in range(60))]
    unlisted = [look(style) for name, style in base.lines(names).items() if name not in base.LINES]
    assert len(set(unlisted)) == 60 and not set(unlisted) & {look(line) for line in base.LINES.values()}


def test_a_name_looks_the_same_wherever_it_is_drawn_alone():
    assert base.lines(["plug_in"]) == base.lines(["plug_in"])
    assert look(base.lines(["plug_in"])["plug_in"]) != look(base.lines(["another"])["another"])


def test_known_names_come_first_each_once():
    assert base.known_first(["plug_in", "oracle", "mean", "oracle", "another"]) == [
        "mean",
        "oracle",
        "plug_in",
        "another",
    ]


def test_a_statistic_in_few_words():
    row = {"family": "depth_bias", "subject": "oracle", "reference": "", "budget": 4.0}
    assert base.short(row) == "depth bias of oracle, k = 4"
    assert base.short(row | {"reference": "all_big", "budget": None}) == "oracle − all big"


def test_captions_name_the_models_size_its_training_and_bits_per_byte():
    shown = setting(parameters=3_449_000, training_tokens=16_800_000, bits_per_nat={"text": 0.5061, "code": 0.75})
    assert base.studied(shown).startswith("Model duo (3.4 M parameters, trained on 16.8 M tokens); 5 held-out")
    assert base.perplexity(shown).endswith("in bits per byte, 0.506 of text, 0.750 of code.")
    assert base.millions(125_000_000) == "125 M"


def test_captions_say_that_intervals_are_expanded():
    words = base.interval(setting(), "Bands", "choices kept")
    assert (
        words
        == "Bands: 90% percentile bootstrap intervals, expanded as few clusters need, clusters resampled, choices kept."
    )
