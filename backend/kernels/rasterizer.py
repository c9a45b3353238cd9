# SPDX-License-Identifier: Apache-2.0
"""What every engine offers: the one interface between the trainer and whatever computes, on the CPU or on a GPU.

An engine renders splats and opens *sessions*. A session holds the splats, Adam's moments and the targets where the
engine computes (main memory or the GPU's), and takes steps there. Steps are handed over many at a time, each with
everything that changes from step to step, so that a GPU never waits for Python::

    session = engine.begin(parameters, adam, targets, LossWeights())
    results = session.run([Step(view=3, iteration=1, learning_rates=rates, background=(0, 0, 0)), ...])
    image, alpha = session.render(camera)       # of the present state
    session.pull()                              # the present state is now in `parameters` and `adam`
    session.push()                              # ... or change them and hand them back
    session.decay(0.999, 0.0)                   # what needs no host: changed where they are (also align, wander)
    session.close()

Conventions (cameras, colours, loss, determinism) are those of `engine.py`, for every engine.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Protocol

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import InputError

from .parameters import AdamState, SplatParameters

Array = npt.NDArray[np.float32]
Colour = tuple[float, float, float]
BLACK: Colour = (0.0, 0.0, 0.0)


@attrs.frozen
class LossWeights:
    """(1 - ssim) L1 + ssim (1 - SSIM) + alpha L1(alpha) + depth L1(depth), each a mean over the frame.

    Depth is compared where the target has one, in units of `length`, rendered as sum w z against target depth x alpha.
    """

    ssim: float = 0.2
    alpha: float = 0.1
    depth: float = 0.0  # 0: depth is neither rendered nor kept
    length: float = 1.0  # in the cameras' unit, as 0.1 of the subject's size


def refuse_depth(weights: LossWeights, engine: str) -> None:
    """InputError if the loss has a depth term; for engines that know none."""
    if weights.depth:
        what = f"The engine {engine} has no depth term in its loss."
        raise InputError(what, "Set it to 0, or choose the engine cpu or cuda.")


@attrs.frozen(eq=False)
class Target:
    """One picture to fit."""

    camera: Camera
    rgb: Array  # (H, W, 3) premultiplied
    alpha: Array | None = None  # (H, W); None: opaque everywhere
    pixel_weights: Array | None = None  # (H, W) >= 0 factor of every loss term; None: 1
    depth: Array | None = None  # (H, W) planar, in the cameras' unit; where it is 0, NaN or infinite, there is none


def sized_for_camera(name: str, array: Any, shape: tuple[int, ...]) -> Array:
    """A target's array as float32, itself where it is; InputError if its shape is not what its camera asks for."""
    result = np.asarray(array, np.float32)
    if result.shape != shape:
        raise InputError(f"A view's {name} has shape {result.shape}; its camera asks for {shape}.",
                         "Scale the camera together with the image.")  # fmt: skip
    return result


def finite_for_camera(name: str, array: Any, shape: tuple[int, ...]) -> Array:
    """As `sized_for_camera`; InputError also if it holds NaN or infinity."""
    result = sized_for_camera(name, array, shape)
    if not np.isfinite(result).all():
        raise InputError(f"A view's {name} holds NaN or infinity.", "Render or swap the view again.")
    return result


@attrs.frozen(eq=False)
class Step:
    """All that one training step is told."""

    view: int  # number of the target
    iteration: int  # from 1: Adam's bias correction
    learning_rates: Array  # (11 + 3 K,), of SplatParameters.learning_rates
    background: Colour = BLACK


@attrs.frozen
class StepResult:
    """The loss of one step and its terms (unweighted means; `dssim` is 1 - SSIM), of the state before the step."""

    loss: float
    l1: float
    dssim: float
    alpha: float
    depth: float = 0.0  # in units of LossWeights.length


@attrs.frozen(eq=False)
class Statistics:
    """How hard the loss pulls at each splat's place on the screen: what densification goes by (Kerbl et al. 2023).

    One number a splat, in the order of the parameters' columns, without the padding.
    """

    gradient_norm: Array  # (N,) sum over steps of |dL/d(screen mean)|, lengths in half frame widths and heights
    seen: Array  # (N,) number of steps in which the splat reached a pixel


