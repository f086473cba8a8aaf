"""A router, a baseline and a route strategy of one's own take part: in tables and figures, and on the page."""

import os
import shutil
import sys
import traceback
from pathlib import Path

import made_up_page
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest
import torch
from made_up import setting
from mlflow import MlflowClient
from project import REPOSITORY

from duo import plugins
from duo.errors import InputError
from duo.figures import base, gap_closed, oracle
from duo.model import transformer
from duo.model.device import Device
from duo.model.transformer import Duo, Shape
from duo.report import page
from duo.routers import own
from duo.routers.dataset import RouterDataset
from duo.routers.own import OwnPolicy
from duo.routes import BIG, RouteSpace
from duo.tables.data import EVALUATION_SET
from duo.tables.files import Table, fixed_lists
from duo.tables.oracle import ROUTE_LOSSES
from duo.tables.routers import BASELINE_ROUTES, BASELINE_SETTINGS, POLICY_ROUTES, POLICY_SETTINGS
from duo.tables.studies import (
    GAP_CLOSED_CURVES,
    GAP_CLOSED_STATISTICS,
    ORACLE_CURVES,
    ORACLE_METRICS,
    ORACLE_STATISTICS,
)
from duo.tables.training import MODEL
from workflow.__main__ import use
from workflow.params import load_params
from workflow.policies import KnownLosses
from workflow.stage import DIVERGED
from workflow.stages import (
    baselines,
    calibration,
    oracle_curves,
    policies,
    route_losses,
    sampled_labels,
    train_losses,
)
from workflow.stages import gap_closed as gap_closed_stage
from workflow.stages import oracle as oracle_stage

MINE = '''
import torch

class Positions:
    """A baseline: the mean losses at the token's position, whatever the document."""
    input = "position"

    def fit(self, train, validation, backbone, seed):
        self.seed = seed
        self.means = train.losses.view(*train.sample.tokens.shape, -1).mean(0)

    def losses(self, dataset):
        assert dataset.losses.isnan().all() and (dataset.sample.labels == -1).all()
        return self.means.repeat(len(dataset) // len(self.means), 1)

class NoMethods:
    pass

class Peeks(Positions):
    def losses(self, dataset):
        return dataset.losses

class Misshapen(Positions):
    def losses(self, dataset):
        return self.means

class Nothing(Positions):
    def losses(self, dataset):
        return None

class Ragged(Positions):
    def losses(self, dataset):
        return [[1.0], [2.0, 3.0]]

class Ahead(Positions):
    def losses(self, dataset):
        following = torch.from_numpy(dataset.sample.tokens).roll(-1, 1).float()
        return following.reshape(-1, 1) * torch.arange(dataset.losses.shape[1])

class Dice(Positions):
    def losses(self, dataset):
        return torch.rand(dataset.losses.shape)

class Refuses(Positions):
    def fit(self, train, validation, backbone, seed):
        from duo.errors import InputError
        raise InputError("too few documents")

class Writes(Positions):
    def fit(self, train, validation, backbone, seed):
        super().fit(train, validation, backbone, seed)
        for dataset in (train, validation):
            dataset.losses.zero_(), dataset.inputs.zero_(), dataset.sample.tokens.fill(0), dataset.sample.labels.fill(0)
        for weights in backbone.parameters():
            weights.data.zero_()

    def losses(self, dataset):
        dataset.inputs.zero_(), dataset.sample.tokens.fill(0)
        return self.means.repeat(len(dataset) // len(self.means), 1)

class FailsToFit(Positions):
    def fit(self, train, validation, backbone, seed):
        return [][1]

class FailsToLose(Positions):
    def losses(self, dataset):
        return [][1]

class FailsToBeMade(Positions):
    def __init__(self):
        int("one")

class FailsToChoose:
    def choose(self, losses, big, rng):
        raise TypeError("no")

class Wrong:
    def choose(self, losses, big, rng):
        pass

class Asks:
    def __init__(self, something):
        pass
    choose = None
'''
PATCH = """
oracle: {strategies: {greedy: "examples.own_strategy:GreedyLayers"}}
policies:
  routers: {entropy: "examples.own_router:EntropyRouter"}
  baselines: {by_position: "mine:Positions", neighbours: null}
routers:
  {both-1: null, both-2: null, small-70-big-30: null}     # no router of the paper's is trained for model duo
figures: {patterns: {figure-7: [big-50-skip-50]}}
evaluation_set: {documents: 4}
route_losses: {models: [duo]}
"""
BUDGET, SETTING = 2, setting(documents=4, tokens=32, random_routes=10, confidence=0.95)
OWN = {"greedy": "best layer after best layer", "entropy": "entropy", "by_position": "by_position"}


