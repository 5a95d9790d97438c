"""Noise schedules, the forward process and the reverse samplers: pure functions of tensors.

A schedule is ᾱ at each step of a trajectory, a denoiser predicts v_0 from v_t, and a sampler walks the
trajectory with any denoiser and any schedule. Letters as in DDPM (arXiv 2006.11239) and DMI (arXiv 2502.05561).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor

from models.config import SamplerName, ScheduleName

Denoiser = Callable[[Tensor, int], Tensor]
"""(v_t (B, K, D), index of the step on the trajectory) → predicted v_0 (B, K, D)."""


class Trajectory(NamedTuple):
    """The few steps a reverse process visits, from the start step down to 0.

    `steps` are t_0 = start > t_1 > … > t_S = 0 and `alpha_bar` is ᾱ at each of them, so ᾱ[S] = 1.
    """

    steps: tuple[int, ...]
    alpha_bar: tuple[float, ...]


def alpha_bar(schedule: ScheduleName, num_timesteps: int) -> list[float]:
    """ᾱ_t = ∏_{s≤t}(1 − β_s) for t = 0 … T; ᾱ_0 = 1.

    linear: β rises from 1e-4·1000/T to 0.02·1000/T (DDPM section 4, rescaled to T as in DiffuRec), capped at 0.999.
    cosine: ᾱ_t = f(t)/f(0), f(t) = cos²(π/2 · (t/T + 0.008)/1.008) (improved DDPM, arXiv 2102.09672, eq. 17).
    """
    if schedule == "linear":
        scale = 1000 / num_timesteps
        levels = [1.0]
        for t in range(num_timesteps):
            beta = scale * (1e-4 + (0.02 - 1e-4) * t / max(num_timesteps - 1, 1))
            levels.append(levels[-1] * (1 - min(beta, 0.999)))
        return levels
    squares = [math.cos(math.pi / 2 * (t / num_timesteps + 0.008) / 1.008) ** 2 for t in range(num_timesteps + 1)]
    return [max(square / squares[0], 1e-5) for square in squares]


def trajectory(schedule: ScheduleName, num_timesteps: int, start: int, num_steps: int) -> Trajectory:
    """`num_steps` evenly spaced steps from `start` (≤ T) to 0; `start` ≥ `num_steps` keeps them distinct."""
    levels = alpha_bar(schedule, num_timesteps)
    steps = tuple(start * (num_steps - i) // max(num_steps, 1) for i in range(num_steps + 1))
    return Trajectory(steps, tuple(levels[t] for t in steps))


def add_noise(v_0: Tensor, noise: Tensor, alpha_bar_t: float) -> Tensor:
    """Forward process: v_t = √ᾱ_t · v_0 + √(1 − ᾱ_t) · noise (DDPM eq. 4)."""
    return math.sqrt(alpha_bar_t) * v_0 + math.sqrt(1 - alpha_bar_t) * noise


def ddim_step(v_0: Tensor, v_t: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
    """Deterministic DDIM step t → s (arXiv 2010.02502, eq. 12 with σ = 0), from a prediction of v_0."""
    noise = (v_t - math.sqrt(alpha_bar_t) * v_0) / math.sqrt(1 - alpha_bar_t)
    return math.sqrt(alpha_bar_s) * v_0 + math.sqrt(1 - alpha_bar_s) * noise


def posterior_step(v_0: Tensor, v_t: Tensor, alpha_bar_t: float, alpha_bar_s: float) -> Tensor:
    """Mean of q(v_s | v_t, v_0) (DDPM eq. 7, written for a stride t → s); the noise term is dropped."""
    ratio = alpha_bar_t / alpha_bar_s
    on_v_0 = math.sqrt(alpha_bar_s) * (1 - ratio) / (1 - alpha_bar_t)
    on_v_t = math.sqrt(ratio) * (1 - alpha_bar_s) / (1 - alpha_bar_t)
    return on_v_0 * v_0 + on_v_t * v_t


SAMPLERS = {"ddim": ddim_step, "posterior": posterior_step}


def sample(denoise: Denoiser, v_t: Tensor, path: Trajectory, sampler: SamplerName) -> list[Tensor]:
    """Walk the reverse process from v_t; the prediction of v_0 after each step, the last one being the result.

    Stopping early is taking an earlier element: every state on the way is one that training has seen.
    """
    step = SAMPLERS[sampler]
    predictions: list[Tensor] = []
    for i in range(len(path.steps) - 1):
        v_0 = denoise(v_t, i)  # (B, K, D)
        predictions.append(v_0)
        v_t = step(v_0, v_t, path.alpha_bar[i], path.alpha_bar[i + 1])
    return predictions


def step_embedding(steps: tuple[int, ...], dim: int) -> Tensor:
    """Sinusoidal embedding of the timesteps (S,) → (S, dim) (arXiv 1706.03762, section 3.5)."""
    frequencies = torch.exp(torch.arange(0, dim, 2) * (-math.log(10000.0) / dim))
    angles = torch.tensor(steps, dtype=torch.float32)[:, None] * frequencies  # (S, dim / 2)
    return torch.cat([angles.sin(), angles.cos()], dim=-1)[:, :dim]
