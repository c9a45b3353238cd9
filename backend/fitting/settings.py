# SPDX-License-Identifier: Apache-2.0
"""What a fit can be told. Every field is explained here once; the command line takes its help from these docstrings."""

from __future__ import annotations

from typing import Any

import attrs

from interchange.errors import InputError

STARTS = ("auto", "mesh", "depth", "points", "random")


@attrs.frozen
class FitSettings:
    """Choices of one fit; all that can change the result goes into `result_fields`. Raises InputError if out of range.

    Learning rates are given for the first step; `schedule` lets them decay with the run, whatever its length.
    """

    iterations: int = 900
    """Training steps, one view each. The rates' decay is tied to this number."""
    splats: int = 50_000
    """Number of Gaussians; it stays fixed, except that invisible ones are dropped at the end."""
    sh_degree: int = 2
    """Degree 0..3 of the spherical harmonics: how much a splat's colour may change with the direction of view."""
    seed: int = 0
    """Fixes samples, order of views and backgrounds: the same inputs and seed give the same file, bit for bit."""
    start: str = "auto"
    """Where splats begin: mesh, depth (maps), points (sparse ones), random; auto takes the first that the input has."""
    face_density: float = 2.0
    """How many times denser than elsewhere splats are sown on the face."""
    ssim_weight: float = 0.2
    """Share of D-SSIM in the colour loss, 0..1; the rest is L1."""
    alpha_weight: float = 0.1
    """Weight of the L1 loss on alpha."""
    random_background: bool = True
    """Put picture and render before a new random colour in each step, so that nothing solid may stand for the void."""
    rate_scale: float = 1.0
    """Multiplies all learning rates. Long runs (thousands of steps) want about 0.3."""
    time_budget_s: float | None = None
    """End training after this many seconds; the rates' decay is fitted to it. The result then depends on speed."""
    early_stop: bool = True
    """Finish (with a short decay) when the loss has stopped improving."""
    checkpoint_every_s: float = 15.0
    """Seconds between checkpoints; 0 writes one after every step."""
    evaluations: int = 12
    """How many times in a run the held-out views are measured for the curve; 0 never."""
    threads: int | None = None
    """CPU threads; None takes all. The result does not depend on it."""

    def __attrs_post_init__(self) -> None:
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(1 <= self.splats <= 5_000_000, "splats", self.splats, "from 1 to 5000000")
        _require(self.sh_degree in (0, 1, 2, 3), "sh_degree", self.sh_degree, "0, 1, 2 or 3")
        _require(self.start in STARTS, "start", self.start, "one of " + ", ".join(STARTS))
        _require(0 < self.face_density <= 100, "face_density", self.face_density, "above 0 and at most 100")
        _require(0 <= self.ssim_weight <= 1, "ssim_weight", self.ssim_weight, "from 0 to 1")
        _require(0 <= self.alpha_weight < 100, "alpha_weight", self.alpha_weight, "from 0 to 100")
        _require(0 < self.rate_scale <= 100, "rate_scale", self.rate_scale, "above 0 and at most 100")
        budget = self.time_budget_s
        _require(budget is None or budget > 0, "time_budget_s", budget, "above 0")
        _require(self.checkpoint_every_s >= 0, "checkpoint_every_s", self.checkpoint_every_s, "at least 0")
        _require(self.evaluations >= 0, "evaluations", self.evaluations, "at least 0")
        _require(self.threads is None or self.threads >= 1, "threads", self.threads, "at least 1")

    def result_fields(self) -> dict[str, Any]:
        """The fields that the result depends on; a checkpoint made with others is of no use."""
        without = ("checkpoint_every_s", "threads", "evaluations")
        return {name: value for name, value in attrs.asdict(self).items() if name not in without}


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise InputError(f"The fit's setting {name} is {value}, not {expected}.", "Change that option.")
