# SPDX-License-Identifier: Apache-2.0
"""What does not depend on a view: the networks, their digests, the source as they take it, which views show a face."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from backend.kernels.exr_blocks import BLOCKS
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError, Progress
from interchange.mesh import Mesh

from ..settings import SwapSettings
from ..source import Source
from .descriptors import EMBEDDING, Descriptor, EmbeddingSource
from .embedding import Face, Networks, Run, crop_face, find_face, most_frontal, source_tensor
from .models import ModelFile, ModelFolder
from .onnx_file import read_last_matrix, read_signature
from .recognition import Recognised, check_converter, check_recogniser, recognise
from .session import Network, open_network
from .settings import NONE, OnnxSettings
from .swapper import OnnxSwap
from .visibility import check_landmarks, look, region_mask

_PROCEDURE = 2
"""Raise when the same networks and views give other pictures than before: finished views then count as stale."""


def prepare(
    capture: Capture,
    source: Source,
    settings: SwapSettings,
    folder: Callable[[], ModelFolder],
    find_runtime: Callable[[], Any],
    progress: Progress | None,
    cancelled: Callable[[], bool],
) -> OnnxSwap:
    """Open the networks, make the source's tensor, look which views show a face.

    Raises InputError for a network that is missing, not recognised, not the expected one or cannot run as asked, and
    for landmarks that do not lie on a face; Cancelled when told.
    """

    def step(fraction: float, message: str) -> None:
        if cancelled():
            raise Cancelled
        if progress:
            progress("model", fraction, message)

    options = settings.onnx
    if settings.engine == "cuda":
        raise InputError("The engine cuda is not of the swapper onnx.", "Name CUDAExecutionProvider as its provider.")
    bench = _Bench(folder(), options, find_runtime)
    step(0.0, f"Recognising {options.model or 'the model'}")
    file, known = bench.swap_network()
    meshes = {pose.name: capture.load_mesh(pose) for pose in capture.poses}
    for mesh in meshes.values():
        check_landmarks(mesh)
    step(0.2, f"Opening {file.name}")
    network = bench.open(file, "swapper", known.descriptor.id, known.how)
    step(0.5, "Reading the source")
    faces, tensor = _read_source(known.descriptor, source, capture.load_mesh(), bench, file)
    extra = np.array([options.morph], np.float32) if known.descriptor.extra_input in network.dtypes else None
    swap = OnnxSwap(network, known.descriptor, tensor, settings, extra)
    swap.report = {
        "engine": "onnx",
        "engine_reason": f"{network.provider} computes {file.name} ({known.descriptor.id}).",
        "models": bench.used,
        "makers_licence": known.descriptor.licence,
        "licence": f"as stated by the user: {options.licence}" if options.licence else "not stated by the user",
        "photos": [_described(face, faces, known.descriptor) for face in faces],
        "views": _plan(capture, meshes, lambda share: step(0.8 + 0.2 * share, "Looking at the views")),
    }
    swap.warnings = [f"{sentence} {network.provider} is used." for sentence in network.passed_over]
    swap.warnings += _warnings(swap.report["views"], options)
    swap.pictures = _tried(swap, capture, meshes, faces)
    content = [_PROCEDURE, bench.used]
    swap.digest = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return swap


def check_networks(options: OnnxSettings, folder: ModelFolder, find_runtime: Callable[[], Any]) -> None:
    """Refuse (InputError) what `prepare` would refuse of the networks before one is opened: nothing should be rendered
    for a swap that cannot be."""
    bench = _Bench(folder, options, find_runtime)
    file, known = bench.swap_network()
    find_runtime()
    source = known.descriptor.source
    if isinstance(source, EmbeddingSource):
        _check_named(known.descriptor, source, options, file)
        bench.function_file(options.recogniser, check_recogniser)
        if source.converter and options.converter != NONE:
            bench.function_file(options.converter, check_converter)


class _Bench:
    """Files of the models folder that the settings name, opened; `used` lists them for the report."""

    def __init__(self, folder: ModelFolder, options: OnnxSettings, find_runtime: Callable[[], Any]) -> None:
        self._folder, self.options, self._find_runtime = folder, options, find_runtime
        self.used: list[dict[str, Any]] = []
        named = (options.model, options.recogniser, options.converter)
        strange = sorted(options.sha256.keys() - set(named))
        if strange:
            raise InputError(f"A SHA-256 is expected of {strange[0]}, which is not used.", "Correct the file's name.")

    def swap_network(self) -> tuple[ModelFile, Recognised]:
        """The swap network's file and kind, before anything is opened."""
        if not self.options.model:
            names = self._folder.names()
            listed = f"There: {', '.join(names[:8])}." if names else f"Put it into {self._folder.path}."
            raise InputError("The swapper onnx needs a model.", f"Name one. {listed}")
        file = self.file(self.options.model)
        return file, recognise(read_signature(file.path), file.name, self.options.kind)

    def file(self, name: str) -> ModelFile:
        """A file, its digest checked."""
        return self._folder.file(name, self.options.sha256)

    def open(self, file: ModelFile, role: str, kind: str, how: str) -> Network:
        """A network that runs as the user has asked."""
        network = open_network(file, self.options.providers, self._find_runtime())
        self.used.append(
            {"role": role, "file": file.name, "sha256": file.sha256, "kind": kind, "recognised": how,
             "provider": network.provider, "nodes": network.nodes}
        )  # fmt: skip
        return network

    def function_file(self, name: str, check: Callable[[Any, str], str]) -> tuple[ModelFile, str]:
        """The file of such a network and its input's name."""
        file = self.file(name)
        return file, check(read_signature(file.path), name)

    def function(self, name: str, role: str, check: Callable[[Any, str], str]) -> Run:
        """A network of one input and one output, as a function."""
        file, entry = self.function_file(name, check)
        network = self.open(file, role, role, "Its signature fits.")
        return lambda tensor: network.run({entry: tensor})[network.outputs[0]]


