"""What a stage is held to, what it says where it fails, and the fingerprint that keys its checkpoint: the same as long
as nothing that the instance depends on changes.
"""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pyarrow as pa
import pytest
from project import REPOSITORY

from duo.errors import InputError
from duo.tables.fields import field
from duo.tables.fields import table as declared
from duo.tables.files import File, Json
from workflow import instance, stage

DVC_YAML = """
stages:
  pretrain:
    foreach: ${models}
    do:
      cmd: python -m pretrain ${key}
      deps: [data.txt]
      params: [pretrain.tokens, "models.${key}"]
      outs: ["artifacts/${key}"]
  synthetic_model:
    cmd: python -m synthetic_model
    deps: [data.txt]
    params: [synthetic.tokens]
    outs: [artifacts/synthetic_model]
"""
CHANGES = {
    "the data": ("data.txt", "tokens", "other tokens"),
    "a param": ("params.yaml", "tokens: 2_100_000", "tokens: 2_100_001"),
    "its model": ("params.yaml", "skip: {seed: 1,", "skip: {seed: 2,"),
    "the command": ("dvc.yaml", "python -m pretrain", "python -m  pretrain"),
    "another model": ("params.yaml", "frozen: {seed: 1,", "frozen: {seed: 2,"),
    "another param": ("params.yaml", "batch: 16", "batch: 32"),
}


@pytest.mark.parametrize("change", CHANGES)
def test_fingerprint_changes_with_what_the_instance_depends_on_alone(tmp_path, monkeypatch, change):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("data.txt").write_text("tokens")
    before = stage.fingerprint("pretrain", "skip")
    assert before == stage.fingerprint("pretrain", "skip") != stage.fingerprint("pretrain", "duo")
    file, old, new = CHANGES[change]
    assert old in Path(file).read_text()
    Path(file).write_text(Path(file).read_text().replace(old, new))
    assert (stage.fingerprint("pretrain", "skip") == before) == change.startswith("another")


def test_a_stage_without_instances_has_a_fingerprint_too(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    Path("dvc.yaml").write_text(DVC_YAML)
    Path("data.txt").write_text("tokens")
    before = stage.fingerprint("synthetic_model")
    Path("dvc.yaml").write_text(DVC_YAML.replace("synthetic.tokens", "synthetic.documents"))
    assert stage.fingerprint("synthetic_model") != before


HELD = """
stages:
  tokens:
    cmd: python -m tokens
    deps: [artifacts/corpus, artifacts/weights]
    outs: [artifacts/tokens/a.json, artifacts/tokens/b.json]
  corpus:
    foreach: [text]
    do: {cmd: "python -m corpus ${item}", outs: ["artifacts/corpus/${item}.json"]}
  late:
    cmd: python -m late
    outs: [artifacts/late.json]
"""


@pytest.fixture
def tokens(tmp_path, monkeypatch) -> instance.Instance:
    """A stage with two outs that reads a corpus, in a directory where all that it reads is."""
    monkeypatch.chdir(tmp_path)
    Path("dvc.yaml").write_text(HELD)
    Path("params.yaml").write_text("seed: 1")
    Json("corpus/text.json").write(1)
    Json("late.json").write(1)
    Json("weights/teachers/a.json").write({"file": "artifacts/pretrain/a/model.safetensors", "md5": ""})
    return instance.find("tokens")


def write() -> None:
    for name in "ab":
        Json(f"tokens/{name}.json").write(name)


def test_a_stage_may_use_what_it_declares_and_what_is_no_stages(tokens, tmp_path):
    with stage.held(tokens):
        assert Json("corpus/{domain}.json").read(domain="text") == 1
        write()
        assert Json("tokens/a.json").read() == "a"
        File("checkpoints/1.safetensors").path()
        File("cache/wheels/a.whl").path()
        File("pretrain/{model}/model.safetensors").path(model="a")  # which its card stands for
    Json("late.json").read()


@pytest.mark.parametrize(
    "use",
    [
        lambda: Json("late.json").read(),
        lambda: Json("late.json").write(2),
        lambda: Json("{name}.json").path(name="late"),
        lambda: declared("late.json", field("a", pa.int32(), "")).read(),
    ],
    ids=["read", "write", "path", "table"],
)
def test_what_a_stage_does_not_declare_it_may_not_use(tokens, use):
    message = "^stage tokens: artifacts/late.json is neither a dependency nor an out; declare it in dvc.yaml"
    with pytest.raises(InputError, match=message), stage.held(tokens):
        write()
        use()
    assert Json("late.json").read() == 1


@pytest.mark.parametrize("file", ["corpus.json", "corpus-2/text.json", "tokens/a.json.md5", "pretrain/b/model"])
def test_a_like_name_is_not_declared(tokens, file):
    with pytest.raises(InputError, match=f"^stage tokens: artifacts/{file} is neither"), stage.held(tokens):
        File(file).path()


def test_an_absolute_path_is_the_same_file(tokens, monkeypatch, tmp_path):
    monkeypatch.setattr("duo.tables.files.ROOT", tmp_path / "artifacts")
    with stage.held(tokens):
        write()
        Json("corpus/text.json").read()
    with pytest.raises(InputError, match=r"^stage tokens: artifacts/late.json is neither"), stage.held(tokens):
        Json("late.json").read()


def test_an_out_must_be_written(tokens):
    write()  # by an earlier run
    message = "^stage tokens: artifacts/tokens/b.json is an out, but was not written; write it, or take it out"
    with pytest.raises(InputError, match=message), stage.held(tokens):
        Json("tokens/a.json").write(1)


def test_a_failed_stage_is_not_asked_for_its_outs(tokens):
    with pytest.raises(InputError, match=r"^no good$"), stage.held(tokens):
        raise InputError("no good")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "artifacts/corpus/text.json: is missing; `dvc repro corpus@text` makes it"),
        (
            "{",
            "artifacts/corpus/text.json: not valid JSON (Expecting property name enclosed in double quotes: line 1 "
            "column 2 (char 1)); delete it, then `dvc repro corpus@text` makes it again",
        ),
    ],
)
def test_a_bad_file_of_another_stage_comes_with_its_remedy(tokens, content, message):
    Path("artifacts/corpus/text.json").unlink()
    if content:
        Path("artifacts/corpus/text.json").write_text(content)
    with pytest.raises(InputError) as caught, stage.held(tokens):
        Json("corpus/text.json").read()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    "error",
    [
        "artifacts/tokens/a.json: could not be written: No space left on device",  # its own
        "artifacts/pretrain/a/model.safetensors: not a Duo model",  # of no stage
        "corpus.jsonl:3: no text",
        "artifacts/checkpoints/1.safetensors: damaged checkpoint",
    ],
)
def test_other_errors_have_no_such_remedy(tokens, error):
    with pytest.raises(InputError) as caught, stage.held(tokens):
        raise InputError(error)
    assert str(caught.value) == error