@pytest.fixture(autouse=True)
def importable(monkeypatch):
    """What a test imports from its own directory is forgotten after it."""
    monkeypatch.setattr(sys, "path", list(sys.path))
    known = set(sys.modules)
    yield
    for name in set(sys.modules) - known:
        if name.partition(".")[0] in ("mine", "examples", "folder"):
            del sys.modules[name]


@pytest.fixture(scope="module")
def experiment(tmp_path_factory) -> Path:
    """The directory of an experiment whose plug-ins have been trained and evaluated beside what duo has.

    Its models have random weights, its text is noise: all stages from the losses of routes on are the real ones.
    """
    root, before = tmp_path_factory.mktemp("plugins"), Path.cwd()
    (root / "params.yaml").write_text((REPOSITORY / "params.yaml").read_text())
    (root / "dvc.yaml").write_text((REPOSITORY / "dvc.yaml").read_text())
    (root / "mine.py").write_text(MINE)
    (root / "patch.yaml").write_text(PATCH)
    (root / "examples").symlink_to(REPOSITORY / "examples")
    os.chdir(root)
    try:
        for patch in (REPOSITORY / "params/smoke.yaml", root / "patch.yaml"):
            use(str(patch))
        inputs()
        run()
    finally:
        os.chdir(before)
    return root


def inputs() -> None:
    """Two random models, and documents of random tokens."""
    params, generator = load_params(), np.random.default_rng(0)
    for seed, model in enumerate(("duo", "dense-128")):
        made = Duo(Shape.of(params.tokens, params.model)).initialise(torch.Generator().manual_seed(seed))
        MODEL.path(model=model).parent.mkdir(parents=True)
        transformer.save(made, MODEL.path(model=model))
    length = params.tokens.sequence + 1
    ids = generator.integers(1, params.tokens.vocabulary, (2 * 8, length))
    ids[:, 0] = 0  # the BOS token
    names = [f"d{row}" for row in range(16)]
    columns = {"domain": np.repeat(["text", "code"], 8), "document": names, "cluster": names}
    columns |= {"start": [0] * 16, "bytes": [length] * 16}
    for split, rows in {"test": ids, "routing": ids[::-1], "validation": np.roll(ids, 3, axis=0)}.items():
        kept = rows[:, : params.evaluation_set.tokens + 1].astype(np.uint16)
        EVALUATION_SET.write(columns | {"tokens": fixed_lists(kept)}, split=split)


def run() -> None:
    params = load_params()
    calibration.main("duo")
    for shard in params.route_losses.shards:
        route_losses.main("duo", str(shard))
        sampled_labels.main("duo", str(shard))
    for domain in params.corpus:
        train_losses.main(domain)
    for budget in params.oracle.budgets:
        oracle_stage.main(str(budget))
    oracle_curves.main()
    for name in params.policies.routers:
        policies.main(name)
    for name in params.policies.baselines:
        baselines.main(name)
    gap_closed_stage.main()


@pytest.fixture
def inside(experiment, monkeypatch) -> Path:
    monkeypatch.chdir(experiment)
    return experiment


def rows(table: Table, **values) -> list[dict]:
    return base.of(table.read(), **values).to_pylist()


def test_a_strategy_is_a_row_with_an_interval(inside):
    space = RouteSpace(4)
    for domain in ("text", "code"):
        for budget in range(5):
            here = {"domain": domain, "budget": budget}
            (greedy,), (oracle_row,), (mean,) = (
                rows(ORACLE_CURVES, strategy=name, **here) for name in ("greedy", "oracle", "mean")
            )
            assert greedy["words"] == OWN["greedy"] and greedy["low"] <= greedy["loss"] <= greedy["high"]
            assert oracle_row["loss"] <= greedy["loss"] <= mean["loss"] + 1e-9
            if budget == 1:  # a layer with the lowest mean is then the best route
                assert greedy["loss"] == pytest.approx(oracle_row["loss"])
    assert len(space) == 16
    statistics = rows(ORACLE_STATISTICS, family="difference_at_best_budget", reference="greedy")
    assert len(statistics) == 2 and all(row["low"] <= row["value"] <= row["high"] for row in statistics)
    assert statistics[0]["words"] == "oracle at its best budget, less strategy greedy there"


