# SPDX-License-Identifier: Apache-2.0
"""One fit from folder to folder: a capture (or swapped) folder in, splats, curves, binding and held-out renders out."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import attrs
import numpy as np

from backend.evaluation.held_out import held_out_scores, mean_scores
from backend.evaluation.perceptual import Judges, find_judges
from backend.kernels.parameters import SplatParameters
from backend.kernels.rasterizer import Rasterizer
from backend.provenance import consent_of_swap
from interchange.capture import read_json, write_json
from interchange.errors import InputError, Progress
from interchange.png import write_png
from interchange.splats import write_ply

from .checkpoint import load_checkpoint, remove_checkpoints, save_checkpoint
from .dataset import Dataset, FitView, never
from .engines import EngineChoice, choose_engine, open_engine
from .first_state import first_state
from .initialisation import initialise
from .inputs import LONGEST, load_input
from .pruning import worth_keeping
from .settings import FitSettings
from .state import FitState
from .trainer import Observer, Trainer, to_8_bit
from .usual import interventions_for

FORMAT, VERSION = "digidouble-fit", 1
RESULT, CURVES, BINDING, SPLATS, RENDERS = "fit.json", "curves.json", "binding.npz", "splats.ply", "renders"
OF_ANOTHER = ("manifest.json", "report.html", "turntable.webp", "strip.png", "metrics.json", "evaluation.json")
"""What others have written about the double that lay in a folder before: untrue of the next one."""
ARITHMETIC = 6
"""Part of the digest, as is the engine's name: raise it when the kernels' or the trainer's arithmetic changes."""


@attrs.frozen
class FitResult:
    """What a fit made. Held-out figures are means over those views, through 8 bits; None without such views."""

    folder: Path
    splats: int
    iterations: int
    seconds: float  # of training, over all sittings
    start: str  # mesh, depth, points or random
    stopped: str  # why it ended before its planned steps: "plateau", "time budget" or ""
    psnr: float | None
    ssim: float | None
    psnr_face: float | None
    engine: str  # cpu, cuda or gsplat
    engine_reason: str  # why it was taken, in one sentence
    notes: list[str]  # sentences for the user
    ms_ssim: float | None = None  # of whole frames, as psnr and ssim are
    flip: float | None = None
    not_available: dict[str, str] = attrs.field(factory=dict)  # name of a figure: why it could not be computed
    held_out: int = 0  # number of views that the figures are means over
    reused: bool = False  # the folder held this very result already


def fit(
    input_folder: Path | str,
    out_folder: Path | str,
    settings: FitSettings | None = None,
    progress: Progress | None = None,
    cancelled: Callable[[], bool] = never,
    observer: Observer | None = None,
    longest: int = LONGEST,
) -> FitResult:
    """Fit Gaussians to a folder's training views; goes on from a checkpoint, returns a finished result at once.

    `input_folder`: anything that `inputs.load_input` reads, a capture or a swapped folder first of all. `longest`:
    pixels that photos are scaled down to.

    Writes splats.ply, binding.npz (face, barycentric: where on the mesh each splat was born), curves.json, fit.json and
    renders/<view>.png of the held-out views. `observer` adds previews and a clock. Raises InputError for unusable
    input, Cancelled when told to stop (a checkpoint is left).
    """
    settings = settings or FitSettings()
    observer = attrs.evolve(observer or Observer(), progress=progress, cancelled=cancelled)
    out = Path(out_folder)
    choice = choose_engine(settings)  # before pictures are read: it may say no
    consent = consent_of_swap(Path(input_folder))  # may say no as well
    dataset = load_input(input_folder, progress, cancelled, longest)
    digest = _digest(dataset, settings, choice.name)
    finished = _finished(out, digest, consent)
    if finished is not None:
        return finished
    if progress:
        progress("fit", 0.0, choice.reason)
    engine = open_engine(choice, settings, [view.camera for view in dataset.train + dataset.held_out], progress)
    state, notes = _begin(dataset, settings, out, digest, progress, cancelled)
    notes = dataset.notes + notes
    trainer = Trainer(
        engine, state, dataset.train, dataset.held_out, settings, observer, lambda: save_checkpoint(out, state),
        interventions_for(settings, state, len(dataset.train)),
    )  # fmt: skip
    try:
        trainer.train()
    except OSError as error:
        raise InputError(f"A checkpoint could not be written to {out} ({error}).", "Free some disk space.") from error
    return export(out, engine, choice, dataset, settings, state, notes, consent)


