# SPDX-License-Identifier: Apache-2.0
"""The scene that steps are timed on: a shell of splats, about 3 pixels in radius whatever the size of the frame."""

from __future__ import annotations

import attrs
import numpy as np
import numpy.typing as npt

from backend.kernels.engine import AdamState, CpuEngine, PreparedView, SplatParameters
from interchange.cameras import Camera, look_at
from interchange.splats import SplatCloud

Array = npt.NDArray[np.float32]
SEMI_AXES = np.array([0.18, 0.25, 0.21])
"""Of the shell, seen from a distance of 1 with a field of view of 36 degrees: it fills a third of the frame."""
VIEWS = 4


def cameras(size: int) -> list[Camera]:
    """Four views around the shell."""
    focal = size / (2 * np.tan(np.deg2rad(18)))
    K = np.array([[focal, 0, size / 2], [0, focal, size / 2], [0, 0, 1.0]])
    found = []
    for k in range(VIEWS):
        azimuth, elevation = 2 * np.pi * k * 0.618, np.deg2rad(-25 + 60 * (k * 0.755 % 1))
        eye = np.array([np.cos(elevation) * np.sin(azimuth), np.sin(elevation), np.cos(elevation) * np.cos(azimuth)])
        found.append(look_at(eye, np.zeros(3), np.array([0.0, 1, 0]), K, size, size))
    return found


def shell(count: int, size: int, degree: int = 0, seed: int = 0) -> SplatParameters:
    """`count` splats on the shell: random orientation, scales within a factor of 2, opacities around 0.7."""
    rng = np.random.default_rng(seed)
    directions = rng.normal(size=(count, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    focal = size / (2 * np.tan(np.deg2rad(18)))
    sh = rng.normal(size=(count, (degree + 1) ** 2, 3)) * 0.15
    sh[:, 0] = rng.normal(size=(count, 3)) * 0.8
    return SplatParameters.from_cloud(SplatCloud(
        means=directions * SEMI_AXES * (1 + 0.01 * rng.normal(size=(count, 1))),
        log_scales=np.log(0.8 / focal) + 0.35 * rng.normal(size=(count, 3)),
        quats_wxyz=rng.normal(size=(count, 4)),
        opacity_logits=np.log(0.7 / 0.3) + rng.normal(size=count),
        sh=sh,
    ))  # fmt: skip


@attrs.frozen(eq=False)
class Picture:
    """A target; alpha None: opaque everywhere, so that the loss cannot be cropped."""

    rgb: Array  # (H, W, 3)
    alpha: Array | None


def pictures(engine: CpuEngine, parameters: SplatParameters, views: list[Camera], whole_frame: bool) -> list[Picture]:
    """Noise over the whole frame, or the shell itself with wrong colours on nothing."""
    rng = np.random.default_rng(1)
    found = []
    for camera in views:
        if whole_frame:
            found.append(Picture(rng.random((camera.height, camera.width, 3)).astype(np.float32), None))
        else:
            image, alpha = engine.render(parameters, camera)
            found.append(Picture((image * 0.8 + 0.1 * alpha[..., None]).astype(np.float32), alpha))
    return found


@attrs.define(eq=False)
class Work:
    """Everything for training steps that change nothing: all rates are zero, so every step costs the same."""

    engine: CpuEngine
    parameters: SplatParameters
    adam: AdamState
    cameras: list[Camera]
    pictures: list[Picture]
    views: list[PreparedView]
    rates: Array
    done: int = 0

    @classmethod
    def of(cls, count: int, size: int, degree: int = 0, whole_frame: bool = True, threads: int | None = None) -> Work:
        """The shell with its four targets."""
        engine = CpuEngine(count, size, size, degree, threads)
        parameters, eyes = shell(count, size, degree), cameras(size)
        targets = pictures(engine, parameters, eyes, whole_frame)
        views = [engine.prepare_view(c, p.rgb, p.alpha) for c, p in zip(eyes, targets, strict=True)]
        rates = np.zeros(len(parameters.block), np.float32)
        return cls(engine, parameters, AdamState.like(parameters), eyes, targets, views, rates)

    def step(self) -> None:
        """One training step on the next view."""
        self.done += 1
        view = self.views[self.done % VIEWS]
        self.engine.train_step(self.parameters, self.adam, view, self.rates, self.done)
