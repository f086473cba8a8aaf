"""What an audit is said to take is what it takes."""

from dataclasses import replace

import numpy as np
import pytest
import transformers
from torch.utils.flop_counter import FlopCounterMode

from duo.auditing import plan
from duo.errors import InputError
from duo.model import decoders
from duo.model.device import Device
from duo.oracle import departures
from duo.oracle.tree import Enumerator
from duo.routes import RouteSpace

LLAMA = transformers.LlamaConfig(
    vocab_size=300,
    hidden_size=32,
    intermediate_size=80,
    num_hidden_layers=6,
    num_attention_heads=4,
    num_key_value_heads=2,
    tie_word_embeddings=True,
)
OPT = transformers.OPTConfig(
    vocab_size=300, hidden_size=32, ffn_dim=64, num_hidden_layers=6, num_attention_heads=4, word_embed_proj_dim=32
)


@pytest.mark.parametrize("config", [LLAMA, OPT], ids=["llama", "opt"])
@pytest.mark.parametrize("scope", ["ffn", "layer"])
@pytest.mark.parametrize("bound", [{"departures": 2}, {"blocks": 2, "departures": 2}, {"departures": 6}])
def test_products_are_counted(config, scope, bound, monkeypatch):
    """By torch's own counter, where the temperature takes as many passes as are counted on."""
    monkeypatch.setattr(departures, "STEPS", plan.PASSES - 1)
    monkeypatch.setattr(departures, "STEP", 0.0)
    model = transformers.AutoModelForCausalLM.from_config(config).eval().requires_grad_(False)
    space = RouteSpace(6, ("skip", "big"), **bound)
    enumerator = Enumerator(decoders.routable(model), space, Device(), 10**6, scope)
    ids = np.random.default_rng(0).integers(300, size=(4, 11))
    with FlopCounterMode(display=False) as counter:
        departures.walk(enumerator, ids[:, :-1].copy(), ids[:, 1:].copy())
    planned = plan.plan(model, enumerator, 4, 10)
    assert (planned.routes, planned.documents, planned.tokens) == (len(space), 4, 10)
    assert planned.flops == pytest.approx(counter.get_total_flops(), rel=0.15)


def test_more_of_anything_takes_more_memory():
    parts = transformers.AutoModelForCausalLM.from_config(LLAMA)

    def memory(documents=4, tokens=10, departures=2):
        space = RouteSpace(6, ("skip", "big"), departures=departures)
        return plan.plan(parts, Enumerator(decoders.routable(parts), space, Device(), 8192), documents, tokens).bytes

    least = memory()
    assert least > 4 * sum(each.numel() for each in parts.parameters())
    assert all(memory(**more) > least for more in ({"documents": 4000}, {"tokens": 1000}, {"departures": 6}))


def test_what_does_not_fit_is_refused():
    planned = plan.Plan(11, 4, 12, 1.5e9, 2 * 10**9)
    assert planned.words(None) == (
        "11 routes, 4 documents of 12 tokens: 528 losses; about 1.5 GFLOP; at most about 2.0 GB of memory"
    )
    planned.check(None)
    planned.check(3 * 10**9)
    with pytest.raises(InputError, match=r"2.0 GB of memory, 1.9 GB are free: that does not fit; fewer documents"):
        planned.check(1_900_000_000)
    replace(planned, bytes=10**9).check(1_900_000_000)


def test_what_is_free_is_what_the_system_or_the_container_says(tmp_path, monkeypatch):
    system = plan.free_memory(Device())
    assert system > 10**8
    monkeypatch.setattr(plan, "GROUPS", tmp_path)
    for name, value in {"max": 10**8, "current": 4 * 10**7}.items():
        (tmp_path / f"memory.{name}").write_text(f"{value}\n")
    assert plan.free_memory(Device()) == 6 * 10**7
    (tmp_path / "memory.max").write_text("max\n")
    assert plan.free_memory(Device()) > 10**8
