# SPDX-License-Identifier: Apache-2.0
"""Opens the engine `gsplat`; before its first use on a machine its numbers are compared with the references.

A small random scene is rendered and differentiated by gsplat in float32 and by `*/reference.py` in float64, for every
SH degree. Scenes are drawn until one holds no pixel at which rounding decides (near_cutoff), so that what is left is
the kernels' own error. A pass is remembered beside the compiled module, for that module, GPU and torch.

`python -m backend.kernels.gsplat.check` prints all errors; exit code 1 if one is too large, 2 if gsplat cannot run.
"""

from __future__ import annotations

import hashlib
import json
import sys
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np

from interchange.cameras import Camera, look_at
from interchange.errors import InputError, Progress
from interchange.splats import SplatCloud

from ..parameters import ROW_LOG_SCALE, ROW_MEAN, ROW_OPACITY, ROW_QUAT, ROW_SH, SplatParameters
from ..rasterizer import LossWeights, Target
from .build import CACHE, Kernels, load
from .engine import GsplatEngine

LIMIT = 1e-4
"""Largest error allowed: absolute for pixels (0..1), relative for the loss, relative to the largest for gradients."""
DOUBTFUL_BAND = 3e-5
"""Relative distance from a cutoff within which float32 with fast exp and division may decide otherwise."""
BACKGROUND = (0.2, 0.5, 0.8)
WEIGHTS = LossWeights(ssim=0.2, alpha=0.3)
WIDTH, HEIGHT, SPLATS = 70, 50, 192
PASSED = "verified.json"
GROUPS = {
    "mean": slice(ROW_MEAN, ROW_QUAT),
    "quat": slice(ROW_QUAT, ROW_LOG_SCALE),
    "log_scale": slice(ROW_LOG_SCALE, ROW_OPACITY),
    "opacity": slice(ROW_OPACITY, ROW_SH),
    "sh": slice(ROW_SH, None),
}


def open_engine(cache: Path = CACHE, progress: Progress | None = None, **options: Any) -> GsplatEngine:
    """The engine, compiled and verified if it is not yet; `options` are those of GsplatEngine.

    InputError says what is missing, what does not compile, or by how much which number differs.
    """
    kernels = load(cache, progress)
    if not _has_passed(kernels):
        errors: dict[str, float] = {}
        for degree in range(4):
            if progress:
                progress("gsplat", degree / 4, f"comparing gsplat with the reference, SH degree {degree}")
            errors |= {f"{name} (SH {degree})": e for name, e in compare(GsplatEngine(kernels), degree).items()}
        require_agreement(errors)
        _remember(kernels, errors)
    return GsplatEngine(kernels, **options)


def compare(engine: Any, degree: int) -> dict[str, float]:
    """Errors of an engine with `render` and `gradients` as GsplatEngine has them, by the name of what differs."""
    parameters, target = scene(degree)
    block, reference = _reference(parameters, target)
    image, alpha = engine.render(parameters, target.camera, BACKGROUND)
    result, gradient = engine.gradients(parameters, target, BACKGROUND, WEIGHTS)
    terms = np.array([result.loss, result.l1, result.dssim, result.alpha])
    errors = {
        "image": float(np.abs(image - reference["image"]).max()),
        "alpha": float(np.abs(alpha - reference["alpha"]).max()),
        "loss": float(np.abs(terms / reference["terms"] - 1).max()),
    }
    for name, rows in GROUPS.items():
        mine, true = gradient[rows, : parameters.count], block[rows]
        largest = np.abs(mine - true).max() / np.abs(true).max()
        errors[f"gradient of {name}"] = float(max(largest, np.linalg.norm(mine - true) / np.linalg.norm(true)))
    return errors


def require_agreement(errors: dict[str, float]) -> None:
    """InputError naming the worst error, if that is too large or not a number."""
    name, worst = max(errors.items(), key=lambda item: item[1] if np.isfinite(item[1]) else np.inf)
    if not worst <= LIMIT:
        raise InputError(
            f"gsplat computes other numbers on this GPU than the reference: its {name} is off by {worst:.1e}, "
            f"where {LIMIT:.0e} is allowed.",
            "Choose the engine 'cuda' or 'cpu' instead.",
        )


def scene(degree: int) -> tuple[SplatParameters, Target]:
    """Random splats of all opacities, one behind the camera, one that reaches in from outside; a target with a hole."""
    import torch

    from ..binning.reference import sort_by_depth
    from ..projection.reference import project
    from ..rasterization.reference import near_cutoff

    camera = _camera()
    for seed in count(100 * degree):
        parameters = SplatParameters.from_cloud(_cloud(degree, seed))
        block = torch.tensor(parameters.block[:, :SPLATS], dtype=torch.float64)
        projected = project(block, (degree + 1) ** 2, camera)
        if not near_cutoff(projected, sort_by_depth(projected), WIDTH, HEIGHT, DOUBTFUL_BAND).any():
            break
    rng = np.random.default_rng(seed)
    alpha = np.clip(rng.random((HEIGHT, WIDTH)) * 1.5, 0, 1).astype(np.float32)
    alpha[:, :9] = 0
    rgb = rng.random((HEIGHT, WIDTH, 3)).astype(np.float32) * alpha[..., None]
    return parameters, Target(camera, rgb, alpha, rng.random((HEIGHT, WIDTH)).astype(np.float32))