def test_greedy_strategy_by_hand(inside):
    module = plugins.load("examples.own_strategy:GreedyLayers", ["choose"])
    space = RouteSpace(4)
    codes = space.with_budget(2)
    big, losses = space.big(codes), np.random.default_rng(1).random((30, len(codes))).astype(np.float32)
    for token, chosen in zip(losses, module.choose(losses, big, None), strict=True):
        first = min(range(4), key=lambda layer: token[big[:, layer]].mean())
        rest = [layer for layer in range(4) if layer != first]
        second = min(rest, key=lambda layer: token[big[:, first] & big[:, layer]].mean())
        assert big[chosen][[first, second]].all()


def test_a_router_and_a_baseline_keep_to_their_budgets(inside):
    space = RouteSpace(4)
    for table, settings, key, constraints in (
        (POLICY_ROUTES, POLICY_SETTINGS, {"router": "entropy"}, {"exact", "average"}),
        (BASELINE_ROUTES, BASELINE_SETTINGS, {"baseline": "by_position"}, {"exact"}),
    ):
        name = next(iter(key.values()))
        routes, kept = table.read(**key), settings.read(**key).to_pylist()
        assert {row["constraint"] for row in kept} == constraints == set(routes["constraint"].to_pylist())
        assert {(row["policy"], row["role"], row["network"]) for row in kept} == {(name, "learned", "none")}
        exact = base.of(routes, constraint="exact")
        assert (space.count(exact["route"].to_numpy(), BIG) == BUDGET).all()
        assert np.isfinite(exact["joint"].to_numpy()).all() and (exact["joint"].to_numpy() > 0).all()
        assert {row["input"] for row in kept} == {"entropy" if name == "entropy" else "position"}


def test_the_router_chooses_by_what_it_was_given(inside):
    """Its losses in the table are those of the routes that its scores put first."""
    known = pa.concat_tables([ROUTE_LOSSES.read(model="duo", shard=shard) for shard in (0, 1)])
    routes = base.of(POLICY_ROUTES.read(router="entropy"), constraint="exact")
    places = {
        tuple(row[name] for name in ("domain", "document", "position")): row["losses"] for row in known.to_pylist()
    }
    for row in routes.to_pylist():
        assert row["loss"] == pytest.approx(places[row["domain"], row["document"], row["position"]][row["route"]])


def test_gap_closed_has_them_with_intervals(inside):
    for name in ("entropy", "by_position"):
        for kind in ("isolated", "joint"):
            curves = rows(GAP_CLOSED_CURVES, policy=name, kind=kind, constraint="exact")
            assert [row["domain"] for row in curves] == ["text", "code"]
            for row in curves:
                assert row["chosen"] and row["low"] <= row["loss"] <= row["high"] and row["big"] == BUDGET
                assert row["from_fixed_low"] <= row["from_fixed"] <= row["from_fixed_high"]
        statistics = rows(GAP_CLOSED_STATISTICS, subject=name)
        families = {row["family"] for row in statistics}
        assert {"isolated_difference", "joint_difference", "isolated_gap_closed", "joint_gap_closed"} <= families
        assert all(name.replace("_", " ") in row["words"] for row in statistics)
    assert {row["policy"] for row in rows(GAP_CLOSED_CURVES)} == {
        *("expected_loss", "value", "distillation", "straight_through", "entropy"),
        *("fixed", "token_table", "random", "by_position", "ceiling", "own", "stack"),
    }


def test_figures_draw_them_in_styles_of_their_own(inside):
    curves = GAP_CLOSED_CURVES.read()
    # Losses of noise leave no gap that is sure; as if they did.
    index = curves.column_names.index("from_fixed_high")
    sure = curves.set_column(index, "from_fixed_high", pa.array([-1.0] * len(curves)))
    pictures = {
        "greedy": oracle.budget_curves(ORACLE_CURVES.read(), SETTING),
        "entropy": gap_closed.shares(sure, "dense-128", SETTING),
        "by_position": gap_closed.shares(sure, "dense-128", SETTING),
    }
    for name, picture in pictures.items():
        assert OWN[name] in [text.get_text() for text in picture.figure.legends[0].get_texts()]
        for axes in picture.figure.axes:
            lines = {line.get_label(): line for line in axes.lines if not line.get_label().startswith("_")}
            looks = [(line.get_color(), line.get_marker(), line.get_linestyle()) for line in lines.values()]
            assert OWN[name] in lines and len(set(looks)) == len(looks)


def test_the_page_has_them_in_its_tables(inside):
    given = made_up_page.inputs() | {
        "metrics": {"duo": ORACLE_METRICS.read()["duo"]},
        "statistics": ORACLE_STATISTICS.read(),
        "curves": ORACLE_CURVES.read(),
        "tables": {"Routers": GAP_CLOSED_CURVES.read(), "Statistics": ORACLE_STATISTICS.read()},
    }
    html = page.render(**given)
    assert html.count(f'<th scope="col">{OWN["greedy"]}</th>') == 2  # perplexities of either domain
    for cell in ("entropy", "by_position", "oracle at its best budget, less strategy greedy there"):
        assert f">{cell}</td>" in html


