"""Stage instances read without DVC are those that DVC reads."""

import shutil
from pathlib import Path

import pytest
from project import REPOSITORY

from duo.errors import InputError
from duo.tables.data import DOCUMENTS
from workflow import dag, instance
from workflow.__main__ import use
from workflow.params import load_params


@pytest.mark.parametrize("experiment", [None, "smoke", "full", "paper", "opt", "shift", "first"])
def test_instances_are_those_of_the_dag(tmp_path, monkeypatch, experiment):
    monkeypatch.chdir(tmp_path)
    for name in ("params.yaml", "dvc.yaml"):
        shutil.copy(REPOSITORY / name, tmp_path)
    if experiment:
        use(str(REPOSITORY / f"params/{experiment}.yaml"))
    known = dag.Dag().stages
    assert instance.all_instances() == known and list(instance.all_instances()) == list(known)
    for address in list(known)[:5]:
        name, *key = address.split("@", 1)
        assert instance.find(name, *key) == known[address]


def test_words_of_a_matrix_make_one_key():
    assert instance.find("route_losses", "duo", "1").cmd.endswith(" duo 1")


def test_what_is_not_there_is_one_error(tmp_path, monkeypatch):
    with pytest.raises(InputError, match=r"^dvc.yaml: no stage oracle@99; there are oracle@0, "):
        instance.find("oracle", "99")
    with pytest.raises(InputError, match=r"^dvc.yaml: no stage orakle$"):
        instance.find("orakle")
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("oracle: {budgets: 3}")
    Path("dvc.yaml").write_text("stages: {oracle: {foreach: '${oracle.budgets}', do: {cmd: run}}}")
    with pytest.raises(InputError, match=r"^params.yaml: oracle.budgets: is missing, or neither a list nor a mapping"):
        instance.all_instances()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("a", {"b": [{"c": 1}, 2]}),
        ("a.b[0].c", 1),
        ("a.b[1]", 2),
        ("a.b[2]", instance.ABSENT),
        ("a.c", instance.ABSENT),
        ("a.b.c", instance.ABSENT),
        ("b", instance.ABSENT),
    ],
)
def test_params_by_their_dotted_names(name, value):
    assert instance.lookup({"a": {"b": [{"c": 1}, 2]}}, name) == value


def test_domains_are_those_of_corpus_in_its_order():
    assert instance.domains(DOCUMENTS.template) == list(load_params().corpus)


def test_who_reads_all_text_notices_a_domain_that_goes():
    """Its file may stay in the directory that they depend on."""
    assert "corpus" in instance.find("tokens").params
    declared = (
        (REPOSITORY / "dvc.yaml").read_text(encoding="utf-8").split("\n  adapted:")[1].split("\n  adapted_router:")[0]
    )
    assert "params: [seed, runtime, corpus, " in declared