def _begin(
    dataset: Dataset, settings: FitSettings, out: Path, digest: str, progress: Progress | None,
    cancelled: Callable[[], bool],
) -> tuple[FitState, list[str]]:
    """The checkpoint to go on from, or a new start."""
    state, notes = load_checkpoint(out, digest)
    if state is not None:
        notes.append(f"Resumed after step {state.run.iteration}.")
    else:
        if progress:
            progress("fit", 0.0, "placing splats")
        state = first_state(initialise(dataset, settings, cancelled), settings, digest)
    if progress:
        for note in notes:
            progress("fit", state.run.iteration / max(state.run.planned, 1), note)
    return state, notes


def _digest(dataset: Dataset, settings: FitSettings, engine: str) -> str:
    text = json.dumps([engine, ARITHMETIC, dataset.digest, settings.result_fields()], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()


def _finished(out: Path, digest: str, consent: str | None) -> FitResult | None:
    """The result in the folder if it is whole and was made from the same inputs with the same settings."""
    try:
        record = read_json(out / RESULT, FORMAT, VERSION)
        whole = record["digest"] == digest and record.get("consent") == consent and all(
            hashlib.sha256((out / name).read_bytes()).hexdigest() == sha for name, sha in record["files"].items()
        )
        return FitResult(folder=out, reused=True, **record["result"]) if whole else None
    except (InputError, OSError, KeyError, TypeError, AttributeError):
        return None


def export(
    out: Path, engine: Rasterizer, choice: EngineChoice, dataset: Dataset, settings: FitSettings, state: FitState,
    notes: list[str], consent: str | None,
) -> FitResult:  # fmt: skip
    """Write everything; fit.json last, so that its presence means that all the rest is there. consent: digest of the
    record that the pictures were swapped under, if they were."""
    cloud = state.parameters.to_cloud()
    keep = worth_keeping(cloud, engine, state, dataset.train, settings)
    if not keep.any():
        raise InputError(
            "No visible splat is left after the fit.", "Check that the cameras match the pictures, or use more steps."
        )
    out.mkdir(parents=True, exist_ok=True)
    _withdraw(out, dataset.held_out)
    cloud = cloud.subset(keep)
    write_ply(out / SPLATS, cloud)
    part = out / (BINDING + ".part")
    with open(part, "wb") as file:
        born = {"face": state.face[keep], "barycentric": state.barycentric[keep], "pose": np.array(dataset.pose)}
        np.savez_compressed(file, allow_pickle=False, **born)
    part.replace(out / BINDING)
    write_json(out / CURVES, state.run.curve)
    judges = find_judges()
    means = _render_held_out(out, engine, SplatParameters.from_cloud(cloud), dataset.held_out, judges)
    run = state.run
    result = FitResult(
        out, len(cloud), run.iteration, round(run.seconds, 3), state.kind, run.stopping,
        means["psnr"], means["ssim"], means["psnr_face"], choice.name, choice.reason,
        notes, means["ms_ssim"], means["flip"], judges.not_available, len(dataset.held_out),
    )  # fmt: skip
    files = [SPLATS, BINDING, CURVES] + [f"{RENDERS}/{v.name}.png" for v in dataset.held_out]
    record = {
        "format": FORMAT,
        "version": VERSION,
        "digest": state.digest,
        "consent": consent,
        "result": {k: v for k, v in attrs.asdict(result).items() if k not in ("folder", "reused")},
        "files": {name: hashlib.sha256((out / name).read_bytes()).hexdigest() for name in files},
    }
    write_json(out / RESULT, record)
    remove_checkpoints(out)
    return result


def _withdraw(out: Path, held_out: list[FitView]) -> None:
    """Take away what tells of an earlier fit in this folder, and its pictures of views that there are no more."""
    shown = {f"{view.name}.png" for view in held_out}
    strangers = [path for path in (out / RENDERS).glob("*.png") if path.name not in shown]
    for path in (*strangers, *(out / name for name in (RESULT, *OF_ANOTHER))):
        path.unlink(missing_ok=True)


def _render_held_out(
    out: Path, engine: Rasterizer, parameters: SplatParameters, views: list[FitView], judges: Judges
) -> dict[str, float | None]:
    """Write the pictures; the figures by name, means over the views that have them."""
    (out / RENDERS).mkdir(exist_ok=True)

    def judge(view: FitView, image: np.ndarray) -> dict[str, float | None]:
        write_png(out / RENDERS / f"{view.name}.png", to_8_bit(image))
        return held_out_scores(image, view.rgb, view.face, judges)

    with ThreadPoolExecutor() as pool:  # while the engine renders the next view
        judged = [pool.submit(judge, view, engine.render(parameters, view.camera)[0]) for view in views]
        return mean_scores([one.result() for one in judged])
