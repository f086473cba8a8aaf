"""What every attention here computes between its projections."""

import torch
import torch.nn.functional as F
from torch import Tensor

LONG = 4  # times the size of a head: scores of more tokens would take more memory than all else of a layer


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mixed values of queries, keys and values, all [batch, heads, length, size]: causal, or by the mask.

    mask [length, length], or with axes of batch and heads before: 0 where a token may look, -inf elsewhere.
    """
    length, size = q.shape[-2:]
    if q.device.type != "cpu" or (length > LONG * size and not q.requires_grad):
        seen = {"is_causal": True} if mask is None else {"attn_mask": mask == 0}
        return F.scaled_dot_product_attention(q, k, v, **seen)
    # On a CPU torch's own takes twice as long forward, and backward in bf16 as long as the rest of a step
    # (docs/log.md).
    if mask is None:
        mask = torch.full((length, length), -torch.inf).triu(1)
    return (_products(q, k) * size**-0.5 + mask).softmax(-1).to(v.dtype) @ v


def _products(q: Tensor, k: Tensor) -> Tensor:
    """[batch, heads, length, length] of queries with keys, in fp32; in training as autocast multiplies.

    Rounded to bf16, they would raise the error of a loss by a seventh; a step of training takes a tenth longer where
    they are not.
    """
    if q.requires_grad:
        return (q @ k.mT).float()
    with torch.autocast("cpu", enabled=False):
        return q.float() @ k.float().mT
