"""Every wrong value in params.yaml ends in one error that names its key and what would be right."""

import copy
import json
from pathlib import Path

import pytest
from project import REPOSITORY as ROOT
from ruamel.yaml import YAML

from duo import figure_settings
from duo.errors import InputError
from workflow.__main__ import use
from workflow.explain import RENAMED
from workflow.params import load_params, read_yaml

PARAMS = read_yaml(ROOT / "params.yaml")
NOTES = {
    "source": "files",
    "glob": "notes/*.txt",
    "licence": "MIT",
    "attribution": "me",
    "validation": 0.1,
    "test": 0.1,
    "routing": 0.1,
}


def written(tmp_path: Path, changes: dict) -> Path:
    """A params.yaml with values replaced; keys of `changes` are dotted paths."""
    values = copy.deepcopy(PARAMS)
    for path, value in changes.items():
        *groups, last = path.split(".")
        group = values
        for part in groups:
            group = group[int(part) if isinstance(group, list) else part]
        group[last] = value
    file = tmp_path / "params.yaml"
    writer = YAML(typ="safe", pure=True)
    writer.default_flow_style = False
    with open(file, "w") as out:
        writer.dump(values, out)
    return file


BLOCKS = {"of": "pretrained", "model": "smollm2", "scope": "ffn", "choices": ["skip", "big"]}


def refusal(tmp_path: Path, changes: dict) -> str:
    """The error for params.yaml with values replaced."""
    file = written(tmp_path, changes)
    with pytest.raises(InputError) as caught:
        load_params(file)
    return str(caught.value).removeprefix(f"{file}: ")


def test_default_params_are_valid_and_short():
    params = load_params(ROOT / "params.yaml")
    assert list(params.corpus) == ["text", "code"]
    lines = (ROOT / "params.yaml").read_text().splitlines()
    assert len([line for line in lines if "sha256" not in line]) < 250  # but for the list of packages


