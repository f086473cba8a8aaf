"""The helper verbs; why and prune are tested with the DAG, in tests/workflow/test_dag.py."""

import shutil
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
from dvc.utils.hydra import apply_overrides
from project import REPOSITORY

from duo.errors import InputError
from duo.settings import Model
from duo.training import variants
from workflow import __main__ as verbs
from workflow import dag, published
from workflow.params import load_params


@pytest.fixture
def params(tmp_path: Path) -> Path:
    copy = tmp_path / "params.yaml"
    copy.write_text((REPOSITORY / "params.yaml").read_text(encoding="utf-8"), encoding="utf-8")
    return copy


def patch(tmp_path: Path, text: str) -> str:
    path = tmp_path / "patch.yaml"
    path.write_text(text, encoding="utf-8")
    return str(path)


@pytest.mark.parametrize(
    "target, change, expected",
    [  # the examples of RFC 7396, appendix A, that have mappings on both sides
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b"}, {"a": None}, {}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": "c"}, {"a": ["b"]}, {"a": ["b"]}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": [{"b": "c"}]}, {"a": [1]}, {"a": [1]}),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ],
)
def test_merge_follows_the_rfc(target, change, expected):
    verbs.merge(target, change)
    assert target == expected


def test_no_change_leaves_every_byte(params, tmp_path):
    before = params.read_bytes()
    verbs.use(patch(tmp_path, "seed: 1"), params)
    assert params.read_bytes() == before


def test_use_keeps_comments_and_all_other_values(params, tmp_path):
    before = params.read_text(encoding="utf-8").splitlines()
    verbs.use(patch(tmp_path, "model: {width: 256}"), params)
    after = params.read_text(encoding="utf-8").splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert changed == [(old, old.replace("128", "256")) for old, _ in changed] and len(changed) == 1
    assert "# of the residual stream" in changed[0][1]


def test_a_group_that_a_patch_empties_stays_yaml_and_keeps_its_comment(params, tmp_path):
    """Of lines of its own, with a comment at its key."""
    text, group = params.read_text(encoding="utf-8"), "contrasts:  # of what\n  one: [text, code]\n\n"
    params.write_text("\n".join([line for line in text.splitlines() if not line.startswith("contrasts:")] + [group]))
    verbs.use(patch(tmp_path, "contrasts: {one: null}"), params)
    assert load_params(params).contrasts == {} and "contrasts: {} # of what\n" in params.read_text(encoding="utf-8")


def test_a_group_that_must_not_be_empty_is_said_to_be(params, tmp_path):
    nulls = ", ".join(f"{name}: null" for name in load_params(params).routers)
    with pytest.raises(InputError, match=r"routers: \{\}: dictionary should have at least 1 item"):
        verbs.use(patch(tmp_path, f"routers: {{{nulls}}}"), params)


def test_a_model_of_params_is_audited_by_its_name(tmp_path, monkeypatch, capsys):
    from duo.auditing import command

    asked = []
    monkeypatch.setattr(command, "run", lambda model, **options: asked.append((model, options["name"])))
    monkeypatch.chdir(tmp_path)
    verbs.main(["audit", "mine", "--text", "x"])  # where there is no experiment
    (tmp_path / "params.yaml").write_text("pretrained: {mine: {source: hub}}")
    with pytest.raises(SystemExit, match=r"^1$"):
        verbs.main(["audit", "mine", "--text", "x"])
    assert "artifacts/pretrained/mine is missing; `dvc repro pretrained` brings" in capsys.readouterr().err
    (tmp_path / "artifacts/pretrained/mine").mkdir(parents=True)
    verbs.main(["audit", "mine", "--text", "x"])
    verbs.main(["audit", "other", "--text", "x"])
    assert asked == [("mine", ""), ("artifacts/pretrained/mine", "mine"), ("other", "")]


