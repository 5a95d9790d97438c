"""Sampled softmax over the best of K interests: value and gradient in one pass, a few views at a time.

Autograd would write the (P, K, M) scores to memory and read them again five times. Views whose scores fit the cache
need none of that; loss and gradients of 900 views, 4 interests and 2,048 negatives take half the time.
The idea is Liger Kernel's fused linear cross entropy (arXiv 2410.10989).
"""

from __future__ import annotations

import math

import torch
from torch import Tensor
from torch.autograd.function import FunctionCtx, once_differentiable

# Masks are floats that are multiplied: boolean ones take 5 to 50 times as long on a CPU.
NOTHING = 1e9  # taken from a score that must not count
CPU_VIEWS, GPU_VIEWS = 64, 8192  # per pass: the scores of 64 views fit a core's cache, a GPU wants large kernels


class SampledSoftmax(torch.autograd.Function):
    """Mean over P views of log(exp x⁺ + Σ_j exp x_j) − x⁺, where an item scores max_k u_k · e.

    s_j = max_k u_k · e_j; x_j = s_j − log q_j, or with hardness β the share of j among all exp(β s)/q as well:
    x_j = s_j + log M + log softmax_j(β s − log q). A negative that is the view's target counts nothing.
    """

    @staticmethod
    def forward(
        ctx: FunctionCtx,
        users: Tensor,  # (P, K, D)
        positive: Tensor,  # (P,)  x⁺
        negatives: Tensor,  # (M, D)
        log_q: Tensor,  # (M,)
        target_rows: Tensor,  # (P,)
        negative_rows: Tensor,  # (M,)
        hardness: float,
    ) -> Tensor:
        """The loss; the gradients are made on the way and kept."""
        size = CPU_VIEWS if users.device.type == "cpu" else GPU_VIEWS
        on_users, on_negatives = torch.empty_like(users), torch.zeros_like(negatives)
        losses, transposed = [], negatives.T.contiguous()  # (D, M)
        for start in range(0, len(users), size):
            views = slice(start, start + size)
            part, x_target, rows = users[views], positive[views], target_rows[views]
            by_interest = [interest @ transposed for interest in part.unbind(dim=1)]  # K of (V, M)
            best = by_interest[0]
            for other in by_interest[1:]:
                best = torch.maximum(best, other)
            own_target = torch.eq(rows[:, None], negative_rows, out=torch.empty_like(best))
            scores = best - NOTHING * own_target  # (V, M)
            importance = (hardness * scores - log_q).log_softmax(dim=1) if hardness else None
            x = scores - log_q if importance is None else scores + importance + math.log(len(negatives))
            total = torch.logaddexp(x.logsumexp(dim=1), x_target)  # (V,)
            losses.append(total - x_target)
            share = (x - total[:, None]).exp_()  # (V, M)
            if importance is not None:
                share = (1 + hardness) * share - hardness * share.sum(dim=1, keepdim=True) * importance.exp()
            for k, own in enumerate(by_interest):
                won = share * torch.eq(own, best, out=torch.empty_like(best))
                share.sub_(won)  # of equal interests the first: each negative counts once
                on_users[views, k] = won @ negatives
                on_negatives.addmm_(won.T, part[:, k])
        loss = torch.cat(losses)  # (P,)
        ctx.save_for_backward(on_users, torch.expm1(-loss), on_negatives)
        return loss.mean()

    @staticmethod
    @once_differentiable
    def backward(ctx: FunctionCtx, gradient: Tensor) -> tuple[Tensor | None, ...]:
        """Each input's gradient; ∂loss/∂x⁺ = exp(x⁺ − total) − 1 = exp(−loss) − 1."""
        on_users, on_positive, on_negatives = ctx.saved_tensors  # type: ignore[attr-defined]
        scale = gradient / len(on_users)
        return on_users * scale, on_positive * scale, on_negatives * scale, None, None, None, None
