"""What a stage says of the whole run, under either driver, and what it says it from."""

import json
import re

import pytest

from workflow import whole_run
from workflow.whole_run import WholeRun, guess

SECONDS = {"corpus@text": 10.0, "oracle@0": 40.0, "oracle@1": 60.0}
DRIVERS = {"dvc": "dvc repro", "snakemake": "snakemake --cores 1"}


def test_a_stage_takes_what_it_took_or_what_others_like_it_took():
    assert guess("oracle@0", SECONDS) == 40
    assert guess("oracle@2", SECONDS) == 50
    assert guess("report", SECONDS) == pytest.approx(110 / 3)
    assert guess("report", {}) == 0


def test_what_is_left_grows_with_how_much_slower_this_run_is():
    run = WholeRun("1", 1000.0, ["corpus@text", "oracle@0", "oracle@1"], ["corpus@text"], [])
    assert run.words(1000, SECONDS) == "stage 1 of 3, 0 s passed, about 2 min left"
    run.begun, run.done = ["corpus@text", "oracle@0"], ["corpus@text"]
    assert run.words(1050, SECONDS) == "stage 2 of 3, 50 s passed, about 2 min left"  # too soon to tell the speed
    run.begun, run.done = ["corpus@text", "oracle@0", "oracle@1"], ["corpus@text", "oracle@1"]
    assert run.words(1140, SECONDS) == "stage 3 of 3, 2 min passed, about 80 s left"  # 140 s for 70 s, 40 s are left


def test_a_stage_that_was_not_foreseen_counts_too():
    run = WholeRun("1", 0.0, ["corpus@text"], ["corpus@text", "oracle@0"], ["corpus@text"])
    assert run.words(5, SECONDS) == "stage 2 of 2"


@pytest.mark.parametrize("driver", DRIVERS)
def test_each_stage_tells_its_place_in_the_run(fresh_toy, tmp_path, driver):
    project = fresh_toy.copy(tmp_path / "toy")
    stages = 9  # code, two domains, four budgets, headline, report
    done = project.run(DRIVERS[driver])
    places = re.findall(rf"stage (\d+) of {stages}\b", done.stdout + done.stderr)
    assert list(map(int, places)) == list(range(1, stages + 1))
    kept = json.loads((project.root / whole_run.DURATIONS).read_text())
    assert len(kept) == stages and min(kept.values()) >= 0
    project.replace("params.yaml", "seed: 1", "seed: 2")
    (project.root / whole_run.DURATIONS).write_text("{")  # which a stage does without
    (project.root / whole_run.RUN).write_text("")
    done = project.run(DRIVERS[driver])
    assert re.findall(r"stage (\d+) of (\d+)", done.stdout + done.stderr)[0] == ("1", str(stages - 1))  # all but code


def test_targets_count_alone(fresh_toy, tmp_path):
    project = fresh_toy.copy(tmp_path / "toy")
    done = project.run("dvc repro corpus@text")
    assert re.findall(r"stage (\d+) of (\d+)", done.stdout + done.stderr) == [("1", "2"), ("2", "2")]


def test_a_stage_run_by_hand_says_nothing_of_a_whole(toy):
    done = toy.run("python -m workflow.stages.corpus text")
    assert "stage" not in done.stderr
