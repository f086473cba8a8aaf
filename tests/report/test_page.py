import dataclasses
import re
from html.parser import HTMLParser
from math import exp, log
from pathlib import Path

import pyarrow as pa
import pytest
from made_up_page import FIGURES, HOSTILE, TEXTS, answered, evaluated, inputs
from project import REPOSITORY

from duo.errors import InputError
from duo.report import content, glossary
from duo.report import page as report
from duo.studies.oracle_curves import BEST_BUDGET
from duo.tables import files, studies
from duo.tables.answers import ANSWER_CURVES
from duo.tables.report import FIGURE
from workflow import code, dag, instance
from workflow.params import load_params, read_yaml


class Tags(HTMLParser):
    """Every start tag with its attributes, and the text."""

    def __init__(self, html: str):
        super().__init__()
        self.tags, self.words = [], ""
        self.feed(html)

    def handle_starttag(self, tag, attributes):
        self.tags.append((tag, dict(attributes)))

    def handle_endtag(self, tag):
        if tag in ("td", "th"):
            self.words += " "

    def handle_data(self, data):
        self.words += data


@pytest.fixture(scope="module")
def given() -> dict:
    return inputs()


@pytest.fixture(scope="module")
def page(given) -> Tags:
    return Tags(report.render(**given))


def test_hostile_words_stay_words(page):
    assert "script" not in {tag for tag, _ in page.tags}
    assert page.words.count(HOSTILE) >= 10  # in claims, passages, sources


def test_page_fetches_nothing(given):
    html = report.render(**given)
    for _, attributes in Tags(html).tags:
        for name in ("src", "href", "srcset", "data"):
            assert attributes.get(name, "#").startswith(("data:", "#"))
    assert not re.search(r"url\(|@import", html)


def test_images_and_tables_can_be_heard(page):
    assert all(attributes.get("alt") for tag, attributes in page.tags if tag == "img")
    assert all("scope" in attributes for tag, attributes in page.tags if tag == "th")


def test_anchors_lead_to_one_place_each(page):
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(ids) == len(set(ids))
    assert {*FIGURES, content.COLOURED} <= set(ids)
    targets = {attributes["href"].removeprefix("#") for tag, attributes in page.tags if tag == "a"}
    assert {"figure-4a", "figure-4b", content.COLOURED} <= targets <= set(ids)


def test_a_band_says_what_the_run_is_and_that_a_small_one_shows_nothing(given):
    band = re.compile(r'<p class="band( few)?">(.*?)</p>', re.DOTALL)
    small, words = band.search(report.render(**given)).groups()
    assert small and "judged on 4 windows of 6 tokens of each of text, code." in " ".join(words.split())
    assert "too few for its verdicts to mean anything" in words
    enough = given["params"] | {"evaluation_set": {"documents": 16, "tokens": 6}}
    small, words = band.search(report.render(**given | {"params": enough})).groups()
    assert not small and "too few" not in words


def test_sources_of_every_kind_are_named():
    legal = {"licence": "MIT", "attribution": "its author"}
    corpus = {
        "a": {"wheels": [{"name": "box", "version": "1.0", **legal}, {"name": "bag", "version": "2.0", **legal}]},
        "b": {"glob": {"train": ["a/*.txt", "b/*.md"], "test": "c.txt"}, **legal},
        "c": {"path": "someone/something", "name": "sample", **legal},
    }
    assert [source.names for source in report.sources(corpus)] == [
        ["box 1.0", "bag 2.0"],
        ["a/*.txt", "b/*.md", "c.txt"],
        ["someone/something"],
    ]


def test_numbers_of_the_run_are_on_the_page(page, given):
    for study, estimates in evaluated():
        metrics = given["metrics"][study.ids["model"]][study.ids["domain"]]
        assert f"{metrics['perplexity']['oracle_1']:.2f}" in page.words
        assert f"{estimates[BEST_BUDGET].value:g}" in page.words
    headline = page.words.split("choice of route")[1].split("How to read")[0]
    assert "all layers big" in headline and "all layers small" not in headline  # budget 0 was not run
    assert "one 1.0, two 1.0" in page.words and "texts/*.txt" in page.words
    for warning in (
        "The oracle sees the answer",
        "cannot all be made together",
        "Two kinds of budget",
        "Hard and soft",
        "Another seed",
    ):
        assert warning in page.words