@pytest.mark.parametrize(
    "text, message",
    [
        ("model: {widht: 256}", "with .*patch.yaml: model.widht: unknown key; did you mean 'width'"),
        ("model: {width: 131}", "width: 131 must be divisible by heads"),
        ("seed: null", "seed: is missing"),
        ("- 1", "patch.yaml: should hold a mapping"),
        ("a: [", "patch.yaml: not valid YAML"),
    ],
)
def test_what_would_not_load_changes_nothing(params, tmp_path, text, message):
    before = params.read_bytes()
    with pytest.raises(InputError, match=message):
        verbs.use(patch(tmp_path, text), params)
    assert params.read_bytes() == before and not list(tmp_path.glob("*.tmp"))


def test_smoke_is_small(params):
    verbs.use(str(REPOSITORY / "params/smoke.yaml"), params)
    smoke = load_params(params)
    assert smoke.oracle.budgets == list(range(smoke.model.layers + 1)) and smoke.model.layers == 4
    assert smoke.pretrain.tokens < 1e5 and not smoke.runtime.compile


def test_full_has_three_seeds_every_budget_and_five_widths(params, tmp_path, monkeypatch):
    verbs.use(str(REPOSITORY / "params/full.yaml"), params)
    full = load_params(params)
    seeds = variants.as_trained(full.route_losses.models, full.recalibrated)
    assert len({full.models[name].seed for name in seeds}) == len(seeds) == 3
    assert full.evaluation_set.documents * full.evaluation_set.tokens == 16_384
    assert full.sampled_labels.teachers == ["teacher"] and full.sampled_labels.others
    assert {router.big for router in full.routers.values() if set(router.choices) == {"small", "big"}} >= set(
        range(1, 12)
    )
    compared = [full.models[name] for name in full.ablation.models if full.models[name].seed == 1]
    widths = [model.big for model in compared if model.p_big == 1]
    assert [(width - full.model.small) / (full.model.big - full.model.small) for width in widths] == full.ablation.p_big


@pytest.mark.parametrize(
    ("file", "most"), [(None, 140), ("smoke", 120), ("full", 250), ("paper", 180), ("shift", 150)]
)  # a stage costs seconds
def test_every_experiment_is_a_dag_that_dvc_can_carry(params, tmp_path, monkeypatch, file, most):
    if file:
        verbs.use(str(REPOSITORY / f"params/{file}.yaml"), params)
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    monkeypatch.chdir(tmp_path)
    stages = dag.Dag().stages
    assert 20 < len(stages) < most
    assert len(dag.Dag().makers) == sum(len(stage.outs) for stage in stages.values())  # no file has two makers


def test_shift_is_the_default_with_the_training_packages_as_a_domain_of_their_own(params):
    default = load_params(params)
    verbs.use(str(REPOSITORY / "params/shift.yaml"), params)
    shift = load_params(params)
    wheels = default.corpus["code"].wheels
    unseen, seen = (shift.corpus[name] for name in ("code", "code-seen"))
    assert unseen == default.corpus["code"].model_copy(
        update={"wheels": [wheel for wheel in wheels if wheel.split != "train"]}
    )
    assert seen.wheels == [wheel.model_copy(update={"split": None}) for wheel in wheels if wheel.split == "train"]
    assert seen.language == unseen.language and shift.corpus["text"] == default.corpus["text"]
    assert shift.pretrain == default.pretrain.model_copy(update={"mix": {"text": 0.5, "code-seen": 0.5}})
    changed = {name for name in type(shift).model_fields if getattr(shift, name) != getattr(default, name)}
    assert changed == {"corpus", "pretrain", "contrasts"}


def test_paper_is_the_papers(params):
    verbs.use(str(REPOSITORY / "params/paper.yaml"), params)
    paper = load_params(params)
    assert paper.model == Model(layers=12, width=2560, heads=20, big=10240, small=640)
    assert paper.tokens.vocabulary == 32000 and paper.pretrain.tokens == 300_000_000_000 and paper.pretrain.p_big == 0.5
    assert paper.oracle.budgets == list(range(13)) and paper.evaluation_set.documents == 1024
    assert paper.runtime.device == "cuda"


def run(*words: str, cwd: Path = REPOSITORY) -> subprocess.CompletedProcess:
    return subprocess.run([sys.executable, "-m", "duo", *words], cwd=cwd, capture_output=True, text=True)


