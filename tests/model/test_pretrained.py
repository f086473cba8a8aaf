"""Pretrained models from a directory: what is read is what was saved; what can't be read is one error."""

import pytest
import torch
from saved_model import BOTH, save

from duo.errors import InputError
from duo.model import pretrained

TEXTS = ["one and two and three", "short", "four and five and six and seven"]


@pytest.fixture(params=[BOTH, {"eos_token": "</s>"}], ids=["bos", "eos alone"])
def saved(tmp_path, request):
    """A directory with a tiny Llama and a tokenizer of bytes."""
    model = save(tmp_path, request.param, max_shard_size="5KB")
    return tmp_path, model, 128 if "bos_token" in request.param else 129


def test_a_directory_is_read_whole(saved):
    path, model, start = saved
    assert len(list(path.glob("*.safetensors"))) > 1, "sharded"
    found, tokenizer = pretrained.load(str(path))
    for name, weights in model.state_dict().items():
        assert torch.equal(found.state_dict()[name], weights)
    assert not found.training and not any(weights.requires_grad for weights in found.parameters())
    for text in TEXTS:
        ids = pretrained.window(tokenizer, text, 11)
        assert ids is None if len(text) < 12 else ids == [start, *map(ord, text[:12])]


def test_an_outline_has_the_shapes_and_no_weights(saved):
    path, model, _ = saved
    outline = pretrained.outline(str(path))
    assert {name: each.shape for name, each in outline.named_parameters()} == {
        name: each.shape for name, each in model.named_parameters()
    }
    assert all(each.device.type == "meta" for each in outline.parameters())


def test_weights_that_can_run_code_are_refused_with_the_command_that_converts_them(saved):
    path, model, _ = saved
    for part in path.glob("*.safetensors"):
        part.unlink()
    torch.save(model.state_dict(), path / "pytorch_model.bin")
    with pytest.raises(InputError, match=r"in .bin files alone, which can run code.*save_pretrained"):
        pretrained.load(str(path))


@pytest.mark.parametrize(
    ("name", "message"),
    [("nowhere/model.gguf", "'nowhere/model.gguf' is no file"), ("no/such-model", "'no/such-model' can't be read")],
)
def test_what_is_not_there_is_one_error(name, message, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(InputError, match=f"model: {message}"):
        pretrained.load(name)


@pytest.mark.parametrize("read", [pretrained.load, pretrained.outline])
@pytest.mark.parametrize("name", ["model.gguf", ""], ids=["file", "its directory"])
def test_a_truncated_gguf_file_is_one_error(tmp_path, read, name):
    (tmp_path / "model.gguf").write_bytes(b"GGUF" + bytes(8))
    with pytest.raises(InputError, match="can't be read"):
        read(str(tmp_path / name))


def test_a_text_begins_with_its_token_or_with_that_which_ends_it():
    class Plain:
        bos_token_id, eos_token_id = None, None

    with pytest.raises(InputError, match="neither a token that begins"):
        pretrained.beginning(Plain())
    Plain.eos_token_id = 0
    assert pretrained.beginning(Plain()) == 0
    Plain.bos_token_id = 7
    assert pretrained.beginning(Plain()) == 7


def test_one_gguf_file_may_stand_for_its_directory(tmp_path):
    (tmp_path / "model.Q4.gguf").touch()
    assert pretrained._source(str(tmp_path), "model") == (str(tmp_path), {"gguf_file": "model.Q4.gguf"})
    (tmp_path / "other.gguf").touch()
    assert pretrained._source(str(tmp_path), "model") == (str(tmp_path), {}), "which of two nobody says"