def test_every_perplexity_has_its_loss_in_nats_and_bits_per_byte_and_its_difference_from_all_big(page, given):
    rows = {(row["model"], row["domain"], row["strategy"], row["budget"]): row for row in given["curves"].to_pylist()}
    headline = " ".join(page.words.split("choice of route")[1].split("How to read")[0].split())
    bits = {"text": 48 / 115 / log(2), "code": 48 / 96 / log(2)}
    for domain in ("text", "code"):
        row = rows["duo", domain, "oracle", 1]
        ends = " to ".join(f"{exp(row[end]):.2f}" for end in ("low", "high"))
        told = f"{exp(row['loss']):.2f}{ends} {row['loss']:.3f} nats{row['loss'] * bits[domain]:.3f} bits per byte "
        told += f"{row['from_all_big']:+.3f}{row['from_all_big_low']:+.3f} to {row['from_all_big_high']:+.3f}"
        assert told in headline
    assert "of 3.4 M parameters" in page.words and "4.2 M tokens" in page.words
    apart = page.words.split("The gain taken apart")[1].split("The same for every model")[0]
    assert apart.count("bits per byte") == apart.count(" nats") > 4


def test_tables_of_perplexities_have_bits_per_byte_beside_them():
    table = pa.table(
        {"domain": ["text", "elsewhere"], "loss": [2.0, 3.0], "perplexity": [exp(2), exp(3)], "big": [1, 2]}
    )
    shown = content.with_bits(table, {"text": 0.5})
    assert shown.column_names == ["domain", "loss", "perplexity", "bits_per_byte", "big"]
    assert content.rows(shown)[0]["bits_per_byte"] == 1 and content.rows(shown)[1]["bits_per_byte"] is None
    other = pa.table({"domain": ["text"], "value": [2.0]})
    assert content.with_bits(other, {"text": 0.5}) == other


def test_a_calibration_is_called_none_of_the_seeds(given):
    params = given["params"] | {"recalibrated": {"duo-t": "duo"}, "route_losses": {"models": ["duo", "duo-t"]}}
    assert content.model_words(params) == {"duo": "seed 1", "duo-t": "duo, recalibrated"}
    words = Tags(report.render(**given | {"params": params})).words
    assert "duo: seed 1; duo-t: duo, recalibrated." in words
    assert "this run has one such model" in words
    assert "this run has one such model" not in Tags(report.render(**given)).words


def test_what_an_interval_is_stands_in_captions_reading_and_glossary_alike(page):
    assert "90% percentile bootstrap intervals, expanded as few clusters need" in page.words
    assert glossary.TERMS["Losses"]["interval"].count("expanded as few clusters need") == 1


def test_every_claim_has_its_verdicts_and_what_they_rest_on(page):
    shown = [attributes.get("class") or "" for _, attributes in page.tags]
    looks = [each.removeprefix("verdict ") for each in shown if each.startswith("verdict ")]
    # Of each claim on both kinds of text, twice: in the table, and behind it.
    assert {look: looks.count(look) for look in set(looks)} == {
        "holds": 2 * 2 * 2,  # C1, as claimed and beyond luck
        "fails": 2 * 2,  # C2 as claimed
        "nothing": 2 * 2 + 2,  # C2 beyond luck, and its placebo
        "undecided": 2 * 2 * 2,  # C16
    }
    assert "as claimed: holds 2, fails 2, not applicable 2." in page.words
    assert "of those that hold and choose by the label: more than luck 2. Like luck" in page.words
    part = " ".join(page.words.split("words of C2")[1].split("words of C16")[0].split())
    assert "text fails too little foreseen +0.250+0.188 to +0.312 > 0.5 0.013 24 1, 2" in part
    assert "What C2 is judged by" in part and "shown the oracle's best budget duo, seed-2 +2.000" in part
    assert "placebo" in part and "+0.219 to +0.281" in part
    assert not re.search(r"\bnan\b|None", page.words)


def test_the_second_part_takes_the_gain_apart(page):
    second = page.words.split("Is the oracle's gain real?")[-1]
    assert "On text the oracle at budget 2 gains +1.000 nats" in second  # the middle of its budgets
    assert "chooses routes that gain +0.250 nats per token (+0.188 to +0.312): 25 % of the oracle's gain" in second
    assert "the prediction is too sure of itself, or some route knows more than it" in second
    assert "is +0.000 nats per token (-0.062 to +0.062): not told apart from nothing." in second
    apart, every = second.split("The gain taken apart")[1].split("Nor can")[0].split("The same for every model")
    assert "code seed-2 2 +1.000+0.938 to +1.062 +0.031-0.031 to +0.094 +0.969+0.906 to +1.031" in " ".join(
        every.split()
    )
    for words, loss in (
        ("all layers big", 3.0),
        ("oracle, isolated", 2.0),
        ("routes that the model's own prediction expects to be best", 3.0),
        ("oracle, if labels came as the model's own prediction says", 2.375),
        ("oracle, joint, 4 windows", 2.25),
    ):
        assert f"{exp(loss):.2f}" in apart.split(words)[1][:20], words
    joint = second.split("where its isolated loss is lowest")[1]
    assert (
        f"{exp(2):.2f}" in joint.split("shared")[1]
        and f"{exp(2.25):.2f}" in joint.split("shared")[1].split("greedy")[0]
    )


