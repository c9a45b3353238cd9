# SPDX-License-Identifier: Apache-2.0
"""A job as stages, each reading one folder and writing the next: the table of contents of the backend.

    capture/ ──swap──▶ swapped/ ──fit──▶ double/ ──evaluate──▶ double/metrics.json ──sign──▶ double/manifest.json

The worker process calls `run_job`; the command line calls the stages one by one on the same folders. A stage that has
finished on the same inputs notices that itself and returns at once, so a job that was killed goes on where it was.
"""

from __future__ import annotations

import json
import shutil
import time
from collections.abc import Callable
from datetime import date
from pathlib import Path
from typing import Any, TypeVar

import attrs
import cattrs

from interchange.capture import MANIFEST, Capture, write_json
from interchange.consent import check_terms, load_consent
from interchange.errors import Cancelled, InputError, Progress
from interchange.landmarks import files_of_source

from . import previews, provenance
from .evaluation.evaluate import evaluate
from .faceswap.registry import swapper_named
from .faceswap.settings import SwapSettings
from .faceswap.source import check_source
from .faceswap.swap import PER_VIEW, swap
from .fitting.fit import fit
from .fitting.inputs import check_own_files
from .fitting.settings import FitSettings

Settings = TypeVar("Settings")
ROOT = Path(__file__).resolve().parent.parent


@attrs.frozen
class JobFolders:
    """Where a job's stages read and write. `inputs` came with the job; `work` outlives a crash."""

    inputs: Path
    work: Path

    @property
    def capture(self) -> Path:
        """The target avatar's capture."""
        return self.inputs / "capture"

    @property
    def source(self) -> Path:
        """The performer's photos, landmarks and consent record."""
        return self.inputs / "source"

    @property
    def truth(self) -> Path | None:
        """Renders of the true swap, where the source is an avatar too."""
        folder = self.inputs / "truth"
        return folder if folder.exists() else None

    @property
    def swapped(self) -> Path:
        """The capture with the swapped face."""
        return self.work / "swapped"

    @property
    def double(self) -> Path:
        """The result."""
        return self.work / "double"


@attrs.frozen
class JobContext:
    """What every stage gets."""

    folders: JobFolders
    parameters: dict[str, Any]
    progress: Progress
    cancelled: Callable[[], bool]
    preview: previews.Show = previews.show_nothing


def check_stage(job: JobContext) -> None:
    """Refuse a job before any work: no consent, an unreadable capture, no landmarks, settings that do not exist."""
    check_parameters(job.parameters, ("swap", "fit"))
    check_source(job.folders.source, job.progress, job.cancelled)
    if not Capture.load(job.folders.capture).of_first_pose().held_out_views:
        raise InputError(
            "The capture has no held-out views of its first pose, so nothing could measure the double.",
            "Capture again with some held out, or send it without a swap.",
        )
    swapper_named(settings_from(job.parameters.get("swap", {}), SwapSettings).swapper)
    settings_from(job.parameters.get("fit", {}), FitSettings)


def swap_stage(job: JobContext) -> None:
    """capture/ + source/ -> swapped/."""
    settings = settings_from(job.parameters.get("swap", {}), SwapSettings)
    folders = job.folders
    shown = previews.SwapPreviews(job.preview, Capture.load(folders.capture), folders.swapped)
    swap(folders.capture, folders.source, folders.swapped, settings, shown.follow(job.progress), job.cancelled)
    shown.look(at_end=True)


def fit_stage(job: JobContext) -> None:
    """swapped/ -> double/splats.ply."""
    settings = settings_from(job.parameters.get("fit", {}), FitSettings)
    _fit(job, job.folders.swapped, settings)


def plain_fit_stage(job: JobContext) -> None:
    """capture/ -> double/splats.ply, without a swap. A capture that is swapped already needs its source beside it."""
    check_parameters(job.parameters, ("fit",))
    folders = job.folders
    check_own_files(folders.capture)
    known = provenance.consent_of_swap(folders.capture)
    provenance.check_same_consent(folders.source, [known], f"The pictures of {folders.capture} show")
    if known is not None:
        check_terms(load_consent(folders.source), "swap", date.today())
    settings = settings_from(job.parameters.get("fit", {}), FitSettings)
    _fit(job, job.folders.capture, settings)