def _cloud(degree: int, seed: int) -> SplatCloud:
    rng = np.random.default_rng(seed)
    coefficients = (degree + 1) ** 2
    cloud = SplatCloud(
        means=rng.normal(size=(SPLATS, 3)) * 0.12,
        log_scales=np.log(0.025) + rng.normal(size=(SPLATS, 3)) * 0.6,
        quats_wxyz=rng.normal(size=(SPLATS, 4)),
        opacity_logits=rng.normal(size=SPLATS) * 2 + 0.5,
        sh=rng.normal(size=(SPLATS, coefficients, 3)) * np.where(np.arange(coefficients) == 0, 0.8, 0.2)[:, None],
    )
    cloud.means[0] = (0, 0, 3)  # behind the camera
    cloud.means[1], cloud.log_scales[1] = (0.75, 0.1, 0.2), np.log(0.3)  # outside; the Jacobian's clamp is at work
    cloud.log_scales[2], cloud.opacity_logits[2] = np.log(0.5), -2.0  # fills the frame
    cloud.means[3] = cloud.means[4]  # equal depths
    return cloud


def _camera() -> Camera:
    K = np.array([[75.0, 0, WIDTH / 2 + 0.3], [0, 75, HEIGHT / 2 - 0.2], [0, 0, 1]])
    return look_at(np.array([0.3, 0.2, 1.0]), np.zeros(3), np.array([0, 1.0, 0]), K, WIDTH, HEIGHT)


def _reference(parameters: SplatParameters, target: Target) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """dL/dblock (11 + 3 K, count) in float64; image, alpha and the four loss terms."""
    import torch

    from ..binning.reference import sort_by_depth
    from ..loss.reference import compare as loss_terms
    from ..projection.reference import project
    from ..rasterization.reference import rasterize

    block = torch.tensor(parameters.block[:, : parameters.count], dtype=torch.float64, requires_grad=True)
    projected = project(block, (parameters.sh_degree + 1) ** 2, target.camera)
    colour, transmittance = rasterize(projected, sort_by_depth(projected), WIDTH, HEIGHT)
    pictures = (target.rgb, target.alpha, BACKGROUND, target.pixel_weights)
    terms = loss_terms(colour, transmittance, *(torch.tensor(np.asarray(p, np.float64)) for p in pictures))
    loss = (1 - WEIGHTS.ssim) * terms[0] + WEIGHTS.ssim * terms[1] + WEIGHTS.alpha * terms[2]
    (gradient,) = torch.autograd.grad(loss, block)
    image = colour + transmittance[..., None] * torch.tensor(BACKGROUND, dtype=torch.float64)
    return gradient.numpy(), {
        "image": image.detach().numpy(),
        "alpha": 1 - transmittance.detach().numpy(),
        "terms": np.array([float(value.detach()) for value in (loss, *terms)]),
    }


def _identity(kernels: Kernels) -> dict[str, str]:
    import torch

    digest = hashlib.sha256(kernels.extension.read_bytes()).hexdigest()
    return {"module": digest, "gpu": torch.cuda.get_device_name(), "torch": torch.__version__}


def _has_passed(kernels: Kernels) -> bool:
    try:
        record = json.loads((kernels.folder / PASSED).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return False
    return isinstance(record, dict) and record.get("of") == _identity(kernels)


def _remember(kernels: Kernels, errors: dict[str, float]) -> None:
    kernels.folder.mkdir(parents=True, exist_ok=True)
    part = kernels.folder / (PASSED + ".part")
    part.write_text(json.dumps({"of": _identity(kernels), "errors": errors}, indent=1), encoding="utf-8")
    part.replace(kernels.folder / PASSED)


def main() -> int:
    """Print every error; see the module's text."""
    try:
        engine = GsplatEngine(load(progress=lambda stage, fraction, message: print(message, flush=True)))
        print(engine.describe())
        errors: dict[str, float] = {}
        for degree in range(4):
            for name, error in compare(engine, degree).items():
                errors[f"{name} (SH {degree})"] = error
                print(f"SH {degree}  {name:24} {error:.2e}{'' if error <= LIMIT else '   too large'}")
    except InputError as error:
        print(error)
        return 2
    passed = all(error <= LIMIT for error in errors.values())
    if passed:
        _remember(engine.kernels, errors)
    print("gsplat agrees with the reference." if passed else "gsplat does not agree with the reference.")
    return 0 if passed else 1


if __name__ == "__main__":
    sys.exit(main())
