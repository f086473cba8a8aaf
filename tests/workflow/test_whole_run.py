"""What a stage says of the whole run, under either driver, and what it says it from."""

import json
import re
from pathlib import Path

import pytest
from project import Project

from workflow import whole_run
from workflow.dag import Dag
from workflow.instance import Instance, all_instances
from workflow.params import read_yaml
from workflow.whole_run import WholeRun, targets

DUE = {"corpus@text": 10.0, "oracle@0": 40.0, "oracle@1": 60.0, "oracle@2": None, "report": None}
RESTS = {"oracle@0": ["corpus@text"], "report": ["corpus@text", "oracle@0", "oracle@1", "oracle@2"]}
STAGES = 9  # of the toy: code, two domains, four budgets, headline, report
DRIVERS = {"dvc": "dvc repro", "snakemake": "snakemake --cores 2"}


def run(*begun: str, done: tuple[str, ...] = (), **due: float) -> WholeRun:
    return WholeRun("1", 1000.0, DUE | due, RESTS, list(begun), list(done))


def places(done) -> list[tuple[int, int]]:
    found = re.findall(r"^\S+: stage (\d+) of (\d+)", done.stdout + done.stderr, re.MULTILINE)
    return [tuple(map(int, place)) for place in found]


def test_a_stage_takes_what_it_took_or_what_others_like_it_took():
    assert run("corpus@text").words(1000) == "stage 1 of 5, 0 s passed, about 3 min left"  # 10 + 40 + 60 + 50 + 37
    assert WholeRun("1", 0.0, {"a": None}, {}, ["a"]).words(0) == "stage 1 of 1"


def test_what_is_left_grows_with_how_much_slower_this_run_is():
    begun = ("corpus@text", "oracle@0", "oracle@1", "oracle@2")
    assert run(*begun[:2], done=begun[:1]).words(1010).endswith("about 3 min left")  # too soon to tell: 187 s
    assert run(*begun, done=begun[:3]).words(1220) == "stage 4 of 5, 4 min passed, about 3 min left"  # 220 s for 110


def test_what_a_stage_rests_on_is_done_though_it_was_not_run():
    at = run("corpus@text")
    at.begin("report")
    assert at.done == ["corpus@text", "oracle@0", "oracle@1", "oracle@2"]
    assert at.words(1005) == "stage 2 of 2, 5 s passed, about 37 s left"


def test_a_stage_that_was_not_foreseen_counts_too():
    assert WholeRun("1", 0.0, {"a": 1.0}, {}, ["a", "b"], ["a"]).words(5) == "stage 2 of 2"


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("dvc repro", []),
        ("dvc repro -q trend router", ["trend", "router"]),
        ("dvc repro artifacts/report.html -f", ["report"]),
        ("dvc repro --downstream trend", []),
        ("dvc exp run -n trend", []),
        ("python -m snakemake --cores 2 trend", ["trend"]),
        ("snakemake --omit-from trend", []),
    ],
)
def test_targets_are_told_from_what_options_take(command, expected):
    known = {"trend": "trend", "router": "router", "artifacts/report.html": "report"}
    assert targets(command.split(), known) == expected


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_stage_tells_its_place_in_the_run(fresh_toy, tmp_path, driver):
    project = fresh_toy.copy(tmp_path / "toy")
    found = places(project.run(DRIVERS[driver]))
    assert sorted(found) == [(place, STAGES) for place in range(1, STAGES + 1)]
    kept = json.loads((project.root / whole_run.DURATIONS).read_text())
    assert len(kept) == STAGES and all(0 <= each["seconds"] < 60 for each in kept.values())
    project.replace("params.yaml", "seed: 1", "seed: 2")
    assert sorted(places(project.run(DRIVERS[driver]))) == [
        (place, STAGES - 1) for place in range(1, STAGES)
    ]  # not code


def test_targets_count_alone(fresh_toy, tmp_path):
    project = fresh_toy.copy(tmp_path / "toy")
    assert places(project.run("dvc repro corpus@text")) == [(1, 2), (2, 2)]
    assert places(project.run("dvc repro -f corpus@text")) == [(1, 2), (2, 2)]


@pytest.mark.parametrize("damage", ["{", "[]", "null", '{"driver": "1"}', None])
def test_what_is_damaged_or_can_not_be_written_stops_no_stage(fresh_toy, tmp_path, damage):
    project = fresh_toy.copy(tmp_path / "toy")
    (project.root / ".pipeline").mkdir()
    if damage is None:
        (project.root / whole_run.FOLDER).write_text("no folder")
    else:
        (project.root / whole_run.FOLDER).mkdir()
        for file in (whole_run.RUN, whole_run.DURATIONS):
            (project.root / file).write_text(damage)
    done = project.run("dvc repro corpus@text")
    assert len(project.ran()) == 1
    if damage is None:
        assert places(done) == [] and "how far the run has come is not known: " in done.stderr
    else:
        assert places(done) == [(1, 2), (2, 2)]


def test_what_outlives_its_driver_does_not_count_in_the_next_run(toy: Project, monkeypatch):
    stages = all_instances()
    ours = ("driver 1", ["dvc", "repro"])
    monkeypatch.setattr(whole_run, "_driver", lambda: ours)
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("seed: 1", "seed: 2"))
    with whole_run.counted(stages["corpus@text"]):
        ours = ("driver 2", ["dvc", "repro"])
        with whole_run.counted(stages["corpus@code"]):
            pass
        ours = ("driver 1", ["dvc", "repro"])
    kept = json.loads(whole_run.RUN.read_text())
    assert (kept["driver"], kept["begun"], kept["done"]) == ("driver 2", ["corpus@code"], ["corpus@code"])


def test_durations_are_of_these_params(toy: Project, monkeypatch):
    Path("none.json").write_text("{}")
    monkeypatch.setattr(whole_run, "TYPICAL", Path("none.json"))
    stage: Instance = all_instances()["corpus@text"]
    Path("params.yaml").write_text(Path("params.yaml").read_text().replace("seed: 1", "seed: 2"))
    assert whole_run._planned("1", ["dvc", "repro"]).due[stage.address] is None
    for address, changed in {"corpus@text": "seed: 1", "oracle@0": "seed: 2"}.items():
        Path("params.yaml").write_text(re.sub("^seed: .", changed, Path("params.yaml").read_text(), flags=re.M))
        whole_run._end(all_instances()[address], "1", 7.0)
    due = whole_run._planned("1", ["dvc", "repro"]).due
    assert due["oracle@0"] == 7 and due["corpus@text"] is None


def test_a_stage_run_by_hand_says_nothing_of_a_whole(toy):
    assert "stage" not in toy.run("python -m workflow.stages.corpus text").stderr


def test_typical_durations_are_of_the_default_experiment():
    groups = read_yaml(Path("dvc.yaml"))["stages"]
    typical = json.loads(whole_run.TYPICAL.read_text())
    assert {address.split("@")[0] for address in typical} <= set(groups)
    assert set(Dag().stages) - set(typical) == set()