def test_what_duo_has_is_the_same_without_them(experiment, monkeypatch, tmp_path):
    monkeypatch.chdir(experiment)
    tables = {"value": POLICY_ROUTES.read(router="value"), "fixed": BASELINE_ROUTES.read(baseline="fixed")}
    strategies = ORACLE_CURVES.read()
    shutil.copytree(experiment, tmp_path / "plain")
    monkeypatch.chdir(tmp_path / "plain")
    for folder in ("oracle", "strategies", "oracle_curves", "policies", "baselines"):
        shutil.rmtree(Path("artifacts", folder))
    Path("without.yaml").write_text(
        "{oracle: {strategies: {greedy: null}}, policies: {routers: {entropy: null}, baselines: {by_position: null}}}"
    )
    use("without.yaml")
    for budget in load_params().oracle.budgets:
        oracle_stage.main(str(budget))
    oracle_curves.main()
    policies.main("value")
    baselines.main("fixed")
    assert POLICY_ROUTES.read(router="value").equals(tables["value"])
    assert BASELINE_ROUTES.read(baseline="fixed").equals(tables["fixed"])
    known = strategies.filter(pc.not_equal(strategies["strategy"], "greedy"))
    assert ORACLE_CURVES.read().to_pylist() == known.to_pylist()


@pytest.mark.parametrize(
    ("name", "methods", "message"),
    [
        ("Positions", ["fit"], "'Positions': should be module:Class, such as examples.own_router:EntropyRouter"),
        ("mine:", ["fit"], "'mine:': should be module:Class"),
        (":Positions", ["fit"], "':Positions': should be module:Class"),
        ("mine:not a name", ["fit"], "'mine:not a name': should be module:Class"),
        (
            "minne:Positions",
            ["fit"],
            "'minne:Positions': no module minne; it was looked for in the working directory, ",
        ),
        ("folder.mine:Positions", ["fit"], "no module folder.mine; it was looked for in the working directory, "),
        ("mine.more:Positions", ["fit"], "no module mine.more"),
        ("mine:Position", ["fit"], "mine.py has no class Position; it has Positions, NoMethods, Peeks, Misshapen"),
        ("mine:NoMethods", plugins.POLICY, "class NoMethods of mine.py lacks the method fit, scores or losses"),
        ("mine:Positions", ["choose"], "class Positions of mine.py lacks the method choose"),
        ("mine:Asks", ["choose"], "class Asks of mine.py lacks the method choose"),
        ("mine:Asks", [], "'mine:Asks': can't be made without arguments"),
    ],
)
def test_what_is_wrong_with_a_name_is_said(inside, name, methods, message):
    with pytest.raises(InputError) as caught:
        plugins.load(name, methods)
    assert message in str(caught.value)
    if "looked for" in message:
        assert str(Path.cwd()) in str(caught.value)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("Peeks", "mine:Peeks.losses gave numbers that are not all finite; they can't be made of labels or losses"),
        (
            "Misshapen",
            "mine:Misshapen.losses gave Tensor of torch.float32, shape (32, 16), should be a tensor of shape ",
        ),
        ("Nothing", "mine:Nothing.losses gave NoneType, should be a tensor of shape (512, 16)"),
        ("Ragged", "mine:Ragged.losses gave list of length 2, should be a tensor of shape (512, 16)"),
        ("Ahead", "mine:Ahead.losses gave tokens something else where later tokens of their documents were others"),
        ("Dice", "mine:Dice.losses gave tokens something else where later tokens of their documents were others"),
        ("Refuses", "mine:Refuses.fit: too few documents"),
    ],
)
def test_what_a_policy_may_not_give_is_said(inside, name, message):
    with pytest.raises(InputError) as caught:
        fitted(name)
    assert f"policy own: {message}" in str(caught.value)


def fitted(name: str) -> tuple[OwnPolicy, list[RouterDataset], Duo]:
    datasets = (known := KnownLosses("duo", [0], Device())).datasets()
    chooser = plugins.load(f"mine:{name}", plugins.POLICY)
    return own.fit("own", chooser, ("exact",), [2], *datasets, known.backbone, seed=1), datasets, known.backbone