@pytest.mark.parametrize("old", RENAMED)
def test_an_old_key_is_refused_with_its_new_name(tmp_path, old):
    values = copy.deepcopy(PARAMS)
    group, key = old.split(".")
    values.setdefault(group, {})[key] = 1
    (tmp_path / "params.yaml").write_text(json.dumps(values))
    with pytest.raises(InputError) as caught:
        load_params(tmp_path / "params.yaml")
    new = RENAMED[old]
    assert f"{old} is now {new}" in str(caught.value) if new else f"{old} is gone" in str(caught.value)
    if new:
        group, *rest = new.split(".")
        at = PARAMS[group]
        for part in rest:
            assert part in at, new
            at = at[part]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model.widht": 128}, "model.widht: unknown key; did you mean 'width'?"),
        ({"sed": 1}, "sed: unknown key; did you mean 'seed'?"),
        ({"corpus.text.vallidation": 0.1}, "corpus.text.vallidation: unknown key; did you mean 'validation'?"),
        ({"corpus.code.wheels.0.license": "MIT"}, "corpus.code.wheels.0.license: unknown key; did you mean 'licence'?"),
        ({"runtime.zzz": 1}, "runtime.zzz: unknown key; known here: device, threads, compile"),
        ({"model.width": "128"}, "model.width: '128': input should be a valid integer"),
        ({"model.width": True}, "model.width: True: input should be a valid integer"),
        ({"seed": None}, "seed: None: input should be a valid integer"),
        ({"pretrain.p_big": 1.5}, "pretrain.p_big: 1.5: input should be less than or equal to 1"),
        (
            {"pretrain.p_big": 1.0},
            "pretrain.p_big: 1.0 must be above 0 and below 1, or the synthetic domain's model has",
        ),
        ({"synthetic.documents": 1}, "synthetic.documents: 1: input should be greater than or equal to 2"),
        ({"runtime.device": "gpu"}, "runtime.device: 'gpu': input should be 'cpu' or 'cuda'"),
        ({"model.width": 131}, "model.width: 131 must be divisible by heads (2)"),
        ({"model.width": 132, "model.heads": 12}, "model.width: 132 width / heads (12) must be even, for RoPE"),
        ({"oracle.budgets": [0, 13]}, "oracle.budgets: 13 is above the number of layers (model.layers: 12)"),
        ({"oracle.budgets": [4, 4]}, "oracle.budgets: [4, 4] must be ascending, each once"),
        ({"figures.heat_maps": [4, 13]}, "figures.heat_maps: 13 is not in oracle.budgets [0, 1, "),
        ({"policies.budgets": [12]}, "policies.budgets: 12 leaves no choice; should be below model.layers (12)"),
        (
            {"joint.budgets": [0, 6], "oracle.budgets": [*range(10), 12]},
            "policies.budgets: 10 is not in oracle.budgets [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12]",
        ),
        (
            {"policies.training.temperatures": [0.5, 0.1]},
            "policies.training.temperatures: [0.5, 0.1] must be ascending, each once",
        ),
        (
            {"policies.training.inputs": ["layers", "layers"]},
            "policies.training.inputs: ['layers', 'layers'] must name each once",
        ),
        ({"learning.budgets": [12]}, "learning.budgets: 12 leaves no choice; should be below model.layers (12)"),
        ({"learning.tokens": [10, 5]}, "learning.tokens: [10, 5] must be ascending, each once"),
        ({"policies.budgets": [4, 2]}, "policies.budgets: [4, 2] must be ascending, each once"),
        ({"policies.neighbours": [4, 4]}, "policies.neighbours: [4, 4] must be ascending, each once"),
        (
            {"policies.routers.mine": "value"},
            "policies.routers.mine: 'value' is no class as module:Class, and 'mine' is none of expected_loss, value, "
            "distillation, straight_through, which stand for themselves",
        ),
        (
            {"policies.routers.mine": "a/b.py:C"},
            "policies.routers.mine: 'a/b.py:C' is no class as module:Class, and 'mine' is none of ",
        ),
        ({"policies.routers": {}}, "policies.routers: {}: dictionary should have at least 1 item"),
        ({"policies.routers": ["value"]}, "policies.routers: ['value']: input should be a valid dictionary"),
        ({"policies.routers.a b": "a:B"}, "policies.routers.a b: 'a b': string should match pattern"),
        (
            {"policies.routers.value": "mine:Router"},
            "policies.routers.value: 'mine:Router' must be 'value'; give a class of your own another name",
        ),
        (
            {"policies.routers.paper": "mine:Router"},
            "policies.routers.paper: 'mine:Router' needs another name: this one stands for something else",
        ),
        ({"policies.routers.random": "mine:Router"}, "policies.routers.random: 'mine:Router' needs another name: "),
        (
            {"policies.routers.mine": "mine:Router", "policies.baselines.mine": "mine:Baseline"},
            "policies.baselines.mine: 'mine:Baseline' needs another name: ",
        ),
        ({"policies.baselines.value": "a.b:C"}, "policies.baselines.value: 'a.b:C' needs another name: "),
        (
            {"policies.baselines": {"random": "random"}},
            "policies.baselines: ['random'] lacks fixed, which all are compared with",
        ),
        ({"oracle.strategies.hard": "a.b:C"}, "oracle.strategies.hard: 'a.b:C' needs another name: "),
        (
            {"oracle.strategies": {"oracle": "oracle", "mean": "mean"}},
            "oracle.strategies: ['mean', 'oracle'] lacks random_token, which claims rest on",
        ),
        (
            {"policies.train_documents": 1, "policies.neighbours": [129]},
            "policies.neighbours: [129] asks for more than the tokens of a domain that they are looked for among "
            "(policies.train_documents * ",
        ),
        ({"difficulty.budget": 13}, "difficulty.budget: 13 is not in oracle.budgets"),
        (
            {"difficulty.passage": 129},
            "difficulty.passage: 129 is above the tokens of a document (evaluation_set.tokens: 128)",
        ),
        ({"oracle.budgets": list(range(12))}, "lacks 12, which difficulty compares with"),
        ({"schedules": [6, 3]}, "schedules: [6, 3] must have a whole mean, the constant budget beside it"),
        ({"schedules": [2, 6]}, "schedules: [2, 6] must fall; its reverse is run beside it"),
        ({"schedules": [14, 2]}, "schedules: [14, 2] passes budget 13, which is not in oracle.budgets"),
        ({"corpus.code.language": "pyhton"}, "corpus.code.language: 'pyhton': input should be 'python'"),
        (
            {"evaluation_set.tokens": 256},
            "evaluation_set.tokens: 256 is above the context length (tokens.sequence: 128)",
        ),
        ({"evaluation_set.tokens": 1}, "evaluation_set.tokens: 1: input should be greater than or equal to 2"),
        ({"three_way.tokens": 129}, "three_way.tokens: 129 is above evaluation_set.tokens (128)"),
        ({"three_way.documents": 33}, "three_way.documents: 33 is above evaluation_set.documents (32)"),
        ({"joint.contexts": ["joint"]}, "joint.contexts.0: 'joint': input should be 'shared', 'reference' or 'greedy'"),
        ({"joint.contexts": ["shared", "shared"]}, "joint.contexts: ['shared', 'shared'] must name each once"),
        ({"joint.budgets": [13]}, "joint.budgets: 13 is not in oracle.budgets [0, 1, "),
        ({"joint.budgets": [4, 2]}, "joint.budgets: [4, 2] must be ascending, each once"),
        ({"joint.documents": 33}, "joint.documents: 33 is above evaluation_set.documents (32)"),
        (
            {"joint.reference": "all_bog"},
            "joint.reference: 'all_bog' is neither of all_big, all_small, random nor a router of small and big",
        ),
        ({"joint.reference": "big-50-skip-50"}, "nor a router of small and big in model 'duo' (those: both-"),
        (
            {"skips.big": 12},
            "skips.big: 12 should be below the number of layers (model.layers: 12), or nothing is skipped",
        ),
        ({"skips.scope": "attention"}, "skips.scope: 'attention': input should be 'ffn' or 'layer'"),
        ({"router.alpha": -1.0}, "router.alpha: -1.0: input should be greater than or equal to 0"),
        ({"router.temperature": [0.2, 2.0]}, "router.temperature: [0.2, 2.0] must not rise"),
        (
            {"router.temperature": [1.0, 0.0]},
            "router.temperature.1: 0.0: input should be greater than or equal to 0.001",
        ),
        (
            {"joint.budgets": [0, 6], "oracle.budgets": [*range(10), 12], "policies.budgets": [2]},
            "routers.both-10.big: 10.0 is not in oracle.budgets [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 12]",
        ),
        (
            {"routers.both-4.model": "dense-512"},
            "routers.both-4.choices: ['small', 'big'] model 'dense-512' never trained small FFNs",
        ),
        ({"routers.both-4.model": "doo"}, "routers.both-4.model: 'doo' is none of models: ["),
        (
            {"routers.both-4.big": 12},
            "routers.both-4.big: 12.0 should be below the number of layers (model.layers: 12), with skip",
        ),
        (
            {"routers.both-4.skip": 2},
            "routers.both-4.skip: 2.0 is given with three choices alone; with two it follows from big",
        ),
        (
            {"routers.both-4.choices": ["small", "skip"]},
            "routers.both-4.choices: ['small', 'skip'] must hold big, whose number is the budget",
        ),
        ({"route_losses.shards": [0, 2]}, "route_losses.shards: [0, 2] must be [0, 1, ...] without gaps"),
        (
            {"route_losses.models": ["duo", "skip"]},
            "route_losses.models: ['duo', 'skip'] must differ by their seeds, and by nothing else",
        ),
        (
            {"route_losses.models": ["duo", "duo"]},
            "route_losses.models: ['duo', 'duo'] must name each once",
        ),
        (
            {"recalibrated.duo-t": "duo", "route_losses.models": ["duo-t", "duo"]},
            "route_losses.models: 'duo-t' is recalibrated; other stages study the first, which must be as it was "
            "trained",
        ),
        ({"recalibrated.duo-t": "dou"}, "recalibrated.duo-t: 'dou' is none of models: ["),
        ({"recalibrated.skip": "duo"}, "recalibrated.skip: 'duo' needs another name: this one is one of models"),
        ({"route_losses.models": ["dou"]}, "route_losses.models: 'dou' is none of models: ["),
        (
            {"ablation.models": ["skip", "dense-32"]},
            "ablation.models: 'skip' comes first, but all are compared with route_losses' first model, 'duo'",
        ),
        (
            {"ablation.models": ["duo", "skip"]},
            "ablation.models: 'skip' is neither dense (p_big: 1) nor frozen (big_first), nor one of "
            "route_losses.models, whose seeds others are compared with: ['duo']",
        ),
        (
            {"models.dense-32.seed": 2},
            "ablation.models: 'dense-32' has seed 2, but none of route_losses.models that ablation.models names has "
            "(['duo'])",
        ),
        ({"ablation.models": ["duo", "dense-31"]}, "ablation.models: 'dense-31' is none of models: ["),
        (
            {"models.dense-32.big": 40},
            "ablation.models: 'dense-32' has an FFN of width 40, whose FLOPs are those of no chance in ablation.p_big "
            "(these: 32, 272",
        ),
        ({"ablation.p_big": [0.5, 0.25]}, "ablation.p_big: [0.5, 0.25] must be ascending, each once"),
        ({"ablation.tasks": ["arc_easy", "arc_easy"]}, "ablation.tasks: ['arc_easy', 'arc_easy'] must name each once"),
        (
            {"ablation.context": 110},
            "ablation.context + continuation: 134 is above the context length (tokens.sequence: 128)",
        ),
        ({"sampled_labels.samples": 0}, "sampled_labels.samples: 0: input should be greater than or equal to 1"),
        (
            {"sampled_labels.reference": "random"},
            "sampled_labels.reference: 'random' is neither all_big, all_small nor a route's code",
        ),
        (
            {"sampled_labels.reference": 4096},
            "sampled_labels.reference: 4096 is no route's code, which are below 2 ** model.layers (4096)",
        ),
        ({"sampled_labels.within": 0.0}, "sampled_labels.within: 0.0: input should be greater than or equal to "),
        (
            {"sampled_labels.teachers": ["skip", "skip"]},
            "sampled_labels.teachers: ['skip', 'skip'] must name each once",
        ),
        ({"sampled_labels.teachers": ["techer"]}, "sampled_labels.teachers: 'techer' is none of models: ["),
        (
            {"sampled_labels.teachers": ["duo"]},
            "sampled_labels.teachers: 'duo' is judged itself (route_losses.models: ['duo']); take another, or "
            "sampled_labels.others",
        ),
        (
            {"sampled_labels.teachers": ["others"]},  # as it was written before
            "sampled_labels.teachers: 'others' is sampled_labels.others: true now",
        ),
        (
            {"sampled_labels.others": True},
            "sampled_labels.others: True needs two or more of route_losses.models, which are ['duo']",
        ),
        ({"search.budgets": [4, 12]}, "search.budgets: 12 leaves no choice; should be below model.layers (12)"),
        ({"search.budgets": [4, 4]}, "search.budgets: [4, 4] must name each once"),
        ({"search.documents": 33}, "search.documents: 33 is above evaluation_set.documents (32)"),
        ({"search.methods": ["beam"]}, "search.methods: ['beam'] lacks random, which the others are compared with"),
        ({"pretrain.mix": {"text": 0.5, "code": 0.4}}, "shares must add up to 1, not 0.9"),
        (
            {"pretrain.mix": {"text": 1.0}},
            "pretrain.mix: ['text'] must name the domains of corpus that have a training split: [",
        ),
        ({"pretrain.p_skip": 0.75}, "pretrain.p_big + p_skip: 1.25 must be at most 1"),
        ({"tokens.vocabulary": 65537}, "tokens.vocabulary: 65537: input should be less than or equal to 65536"),
        ({"corpus.text.source": "weel"}, "corpus.text.source: 'weel' should be one of wheel, files, huggingface"),
        ({"corpus.text": {"test": 0.1}}, "corpus.text.source: is missing; it is one of wheel, files, huggingface"),
        ({"corpus.text.test": 0.0}, "corpus.text.test: 0.0 must be above 0; later stages need every split"),
        ({"corpus.text.test": 0.97}, "corpus.text.validation + test + routing: 1.11 leaves nothing to train on"),
        ({"corpus.code.test": 0.1}, "corpus.code.test: 0.1 has no effect with split_by: package; remove it"),
        (
            {"corpus.code.wheels.0.name": "--index-url"},
            "corpus.code.wheels.0.name: '--index-url': string should match pattern",
        ),
        (
            {"corpus.text.wheels.0.sha256": "185348"},
            "corpus.text.wheels.0.sha256: '185348': string should match pattern",
        ),
        ({"corpus.a/b": NOTES}, "corpus.a/b: 'a/b': string should match pattern"),
        (
            {"corpus.text": NOTES | {"glob": "notes/*.doc"}},
            "corpus.text.glob: 'notes/*.doc' must end in .txt, .md, .jsonl, .json, .csv, .tsv, .parquet, .arrow, ",
        ),
        (
            {"corpus.text": NOTES | {"field": "text"}},
            "corpus.text.field: 'text' has no effect on text files; remove it",
        ),
        (
            {"corpus.text": NOTES | {"glob": "notes.jsonl"}},
            "corpus.text.field: is missing; it names the text in each row of a .jsonl/",
        ),
        ({"tasks.arc_easy.layout": "piqa"}, "tasks.arc_easy.layout: 'piqa': input should be 'arc' or 'hellaswag'"),
        ({"tasks.arc_easy.licens": "MIT"}, "tasks.arc_easy.licens: unknown key; did you mean 'licence'?"),
        ({"tasks.arc_easy.questions": 1}, "tasks.arc_easy.questions: 1: "),
        (
            {"ablation.tasks": ["arc_easy"]},
            "tasks.arc_easy: 'arc' needs another name: a domain of corpus, or one of ablation.tasks, has this one",
        ),
        ({"corpus.text": NOTES | {"split_by": "package"}}, "corpus.text.split_by: unknown key; "),
        ({"pretrain.learning_rate": float("inf")}, "pretrain.learning_rate: inf: input should be a finite number"),
        ({"pretrain.weight_decay": float("inf")}, "pretrain.weight_decay: inf: input should be a finite number"),
        ({"pretrain.grad_clip": float("inf")}, "pretrain.grad_clip: inf: input should be a finite number"),
        ({"router.alpha": float("inf")}, "router.alpha: inf: input should be a finite number"),
        ({"router.temperature": [float("inf"), 0.2]}, "router.temperature.0: inf: input should be a finite number"),
        (
            {"policies.training.temperatures": [float("nan")]},
            "policies.training.temperatures.0: nan: input sho",
        ),
        ({"pretrain.betas": [0.9, 1.0]}, "pretrain.betas.1: 1.0: input should be less than 1"),
        ({"seed": 2**31}, "seed: 2147483648: input should be less than 2147483648"),
        ({"models.duo.seed": 2**64}, "models.duo.seed: 18446744073709551616: input should be less than"),
        ({"synthetic.seed": 2**64}, "synthetic.seed: 18446744073709551616: input should be less than"),
        ({"model.layers": 64}, "model.layers: 64: input should be less than or equal to 39"),
        ({"model.width": 10**9}, "model.width: 1000000000: input should be less than or equal to 65536"),
        ({"runtime.threads": 10**9}, "runtime.threads: 1000000000: input should be less than or equal to 1024"),
        ({"pretrain.tokens": 10**18}, "pretrain.tokens: 1000000000000000000: input should be less than or equal to 10"),
        (
            {"pretrain.tokens": 2047},
            "pretrain.tokens: 2047 is less than one step takes: a batch of 16 x 128 tokens, 2048",
        ),
        ({"router.batch": 10**6}, "router.tokens: 300000 is less than one step takes: a batch of 1000000 x 128 tokens"),
        ({"synthetic.tokens": 1000}, "synthetic.tokens: 1000 is less than one step takes: a batch of 8 x 128 tokens"),
        ({"router.alpha": 1e300}, "router.alpha: 1e+300: input should be less than or equal to "),
        ({"pretrain.learning_rate": 1e300}, "pretrain.learning_rate: 1e+300: input should be less than or equal to "),
        ({"router.temperature": [2.0, 1e-300]}, "router.temperature.1: 1e-300: input should be greater than or equal "),
        ({"bootstrap.resamples": 10**18}, "bootstrap.resamples: 1000000000000000000: input should be less than or eq"),
        ({"sampled_labels.samples": 10**9}, "sampled_labels.samples: 1000000000: input should be less than or equal "),
        (
            {"pretrained_routes.smollm2-blocks": {**BLOCKS, "blocks": 30}},
            "pretrained_routes.smollm2-blocks.blocks: 30 means 1,073,741,824 routes to try, but at most 1,048,576 can",
        ),
        (
            {"pretrained_routes.smollm2-blocks": {**BLOCKS, "blocks": 10**9}},
            "pretrained_routes.smollm2-blocks.blocks: 1000000000: input should be less than or equal to 63",
        ),
        ({"figures.patterns.headline": ["both-2"]}, "figures.patterns.headline: 'headline' needs another name: anoth"),
        ({"figures.answers.figure-7": ["smollm2-arc_easy"]}, "figures.patterns.figure-7: 'figure-7' needs another nam"),
        (
            {"figures.patterns.smollm2-layers-places": ["both-2"]},
            "pretrained_routes.smollm2-layers: 'smollm2-layers-places' needs another name: another figure has this one",
        ),
        (
            {"figures.answers.answers": ["smollm2-arc_easy", "smollm2-arc_easy"]},
            "figures.answers.answers: ['smollm2-arc_easy', 'smollm2-arc_easy'] must name each once",
        ),
        ({"model.small": 512}, "model.small: 512 should be below model.big (512), or there is nothing to choose"),
        ({"skips.models": ["duo", "duo"]}, "skips.models: ['duo', 'duo'] must name each once"),
        ({"figures.heat_maps": [4, 4]}, "figures.heat_maps: [4, 4] must name each once"),
        (
            {"figures.patterns.figure-7": ["both-2", "both-2"]},
            "figures.patterns.figure-7: ['both-2', 'both-2'] must name",
        ),
        ({"three_way.model": "duo"}, "three_way.model: 'duo' never skipped in training (p_skip: 0)"),
        ({"routers.big-50-skip-50.model": "duo"}, "routers.big-50-skip-50.model: 'duo' never skipped in training"),
        ({"own_text": ""}, "own_text: '': string should have at least 1 character"),
    ],
)
def test_wrong_value_names_key_and_remedy(tmp_path, changes, message):
    refused = refusal(tmp_path, changes)
    assert message in refused
    assert len(refused.splitlines()) == 1