def _read_source(
    descriptor: Descriptor, source: Source, mesh: Mesh, bench: _Bench, file: ModelFile
) -> tuple[list[Face], npt.NDArray[np.float32] | None]:
    """The photos' faces, and what the network takes of them."""
    if descriptor.source is None:
        return [], None
    faces = [find_face(photo, mesh) for photo in source.photos]
    networks = None
    if isinstance(descriptor.source, EmbeddingSource):
        networks = _networks(descriptor, descriptor.source, bench, file)
    return faces, source_tensor(descriptor.source, faces, networks, bench.options.renormalize)


def _check_named(descriptor: Descriptor, source: EmbeddingSource, options: OnnxSettings, file: ModelFile) -> None:
    """InputError unless the settings name all networks that an identity vector needs."""
    if not options.recogniser:
        raise InputError(
            f"The model {file.name} ({descriptor.id}) takes an identity vector, so it needs a recogniser.",
            "Name the ArcFace network that it was trained with.",
        )
    if source.converter and not options.converter:
        raise InputError(
            f"The model {file.name} ({descriptor.id}) needs a converter from ArcFace's identities to its own.",
            f"Name one, or {NONE} if the recogniser is the model's own.",
        )


def _networks(descriptor: Descriptor, source: EmbeddingSource, bench: _Bench, file: ModelFile) -> Networks:
    options = bench.options
    _check_named(descriptor, source, options, file)
    emap = read_last_matrix(file.path, EMBEDDING, EMBEDDING) if source.emap else None
    if source.emap and emap is None:
        raise InputError(f"The model {file.name} holds no 512 x 512 matrix (emap).", "Take the original file.")
    convert = None
    if source.converter and options.converter != NONE:
        convert = bench.function(options.converter, "converter", check_converter)
    return Networks(bench.function(options.recogniser, "recogniser", check_recogniser), convert, emap)


def _plan(
    capture: Capture, meshes: dict[str, Mesh], told: Callable[[float], None]
) -> dict[str, dict[str, Any]]:
    """By view: whether it is swapped or why not, the share of landmarks that it shows, how far the eyes are apart."""
    plan = {}
    for index, view in enumerate(capture.views):
        told(index / len(capture.views))
        sight = look(meshes[capture.pose_of(view).name], view.camera)
        plan[view.name] = {
            "swapped": sight.left_alone is None,
            "left_alone": sight.left_alone,
            "landmarks_seen": round(sight.seen, 3),
            "eye_distance_px": round(float(np.linalg.norm(sight.points[0] - sight.points[1])), 2),
        }
    return plan


def _tried(
    swap: OnnxSwap, capture: Capture, meshes: dict[str, Mesh], faces: list[Face]
) -> dict[str, npt.NDArray[np.uint8]]:
    """The most frontal view, tried out: a network that fails is told before anything is written."""
    plan = swap.report["views"]
    shown = [view for view in capture.views if plan[view.name]["swapped"]]
    if not shown:
        return {}
    view = max(shown, key=lambda v: plan[v.name]["eye_distance_px"])
    images, mesh = capture.load_view(view, coder=BLOCKS), meshes[capture.pose_of(view).name]
    sight = look(mesh, view.camera)
    region_mask(images, mesh, sight.raster)
    before = swap.crop(images, swap.alignment(sight))
    pictures = {"before": before, "after": swap.swap_crop(before)[0]}
    if faces:
        face = most_frontal(faces)
        pictures = {"source": crop_face(face, swap.descriptor.template, len(before))} | pictures
    return {name: np.rint(np.clip(p, 0, 1) * 255).astype(np.uint8) for name, p in pictures.items()}


def _described(face: Face, faces: list[Face], descriptor: Descriptor) -> dict[str, Any]:
    used = isinstance(descriptor.source, EmbeddingSource) or face is most_frontal(faces)
    return {
        "photo": face.photo.path.name,
        **face.photo.origin,
        "landmarks": len(face.photo.landmarks),
        "five_points_px": face.points.round(3).tolist(),
        "yaw_degrees": face.yaw,
        "used": used,
    }


def _warnings(views: dict[str, dict[str, Any]], options: OnnxSettings) -> list[str]:
    found = []
    alone = sum(not view["swapped"] for view in views.values())
    if alone == len(views):
        found.append("No view shows the face: all are left as they were.")
    if not options.licence:
        found.append(f"The licence of {options.model} was not stated.")
    return found
