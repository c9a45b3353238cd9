# SPDX-License-Identifier: GPL-3.0-or-later
"""What is asked of the backend (saved with the scene), and how backends and jobs are (for this session only)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import bpy
from bpy.props import (
    BoolProperty,
    CollectionProperty,
    EnumProperty,
    FloatProperty,
    IntProperty,
    StringProperty,
)

from ..jobs import inbox, mirror
from ..jobs.backends import Backend
from ..jobs.desk import BackendState, Desk
from ..jobs.parameters import DENSIFY, DOUBLE, GAUSSIANS, PHOTOS, PRESETS, SWAPPERS, Choices, Quality
from ..jobs.records import STATES, TITLES, JobRecord

_KINDS = (
    ("DOUBLE", "Double", "Put the performer's face on the avatar, then make Gaussians of it"),
    ("GAUSSIANS", "Gaussians Only", "Make Gaussians of the avatar as it is, without a performer"),
)
_QUALITIES = (
    ("PREVIEW", "Preview", "A first look after about 20 seconds of fitting"),
    ("STANDARD", "Standard", "50,000 splats: about a minute on a GPU, some minutes without"),
    ("HIGH", "High", "120,000 splats and full view-dependent colour: takes several times as long"),
    ("CUSTOM", "Custom", "The numbers below are your own"),
)
_NUMBERS = ("iterations", "splats", "sh_degree", "time_limit_s")
_SWAPPERS = tuple((name.upper(), title, tooltip) for name, title, tooltip in SWAPPERS)
_DENSIFY = tuple((name.upper(), title, tooltip) for name, title, tooltip in DENSIFY)
_STATES = tuple((state.upper(), TITLES[state], "") for state in STATES)


def _fill_in(settings: Any, _: Any) -> None:
    """A preset was chosen: show its numbers."""
    preset = PRESETS.get(settings.quality)
    if preset is None:
        return
    settings.filling_in = True
    for name in _NUMBERS:
        setattr(settings, name, getattr(preset, name))
    settings.filling_in = False


def _own_number(settings: Any, _: Any) -> None:
    """A number was changed: the preset's name would be wrong."""
    preset = PRESETS.get(settings.quality)
    if settings.filling_in or preset is None:
        return
    if any(getattr(settings, name) != getattr(preset, name) for name in _NUMBERS):
        settings.quality = "CUSTOM"


_standard = PRESETS["STANDARD"]