class Session(Protocol):
    """One run: splats, moments and targets, where the engine computes."""

    def run(self, steps: Iterable[Step]) -> list[StepResult]:
        """Take the steps in order; a generator is drawn from while a GPU works on the steps before.

        Adam (Kingma & Ba 2015) touches only splats that the step's view saw.
        """

    def render(self, camera: Camera, background: Colour = BLACK) -> tuple[Array, Array]:
        """Image (H, W, 3) over `background` and alpha (H, W) of the present splats."""

    def statistics(self) -> Statistics:
        """Sums over the steps since the last call. ValueError if the session was begun without statistics."""

    def pull(self) -> None:
        """Bring the present state into the `parameters` and `adam` that the session was begun with."""

    def pull_shapes(self) -> None:
        """Bring the rows before ROW_SH only: means, quaternions, scales and opacities. The host's other rows and its
        moments stay out of date.
        """

    def push(self) -> None:
        """Take over what the caller has changed in them. The number of splats must be the same."""

    def replace(self, parameters: SplatParameters, adam: AdamState) -> None:
        """Take over other splats, also more or fewer, or with other SH bands; from now on `pull` fills these.

        Statistics begin anew.
        """

    def retarget(self, targets: Sequence[Target]) -> None:
        """Take over other pictures, weights and depths for the session's targets: as many, for the same cameras.

        Splats, moments and statistics stay. Raises what `begin` raises; the session is then of no use.
        """

    def decay(self, opacity: float, log_scale: float) -> None:
        """Multiply all opacities by `opacity` (0..1; 1 leaves them alone), and add `log_scale` to all log-scales.

        Here and below: moments stay, and what the host holds is out of date until the next pull. A splat whose numbers
        are NaN, infinite or absurd is left alone.
        """

    def align(self, part: float, normals: Array, face: npt.NDArray[np.int32]) -> None:
        """Turn splats `part` (0..1) of the way to lying flat on the face that they were born on.

        normals: (F, 3) unit, or zero for a face that turns nothing. face: (N,) of the splats, in the order of the cloud
        that came in (`SplatParameters.order`); -1: none. An engine may keep copies of both: to change them, give other
        arrays. Raises ValueError for a face that does not exist.
        """

    def wander(self, length: float, reach: float, seed: int, iteration: int) -> None:
        """Move nearly transparent splats at random, each along its own ellipsoid, by `length` (scene units) times the
        square of its width in units of `reach`. The same noise on every engine, by seed, iteration and column.
        """

    def rearrange(
        self, parameters: SplatParameters, adam: AdamState, source: npt.NDArray[np.int32],
        rested: npt.NDArray[np.bool_],
    ) -> None:  # fmt: skip
        """As `replace`, by splats made of the present ones; of `parameters` only the rows before ROW_SH are looked at.

        source: (P,) for each of their columns the present column that its other rows and its moments come from; -1:
        from none, all zeros. rested: (P,) True where moments begin anew. SH degree and antialiasing must be the same.
        Raises ValueError for a source that does not exist. What the host holds is whole after the next pull.
        """

    def close(self) -> None:
        """Give memory back. The session is of no use afterwards."""


class Rasterizer(Protocol):
    """An engine: `cpu` (Numba), `cuda` (our kernels) or `gsplat`."""

    name: str
    steps_at_once: int
    """How many steps a session likes to be given at a time: as many as take the engine some 10 to 50 ms."""

    def describe(self) -> str:
        """Which device and kernels compute, in one sentence for reports."""

    def begin(
        self,
        parameters: SplatParameters,
        adam: AdamState,
        targets: Sequence[Target],
        weights: LossWeights,
        statistics: bool = False,
    ) -> Session:
        """Open a session; `statistics` makes it keep those of `Session.statistics`.

        Raises InputError if a target does not fit its camera or holds NaN, or memory is short.
        """

    def render(
        self, parameters: SplatParameters, camera: Camera, background: Colour = BLACK
    ) -> tuple[Array, Array]:
        """Image (H, W, 3) over `background` and alpha (H, W), new arrays."""