def test_help_lists_the_verbs():
    shown = run("--help").stdout
    assert all(f"\n    {verb} " in shown for verb in ("use", "check", "why", "prune", "sync", "ui", "publish"))


def test_check_tells_an_old_name_and_so_does_the_dag(tmp_path, monkeypatch):
    assert run("check").stdout == "params.yaml: nothing wrong\n"
    shutil.copy(REPOSITORY / "dvc.yaml", tmp_path)
    new = (REPOSITORY / "params.yaml").read_text(encoding="utf-8")
    (tmp_path / "params.yaml").write_text(new.replace("\nroute_losses:", "\nenumerate:"), encoding="utf-8")
    monkeypatch.chdir(tmp_path)
    for ask in (verbs.check, lambda: dag.Dag().stages):
        with pytest.raises(InputError, match=r"(?s)^params.yaml: .*enumerate.*route_losses"):
            ask()


def test_unknown_stage_is_one_line():
    failed = run("why", "pretrian")
    assert failed.returncode == 1
    assert failed.stderr == "error: dvc.yaml: no stage 'pretrian'; did you mean 'pretrain'?\n"


def test_help_imports_nothing_heavy():
    heavy = "('torch', 'pyarrow', 'dvc', 'mlflow')"
    load = "import sys; from workflow.__main__ import _parser; _parser()"
    code = f"{load}; print([m for m in {heavy} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_publish_names_an_entry_that_is_not_there():
    with pytest.raises(InputError, match=r"^smol, tiny: not in pretrained_routes .*, which have smollm2-layers, "):
        verbs.publish("pretrained", ["smol", "smollm2-layers", "tiny"])


def test_publish_of_models_trained_here_keeps_what_was_published_of_others(monkeypatch):
    finished = SimpleNamespace(groups=[], stages={"corpus@text": 0}, changes=lambda address: ())
    monkeypatch.setattr(published, "Dag", lambda: finished)
    monkeypatch.setattr(published, "_whole", lambda *_: {"claims": "new", "figures": [{"name": "a"}]})
    before = {"claims": "old", "figures": [{"name": "b"}], "pretrained": {"figures": [{"name": "c"}]}}
    monkeypatch.setattr(published.results, "published", lambda: before)
    monkeypatch.setattr(published.results, "publish", lambda *given: given)
    found, renewed = published.publish("trained")
    assert found == {"claims": "new", "figures": [{"name": "a"}], "pretrained": before["pretrained"]}
    assert renewed == ["a"]
    with pytest.raises(InputError, match=r"^smollm2-layers: entries are of the part pretrained, not of trained"):
        published.publish("trained", ["smollm2-layers"])


def test_use_after_dvc_has_written_params_yaml_anew(params):
    """`dvc exp run -S` writes it in a style of its own, with comments where no parser of ours can keep them."""
    apply_overrides(params, ["router.alpha=1.0"])
    for name in ("smoke", "mine"):
        verbs.use(str(REPOSITORY / f"params/{name}.yaml"), params)
    values = load_params(params)
    assert values.router.alpha == 1.0
    assert list(values.corpus) == ["mine"] and values.model.layers == 4


@pytest.mark.parametrize(
    ("content", "message"),
    [(None, "patch: can't be read: Is a directory"), ("[" * 3000, "patch: (nested too deeply|not valid YAML)")],
)
def test_what_is_no_patch_is_one_error(params, tmp_path, content, message):
    before, path = params.read_bytes(), tmp_path / "patch"
    path.mkdir() if content is None else path.write_text(content)
    with pytest.raises(InputError, match=message):
        verbs.use(str(path), params)
    assert params.read_bytes() == before


def test_publish_refuses_a_run_that_is_not_finished(monkeypatch):
    unfinished = SimpleNamespace(
        groups=[],
        stages={"corpus@text": 0, "claims": 0},
        changes=lambda address: ("never ran",) if address == "claims" else (),
    )
    monkeypatch.setattr(published, "Dag", lambda: unfinished)
    with pytest.raises(InputError, match=r"^claims: not up to date; run `dvc repro` first"):
        verbs.publish(None)