def test_the_names_of_figures_that_always_are_there_are_known():
    stages = read_yaml(ROOT / "dvc.yaml")["stages"].values()
    fixed = {
        Path(out).stem for stage in stages for out in stage.get("outs", []) if out.startswith("artifacts/figures/")
    }
    assert sorted(figure_settings.ALWAYS) == sorted(fixed)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        (21, "model.layers: 21 means 2,097,152 routes to try, but at most 1,048,576 can be tried"),
        (18, "model.layers, in three_way: 18 means 387,420,489 routes to try, but at most 134,217,728 can be tried"),
    ],
)
def test_more_layers_than_can_be_walked_are_refused_at_once(tmp_path, layers, message):
    budgets = list(range(layers + 1))
    assert refusal(tmp_path, {"model.layers": layers, "oracle.budgets": budgets}) == message


def test_a_split_without_a_wheel_is_refused(tmp_path):
    wheels = [wheel for wheel in PARAMS["corpus"]["code"]["wheels"] if wheel["split"] != "test"]
    assert (
        refusal(tmp_path, {"corpus.code.wheels": wheels})
        == "corpus.code.wheels: no wheel has split: test; every split but train needs one"
    )


def test_every_wrong_key_is_named_at_once(tmp_path):
    refused = refusal(tmp_path, {"model.heads": 0, "oracle.random_routes": -1})
    assert [line.split(": ")[-3] for line in refused.splitlines()] == ["model.heads", "oracle.random_routes"]


