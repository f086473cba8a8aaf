import json
from itertools import product
from pathlib import Path

import pyarrow as pa
import pytest
from made_up_page import FIGURES, HOSTILE, TEXTS, answered, inputs, params

from duo.errors import InputError
from duo.report import content, glossary, publish
from duo.tables import files
from duo.tables.answers import ANSWER_CURVES
from duo.tables.data import EVALUATION_SET_METRICS
from duo.tables.learning import LEARNING_STATISTICS
from duo.tables.report import CLAIMS, FIGURE, RUN_STATISTICS
from duo.tables.studies import GAIN_STATISTICS, JOINT_CURVES, ORACLE_METRICS, SEED_SPREAD

PARAMS = params() | {"figures": {"patterns": ["figure-7"]}}
EVALUATED = {"text": {"windows": 6, "clusters": 5, "tokens": 48, "bytes": 115, "passed_over_short": 0}}
EVALUATED |= {"code": EVALUATED["text"] | {"clusters": 3}}
TABLES = {"Curves | of some study": pa.table({"name": ["a"], "value": [1.5], "missing": [float("nan")]})}
MARKS = "before\n<!-- results: made -->\nold\n<!-- end of results -->\nafter\n"


@pytest.fixture(scope="module")
def given() -> dict:
    return inputs()


