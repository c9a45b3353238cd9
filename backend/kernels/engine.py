# SPDX-License-Identifier: Apache-2.0
"""The CPU engine that fits 3D Gaussians: one object that renders, differentiates and optimises.

How a trainer uses it::

    engine = CpuEngine(count=20_000, width=512, height=512, sh_degree=1)
    parameters = SplatParameters.from_cloud(cloud)              # Morton order inside, padded to 16
    adam = AdamState.like(parameters)
    views = [engine.prepare_view(camera, rgb_premultiplied, alpha) for ...]    # once per view and resolution
    rates = parameters.learning_rates(means=9e-4, quats=6e-3, log_scales=2.4e-2, opacity_logits=0.12, sh_base=3.6e-2)
    for iteration in range(1, steps + 1):                       # iteration counts from 1 (Adam's bias correction)
        result = engine.train_step(parameters, adam, views[k], rates, iteration)
    image, alpha = engine.render(parameters, camera)
    cloud = parameters.to_cloud()                               # in the order of the cloud that came in

Conventions. Cameras are `interchange.cameras.Camera` (OpenCV), in the frame that the splats live in. Images are
(H, W, 3) float32, premultiplied by alpha where they are targets; alpha is (H, W) float32. Whatever colour space
the targets have, the splats get. A background colour is laid behind both the render and the target before the loss.

Loss: (1 - ssim_weight) L1 + ssim_weight (1 - SSIM) + alpha_weight L1(alpha), each a mean over the whole frame
(x 3 channels for colour). SSIM is Wang et al. 2004: 11x11 Gaussian window, sigma 1.5, C1 = 0.01^2, C2 = 0.03^2; outside
the frame both images continue with the background colour (with black: the zero padding of the first 3DGS trainer).

Results are the same bit for bit on every run and for every number of threads. Nothing is printed.
One engine serves one thread at a time. Compilation happens at the first call of each kernel and is cached on disk;
`compile_kernels` does all of it in advance.
"""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.errors import Progress

from .parameters import AdamState, SplatParameters

Array = npt.NDArray[np.float32]
BLACK = (0.0, 0.0, 0.0)


@attrs.frozen
class StepResult:
    """The loss of one step and its terms (unweighted means; `dssim` is 1 - SSIM)."""

    loss: float
    l1: float
    dssim: float
    alpha: float


@attrs.define(eq=False)
class PreparedView:
    """A training view as the loss kernel wants it; made by `CpuEngine.prepare_view`, opaque to callers."""

    camera: Camera


class CpuEngine:
    """Renders splats and takes training steps on the CPU; see the module's text for a tour."""

    def __init__(self, count: int, width: int, height: int, sh_degree: int, threads: int | None = None) -> None:
        """Buffers for `count` splats and frames up to width x height pixels; larger ones make the buffers grow.

        threads: at most the number of cores, which is the default.
        """
        raise NotImplementedError

    def prepare_view(
        self,
        camera: Camera,
        rgb_premultiplied: Array,  # (H, W, 3)
        alpha: Array | None = None,  # (H, W); None: opaque everywhere
        pixel_weights: Array | None = None,  # (H, W) >= 0 factor of every loss term; None: 1
    ) -> PreparedView:
        """Crop the target to the subject and cache what the loss needs of it (about 40 bytes a pixel of its box).

        Raises InputError if an array does not fit the camera.
        """
        raise NotImplementedError

    def render(
        self, parameters: SplatParameters, camera: Camera, background: tuple[float, float, float] = BLACK
    ) -> tuple[Array, Array]:
        """Image (H, W, 3) over `background` and alpha (H, W), new arrays."""
        raise NotImplementedError

    def train_step(
        self,
        parameters: SplatParameters,  # changed in place
        adam: AdamState,  # changed in place
        view: PreparedView,
        learning_rates: Array,  # (11 + 3 K,)
        iteration: int,  # from 1
        background: tuple[float, float, float] = BLACK,
        ssim_weight: float = 0.2,
        alpha_weight: float = 0.1,
    ) -> StepResult:
        """Render, compare, differentiate and apply Adam; the result belongs to the parameters before the step.

        Adam touches only splats that this view saw (Kingma & Ba 2015, beta 0.9 and 0.999, eps 1e-15).
        """
        raise NotImplementedError

    def gradients(
        self,
        parameters: SplatParameters,
        view: PreparedView,
        background: tuple[float, float, float] = BLACK,
        ssim_weight: float = 0.2,
        alpha_weight: float = 0.1,
    ) -> tuple[StepResult, Array]:
        """The loss and its gradient (11 + 3 K, padded count), without a step."""
        raise NotImplementedError


def compile_kernels(progress: Progress | None = None) -> None:
    """Compile every kernel for this CPU (about half a minute, then cached on disk)."""
    raise NotImplementedError