def test_a_domain_may_be_called_like_a_source(tmp_path):
    mix = {"text": 0.5, "code": 0.25, "files": 0.25}
    refused = refusal(tmp_path, {"corpus.files": NOTES | {"tset": 0.1}, "pretrain.mix": mix})
    assert refused == "corpus.files.tset: unknown key; did you mean 'test'?"


TREND = {
    "trend.vocabularies": [512, 2048],
    "trend.points": {
        "base": {"vocabulary": 2048},
        "half": {"vocabulary": 2048, "tokens": 1_050_000},
        "narrow": {"vocabulary": 2048, "width": 64, "heads": 1, "big": 256, "small": 16},
        "coarse": {"vocabulary": 512},
    },
    "trend.lines": {"tokens": ["half", "base"], "width": ["narrow", "base"], "vocabulary": ["coarse", "base"]},
    "figures.trends": {"trend": ["tokens", "width", "vocabulary"]},
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"trend.points.base.vocabulry": 5}, "trend.points.base.vocabulry: unknown key; did you mean 'vocabulary'?"),
        (
            {"trend.vocabularies": [2048]},
            "trend.points.coarse.vocabulary: 512 is not in trend.vocabularies [2048]",
        ),
        ({"trend.vocabularies": [2048, 512]}, "trend.vocabularies: [2048, 512] must be ascending, each once"),
        (
            {"trend.teacher": "big"},
            "trend.teacher: 'big' is none of trend.points: ['base', 'coarse', 'half', 'narrow']",
        ),
        ({"trend.windows": 9999}, "trend.windows: 9999 is above evaluation_set.documents"),
        ({"trend.shares": [0.25]}, "trend.shares: [0.25] lack 0.5, which figures show"),
        (
            {"trend.points.half.layers": 2},
            "trend.points.half.layers: 2 are too few for trend.shares [0.3333, 0.5, 0.6667], "
            "which would be budgets [1, 1, 1]",
        ),
        ({"trend.points.half.width": 10**9}, "trend.points.half.width: 1000000000: input should be less than or equal"),
        (
            {"trend.points.half.layers": 22},
            "trend.points.half.layers: 22 means 4,194,304 routes to try, but at most 1,048,576 can be tried",
        ),
        (
            {"trend.points.half.tokens": 100},
            "trend.points.half.tokens: 100 is less than one step takes: a batch of 16 x 128 tokens, 2048",
        ),
        ({"trend.points.half.heads": 3}, "trend.points.half.width: 128 must be divisible by heads (3)"),
        ({"trend.lines.tokens": ["half", "all"]}, "trend.lines.tokens: 'all' is none of trend.points"),
        ({"trend.lines.tokens": ["half", "half"]}, "trend.lines.tokens: ['half', 'half'] must name each once"),
        (
            {"trend.lines.tokens": ["base", "half"]},
            "trend.lines.tokens: ['base', 'half'] must be in ascending order of tokens, which are [2100000.0, "
            "1050000.0]",
        ),
        (
            {"trend.lines.width": ["narrow", "half"]},
            "trend.lines.width: 'half' differs from 'narrow' in tokens too, but only width may vary along this line",
        ),
        (
            {"trend.points.narrow.small": 32},
            "trend.lines.width: 'base' differs from 'narrow' in ratio too, but only width may vary along this line",
        ),
        ({"trend.lines.depth": ["half", "base"]}, "trend.lines.depth"),
        ({"figures.trends.trend": ["layers"]}, "figures.trends.trend: 'layers' is none of trend.lines"),
        ({"trend.points": {}}, "trend.lines: ['tokens', 'vocabulary', 'width'] have no points (trend.points)"),
        ({"tokens.pretrained": "opt"}, "tokens.pretrained: 'opt'"),
    ],
)
def test_points_of_the_trend(tmp_path, changes, message):
    assert message in refusal(tmp_path, copy.deepcopy(TREND) | changes)