def test_what_a_router_misses_is_told_and_why(page):
    """Most of it is label noise on text; on code it is open which part is the larger one."""
    second = page.words.split("Is the oracle's gain real?")[-1]
    text, code = second.split("The first misses +0.875 nats per token (+0.812 to +0.938) of the gain of teacher: ")[1:]
    assert text.startswith("+0.625 nats per token (+0.562 to +0.688) of it goes without label noise, +0.250 nats")
    assert "; label noise is the larger part (+0.500" in text and "own prediction gains +0.125" in text
    assert "; it is open which part is the larger one (+0.000" in code


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"chooser_gain": 0.03125}, "The gain of teacher is not told apart from nothing, so there is nothing to miss."),
        ({"missed": 0.03125}, "is not told apart from nothing."),
        ({"missed": -0.5}, "The first gains more than teacher: it misses -0.500"),
        ({"missed_by_noise": -0.5}, "the parts can't be told apart."),
        ({"noise_less_rest": -0.5}, "what stays is the larger part (-0.500"),
    ],
)
def test_what_is_missed_follows_from_its_intervals(given, values, words):
    rows = content.rows(given["gain"]["learning"])
    for row in rows:
        value = values.get(row["family"], row["value"])
        row |= {"value": value, "low": value - 0.0625, "high": value + 0.0625}
    assert words in content.learning_sentences(rows)[0]


def test_what_a_search_for_answers_says_is_told_where_there_was_one(given, page):
    asked = "Is a question solved if some route makes its right answer win?"
    assert asked not in page.words
    title = content.TABLES[ANSWER_CURVES]
    words = " ".join(Tags(report.render(**given | {"tables": given["tables"] | {title: answered()}})).words.split())
    assert f"{asked} A search that is told the answer" in words
    assert "tiny on 4 questions of school: as it is, it answers 25 %" in words
    assert "Of the 3 that it misses, some route repairs 33 %" in words


def test_what_is_left_in_one_run_stands_beside_what_is_isolated(page):
    words = " ".join(page.words.split())
    left = "+1.000 (+0.938 to +1.062) isolated; +0.750 (+0.688 to +0.812) with all tokens on these routes in one run"
    assert words.count(left) == 2  # a sentence for each domain
    assert "shared +1.000+0.938 to +1.062 +0.750+0.688 to +0.812 +0.500+0.438 to +0.562" in words
    headline = words.split("Headline Perplexity")[1].split("How to read this")[0]
    for budget, isolated, joint in (("one big layer", 2.25, 2.5), ("best of the budgets run jointly", 2.0, 2.25)):
        for kind, loss in (("isolated", isolated), ("joint", joint), ("joint in context greedy", isolated)):
            assert f"{budget}: oracle, {kind}, 4 windows {exp(loss):.2f}" in headline
    grid = words.split("Perplexity of duo on text at every budget")[1].split("Routes that serve")[0]
    assert "oracle, joint in context greedy, 4 windows" in grid and f"{exp(2.25):.2f}" in grid


def test_without_a_choice_the_second_part_says_so(given):
    none = {name: table.slice(0, 0) for name, table in given["gain"].items()}
    words = Tags(report.render(**given | {"gain": none})).words
    assert "the oracle had no choice whose gain could be taken apart" in words and "The gain taken apart" not in words


def test_a_gain_without_a_share_is_told_without_it(given):
    rows = [row for row in content.rows(given["gain"]["statistics"]) if row["domain"] == "text"]
    unknown = [row | {"value": None} if row["family"] == "foreseeable_share" else row for row in rows]
    assert content.gains(unknown, [], 4)[0].sentences[2].endswith("gain +0.250 nats per token (+0.188 to +0.312).")


