"""A decoder of one's own, routed: which of its FFNs does each token need, and is the oracle's gain real?

    python -m examples.own_model

The decoder below knows nothing of duo. It stands for yours; here it learns sums for some seconds, with FFNs left out at
random so that it can do without some. RoutedLayer and RoutedDecoder hand its parts to duo, and `main` asks.
"""

import torch
import torch.nn.functional as F
from torch import nn

import duo

SIGNS = "0123456789+=;"
LENGTH, WIDTH, HEADS, DEPTH = 36, 32, 2, 5


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(WIDTH), nn.LayerNorm(WIDTH)
        self.qkv, self.out = nn.Linear(WIDTH, 3 * WIDTH), nn.Linear(WIDTH, WIDTH)
        self.mlp = nn.Sequential(nn.Linear(WIDTH, 4 * WIDTH), nn.GELU(), nn.Linear(4 * WIDTH, WIDTH))

    def heads(self, x):
        return (part.unflatten(-1, (HEADS, -1)).transpose(1, 2) for part in self.qkv(self.norm1(x)).chunk(3, dim=-1))

    def forward(self, x, keep):
        attended = F.scaled_dot_product_attention(*self.heads(x), is_causal=True).transpose(1, 2).flatten(2)
        x = x + self.out(attended)
        return x + keep * self.mlp(self.norm2(x))


class Decoder(nn.Module):
    def __init__(self):
        super().__init__()
        self.tokens, self.places = nn.Embedding(len(SIGNS), WIDTH), nn.Embedding(LENGTH, WIDTH)
        self.blocks = nn.ModuleList(Block() for _ in range(DEPTH))
        self.norm, self.head = nn.LayerNorm(WIDTH), nn.Linear(WIDTH, len(SIGNS), bias=False)

    def forward(self, ids, keep):
        """Logits; keep [..., DEPTH]: 1 where a block's FFN is used, 0 where not."""
        x = self.tokens(ids) + self.places.weight[: ids.shape[1]]
        for index, block in enumerate(self.blocks):
            x = block(x, keep[..., index, None])
        return self.head(self.norm(x))


def sums(rows, generator):
    """Ids [rows, LENGTH + 1] of texts such as 27+68=95;3+9=12;..."""
    pairs = torch.randint(0, 100, (rows, LENGTH, 2), generator=generator).tolist()
    texts = ["".join(f"{first}+{second}={first + second};" for first, second in row)[: LENGTH + 1] for row in pairs]
    return torch.tensor([[SIGNS.index(sign) for sign in text] for text in texts])


def trained(steps=300):
    generator = torch.Generator().manual_seed(0)
    torch.manual_seed(0)
    decoder = Decoder()
    optimiser = torch.optim.AdamW(decoder.parameters(), 3e-3)
    for _ in range(steps):
        ids = sums(16, generator)
        keep = (torch.rand(16, LENGTH, DEPTH, generator=generator) < 0.7).float()
        loss = F.cross_entropy(decoder(ids[:, :-1], keep).flatten(0, 1), ids[:, 1:].flatten())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return decoder.eval().requires_grad_(False)


class RoutedLayer:
    """A block, as duo.Routable asks for it; its FFN is the big one, and there is no small one."""

    def __init__(self, block):
        self.block = block

    def project(self, x, rotations):
        return tuple(self.block.heads(x))

    def merge(self, heads):
        return self.block.out(heads)

    def feed_forward(self, x, choices):
        return [{"big": self.block.mlp}[choice](self.block.norm2(x)) for choice in choices]


class RoutedDecoder:
    """The decoder, as duo.Routable asks for it."""

    def __init__(self, decoder):
        self.decoder, self.final = decoder, decoder.norm
        self.layers = [RoutedLayer(block) for block in decoder.blocks]
        self.outputs = decoder.head.weight

    def embed(self, tokens):
        return self.decoder.tokens(tokens) + self.decoder.places.weight[: tokens.shape[1]]

    def rotations(self, start, stop):
        return None  # positions are learned


def main(steps=300, documents=24, budget=3):
    model = RoutedDecoder(trained(steps))
    ids = sums(documents, torch.Generator().manual_seed(1))
    tokens, labels = ids[:, :-1], ids[:, 1:]

    space = duo.RouteSpace(DEPTH, ("skip", "big"))  # each layer's FFN is used or left out: 32 routes
    losses = duo.losses(model, tokens, labels, space)  # [documents, length, routes]
    all_big = losses[..., space.named("all_big")]
    fixed = losses[..., space.with_budget(budget)].mean((0, 1)).min()  # one route for all tokens
    best = duo.oracle(losses, space, budget)
    null = duo.null(model, tokens, space, budget)

    print(f"all {DEPTH} FFNs: {all_big.mean():.3f} nats per token")
    print(f"the best {budget} FFNs for all tokens: {fixed:.3f}; for every token by itself: {best.losses.mean():.3f}")
    for name, values in {
        "the oracle's gain over all FFNs": all_big - best.losses,
        "the same on sampled labels, where it is selection bias": null.gain,
        "selection bias at this budget": null.bias,
    }.items():
        value, low, high = duo.bootstrap(values)
        print(f"{name}: {value:+.3f} (95 % interval {low:+.3f} to {high:+.3f})")
    used = space.big(best.routes.numpy()).mean((0, 1))
    print("share of tokens that use each layer's FFN:", " ".join(f"{share:.2f}" for share in used))


if __name__ == "__main__":
    main()