@pytest.mark.parametrize("name", ["smoke", "trend"])
def test_experiments_with_a_trend(tmp_path, name):
    file = tmp_path / "params.yaml"
    file.write_text((ROOT / "params.yaml").read_text())
    use(str(ROOT / f"params/{name}.yaml"), file)
    params = load_params(file)
    assert params.trend.points and set(params.figures.trends["trend"]) == set(params.trend.lines)
    named = {point for line in params.trend.lines.values() for point in line}
    assert named == set(params.trend.points)


UNTRAINED = {"corpus.code.wheels": [wheel for wheel in PARAMS["corpus"]["code"]["wheels"] if wheel["split"] != "train"]}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"pretrain.mix": {"text": 0.5, "code": 0.5}},
            "pretrain.mix: ['code', 'text'] must name the domains of corpus that have a training split: ['text']",
        ),
        (
            {"routers.big-50-skip-50.mix": {"text": 0.5, "code": 0.5}},
            "routers.big-50-skip-50.mix: ['code', 'text'] must name the domains of corpus that have a training split: "
            "['text']",
        ),
        (
            copy.deepcopy(TREND),
            "corpus: 'code' has no training split, but the trend calibrates on the packed text of every domain (those: "
            "text): leave trend.points empty",
        ),
    ],
)
def test_what_is_not_trained_on_is_in_no_mix(tmp_path, changes, message):
    assert message in refusal(tmp_path, UNTRAINED | changes)


