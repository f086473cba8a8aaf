"""A small decoder that knows nothing of duo, with names and habits of its own, and the two classes that wrap it.

Several queries share a key, scores have their own scale, learned positions, a bias on the logits, and three FFNs to
choose from, of which one may be skipped.
"""

import torch
from torch import Tensor, nn

VOCABULARY, CONTEXT, WIDTH, QUERIES, KEYS, SIZE, DEPTH = 40, 16, 12, 4, 2, 6, 3
SHARPNESS = 0.7  # of attention, in place of 1 / sqrt(SIZE)


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.before_mixing, self.before_thinking = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.ask = nn.Linear(WIDTH, QUERIES * SIZE)
        self.offer = nn.Linear(WIDTH, 2 * KEYS * SIZE)
        self.gather = nn.Linear(QUERIES * SIZE, WIDTH)
        self.thoughts = nn.ModuleDict(
            {
                name: nn.Sequential(nn.Linear(WIDTH, inner), nn.GELU(), nn.Linear(inner, WIDTH))
                for name, inner in {"quick": 3, "slow": 24}.items()
            }
        )

    def mix(self, h: Tensor) -> Tensor:
        batch, length, _ = h.shape
        normed = self.before_mixing(h)
        q = self.ask(normed).view(batch, length, KEYS, QUERIES // KEYS, SIZE)
        k, v = self.offer(normed).view(batch, length, 2, KEYS, SIZE).unbind(2)
        scores = SHARPNESS * torch.einsum("bikgs,bjks->bkgij", q, k)
        scores = scores.masked_fill(torch.ones(length, length).triu(1).bool(), -torch.inf)
        return h + self.gather(torch.einsum("bkgij,bjks->bikgs", scores.softmax(-1), v).flatten(2))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.words, self.places = nn.Embedding(VOCABULARY, WIDTH), nn.Embedding(CONTEXT, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.last = nn.LayerNorm(WIDTH)
        self.head = nn.Linear(WIDTH, VOCABULARY)

    def forward(self, ids: Tensor, thoughts: list[Tensor]) -> Tensor:
        """Logits; thoughts: for every block, 0 (none), 1 (quick) or 2 (slow) for every token."""
        h = self.words(ids) + self.places.weight[: ids.shape[1]]
        for block, thought in zip(self.blocks, thoughts, strict=True):
            h = block.mix(h)
            normed = block.before_thinking(h)
            quick, slow = block.thoughts["quick"](normed), block.thoughts["slow"](normed)
            h = h + (thought == 1)[..., None] * quick + (thought == 2)[..., None] * slow
        return self.head(self.last(h))


def decoder() -> Decoder:
    """With random weights, large enough for every part to matter."""
    torch.manual_seed(7)
    made = Decoder().eval().requires_grad_(False)
    for weight in made.parameters():
        weight += 0.25 * torch.randn(weight.shape)
    return made


class RoutedBlock:
    """What duo asks of a layer."""

    def __init__(self, block: Block):
        self.block = block

    def project(self, x: Tensor, rotations: None) -> tuple[Tensor, Tensor, Tensor]:
        normed = self.block.before_mixing(x)
        q = self.block.ask(normed).unflatten(-1, (QUERIES, SIZE)) * (SHARPNESS * SIZE**0.5)
        k, v = self.block.offer(normed).unflatten(-1, (2, KEYS, SIZE)).unbind(2)
        k, v = (part.repeat_interleave(QUERIES // KEYS, dim=2) for part in (k, v))
        return tuple(part.transpose(1, 2) for part in (q, k, v))

    def merge(self, heads: Tensor) -> Tensor:
        return self.block.gather(heads)

    def feed_forward(self, x: Tensor, choices: list[str]) -> list[Tensor]:
        normed = self.block.before_thinking(x)
        return [self.block.thoughts[{"small": "quick", "big": "slow"}[choice]](normed) for choice in choices]


class RoutedDecoder:
    """What duo asks of a model."""

    def __init__(self, decoder: Decoder):
        self.decoder = decoder
        self.layers = [RoutedBlock(block) for block in decoder.blocks]
        self.outputs = torch.cat([decoder.head.weight, decoder.head.bias[:, None]], dim=1)

    def embed(self, tokens: Tensor) -> Tensor:
        return self.decoder.words(tokens) + self.decoder.places.weight[: tokens.shape[1]]

    def rotations(self, start: int, stop: int) -> None:
        return None

    def final(self, x: Tensor) -> Tensor:
        normed = self.decoder.last(x)
        return torch.cat([normed, torch.ones_like(normed[..., :1])], dim=-1)
