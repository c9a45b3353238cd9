# SPDX-License-Identifier: Apache-2.0
"""What a fit can be told. Every field is explained here once; the command line takes its help from these docstrings."""

from __future__ import annotations

from typing import Any

import attrs

from interchange.errors import InputError

ENGINES = ("auto", "cpu", "cuda", "gsplat")
DENSIFY = ("none", "default", "mcmc")
STARTS = ("auto", "mesh", "depth", "points", "random")


@attrs.frozen
class FitSettings:
    """Choices of one fit; all that can change the result goes into `result_fields`. Raises InputError if out of range.

    Learning rates are given for the first step; `schedule` lets them decay with the run, whatever its length.
    """

    iterations: int = 900
    """Training steps, one view each. The rates' decay is tied to this number."""
    splats: int = 50_000
    """Number of Gaussians to begin with; unless `densify` adds more it stays fixed, and what is invisible at the end is
    dropped."""
    densify: str = "none"
    """How Gaussians are added where they are missing: none; default (copy and split where the loss pulls); mcmc (move
    the transparent ones). For hair, thin parts and starts without a mesh."""
    max_splats: int | None = None
    """The most Gaussians that `densify` may make; None: twice `splats`."""
    opacity_decay: float | None = None
    """Part of its opacity that each Gaussian loses in a step and must win back; None: 0.0003 with mcmc, else 0."""
    scale_decay: float = 0.0
    """Part of its width that each Gaussian loses in a step and must win back. 0.002 keeps Gaussians from growing where
    few pictures look."""
    prune_opacity: float = 1 / 255
    """Gaussians with less opacity than this are dropped at the end; those below 1/255 are never drawn anyway."""
    prune_unseen: bool = False
    """Drop at the end what no training view sees: a smaller file, but a new view may look behind something."""
    sh_degree: int = 2
    """Degree 0..3 of the spherical harmonics: how much a splat's colour may change with the direction of view."""
    sh_start_degree: int | None = None
    """Degree to begin with; it rises by one after each 0.15 of the run. None: `sh_degree` from the first step."""
    coarse_levels: int = 0
    """Begin with pictures whose sides are halved so many times; full size comes after a quarter of the run."""
    seed: int = 0
    """Fixes samples, order of views and backgrounds: the same inputs and seed give the same file, bit for bit."""
    start: str = "auto"
    """Where splats begin: mesh, depth (maps), points (sparse ones), random; auto takes the first that the input has."""
    face_density: float = 2.0
    """How many times denser than elsewhere splats are sown on the face."""
    detail_density: float = 0.0
    """How much denser splats are sown where the pictures show fine detail, as hair: 0 not at all, 1 in proportion."""
    antialiased: bool = False
    """Fit splats for renderers with the screen-space compensation of Mip-Splatting; the file says so. Such splats keep
    their look at other sizes, but few viewers know them."""
    ssim_weight: float = 0.2
    """Share of D-SSIM in the colour loss, 0..1; the rest is L1."""
    alpha_weight: float = 0.5
    """Weight of the L1 loss on alpha."""
    robust: float = 0.0
    """Part of the covered pixels, 0 to 0.5, that may contradict the other views: where residuals are largest they count
    less. For swapped faces and photos."""
    colour_affine: bool = False
    """Match each picture's colours to the others' by an affine change: for exposure that drifts from view to view."""
    depth_weight: float = 0.0
    """Weight of the L1 loss on depth, in tenths of the frame's width, where pictures come with depth maps."""
    normal_weight: float = 0.02
    """Part of the way, in each step, that splats born on a mesh are turned to lie flat on it, 0 to 0.1: what they do
    where no picture looks shows at other cameras. More for doubles that are to be lit anew; 0 leaves them free."""
    random_background: bool = True
    """Put picture and render before a new random colour in each step, so that nothing solid may stand for the void."""
    rate_scale: float = 1.0
    """Multiplies all learning rates, which are lower already the longer the run is."""
    time_budget_s: float | None = None
    """End training after this many seconds; the rates' decay is fitted to it. The result then depends on speed."""
    early_stop: bool = True
    """Finish (with a short decay) when the loss has stopped improving."""
    checkpoint_every_s: float = 15.0
    """Seconds between checkpoints; 0 writes one after every step."""
    evaluations: int = 12
    """How many times in a run the held-out views are measured for the curve; 0 never."""
    engine: str = "auto"
    """What computes: cpu, cuda (an NVIDIA GPU) or gsplat; auto takes cuda where it works, else cpu."""
    threads: int | None = None
    """CPU threads; None takes all. The result does not depend on it."""

    def __attrs_post_init__(self) -> None:
        _require(self.iterations >= 1, "iterations", self.iterations, "at least 1")
        _require(1 <= self.splats <= 5_000_000, "splats", self.splats, "from 1 to 5000000")
        _require(self.sh_degree in (0, 1, 2, 3), "sh_degree", self.sh_degree, "0, 1, 2 or 3")
        _require(self.start in STARTS, "start", self.start, "one of " + ", ".join(STARTS))
        _require(self.engine in ENGINES, "engine", self.engine, "one of " + ", ".join(ENGINES))
        _require(self.densify in DENSIFY, "densify", self.densify, "one of " + ", ".join(DENSIFY))
        most = self.max_splats
        _require(most is None or self.splats <= most <= 5_000_000, "max_splats", most, "from splats to 5000000")
        for name in ("opacity_decay", "scale_decay"):
            decay = getattr(self, name)
            _require(decay is None or 0 <= decay < 0.1, name, decay, "from 0 to 0.1")
        _require(0 <= self.prune_opacity < 1, "prune_opacity", self.prune_opacity, "from 0 to 1")
        start = self.sh_start_degree
        _require(start is None or 0 <= start <= self.sh_degree, "sh_start_degree", start, "from 0 to sh_degree")
        _require(self.seed >= 0, "seed", self.seed, "at least 0")
        _require(0 <= self.coarse_levels <= 4, "coarse_levels", self.coarse_levels, "from 0 to 4")
        _require(0 <= self.robust <= 0.5, "robust", self.robust, "from 0 to 0.5")
        _require(0 <= self.detail_density <= 2, "detail_density", self.detail_density, "from 0 to 2")
        _require(0 < self.face_density <= 100, "face_density", self.face_density, "above 0 and at most 100")
        _require(0 <= self.ssim_weight <= 1, "ssim_weight", self.ssim_weight, "from 0 to 1")
        _require(0 <= self.alpha_weight < 100, "alpha_weight", self.alpha_weight, "from 0 to 100")
        _require(0 <= self.depth_weight < 100, "depth_weight", self.depth_weight, "from 0 to 100")
        _require(0 <= self.normal_weight <= 0.1, "normal_weight", self.normal_weight, "from 0 to 0.1")
        _require(0 < self.rate_scale <= 100, "rate_scale", self.rate_scale, "above 0 and at most 100")
        budget = self.time_budget_s
        _require(budget is None or budget > 0, "time_budget_s", budget, "above 0")
        _require(self.checkpoint_every_s >= 0, "checkpoint_every_s", self.checkpoint_every_s, "at least 0")
        _require(self.evaluations >= 0, "evaluations", self.evaluations, "at least 0")
        _require(self.threads is None or self.threads >= 1, "threads", self.threads, "at least 1")

    @property
    def most_splats(self) -> int:
        """How many Gaussians there may be at any time."""
        return self.splats if self.densify == "none" else self.max_splats or 2 * self.splats

    def result_fields(self) -> dict[str, Any]:
        """The fields that the result depends on; a checkpoint made with others is of no use."""
        without = ("checkpoint_every_s", "threads", "evaluations", "engine")
        return {name: value for name, value in attrs.asdict(self).items() if name not in without}


def _require(holds: bool, name: str, value: object, expected: str) -> None:
    if not holds:
        raise InputError(f"The fit's setting {name} is {value}, not {expected}.", "Change that option.")
