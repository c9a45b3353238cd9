# SPDX-License-Identifier: Apache-2.0
"""A network that is ready to swap: by view, a crop aligned by the mesh, the network, the paste."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.cameras import Camera
from interchange.capture import ViewImages
from interchange.mesh import Mesh

from ..harmonization import colour_map, skin_statistics
from ..sampling import sample_cubic, sample_linear
from ..settings import SwapSettings
from . import tensors
from .alignment import Matrix, Sampler, indices, inverse, resample, umeyama
from .descriptors import Descriptor
from .masks import network_mask
from .paste import box_mask, paste
from .session import Network
from .templates import template_points
from .visibility import Sight, look, region_mask

Floats = npt.NDArray[Any]
_ENOUGH = 50  # pixels of a face that settle its colours


@attrs.define(eq=False)
class OnnxSwap:
    """A network that is ready to swap views, from any thread.

    source: what it takes beside the crop. extra: what it takes beside both. digest: of all that the views depend on
    beside the settings. pictures: (h, w, 3) to look at, by name. report: for swap.json. warnings: for the user.
    """

    network: Network
    descriptor: Descriptor
    source: npt.NDArray[np.float32] | None
    settings: SwapSettings
    extra: npt.NDArray[np.float32] | None
    digest: str = ""
    pictures: dict[str, npt.NDArray[np.uint8]] = attrs.field(factory=dict)
    report: dict[str, Any] = attrs.field(factory=dict)
    warnings: list[str] = attrs.field(factory=list)

    def change(self, images: ViewImages, mesh: Mesh, camera: Camera) -> npt.NDArray[np.float32]:
        """The view's new rgb (H, W, 3), linear, premultiplied; the same bits where no face is seen."""
        sight = look(mesh, camera)
        if sight.left_alone is not None:
            return images.rgb
        options = self.settings.onnx
        to_crop = self.alignment(sight)
        crop = self.crop(images, to_crop)
        swapped, own_mask = self.swap_crop(crop)
        mask = box_mask(len(crop), options.feather)
        if own_mask is not None and options.model_mask:
            mask = np.minimum(mask, own_mask)
        region = region_mask(images, mesh, sight.raster)
        if self.settings.tone < 1:
            core = np.minimum(mask, _cropped(region[..., None], to_crop, len(crop))[..., 0]) > 0.5
            swapped = _in_tone(swapped, crop, core, self.settings)
        return paste(images, swapped, mask, region, to_crop, self.settings.strength)

    def alignment(self, sight: Sight) -> Matrix:
        """From the view's pixel indices to the crop's."""
        options = self.settings.onnx
        size = self._edge() * options.pixel_boost
        return umeyama(indices(sight.points), template_points(self.descriptor.template, size, options.crop_scale))

    def crop(self, images: ViewImages, to_crop: Matrix) -> npt.NDArray[np.float32]:
        """(N S, N S, 3) RGB display-referred 0..1 over black: the view's face as the network wants it."""
        size = self._edge() * self.settings.onnx.pixel_boost
        # Cubic: a crop is finer than most views, and what linear sampling blurs there is missing after the paste.
        return np.clip(_cropped(images.display(), to_crop, size, sample_cubic), 0, 1)

    def swap_crop(self, crop: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        """A crop (N S, N S, 3) RGB 0..1 through the network, in N x N parts: picture and the network's mask, if any."""
        boost = self.settings.onnx.pixel_boost
        swapped = [self._swap_part(part) for part in tensors.parts(crop, boost)]
        masks = [mask for _, mask in swapped if mask is not None]
        picture = tensors.joined([picture for picture, _ in swapped], boost)
        return picture, tensors.joined(masks, boost) if masks else None

    def _swap_part(self, part: Floats) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.float32] | None]:
        descriptor, name = self.descriptor, self.network.file.name
        inputs: dict[str, Floats] = {descriptor.target_input: tensors.target_tensor(part, descriptor)}
        if self.source is not None:
            inputs[descriptor.source_input] = self.source
        if self.extra is not None and descriptor.extra_input is not None:
            inputs[descriptor.extra_input] = self.extra
        outputs = self.network.run(inputs)
        face = outputs[descriptor.face_output or self.network.outputs[0]]
        return tensors.picture_from(face, descriptor, name), network_mask(outputs, descriptor, name)

    def _edge(self) -> int:
        assert self.descriptor.size is not None  # recognition has filled it in
        return self.descriptor.size


def _cropped(
    image: Floats, to_crop: Matrix, size: int, sample: Sampler = sample_linear
) -> npt.NDArray[np.float32]:  # (H, W, C)
    """(size, size, C) of a view's image; beyond the view its edge goes on."""
    return resample(image, inverse(to_crop), range(size), range(size), sample)


def _in_tone(swapped: Floats, crop: Floats, core: npt.NDArray[np.bool_], settings: SwapSettings) -> Floats:
    """The swapped crop with its skin moved towards the crop's own tone: `tone` 1 leaves it, 0 moves it all the way.
    `core`: (S, S), where both show the face."""
    if core.sum() < _ENOUGH:
        return swapped
    start, goal = (skin_statistics(picture[core]) for picture in (swapped, crop))
    moved = colour_map(start, goal, settings.harmonize, 1 - settings.tone)(swapped.reshape(-1, 3))
    return moved.reshape(swapped.shape)