def test_advice_is_added_to_input_errors_alone():
    words = "lower evaluation_set.documents"
    with pytest.raises(InputError, match=f"^too few documents; {words}$"), stage.advice(words):
        raise InputError("too few documents")
    with pytest.raises(ValueError, match=r"^other$"), stage.advice("lower it"):
        raise ValueError("other")
    with stage.advice("lower it"):
        pass


def test_a_missing_dependency_has_no_fingerprint(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copy(REPOSITORY / "params.yaml", "params.yaml")
    Path("dvc.yaml").write_text(DVC_YAML)
    with pytest.raises(InputError, match=r"^data.txt: can't be read: No such file or directory$"):
        stage.fingerprint("synthetic_model")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_is_one_line_and_the_shells_status(toy, sent, status):
    running = toy.start("python -m workflow.stages.headline", TOY_HANGS="artifacts/headline.txt")
    deadline = time.monotonic() + 60
    while not Path("artifacts/headline.txt.tmp").exists():
        assert running.poll() is None and time.monotonic() < deadline
        time.sleep(0.02)
    os.killpg(running.pid, sent)
    assert running.wait(30) == status
    assert toy.output() == "interrupted; run again to go on\n"
    toy.run("dvc repro -q")


@pytest.mark.parametrize(("sent", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_an_interrupt_while_a_stage_is_imported_is_one_line(toy, sent, status):
    """Even where a library's import catches all."""
    script = toy.root / "workflow/stages/headline.py"
    swallowing = f"import os\ntry: os.kill(os.getpid(), {sent:d})\nexcept BaseException: pass\n"
    script.write_text(swallowing + script.read_text())
    ran = toy.run("python -m workflow.stages.headline", check=False)
    assert (ran.returncode, ran.stderr) == (status, "interrupted; run again to go on\n")


def test_a_stage_that_is_run_by_hand_is_held_too(toy):
    toy.replace("workflow/stages/report.py", '"headline.txt"', '"headline.txt", "oracle/2/tokens.txt"')
    failed = toy.run("python -m workflow.stages.report", check=False)
    assert failed.returncode == 1
    assert failed.stderr.startswith(
        "error: stage report: artifacts/oracle/2/tokens.txt is neither a dependency nor an out;"
    )
    failed = toy.run("python -m workflow.stages.oracle 99", check=False)
    assert failed.stderr == "error: dvc.yaml: no stage oracle@99; there are oracle@0, oracle@1, oracle@2, oracle@4\n"


@pytest.mark.parametrize("driver", ["dvc repro", "snakemake --cores 1"])
def test_a_stage_that_breaks_its_declaration_fails_with_either_driver(toy, driver):
    toy.replace(
        "dvc.yaml",
        "artifacts/code/report.json, artifacts/headline.txt]",
        "artifacts/code/report.json, artifacts/corpus]",
    )
    failed = toy.run(driver, check=False)
    assert failed.returncode != 0
    assert (
        "error: stage report: artifacts/headline.txt is neither a dependency nor an out;"
        in failed.stdout + failed.stderr
    )


def test_stages_do_not_wait_for_dvc():
    words = (
        "import sys; import workflow.stage, workflow.track; print([m for m in ('dvc', 'mlflow') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", words], cwd=REPOSITORY, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("kind", [InputError, KeyError])
def test_advice_may_be_for_what_the_error_begins_with_alone(kind):
    """In the message of an InputError, in the last line of the traceback of what the user's own code raises."""
    words = {"domain ": stage.DIVERGED, "strategy a: ": "a names it", "strategy ab: ": "ab names it"}
    for line, added in {
        "domain text": f"; {stage.DIVERGED}",
        "strategy a: x": "; a names it",
        "losses of 8": "",
    }.items():
        error = kind(line)
        error.add_note(line)
        with pytest.raises(kind) as caught, stage.advice(words):
            raise error
        assert line + added == (str(caught.value) if kind is InputError else caught.value.__notes__[-1])