def _fit(job: JobContext, folder: Path, settings: FitSettings) -> None:
    observer = None
    if job.preview is not previews.show_nothing:
        order = previews.frontal_names(Capture.load(folder)) if (folder / MANIFEST).is_file() else []
        observer = previews.FitPreviews(job.preview, order).observer()
    fit(folder, job.folders.double, settings, job.progress, job.cancelled, observer)


def evaluate_stage(job: JobContext) -> None:
    """double/ against swapped/ and truth/ -> double/metrics.json."""
    folders = job.folders
    swapped = folders.swapped if folders.swapped.exists() else None
    evaluate(folders.capture, swapped, folders.double, folders.truth, progress=job.progress, cancelled=job.cancelled)


def sign_stage(job: JobContext) -> None:
    """SHA-256 of inputs and outputs, parameters, versions, consent digest -> double/manifest.json."""
    folders = job.folders
    swapped = folders.swapped if folders.swapped.exists() else None
    is_swap = swapped is not None or provenance.consent_of_fit(folders.double) is not None
    sign(folders.double, folders.capture, folders.source if is_swap else None, job.parameters, swapped)


def sign(
    double: Path, capture: Path, source: Path | None, parameters: dict[str, Any], swapped: Path | None = None
) -> None:
    """Write double/manifest.json; the last thing that is done to a double, again whenever a report was added.
    `swapped` tells which networks made the swap, if any. Raises InputError (CONSENT) for a double of a swapped face
    without the consent record that the face was swapped under."""
    digests = [provenance.consent_of_fit(double), provenance.consent_of_swap(capture)]
    digests += [provenance.consent_of_swap(swapped)] if swapped else []
    provenance.check_same_consent(source, digests, f"The double {double} shows")
    inputs = {"capture": capture}
    if source:  # not what else lies there: a file's name may tell of a person
        inputs |= {f"source/{path.name}": path for path in files_of_source(source)}
    consent = source / "consent.json" if source else None
    networks, commit = provenance.networks_of(swapped or capture), provenance.current_commit(ROOT)
    views, swap = provenance.views_action(capture), provenance.swap_action(swapped or capture)
    engine = provenance.engine_sentence(double)
    provenance.write_manifest(
        double, inputs, parameters, consent, commit=commit, networks=networks,
        actions=provenance.default_actions(consent is not None, engine, networks, views, swap),
        digital_source_type=provenance.source_type(consent is not None, networks, views),
    )  # fmt: skip


@attrs.frozen
class Stage:
    """A step of a job; `share` is its usual part of the job's time, for the overall progress."""

    name: str
    share: float
    run: Callable[[JobContext], None]


KINDS: dict[str, tuple[Stage, ...]] = {
    "double": (
        Stage("check", 0.01, check_stage),
        Stage("swap", 0.15, swap_stage),
        Stage("fit", 0.76, fit_stage),
        Stage("evaluate", 0.07, evaluate_stage),
        Stage("sign", 0.01, sign_stage),
    ),
    "fit": (Stage("fit", 0.98, plain_fit_stage), Stage("sign", 0.02, sign_stage)),
}


def run_job(
    kind: str,
    parameters: dict[str, Any],
    inputs_folder: Path,
    work_folder: Path,
    outputs_folder: Path,
    progress: Progress,
    cancelled: Callable[[], bool],
    preview: previews.Show = previews.show_nothing,
) -> dict[str, Any]:
    """Run all stages of a job and publish their folders. Returns {"timing_s": {stage: seconds}}.

    `preview` gets pictures of what the job is making, by the name of the stage: PNGs within the protocol's limits.

    Raises InputError for a job that cannot be done, Cancelled when told to stop.
    """
    if kind not in KINDS:
        raise InputError(f"There is no job of kind {kind}.", f"Known kinds: {', '.join(KINDS)}.", code="INPUT_KIND")
    folders = JobFolders(Path(inputs_folder), Path(work_folder))
    clock = _StageClock(folders.work / "timings.json")
    done = 0.0
    for stage in KINDS[kind]:
        if cancelled():
            raise Cancelled
        report = _part_of_whole(progress, stage, done)
        report(stage.name, 0.0, "")
        with clock.measure(stage.name):
            stage.run(JobContext(folders, parameters, report, cancelled, preview))
        done += stage.share
    publish(folders, Path(outputs_folder))
    write_json(Path(outputs_folder) / "timings.json", clock.seconds)
    progress("done", 1.0, "")
    return {"timing_s": clock.seconds}