class DigidoubleJobSettings(bpy.types.PropertyGroup):
    """What is asked of the backend."""

    kind: EnumProperty(  # type: ignore[valid-type]
        name="Make", description="What the backend makes out of the capture", items=_KINDS, default="DOUBLE"
    )
    quality: EnumProperty(  # type: ignore[valid-type]
        name="Quality",
        description="How long the backend may take, and how fine the double becomes",
        items=_QUALITIES,
        default="STANDARD",
        update=_fill_in,
    )
    filling_in: BoolProperty(default=False, options={"HIDDEN", "SKIP_SAVE"})  # type: ignore[valid-type]
    iterations: IntProperty(  # type: ignore[valid-type]
        name="Steps",
        description="How many times the splats are compared with a picture and corrected",
        default=_standard.iterations, min=1, max=100_000, soft_min=100, soft_max=10_000, update=_own_number,
    )  # fmt: skip
    splats: IntProperty(  # type: ignore[valid-type]
        name="Splats",
        description="Number of Gaussians to begin with",
        default=_standard.splats, min=1, max=5_000_000, soft_min=5_000, soft_max=500_000, update=_own_number,
    )  # fmt: skip
    sh_degree: IntProperty(  # type: ignore[valid-type]
        name="Colour Detail",
        description="How much a splat's colour changes with the direction of view: 0 not at all, 3 most",
        default=_standard.sh_degree, min=0, max=3, update=_own_number,
    )  # fmt: skip
    time_limit_s: FloatProperty(  # type: ignore[valid-type]
        name="Time Limit",
        description="End the fit after so many seconds; 0 lets it take its time, and the result is then repeatable",
        default=_standard.time_limit_s, min=0.0, max=86_400.0, soft_max=600.0, subtype="TIME_ABSOLUTE",
        update=_own_number,
    )  # fmt: skip
    densify: EnumProperty(  # type: ignore[valid-type]
        name="New Splats",
        description="Whether splats are added or moved where the pictures ask for more",
        items=_DENSIFY,
        default="NONE",
    )
    detail: FloatProperty(  # type: ignore[valid-type]
        name="Fine Detail",
        description="Sow splats denser where the pictures show fine detail, such as hair or brows",
        default=0.0, min=0.0, max=2.0, soft_max=1.0, subtype="FACTOR",
    )  # fmt: skip
    seed: IntProperty(  # type: ignore[valid-type]
        name="Seed",
        description="The same inputs and seed give the same double, bit for bit",
        default=0, min=0,
    )  # fmt: skip
    swapper: EnumProperty(  # type: ignore[valid-type]
        name="Swap", description="How the performer's face gets onto the avatar", items=_SWAPPERS, default="UV"
    )
    photos: IntProperty(  # type: ignore[valid-type]
        name="Photos",
        description="Use at most so many of the performer's photos: of more, the first, and those that show the face "
        "best beside it",
        default=PHOTOS, min=1, max=1000, soft_max=24,
    )  # fmt: skip
    tone: FloatProperty(  # type: ignore[valid-type]
        name="Skin Tone",
        description="1: the whole double takes the performer's skin tone; 0: the face takes the avatar's",
        default=1.0, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    eye_colour: FloatProperty(  # type: ignore[valid-type]
        name="Eye Colour",
        description="How far the irises take the performer's colour; 0 keeps the avatar's eyes",
        default=1.0, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    strength: FloatProperty(  # type: ignore[valid-type]
        name="Strength",
        description="How much of the performer's face is shown",
        default=1.0, min=0.0, max=1.0, subtype="FACTOR",
    )  # fmt: skip
    shape: FloatProperty(  # type: ignore[valid-type]
        name="Shape", default=0.0, min=0.0, max=1.0, subtype="FACTOR",
        description="How far the face takes the performer's shape, not only the skin; two or three photos show more",
    )  # fmt: skip
    delight: BoolProperty(  # type: ignore[valid-type]
        name="Remove Light",
        description="Take the photo's own light and shadows off before the scene's are put on",
        default=True,
    )
    onnx_model: StringProperty(  # type: ignore[valid-type]
        name="Network",
        description="File name of the swap network in the backend's models folder",
    )
    onnx_recogniser: StringProperty(  # type: ignore[valid-type]
        name="Recogniser",
        description="File name of the face recogniser there, for networks that need one",
    )
    import_when_done: BoolProperty(  # type: ignore[valid-type]
        name="Import When Done",
        description="Put the double into the scene as soon as it has been fetched",
        default=True,
    )
    fetch_views: BoolProperty(  # type: ignore[valid-type]
        name="Fetch Pictures",
        description="Also fetch the swapped pictures (large); the double does not need them",
        default=False,
    )

    def choices(self) -> Choices:
        """In plain values."""
        return Choices(
            kind=GAUSSIANS if self.kind == "GAUSSIANS" else DOUBLE,
            quality=Quality(self.iterations, self.splats, self.sh_degree, self.time_limit_s),
            densify=self.densify.lower(),
            detail=self.detail,
            seed=self.seed,
            swapper=self.swapper.lower(),
            tone=self.tone,
            strength=self.strength,
            delight=self.delight,
            shape=self.shape,
            eye_colour=self.eye_colour,
            photos=self.photos,
            onnx_model=self.onnx_model,
            onnx_recogniser=self.onnx_recogniser,
        )


def _of_backend(read: Callable[[Desk, Backend, BackendState], Any], default: Any) -> Callable[[Any], Any]:
    """A property's getter; `default` before the first look."""

    def get(shown: Any) -> Any:
        desk = inbox.desk_or_none()
        if desk is None or not desk.backends.has(shown.backend_id):
            return default
        return read(desk, desk.backends.find(shown.backend_id), desk.state_of(shown.backend_id))

    return get


def _of_job(read: Callable[[Desk, JobRecord], Any], default: Any) -> Callable[[Any], Any]:
    """A property's getter; `default` for a job that has just been removed."""

    def get(shown: Any) -> Any:
        desk = inbox.desk_or_none()
        record = None if desk is None else desk.records.get(shown.job_id)
        return default if desk is None or record is None else read(desk, record)

    return get


# Blender evaluates the annotations below apart from this module, so that a lambda written there would find no names.
_BACKEND = {
    "name": _of_backend(lambda _, item, __: item.name, ""),
    "endpoint": _of_backend(lambda _, item, __: item.endpoint.removeprefix("tcp://"), ""),
    "fingerprint": _of_backend(lambda _, item, __: item.fingerprint, ""),
    "is_local": _of_backend(lambda _, item, __: item.is_local, False),
    "reached": _of_backend(lambda _, __, state: bool(state.reached), False),
    "waiting": _of_backend(lambda _, __, state: state.waiting, ""),
    "sentence": _of_backend(lambda desk, item, _: mirror.sentence_of(desk, item.backend_id), ""),
    "lines": _of_backend(lambda _, __, state: "\n".join(state.lines), ""),
    "busy": _of_backend(lambda _, __, state: state.busy, ""),
}
_JOB = {
    "name": _of_job(lambda _, record: record.name, ""),
    "kind": _of_job(lambda _, record: record.kind, ""),
    "backend_id": _of_job(lambda _, record: record.backend_id, ""),
    "state": _of_job(lambda _, record: STATES.index(record.state), 0),
    "headline": _of_job(mirror.headline_of, ""),
    "sentence": _of_job(lambda _, record: record.sentence, ""),
    "is_problem": _of_job(lambda _, record: bool(record.problem), False),
    "fraction": _of_job(lambda _, record: min(max(record.fraction, 0.0), 1.0), 0.0),
    "results": _of_job(lambda _, record: record.results, ""),
    "waiting": _of_job(mirror.waiting_of, ""),
    "preview": _of_job(lambda desk, record: desk.previews.get(record.job_id, 0), 0),
    "is_ours": _of_job(lambda desk, record: desk.is_ours(record), True),
}


class DigidoubleBackend(bpy.types.PropertyGroup):
    """A place to compute; all but its id is read from the desk."""

    backend_id: StringProperty()  # type: ignore[valid-type]
    name: StringProperty(get=_BACKEND["name"])  # type: ignore[valid-type]
    endpoint: StringProperty(get=_BACKEND["endpoint"])  # type: ignore[valid-type]
    fingerprint: StringProperty(get=_BACKEND["fingerprint"])  # type: ignore[valid-type]
    is_local: BoolProperty(get=_BACKEND["is_local"])  # type: ignore[valid-type]
    reached: BoolProperty(get=_BACKEND["reached"])  # type: ignore[valid-type]
    waiting: StringProperty(get=_BACKEND["waiting"])  # type: ignore[valid-type]
    sentence: StringProperty(get=_BACKEND["sentence"])  # type: ignore[valid-type]
    lines: StringProperty(get=_BACKEND["lines"])  # type: ignore[valid-type]
    busy: StringProperty(get=_BACKEND["busy"])  # type: ignore[valid-type]


class DigidoubleJob(bpy.types.PropertyGroup):
    """A job; all but its id is read from the desk."""

    job_id: StringProperty()  # type: ignore[valid-type]
    name: StringProperty(get=_JOB["name"])  # type: ignore[valid-type]
    kind: StringProperty(get=_JOB["kind"])  # type: ignore[valid-type]
    backend_id: StringProperty(get=_JOB["backend_id"])  # type: ignore[valid-type]
    state: EnumProperty(items=_STATES, get=_JOB["state"])  # type: ignore[valid-type]
    headline: StringProperty(get=_JOB["headline"])  # type: ignore[valid-type]
    sentence: StringProperty(get=_JOB["sentence"])  # type: ignore[valid-type]
    is_problem: BoolProperty(get=_JOB["is_problem"])  # type: ignore[valid-type]
    fraction: FloatProperty(get=_JOB["fraction"], min=0.0, max=1.0, subtype="FACTOR")  # type: ignore[valid-type]
    results: StringProperty(get=_JOB["results"])  # type: ignore[valid-type]
    waiting: StringProperty(get=_JOB["waiting"])  # type: ignore[valid-type]
    preview: IntProperty(get=_JOB["preview"])  # type: ignore[valid-type]
    is_ours: BoolProperty(get=_JOB["is_ours"])  # type: ignore[valid-type]


def _choose(compute: Any, _: Any) -> None:
    """The artist clicked another backend."""
    inbox.choose_backend(compute)


class DigidoubleCompute(bpy.types.PropertyGroup):
    """`WindowManager.digidouble.compute`: backends and jobs, newest first."""

    backends: CollectionProperty(type=DigidoubleBackend)  # type: ignore[valid-type]
    active_backend: IntProperty(default=0, min=0, update=_choose)  # type: ignore[valid-type]
    jobs: CollectionProperty(type=DigidoubleJob)  # type: ignore[valid-type]
    active_job: IntProperty(default=0, min=0)  # type: ignore[valid-type]
    notice: StringProperty()  # type: ignore[valid-type]

    def backend(self) -> Any | None:
        """The chosen backend, None before the first look."""
        return self.backends[self.active_backend] if self.active_backend < len(self.backends) else None

    def job(self) -> Any | None:
        """The job that is chosen in the list, None if there is none."""
        return self.jobs[self.active_job] if self.active_job < len(self.jobs) else None


GROUPS = (DigidoubleJobSettings, DigidoubleBackend, DigidoubleJob, DigidoubleCompute)
