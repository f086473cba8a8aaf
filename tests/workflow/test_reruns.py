"""What a change of the real experiment makes due, by Snakemake's plan and by DVC, without running anything."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from project import Project

from workflow import dag, stage

TRAININGS = {"pretrain", "router", "synthetic_model", "policies"}
ENUMERATIONS = {"route_losses", "sampled_labels", "train_losses", "skips", "three_way", "joint", "joint_choices"}
EXPENSIVE = TRAININGS | ENUMERATIONS | {"harness", "ablation_losses"}


def due() -> set[str]:
    """Groups of the stages that would run."""
    known = dag.Dag()
    return {known.stages[address].group for address in known.stages if known.changes(address)}


def due_by_dvc(project: Project) -> set[str]:
    """The same by `dvc status` once `code` has run: all whose own dependencies or params differ."""
    project.run("dvc repro -q code")
    status = project.run("dvc status", check=False).stdout
    return {address.split("@")[0] for address in re.findall(r"^(\S+):$", status, re.MULTILINE)}


def reading(*groups: str) -> set[str]:
    """These groups and all that read them, directly or not."""
    known, found = dag.Dag(), set(groups)
    for item in known.stages.values():
        if any(known.stages[known.makers[out]].group in found for out in known.upstream(item)):
            found.add(item.group)
    return found


def without_code(groups: set[str]) -> set[str]:
    return groups - {"code"}


def test_nothing_is_due_after_a_run(real):
    assert due() == set() and real.run("dvc status -q").returncode == 0


PROSE = {
    "a comment": ("duo/oracle/tree.py", '"""\n', '"""\n# Said aside.\n', 1),
    "a docstring": ("duo/training/loop.py", '"""', '"""Said anew. ', 1),
    "of tables that all read": ("duo/tables/files.py", '"""', '"""Said anew. ', 1),
    "of a script": ("workflow/stages/pretrain.py", '"""', '"""Said anew. ', 1),
    "code of the params' checks": (
        "duo/groups.py",
        "def require(",
        "def require_none() -> None:\n    pass\n\n\ndef require(",
        1,
    ),
    "code of what runs a stage": ("workflow/stage.py", "import json\n", "import json\nimport this\n", 1),
    "code of the planner": ("workflow/dag.py", "import json\n", "import json\nimport this\n", 1),
    "of a user's folder": ("examples/README.md", "#", "##", 1),
}


@pytest.mark.parametrize("change", PROSE)
def test_prose_and_observers_make_code_due_alone(real, change):
    file, old, new, count = PROSE[change]
    text = Path(file).read_text()
    assert old in text
    Path(file).write_text(text.replace(old, new, count))
    assert due() == {"code"}


def test_prose_runs_code_alone_by_both_drivers(real):
    real.replace("duo/oracle/tree.py", "import torch\n", "import torch  # said aside\n")
    assert re.findall(r"^rule (\w+):", real.run("snakemake -n").stdout, re.MULTILINE) == ["code", "all"]
    assert re.findall(r"^Running stage '(.+)'", real.run("dvc repro").stdout, re.MULTILINE) == ["code"]
    assert due() == set() and real.run("dvc status -q").returncode == 0


def test_what_snakemake_makes_of_code_is_what_dvc_expects(real):
    """Though a directory is among its outs, in which Snakemake would leave a file of its own."""
    real.replace("workflow/Snakefile", 'shell("python -m duo sync")', "pass")
    real.replace("duo/oracle/tree.py", "import torch\n", "import torch  # said aside\n")
    real.run("snakemake --cores 1")
    assert real.run("dvc status -q").returncode == 0 and due() == set()
    assert "Nothing to be done" in real.run("snakemake -n").stdout
    assert not list(Path("artifacts").rglob(".snakemake_timestamp"))


def new_param_of_search(project: Project) -> None:
    project.replace("duo/settings.py", "    evaluations: Count\n", "    evaluations: Count\n    patience: Count\n")
    project.replace("params.yaml", "\nsearch: ", "\nsearch:\n  patience: 3 ")
    text = Path("duo/oracle/search.py").read_text()
    Path("duo/oracle/search.py").write_text(
        text + "\n\ndef patient(settings) -> bool:\n    return settings.patience > 1\n"
    )


def new_param_of_the_routers_loss(project: Project) -> None:
    project.replace("duo/settings.py", "    alpha: Not", "    beta: Share\n    alpha: Not")
    project.replace("params.yaml", "  alpha: 10.0", "  beta: 0.5\n  alpha: 10.0")
    project.replace(
        "duo/routers/gate.py", "self.settings.alpha * budget", "(self.settings.alpha + self.settings.beta) * budget"
    )


def new_table_of_a_family(project: Project) -> None:
    text = Path("duo/tables/studies.py").read_text()
    Path("duo/tables/studies.py").write_text(text + '\nNEW = table("new/{model}.parquet", fields.MODEL)\n')


def changed_line_of_the_tree(project: Project) -> None:
    project.replace("duo/oracle/tree.py", "ROWS = 512", "ROWS = 256")


def changed_training_of_one_model(project: Project) -> None:
    project.replace("params.yaml", "skip: {seed: 1,", "skip: {seed: 2,")


def changed_loop(project: Project) -> None:
    project.replace("duo/training/loop.py", "log = logging.getLogger(__name__)", "log = logging.getLogger('loop')")


@pytest.mark.parametrize(
    ("change", "roots", "spared"),
    [
        (new_param_of_search, {"search"}, EXPENSIVE),
        (new_param_of_the_routers_loss, {"router"}, EXPENSIVE - {"router", "joint", "joint_choices"}),
        (
            new_table_of_a_family,
            None,
            TRAININGS | {"route_losses", "sampled_labels", "train_losses", "three_way", "harness"},
        ),
        (changed_line_of_the_tree, None, TRAININGS - {"policies"} | {"harness", "ablation_losses"}),
        (
            changed_training_of_one_model,
            {"pretrain"},
            {"route_losses", "sampled_labels", "policies", "search"},
        ),
        (changed_loop, None, {"corpus", "tokens", "multiple_choice"}),
    ],
)
def test_a_change_runs_what_it_can_change(real, change: Callable, roots: set | None, spared: set):
    change(real)
    changed = without_code(due())
    assert changed and not changed & spared
    if roots:
        assert roots <= changed <= reading(*roots)
    own = due_by_dvc(real)
    assert own <= changed and changed <= reading(*own)


def test_a_changed_line_of_the_tree_runs_the_enumeration(real):
    changed_line_of_the_tree(real)
    assert due() >= ENUMERATIONS
    assert dag.Dag().why("route_losses@duo-0")["route_losses@duo-0"] == ["duo/oracle/tree.py: changed"]


@pytest.mark.parametrize("change", [new_param_of_search, new_table_of_a_family, changed_line_of_the_tree])
def test_a_half_trained_checkpoint_survives(real, change):
    trainings = [("pretrain", "duo"), ("pretrain", "skip"), ("synthetic_model",), ("router", "both-2")]
    trainings = [words for words in trainings if "@".join(words) in dag.Dag().stages]
    assert len(trainings) >= 3
    before = [stage.fingerprint(*words) for words in trainings]
    change(real)
    real.run("python -m workflow.stages.code")
    assert [stage.fingerprint(*words) for words in trainings] == before


def test_a_half_trained_checkpoint_goes_with_its_own_training(real):
    duo, skip = stage.fingerprint("pretrain", "duo"), stage.fingerprint("pretrain", "skip")
    changed_training_of_one_model(real)
    real.run("python -m workflow.stages.code")
    assert stage.fingerprint("pretrain", "duo") == duo and stage.fingerprint("pretrain", "skip") != skip
    changed_loop(real)
    real.run("python -m workflow.stages.code")
    assert stage.fingerprint("pretrain", "duo") != duo


ALL_MODELS = {"claims", "figures_claims", "figures_training", "report"}  # they say something of every entry in models


def test_another_entry_in_models_runs_nothing_that_does_not_name_it(real):
    real.replace("params.yaml", "models:                     #", "models:\n  another: {seed: 9}\n  #")
    known = dag.Dag()
    assert {address for address in known.stages if known.changes(address)} == {"pretrain@another", *ALL_MODELS}
    assert without_code(due_by_dvc(real)) <= {"pretrain", *ALL_MODELS}


def test_a_retrained_model_runs_what_names_it(real):
    (teacher,) = dag.Dag().values["sampled_labels"]["teachers"]
    real.replace("params.yaml", f"{teacher}: {{seed: 1,", f"{teacher}: {{seed: 2,")
    known = dag.Dag()
    named = {address for address in known.stages if known.changes(address)}
    assert {f"teachers@{teacher}", "sampled_labels@duo-0", f"harness@{teacher}", f"ablation_losses@{teacher}"} <= named
    assert not {f"harness@{name}" for name in known.values["ablation"]["models"] if name != teacher} & named
    assert not {"route_losses@duo-0", "enumerated@duo", "search", "skips@duo"} & named


def test_one_more_teacher_runs_no_enumeration_of_routes(real):
    real.replace("params.yaml", "teachers: [dense-128]", "teachers: [dense-128, skip]")
    assert {"teachers", "sampled_labels", "gain"} <= due()
    assert not due() & (EXPENSIVE - {"sampled_labels", "skips", "joint_choices"})


def finish(project: Project) -> None:
    """As if all that is due had run."""
    project.run("python -m workflow.stages.code")
    project.run("python commit.py")
    project.run("dvc commit -q --force")


def policies_due() -> set[str]:
    known, groups = dag.Dag(), TRAININGS | {"baselines"}
    return {address for address in known.stages if address.split("@")[0] in groups and known.changes(address)}


def test_a_policy_of_ones_own_runs_itself_alone(real):
    Path("own.yaml").write_text(
        "policies: {routers: {entropy: 'examples.own_router:EntropyRouter'}, baselines: {sure: 'examples.mine:Sure'}}"
    )
    Path("examples/mine.py").write_text("class Sure:\n    def fit(self): ...\n    def losses(self): ...\n")
    real.run("python -m duo use own.yaml")
    assert policies_due() == {"policies@entropy", "baselines@sure"}
    finish(real)
    assert due() == set() and not [path for path in dag.Dag().strays() if path.suffix == ".json"]
    real.replace("examples/own_router.py", "# tokens at once", "# at once")
    assert due() == {"code"}

    real.replace("examples/own_router.py", "CHUNK = 1024", "CHUNK = 512")
    assert policies_due() == {"policies@entropy"} and due() >= {"code", "policies", "gap_closed", "report"}
    assert dag.Dag().why("policies@entropy") == {"policies@entropy": ["examples/own_router.py: changed"]}
    real.run("dvc repro -q code")
    status = real.run("dvc status", check=False).stdout
    assert re.findall(r"^(\S+):$", status, re.MULTILINE) == ["policies@entropy"]


def test_a_strategy_of_ones_own_runs_no_training_and_tries_no_route(real):
    Path("own.yaml").write_text("oracle: {strategies: {greedy: 'examples.own_strategy:GreedyLayers'}}")
    real.run("python -m duo use own.yaml")
    assert {"oracle", "oracle_curves"} <= due() and not due() & EXPENSIVE
    assert due_by_dvc(real) == {
        "oracle",
        "report",
    }  # of which only the table of strategies changes; the page has params
    finish(real)
    real.replace("examples/own_strategy.py", "np.inf", "9e9")
    assert due_by_dvc(real) == {"oracle"} and policies_due() == set()


@pytest.mark.parametrize(
    ("patch", "message"),
    [
        (
            "policies: {routers: {mine: 'nowhere:Router'}}",
            "error: 'nowhere:Router': no module nowhere; it was looked for in the working directory",
        ),
        (
            "oracle: {strategies: {mine: 'examples.own_router:EntropyRouter'}}",
            "error: 'examples.own_router:EntropyRouter': class EntropyRouter of examples/own_router.py lacks the "
            "method choose; oracle.strategies.mine in params.yaml names it",
        ),
        (
            "policies: {baselines: {mine: 'mine:Baseline'}}",
            "error: 'mine:Baseline': mine.py should lie in examples/, or no stage would notice its changes; "
            "policies.baselines.mine in params.yaml names it",
        ),
    ],
)
def test_what_is_wrong_with_a_class_is_said_before_all_other_stages(real, patch, message):
    Path("own.yaml").write_text(patch)
    Path("mine.py").write_text("class Baseline:\n    def fit(self): ...\n    def losses(self): ...\n")
    real.run("python -m duo use own.yaml")
    failed = real.run("python -m workflow.stages.code", check=False)
    assert failed.returncode == 1 and message in failed.stderr