@pytest.fixture
def run(given, tmp_path, monkeypatch) -> Path:
    """The artifacts of a finished run that the pages are made from, in a directory of its own."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(content, "embed", {figure.name: figure for figure in given["figures"]}.get)
    ORACLE_METRICS.write(given["metrics"])
    CLAIMS.write(given["verdicts"])
    SEED_SPREAD.write(given["tables"]["Spread over seeds"])
    gain = given["gain"]
    GAIN_STATISTICS.write(gain["statistics"])
    JOINT_CURVES.write(gain["joint"])
    LEARNING_STATISTICS.write(gain["learning"])
    EVALUATION_SET_METRICS.write({"test": EVALUATED})
    row = {name: gain["statistics"][name][0].as_py() for name in GAIN_STATISTICS.schema.names}
    rows = [row | {"study": "gain", "seed": 1}] * 3
    rows += [row | {"study": "joint_curves", "seed": 1} for row in gain["joint_statistics"].to_pylist()]
    RUN_STATISTICS.write(pa.Table.from_pylist(rows, schema=RUN_STATISTICS.schema))
    for name, form in product(FIGURES, ("png", "svg")):
        with files.atomic(FIGURE.path(name=name, format=form)) as temporary:
            temporary.write_text(f"{name} as {form}")
    Path("README.md").write_text(MARKS, encoding="utf-8")
    return tmp_path


def write(**others) -> list[Path]:
    return publish.publish(publish.collect(PARAMS, 1_500_000, **others), FIGURES)


@pytest.fixture
def published(run) -> dict[str, str]:
    return {
        path.name: path.read_text(encoding="utf-8") for path in write(tables=TABLES) if path.suffix in (".md", ".json")
    }


def test_every_picture_is_copied_and_shown_and_no_other_is_left(run):
    left = Path("docs/figures/of-old.png")
    left.parent.mkdir(parents=True)
    left.touch()
    written = write()
    assert not left.exists()
    assert all((run / path).exists() for path in written)
    for name in FIGURES:
        copy = run / "docs/figures" / f"{name}.png"
        assert copy.read_bytes() == FIGURE.path(name=name, format="png").read_bytes()
        assert f"(figures/{name}.png)\n\nCaption of {name}." in (run / "docs/results.md").read_text(encoding="utf-8")


def test_the_pages_follow_from_the_numbers_alone(published):
    numbers = json.loads(published["results.json"])
    assert published["results.md"] == publish.page(numbers)
    assert published["glossary.md"] == glossary.page()
    assert published["README.md"] == publish.readme(MARKS, numbers)
    assert published["README.md"].startswith("before\n<!-- results: made -->\n![The oracle's gain") and published[
        "README.md"
    ].endswith("results -->\nafter\n")
    assert "NaN" not in published["results.json"]


def test_claims_show_both_verdicts_estimate_interval_and_what_stands_beside(published):
    lines = published["results.md"].splitlines()
    words = "words of C2 \\| " + HOSTILE
    numbers = "fails | too little foreseen | +0.250 | +0.188 to +0.312 | &gt; 0.5 | 0.013 | 24 | 1, 2 |"
    assert f"| C2 | {words} | [figure 4b](#figure-4b) | text | {numbers}" in lines
    assert f"|  |  |  | code | {numbers}" in lines
    beside = [
        line for line in lines if line.startswith("| code | shown | the oracle's best budget | duo, seed-2 | +2.0")
    ]
    assert len(beside) == 1
    assert any(line.startswith("| text | placebo |") and "like luck" in line for line in lines)
    assert "holds 2, fails 2, not applicable 2" in published["results.md"]
    assert "choose by the\nlabel: more than luck 2. *Like luck*" in published["results.md"]


def test_who_foresees_what_of_the_gain_is_told(published):
    page = published["results.md"]
    for told in (
        "On text the oracle at budget 2 gains +1.000 nats per token (+0.938 to +1.062) over all layers big.",
        "the model's own prediction (cross entropy 3.000) chooses routes that gain +0.000 nats per token (-0.062 to "
        "+0.062): not told apart from nothing.",
        "the pool of all predictions (cross entropy 2.750) chooses routes that gain +0.250 nats per token (+0.188 to "
        "+0.312): 25 % of the oracle's gain (19 % to 31 %).",
        "a further +0.500 nats per token (+0.438 to +0.562) by luck alone",
        "is +0.250 nats per token (+0.188 to +0.312): the prediction is too sure of itself, or some route knows more",
        "is +0.000 nats per token (-0.062 to +0.062): not told apart from nothing.",
        "some route knows which of them comes",
        "It gains +0.000 nats per token (-0.062 to +0.062) more than on words that surprise the model as much as the "
        "label does, in the same context: not told apart.",
        "text: a nat per token is 0.602 bits per byte",
    ):
        assert told in page, told
    lines = page.splitlines()
    row = "+2.750 (+2.688 to +2.812) | -0.500 (-0.562 to -0.438) | +0.250 (+0.188 to +0.312) | "
    row += "+0.500 (+0.438 to +0.562) | +0.250 (+0.188 to +0.312) |"
    assert f"| text | seed-2 | 2 | the pool of all predictions | {row}" in lines
    low, high = (
        "7.4 (6.9 to 7.9; 2.000 nats, 1.204 bits per byte)",
        "9.5 (8.9 to 10.1; 2.250 nats, 1.355 bits per byte)",
    )
    assert f"| text | shared | 2 | {low} | {high} |" in lines
    assert f"| code | greedy | 2 | {low} | {low} |" in lines


def test_readme_says_of_each_domain_what_its_numbers_do(published):
    text, code = (line for line in published["README.md"].splitlines() if line.startswith("- **"))
    assert "the pool of all predictions foresees 25 % (19 to 31) of what the oracle gains" in text
    too_sure = "luck does not account for all of the rest; that prediction is too sure of itself here, which may be why"
    assert too_sure in text and text.endswith("so some route knows a little more than the model.")
    assert "foresees nothing of what the oracle gains that can be told apart from 0; for this chooser luck" in code
    assert code.endswith("that the model takes for as likely can't be told.")
    lines = published["README.md"].splitlines()
    pool = "+0.250 (+0.188 to +0.312) (2.750) | +0.031 (-0.031 to +0.094) (2.750) |"
    fixed = "-0.125 (-0.188 to -0.062) | -0.125 (-0.188 to -0.062) |"
    gained = "**+1.000 (+0.938 to +1.062)** | **+1.000 (+0.938 to +1.062)** |"
    assert f"| **the oracle's gain** over all layers big | {gained}" in lines
    assert f"| foreseen without the label by the pool of all predictions (its cross entropy) | {pool}" in lines
    assert f"| the best single route for all tokens, chosen on others | {fixed}" in lines
    assert any(line.startswith("| foreseen without the label by the model's own prediction (") for line in lines)
    luck = "+0.500 (+0.438 to +0.562) | +0.969 (+0.906 to +1.031) |"
    assert f"| luck, if labels came as the pool of all predictions says | {luck}" in lines
    assert (
        "| left over: neither foreseen by it nor luck | +0.250 (+0.188 to +0.312) | +0.000 (-0.062 to +0.062) |"
        in lines
    )
    assert "A nat per token is, in bits per byte, 0.602 of text, " in published["README.md"]
    (routers,) = (line for line in lines if line.startswith("**Routers.** "))
    assert "on text +0.125 (+0.062 to +0.188), where the prediction of teacher gains +1.000 (+0.938 to" in routers
    assert "has 1.5 M parameters in 4 layers" in published["README.md"]
    assert "% intervals over\n5 documents of text and 3 documents of code" in published["README.md"]


def test_beside_every_isolated_number_of_the_oracle_stands_what_is_left_in_one_run(published):
    left = "+1.000 (+0.938 to +1.062) isolated; +0.750 (+0.688 to +0.812) with all tokens on these routes in one run; "
    left += "+1.000 (+0.938 to +1.062) in one run where each token's route is the best behind those before it"
    readme, page = published["README.md"], published["results.md"]
    lines = readme.splitlines()
    for words, numbers in {
        "oracle, isolated": "+1.000 (+0.938 to +1.062)",
        "oracle, joint": "+0.750 (+0.688 to +0.812)",
        "oracle, greedy": "+1.000 (+0.938 to +1.062)",
        "foreseen by the pool of all predictions, isolated": "+0.125 (+0.062 to +0.188)",
        "foreseen by the pool of all predictions, joint": "+0.062 (+0.000 to +0.125)",
    }.items():
        assert f"| {words} | {numbers} | {numbers} |" in lines
    assert page.count(left) == 2  # a sentence for each domain
    isolated, together = "7.4 (6.9 to 7.9; 2.000; 1.204)", "9.5 (8.9 to 10.1; 2.250; 1.355)"
    (row,) = (line for line in page.splitlines() if line.startswith("| duo | text |") and isolated in line)
    one, lowest = f"{together}; 12.2 (11.4 to 13.0; 2.500; 1.505); {together}", f"{isolated}; {together}; {isolated}"
    assert f"| {one} |" in row and row.endswith(f"| {lowest} | 2 |")
    assert any(line.startswith("| seed-2 | text |") and line.endswith("|  |  |") for line in page.splitlines())
    numbers = "+1.000 (+0.938 to +1.062) | +0.750 (+0.688 to +0.812) | +0.500 (+0.438 to +0.562) | "
    numbers += "+0.500 (+0.438 to +0.562) | +0.125 (+0.062 to +0.188) | +0.062 (+0.000 to +0.125) |"
    assert f"| text | duo | 2 | the pool of all predictions | shared | {numbers}" in page.splitlines()


def test_what_was_not_run_jointly_is_not_told(run):
    rows = [row for row in RUN_STATISTICS.read().to_pylist() if row["study"] == "gain"]
    RUN_STATISTICS.write(pa.Table.from_pylist(rows, schema=RUN_STATISTICS.schema))
    page = publish.page(publish.collect(PARAMS, 1_500_000))
    assert "also run jointly" not in page and "The gain in every context" not in page


def test_every_number_of_the_run_is_in_the_json(published):
    numbers = json.loads(published["results.json"])
    statistics = numbers["statistics"]
    assert statistics["columns"] == RUN_STATISTICS.schema.names
    assert len(statistics["rows"]) == len(RUN_STATISTICS.read())
    assert numbers["tables"]["Curves | of some study"]["rows"] == [["a", 1.5, None]]
    assert '\n    ["a", 1.5, null]' in published["results.json"]  # a line for each row


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [(0.1, 0.3, "foresees 25 %"), (-0.1, 0.5, "foresees nothing"), (-0.3, -0.1, "chooses worse than all layers big")],
)
def test_readme_claims_no_more_than_an_interval_says(run, low, high, told):
    rows = GAIN_STATISTICS.read().to_pylist()
    for row in rows:
        if (row["family"], row["subject"]) == ("foreseeable", "stack"):
            row |= {"value": (low + high) / 2, "low": low, "high": high}
    GAIN_STATISTICS.write(pa.Table.from_pylist(rows, schema=GAIN_STATISTICS.schema))
    page = publish.readme(MARKS, publish.collect(PARAMS, 1_500_000))
    assert told in next(line for line in page.splitlines() if line.startswith("- **Text"))


def test_headline_numbers_are_those_of_the_run(published, given):
    lowest = given["metrics"]["seed-2"]["code"]["perplexity"]["oracle_lowest"]
    assert any(
        line.startswith("| seed-2 | code |") and f" {lowest:.1f} (" in line
        for line in published["results.md"].splitlines()
    )


def test_no_word_of_the_corpus_is_published(published):
    assert not any(TEXTS[6].strip() + " 'a" in text or "def f(" in text for text in published.values())
    assert not Path("docs/index.html").exists() and not list(Path("docs").rglob("passages*"))


def test_all_or_nothing(run):
    FIGURE.path(name="figure-8", format="png").unlink()
    with pytest.raises(InputError, match=r"figure-8\.png: missing"):
        write()
    assert not Path("docs").exists() and Path("README.md").read_text() == MARKS


def test_readme_without_marks_is_refused(run):
    Path("README.md").write_text("no marks")
    with pytest.raises(InputError, match=r"README\.md: has no part between"):
        write()
    assert not Path("docs").exists()


def test_what_a_search_for_answers_says_is_published(run):
    ANSWER_CURVES.write(answered(), name="n")
    asked = {key: {} for key in publish.PARAMS} | {"answers": {"n": {}}, "bootstrap": PARAMS["bootstrap"]}
    whole = publish.collect(PARAMS, 1_500_000)
    results = whole | {"pretrained": publish.collect_pretrained(asked, [], [])}
    page = publish.page(json.loads(json.dumps(results)))
    assert "Is a question solved if some route makes its right answer win?" in page
    assert "\n- tiny on 4 questions of school: as it is, it answers 25 %" in page
    assert "search that is told" not in publish.page(whole)


def test_one_part_is_published_beside_the_others(run):
    write()
    before, figure = publish.published(), {"name": "tiny", "title": "Tiny", "caption": "Small."}
    block = {"tried": [], "claims": {}, "statistics": None, "answers": None, "accuracy": None, "figures": [figure]}
    block["params"] = {"bootstrap": PARAMS["bootstrap"]}
    with pytest.raises(InputError, match=r"tiny\.png, .*tiny\.svg: missing"):
        publish.publish(before | {"pretrained": block}, ["tiny"])
    assert publish.published() == before
    for form in ("png", "svg"):
        FIGURE.path(name="tiny", format=form).write_text("new")
    FIGURE.path(name=FIGURES[0], format="png").write_text("of another run")
    publish.publish(before | {"pretrained": block}, ["tiny"])
    assert publish.published() == before | {"pretrained": block}
    assert Path("docs/figures/tiny.png").read_text() == "new"
    assert Path(f"docs/figures/{FIGURES[0]}.png").read_text() == f"{FIGURES[0]} as png"
    assert "![Tiny](figures/tiny.png)" in Path("docs/results.md").read_text(encoding="utf-8")


def test_a_part_needs_a_whole_that_was_published(run):
    with pytest.raises(InputError, match=r"results\.json: is missing"):
        publish.published()