@pytest.mark.parametrize(
    ("contrasts", "message"),
    [
        ({"a": ["code", "prose"]}, "contrasts.a: 'prose' is no domain of corpus: ['code', 'text']"),
        ({"a": ["code", "code"]}, "contrasts.a: ['code', 'code'] must name two domains"),
        ({"a": ["code"]}, "contrasts.a: ['code']: list should have at least 2 items"),
        ({"a/b": ["code", "text"]}, "contrasts.a/b: 'a/b': string should match pattern"),
    ],
)
def test_contrasts_are_of_two_domains(tmp_path, contrasts, message):
    assert message in refusal(tmp_path, {"contrasts": contrasts})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: {b: c:d}", "; in braces, a value with a colon needs quotes, and a key's colon a space"),
        ("a: [", "not valid YAML"),
        ("- 1", "should hold a mapping"),
        ("a: 1\na: 2", "not valid YAML"),
    ],
)
def test_broken_file(tmp_path, text, message):
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(InputError, match=message):
        load_params(path)


def test_missing_file(tmp_path):
    with pytest.raises(InputError, match="no such file"):
        load_params(tmp_path / "params.yaml")


SEARCH = {"model": "smollm2", "task": "arc_easy", "questions": 40, "scope": "ffn", "choices": ["skip", "big"]}
SEARCH |= {"blocks": 10}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"answers": {"mine": SEARCH | {"model": "duo"}}},
            "answers.mine.model: 'duo' is none of pretrained: ['smollm2",
        ),
        ({"answers": {"mine": SEARCH | {"task": "piqa"}}}, "answers.mine.task: 'piqa' is none of tasks: ['arc_easy', "),
        (
            {"answers": {"mine": SEARCH | {"questions": 101}}},
            "answers.mine.questions: 101 is above tasks.arc_easy.ques",
        ),
        (
            {"answers": {"mine": SEARCH | {"choices": ["skip", "repeat"]}}},
            "answers.mine.choices: ['skip', 'repeat'] must ",
        ),
        (
            {"answers": {"mine": SEARCH | {"choices": ["big", "big"]}}},
            "answers.mine.choices: ['big', 'big'] must name each",
        ),
        (
            {"answers": {"mine": SEARCH | {"departure": 1}}},
            "answers.mine.departure: unknown key; did you mean 'departures'?",
        ),
        ({"figures.answers": {"answers": ["mine"]}}, "figures.answers.answers: 'mine' is none of answers: ["),
    ],
)
def test_searches_for_answers(tmp_path, changes, message):
    assert refusal(tmp_path, changes).startswith(message)
