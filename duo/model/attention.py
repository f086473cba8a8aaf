"""What every attention here computes between its projections."""

import torch
import torch.nn.functional as F
from torch import Tensor


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None = None) -> Tensor:
    """Mixed values of queries, keys and values, all [batch, heads, length, size]: causal, or by the mask.

    mask [length, length]: 0 where a token may look, -inf elsewhere.
    """
    if q.device.type != "cpu":
        seen = {"is_causal": True} if mask is None else {"attn_mask": mask == 0}
        return F.scaled_dot_product_attention(q, k, v, **seen)
    # On a CPU torch's own takes twice as long forward, and backward in bf16 as long as the rest of a step
    # (docs/log.md).
    if mask is None:
        mask = torch.full((q.shape[-2], k.shape[-2]), -torch.inf).triu(1)
    scores = (q @ k.mT).float() * q.shape[-1] ** -0.5 + mask
    return scores.softmax(-1).to(v.dtype) @ v
