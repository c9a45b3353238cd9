# SPDX-License-Identifier: Apache-2.0
"""The source as a network takes it: an identity vector out of all photos, or a crop of the most frontal one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.colour import srgb_from_linear
from interchange.errors import InputError
from interchange.mesh import LANDMARK_COUNT, Mesh

from ..registration import register
from ..sampling import sample_linear
from ..source import Photo
from .alignment import indices, inverse, resample, umeyama
from .descriptors import EMBEDDING, RECOGNISER_SIZE, RECOGNISER_TEMPLATE, EmbeddingSource, ImageSource
from .templates import five_points, template_points
from .tensors import picture_tensor, recogniser_tensor

Floats = npt.NDArray[Any]
Run = Callable[[Floats], Floats]
"""A network of one input and one output."""
_BEHIND = np.float32(0.5)  # grey, display-referred, where a photo is transparent


@attrs.frozen(eq=False)
class Face:
    """A photo's face. points: (5, 2) pixels, centres at +0.5. yaw: degrees. guessed: landmarks that the photo's file
    does not have, which the mesh laid over the photo gives."""

    photo: Photo
    points: npt.NDArray[np.float64]
    yaw: float
    guessed: tuple[int, ...]


@attrs.frozen(eq=False)
class Networks:
    """What turns photos into vectors. emap: (512, 512) of the swap network itself."""

    recognise: Run
    convert: Run | None = None
    emap: Floats | None = None


def find_face(photo: Photo, mesh: Mesh) -> Face:
    """Five points of a photo. The mesh is laid over the photo by the landmarks that there are; it gives the others.

    Raises InputError, as `register` does, for landmarks that lie mirrored, swapped or nowhere near a face.
    """
    registration = register(mesh, photo)
    points = np.full((LANDMARK_COUNT, 2), np.nan)
    known = mesh.landmarks >= 0
    points[known] = registration.camera.project(registration.vertices[mesh.landmarks[known]])[0]
    for index, place in photo.landmarks.items():
        points[index] = place
    guessed = tuple(i for i in range(LANDMARK_COUNT) if i not in photo.landmarks)
    return Face(photo, five_points(points), registration.yaw, guessed)


def crop_face(face: Face, template: str, size: int) -> npt.NDArray[np.float32]:
    """(size, size, 3) RGB display-referred 0..1 of a photo's face; beyond the photo its edge goes on."""
    encoded = srgb_from_linear(face.photo.image)
    if face.photo.alpha is not None:
        encoded = _BEHIND + face.photo.alpha[..., None] * (encoded - _BEHIND)
    to_crop = umeyama(indices(face.points), template_points(template, size))
    return resample(encoded, inverse(to_crop), range(size), range(size), sample_linear)


def identity(faces: list[Face], recognise: Run) -> npt.NDArray[np.float64]:
    """(512,) of length 1: the mean of the photos' vectors of length 1, which the recogniser gives."""
    vectors = []
    for face in faces:
        crop = crop_face(face, RECOGNISER_TEMPLATE, RECOGNISER_SIZE)
        vector = np.asarray(recognise(recogniser_tensor(crop)), np.float64).reshape(-1)
        vectors.append(_unit(vector, f"The recogniser sees nothing in {face.photo.path}."))
    return _unit(np.mean(vectors, axis=0), "The photos' identities cancel each other out.")


def source_tensor(
    source: EmbeddingSource | ImageSource, faces: list[Face], networks: Networks | None, renormalize: bool = True
) -> npt.NDArray[np.float32]:
    """What a network takes as its source: (1, 512), or (1, 3, s, s) RGB 0..1 of the most frontal photo.

    `networks` are needed for an embedding. `renormalize`: give the product with the emap length 1 again. Raises
    InputError when a network sees nothing.
    """
    if isinstance(source, ImageSource):
        return picture_tensor(crop_face(most_frontal(faces), source.template, source.size))
    assert networks is not None
    vector = identity(faces, networks.recognise)
    if source.emap:
        assert networks.emap is not None
        vector = vector @ networks.emap.astype(np.float64)
    if source.converter and networks.convert is not None:
        vector = np.asarray(networks.convert(vector[None].astype(np.float32)), np.float64).reshape(-1)
    if source.normalize and (renormalize or not source.emap):
        vector = _unit(vector, "The converted identity is zero.")
    return vector.reshape(1, EMBEDDING).astype(np.float32)


def most_frontal(faces: list[Face]) -> Face:
    """The face that turns away least; the first of equal ones."""
    return min(faces, key=lambda face: abs(face.yaw))


def _unit(vector: Floats, problem: str) -> Floats:
    length = float(np.linalg.norm(vector))
    if not length > 1e-8:
        raise InputError(problem, "Check that recogniser and converter belong together, and the photo's landmarks.")
    return vector / length


