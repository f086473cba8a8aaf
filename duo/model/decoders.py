"""Pretrained decoders, as transformers builds them, in the parts that the tree of routes asks for (duo.model.routable).

Their modules are used as they are, so that all that a checkpoint may say of itself, from biases to the scaling of its
rotary positions, is read by those who know it. Here is only which module is which part, by family: Llama and what is
built like it (SmolLM2, Mistral, Qwen2, Qwen3), GPT-NeoX (Pythia), GPT-2, OPT. A pretrained layer has one FFN, which is
the big one; duo.model.extended puts small ones beside them.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import Tensor, nn

from duo.errors import InputError
from duo.model.device import Device
from duo.model.switched import FFN, PlainFFN
from duo.terms import BIG


@dataclass(frozen=True)
class DecoderLayer:
    """A layer of a pretrained decoder, as duo.Routable asks for it.

    attention: from the normed stream and the rotations to queries, keys and values [batch, heads, length, size], fewer
    heads of keys and values than of queries where several share one. parallel: whether the FFN reads what attention
    reads, not what it leaves.
    """

    norm: nn.Module
    attention: Callable[[Tensor, Any], tuple[Tensor, Tensor, Tensor]]
    merge: nn.Module
    ffn_norm: nn.Module
    ffn: Callable[[Tensor], Tensor]
    parallel: bool = False

    def project(self, x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
        return self.heads(self.norm(x), rotations)

    def heads(self, normed: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
        """What `project` gives, of the normed stream."""
        q, k, v = self.attention(normed, rotations)
        shared = q.shape[1] // k.shape[1]
        return q, *(part.repeat_interleave(shared, dim=1) if shared > 1 else part for part in (k, v))

    def feed_forward(self, x: Tensor, choices: Sequence[str]) -> list[Tensor]:
        if any(choice != BIG for choice in choices):
            raise InputError(f"a pretrained layer has one FFN, {BIG}; routes ask for {', '.join(choices)}")
        return [self.ffn(self.ffn_norm(x))] * len(choices)


@dataclass(frozen=True)
class Decoder:
    """A pretrained decoder, as duo.Routable asks for it.

    positions: length of the longest text that it was made for. width: of the residual stream. another: a new FFN of the
    kind that the layers have, of an inner width.
    """

    layers: list[DecoderLayer]
    outputs: Tensor
    embedding: Callable[[Tensor], Tensor]
    rotary: Callable[[Tensor], Any]  # from positions [1, length]
    final: Callable[[Tensor], Tensor]
    positions: int
    width: int
    another: Callable[[int], nn.Module]

    def embed(self, tokens: Tensor) -> Tensor:
        self._check(tokens.shape[1])
        return self.embedding(tokens)

    def rotations(self, start: int, stop: int) -> Any:
        self._check(stop)
        return self.rotary(torch.arange(start, stop, device=self.outputs.device)[None])

    def _check(self, length: int) -> None:
        if length > self.positions:
            raise InputError(
                f"tokens: {length} of them, but the model reads at most {self.positions} as it was trained to"
            )


def routable(model: nn.Module, device: Device | None = None) -> Decoder:
    """The parts of a transformers model for causal language modelling; its weights are shared, not copied, but for the
    output matrix, where the device's matrix products are of another precision.

    InputError where its family is none of FAMILIES, or its configuration has an option that has no place in a route.
    """
    family = getattr(getattr(model, "config", None), "model_type", type(model).__name__)
    if family not in FAMILIES:
        raise InputError(f"model of type {family!r} can't be routed; those of {', '.join(sorted(FAMILIES))} can")
    decoder = FAMILIES[family](model.eval())
    return replace(decoder, outputs=device.rounded(decoder.outputs)) if device else decoder


def _llama(model: nn.Module) -> Decoder:
    decoder, config = model.model, model.config
    layers = [
        DecoderLayer(
            layer.input_layernorm,
            _separate(layer.self_attn, layer.self_attn.head_dim),
            layer.self_attn.o_proj,
            layer.post_attention_layernorm,
            layer.mlp,
        )
        for layer in decoder.layers
    ]
    windows = [config.sliding_window] if _slides(config) else []
    return Decoder(
        layers,
        model.lm_head.weight,
        decoder.embed_tokens,
        lambda positions: decoder.rotary_emb(model.lm_head.weight, positions),
        decoder.norm,
        min([config.max_position_embeddings, *windows]),
        config.hidden_size,
        lambda inner: FFN(config.hidden_size, inner, decoder.layers[0].mlp.act_fn),
    )


def _slides(config: Any) -> bool:
    """Whether some layer sees only a window of the text."""
    kinds = getattr(config, "layer_types", None)
    return bool(getattr(config, "sliding_window", None)) and (kinds is None or "sliding_attention" in kinds)


def _separate(attention: nn.Module, size: int) -> Callable[[Tensor, Any], tuple[Tensor, Tensor, Tensor]]:
    """Queries, keys and values by three matrices; Qwen3 norms queries and keys."""
    norms = [getattr(attention, name, nn.Identity()) for name in ("q_norm", "k_norm")]

    def project(x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
        q, k, v = (part(x).unflatten(-1, (-1, size)) for part in (attention.q_proj, attention.k_proj, attention.v_proj))
        q, k = (_rotated(norm(part).transpose(1, 2), rotations) for norm, part in zip(norms, (q, k), strict=True))
        return q, k, v.transpose(1, 2)

    return project


def _rotated(x: Tensor, rotations: tuple[Tensor, Tensor]) -> Tensor:
    """Rotary positions on the first numbers of each head x [batch, heads, length, size], as many as there are cosines.

    The two halves of what is rotated are the two parts of complex numbers.
    """
    cos, sin = (part.unsqueeze(1) for part in rotations)
    turned, rest = x[..., : cos.shape[-1]], x[..., cos.shape[-1] :]
    real, imaginary = turned.chunk(2, dim=-1)
    turned = turned * cos + torch.cat([-imaginary, real], dim=-1) * sin
    return torch.cat([turned, rest], dim=-1).to(x.dtype)


def _neox(model: nn.Module) -> Decoder:
    decoder, config = model.gpt_neox, model.config

    def attention(module: nn.Module) -> Callable[[Tensor, Any], tuple[Tensor, Tensor, Tensor]]:
        def project(x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
            by_head = module.query_key_value(x).unflatten(-1, (-1, 3 * module.head_size)).transpose(1, 2)
            q, k, v = by_head.chunk(3, dim=-1)
            return _rotated(q, rotations), _rotated(k, rotations), v

        return project

    layers = [
        DecoderLayer(
            layer.input_layernorm,
            attention(layer.attention),
            layer.attention.dense,
            layer.post_attention_layernorm,
            layer.mlp,
            layer.use_parallel_residual,
        )
        for layer in decoder.layers
    ]
    return Decoder(
        layers,
        model.get_output_embeddings().weight,
        decoder.embed_in,
        lambda positions: decoder.rotary_emb(decoder.embed_in.weight, positions),
        decoder.final_layer_norm,
        config.max_position_embeddings,
        config.hidden_size,
        lambda inner: PlainFFN(config.hidden_size, inner, decoder.layers[0].mlp.act),
    )


def _gpt2(model: nn.Module) -> Decoder:
    decoder, config = model.transformer, model.config
    if config.add_cross_attention:
        raise InputError(
            "model of type 'gpt2' has add_cross_attention true: it reads a second text, which routes don't"
        )

    def attention(module: nn.Module) -> Callable[[Tensor, Any], tuple[Tensor, Tensor, Tensor]]:
        # Scores are over the root of the size; where the model wants another scale, queries make up for it.
        scale = module.scaling * module.head_dim**0.5

        def project(x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
            q, k, v = (
                part.unflatten(-1, (module.num_heads, -1)).transpose(1, 2) for part in module.c_attn(x).chunk(3, dim=-1)
            )
            return q * scale, k, v

        return project

    layers = [
        DecoderLayer(block.ln_1, attention(block.attn), block.attn.c_proj, block.ln_2, block.mlp) for block in decoder.h
    ]
    return Decoder(
        layers,
        model.lm_head.weight,
        lambda tokens: decoder.wte(tokens) + decoder.wpe.weight[: tokens.shape[1]],
        lambda positions: None,
        decoder.ln_f,
        config.n_positions,
        config.n_embd,
        lambda inner: PlainFFN(config.n_embd, inner, decoder.h[0].mlp.act),
    )


def _opt(model: nn.Module) -> Decoder:
    decoder, config = model.model.decoder, model.config
    if not config.do_layer_norm_before:
        raise InputError(
            "model of type 'opt' has do_layer_norm_before false: its layers norm the stream itself, so that none can "
            "be left out"
        )

    def attention(module: nn.Module) -> Callable[[Tensor, Any], tuple[Tensor, Tensor, Tensor]]:
        def project(x: Tensor, rotations: Any) -> tuple[Tensor, Tensor, Tensor]:
            parts = (module.q_proj, module.k_proj, module.v_proj)
            return tuple(part(x).unflatten(-1, (module.num_heads, -1)).transpose(1, 2) for part in parts)

        return project

    def embedding(tokens: Tensor) -> Tensor:
        x = decoder.embed_tokens(tokens)
        places = decoder.embed_positions
        places = places.weight[places.offset : places.offset + tokens.shape[1]]
        return (x if decoder.project_in is None else decoder.project_in(x)) + places

    def final(x: Tensor) -> Tensor:
        x = x if decoder.final_layer_norm is None else decoder.final_layer_norm(x)
        return x if decoder.project_out is None else decoder.project_out(x)

    layers = [
        DecoderLayer(
            layer.self_attn_layer_norm,
            attention(layer.self_attn),
            layer.self_attn.out_proj,
            layer.final_layer_norm,
            _chained(layer.fc1, layer.activation_fn, layer.fc2),
        )
        for layer in decoder.layers
    ]
    return Decoder(
        layers,
        model.lm_head.weight,
        embedding,
        lambda positions: None,
        final,
        config.max_position_embeddings,
        config.hidden_size,
        lambda inner: PlainFFN(config.hidden_size, inner, decoder.layers[0].activation_fn),
    )


def _chained(up: nn.Module, activation: nn.Module, down: nn.Module) -> Callable[[Tensor], Tensor]:
    return lambda x: down(activation(up(x)))


FAMILIES: dict[str, Callable[[nn.Module], Decoder]] = dict.fromkeys(("llama", "mistral", "qwen2", "qwen3"), _llama)
FAMILIES |= {"gpt_neox": _neox, "gpt2": _gpt2, "opt": _opt}