def test_a_policy_can_not_harm_what_it_is_judged_on(inside):
    (policy, datasets, backbone), (other, untouched, weights) = fitted("Writes"), fitted("Positions")
    assert policy.settings[0].validation == other.settings[0].validation > 0
    for dataset, known in zip(datasets, untouched, strict=True):
        assert dataset.losses.equal(known.losses) and dataset.inputs.equal(known.inputs)
        assert (dataset.sample.tokens == known.sample.tokens).all()
        assert (dataset.sample.labels == known.sample.labels).all()
    assert all(map(torch.equal, backbone.parameters(), weights.parameters()))


@pytest.mark.parametrize(
    ("name", "main", "entry", "line"),
    [
        ("FailsToFit", policies, "policies.routers.own", "policy own: mine:FailsToFit.fit raised IndexError"),
        ("FailsToLose", baselines, "policies.baselines.own", "policy own: mine:FailsToLose.losses raised IndexError"),
        ("FailsToBeMade", baselines, "policies.baselines.own", "'mine:FailsToBeMade': __init__ raised ValueError"),
        ("FailsToChoose", oracle_stage, "oracle.strategies.own", "strategy own: mine:FailsToChoose.choose raised Type"),
        ("Misshapen", policies, "policies.routers.own", "policy own: mine:Misshapen.losses gave Tensor of"),
        ("Wrong", oracle_stage, "oracle.strategies.own", "strategy own: mine:Wrong.choose gave NoneType, should be"),
    ],
)
def test_the_last_line_of_a_failure_names_the_class_and_its_param(inside, monkeypatch, name, main, entry, line):
    (part, group, _), params = entry.split("."), load_params()
    getattr(getattr(params, part), group)["own"] = f"mine:{name}"
    monkeypatch.setattr(main, "load_params", lambda: params)
    with pytest.raises(Exception) as caught:
        main.main("2" if main is oracle_stage else "own")
    last = "".join(traceback.format_exception(caught.value)).splitlines()[-1]
    assert line in last and last.endswith(f"; {entry} in params.yaml names its class")
    assert "diverged" not in last


def test_a_loss_that_is_not_finite_is_what_asks_for_another_training(inside, monkeypatch):
    class Infinite:
        def read(self, **keys):
            losses = ROUTE_LOSSES.read(**keys)
            column = fixed_lists(np.full((len(losses), 16), np.inf, np.float32))
            return losses.set_column(losses.column_names.index("losses"), "losses", column)

    monkeypatch.setattr(oracle_stage, "ROUTE_LOSSES", Infinite())
    with pytest.raises(InputError, match=f"^domain .*: a loss is not finite; {DIVERGED}$"):
        oracle_stage.main("2")


@pytest.mark.parametrize(
    ("source", "kind", "line"),
    [
        ("a = 1\n\ndef :\n", InputError, "mine_broken.py:3: not valid Python: invalid syntax"),
        ("a = [][1]\n", IndexError, "'mine_broken:A': import of mine_broken raised IndexError"),
        ("import nothing_like_it\n", ModuleNotFoundError, "import of mine_broken raised ModuleNotFoundError"),
    ],
)
def test_a_module_that_can_not_be_imported_is_named(tmp_path, monkeypatch, source, kind, line):
    monkeypatch.chdir(tmp_path)
    Path("mine_broken.py").write_text(source)
    with pytest.raises(kind) as caught:
        plugins.load("mine_broken:A", plugins.POLICY)
    assert line in "".join(traceback.format_exception(caught.value)).splitlines()[-1]


@pytest.mark.slow
def test_classes_of_the_examples_go_all_the_way(finished_smoke, tmp_path, monkeypatch):
    """Trained and evaluated by the drivers, on the page, and in MLflow with their intervals."""
    project = finished_smoke.copy(tmp_path / "smoke")
    monkeypatch.chdir(project.root)
    html = Path("artifacts/report/index.html").read_text(encoding="utf-8")
    for cell in ("entropy", "entropy_exact", "greedy"):
        assert f">{cell}</td>" in html
    assert f'<th scope="col">{OWN["greedy"]}</th>' in html
    assert "examples.own_router:EntropyRouter" in Path("artifacts/figures/gap-closed.svg").read_text(encoding="utf-8")
    project.run("python -m duo sync")
    client = MlflowClient("sqlite:///mlflow.db")
    runs = client.search_runs([client.get_experiment_by_name("duo").experiment_id])
    metrics = {run.info.run_name: run.data.metrics for run in runs}
    assert {"policies@entropy", "baselines@entropy_exact"} <= set(metrics)
    for end in ("value", "low", "high"):
        assert f"metrics/text/entropy/joint/{end}" in metrics["gap_closed"]
        assert f"metrics/duo/text/oracle_less/greedy/{end}" in metrics["oracle_curves"]