def _part_of_whole(progress: Progress, stage: Stage, before: float) -> Progress:
    """Map a stage's own fraction into the job's; it never goes back, even where a stage counts in parts."""
    furthest = 0.0

    def report(_: str, fraction: float, message: str) -> None:
        nonlocal furthest
        furthest = max(furthest, min(fraction, 1.0))
        progress(stage.name, min(1.0, before + stage.share * furthest), message)

    return report


def publish(folders: JobFolders, outputs: Path) -> None:
    """Put the results where the client fetches them; checkpoints and other scaffolding stay behind."""
    for folder in (folders.swapped, folders.double):
        if folder.exists():
            shutil.copytree(
                folder, outputs / folder.name, dirs_exist_ok=True, copy_function=_link_or_copy,
                ignore=shutil.ignore_patterns("checkpoint*", "*.part", PER_VIEW),
            )  # fmt: skip


def _link_or_copy(source: str, target: str) -> str:
    Path(target).unlink(missing_ok=True)
    try:
        Path(target).hardlink_to(source)
    except OSError:
        shutil.copy2(source, target)
    return target


def check_parameters(parameters: dict[str, Any], known: tuple[str, ...]) -> None:
    """InputError for a group of settings that a job of this kind does not read: a misspelt one would change nothing."""
    unknown = sorted(parameters.keys() - set(known))
    if unknown:
        raise InputError(
            f"A job of this kind has no parameters called {', '.join(unknown)}.", f"It reads {' and '.join(known)}."
        )


def settings_from(values: dict[str, Any], kind: type[Settings]) -> Settings:
    """Typed settings out of a job's parameters; InputError names what is unknown or of the wrong type."""
    if not isinstance(values, dict):
        raise InputError(f"The {kind.__name__} are not usable: {values!r:.60} is no table.", "Give them by name.")
    try:
        return _CONVERTER.structure(values, kind)
    except cattrs.BaseValidationError as error:
        cause = _input_error_in(error)
        if cause is not None:  # a value out of range, in the settings' own words
            raise cause from error
        reason = "; ".join(cattrs.transform_error(error)[:3])
        raise InputError(
            f"The {kind.__name__} are not usable: {reason}.", "Correct or leave out these settings."
        ) from error
    except (TypeError, ValueError) as error:
        raise InputError(f"The {kind.__name__} are not usable: {error}.", "Correct these settings.") from error


def _exact(kind: type, *taken: type) -> Callable[[Any, Any], Any]:
    """A hook of cattrs for one plain type. By itself it makes True of "false" and 900 of 900.9, and nobody is told."""

    def structure(value: Any, _: Any) -> Any:
        if type(value) not in taken:
            raise TypeError(f"{value!r:.60} is no {kind.__name__}")
        return kind(value)

    return structure


def _strict_converter() -> cattrs.Converter:
    converter = cattrs.Converter(forbid_extra_keys=True)
    for kind, taken in ((bool, (bool,)), (int, (int,)), (float, (float, int)), (str, (str,))):
        converter.register_structure_hook(kind, _exact(kind, *taken))
    return converter


_CONVERTER = _strict_converter()


def _input_error_in(error: cattrs.BaseValidationError) -> InputError | None:
    """The first InputError among the causes, however deep the settings are nested."""
    for cause in error.exceptions:
        found = _input_error_in(cause) if isinstance(cause, cattrs.BaseValidationError) else cause
        if isinstance(found, InputError):
            return found
    return None


class _StageClock:
    """Seconds by stage, summed over the attempts of a job that was interrupted."""

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self.seconds: dict[str, float] = json.loads(path.read_text())
        except (OSError, ValueError):
            self.seconds = {}

    def measure(self, stage: str) -> _Measure:
        return _Measure(self, stage)

    def add(self, stage: str, seconds: float) -> None:
        self.seconds[stage] = round(self.seconds.get(stage, 0.0) + seconds, 3)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        write_json(self.path, self.seconds)


@attrs.define
class _Measure:
    clock: _StageClock
    stage: str
    start: float = 0.0

    def __enter__(self) -> None:
        self.start = time.monotonic()

    def __exit__(self, *_: object) -> None:
        self.clock.add(self.stage, time.monotonic() - self.start)