def test_coloured_text_is_the_text(given):
    html = report.render(**given)
    panels = re.findall(r'<div class="coloured" dir="auto">(.*?)</div>', html, re.DOTALL)
    assert len(panels) == 2 * len(given["passages"])  # by loss and by gap
    assert all(Tags(panel).words == "".join(TEXTS) for panel in panels)
    loss, gap = (re.findall(r"--level: (\d+)%", panel) for panel in panels[:2])
    assert (
        loss[0] == gap[0] == "0" and loss[-1] == gap[-1] == "100" and loss[2] == "20" and gap[2] == "0"
    )  # a loss below the oracle's is no gap
    assert 'data-values="loss 1.00, oracle 1.00, gap 0.00 nats"' in panels[0]


def test_every_picture_of_the_pipeline_is_on_the_page(monkeypatch):
    monkeypatch.chdir(REPOSITORY)
    drawn = {Path(out).stem for out in dag.Dag().makers if out.startswith("artifacts/figures/")}
    patterns = load_params(REPOSITORY / "params.yaml").figures.patterns
    assert set(content.figure_names(patterns)) <= drawn
    assert set(content.figure_names(patterns, drawn)) == drawn - set(content.NO_FIGURES)
    assert [keys["format"] for keys in instance.made(FIGURE.template) if keys["name"] == "choosers"] == ["svg", "png"]
    assert {keys["name"] for keys in instance.made(FIGURE.template)} == drawn


def test_a_figure_that_nobody_listed_comes_last(given):
    names = content.figure_names(["figure-7"], ["headline", "new-one", "choosers", "figure-7"])
    assert names == [*content.figure_names(["figure-7"]), "new-one"]
    assert content.second_part(names) == [*content.GAIN_FIGURES, "new-one"]
    figures = [*given["figures"], dataclasses.replace(given["figures"][0], name="new-one", title="Title of new-one")]
    html = report.render(**given | {"figures": figures})
    assert html.index('<figure id="synthetic">') < html.index('<figure id="new-one">')
    assert '<a href="#new-one">Title of new-one</a>' in html


def test_a_table_that_nobody_listed_comes_last(monkeypatch):
    listed = content.study_tables()
    assert list(listed)[: len(content.TABLES)] == list(content.TABLES)
    assert not set(content.TABLES) & set(content.NO_TABLES)
    new = files.Table("early_exit/curves.parquet", studies.ORACLE_CURVES.schema)
    monkeypatch.setattr(studies, "EARLY_EXIT_CURVES", new, raising=False)
    assert list(content.study_tables().items()) == [*listed.items(), (new, "Early exit: curves")]


def row_of(table: files.Table, **named: str) -> pa.Table:
    """A row of the table in which all that is not named is 0, empty or false."""
    nothing = {field.name: pa.scalar("0").cast(field.type).as_py() for field in table.schema}
    return pa.Table.from_pylist([nothing | named], schema=table.schema)


def test_a_strategy_policy_router_and_model_that_nobody_listed_are_on_the_page(given):
    tables = {
        "A": row_of(studies.ORACLE_CURVES, model="new-model", domain="new-domain", strategy="new_strategy"),
        "B": row_of(studies.ROUTER_CURVES, router="new-router", model="new-model", kind="new_kind"),
        "C": row_of(studies.GAP_CLOSED_CURVES, policy="new_policy", model="new-model"),
    }
    words = Tags(report.render(**given | {"tables": tables})).words
    for name in ("new-model", "new-domain", "new_strategy", "new-router", "new_kind", "new_policy"):
        assert name in words, name


def test_stage_depends_on_every_template_of_the_page():
    digest = code.digests(read_yaml(REPOSITORY / "dvc.yaml")["stages"], read_yaml(REPOSITORY / "params.yaml"))["report"]
    environment = content.environment("templates")
    reached, ahead = set(), {"report.html.jinja"}
    while ahead:
        name = ahead.pop()
        reached.add(name)
        source = environment.loader.get_source(environment, name)[0]
        ahead |= set(re.findall(r'{% (?:include|from|extends) "([^"]+)"', source)) - reached
    assert {f"duo/report/templates/{name}" for name in reached} == {
        file for file in digest if file.startswith("duo/report/templates/")
    }


def test_a_missing_or_foreign_figure_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"figure-2\.svg: is missing"):
        content.embed("figure-2")
    path = FIGURE.path(name="figure-2", format="svg")
    path.parent.mkdir(parents=True)
    for markup in ("<svg/>", "<svg"):
        path.write_text(markup)
        with pytest.raises(InputError, match="damaged, or not a figure of ours"):
            content.embed("figure-2")
