# SPDX-License-Identifier: Apache-2.0
"""What is known of each network, as data: names, shapes and ranges at its border, alignment, form of its source."""

from __future__ import annotations

import attrs

Three = tuple[float, float, float]
EMBEDDING = 512
"""Numbers that stand for an identity; all networks known here agree on it."""
RECOGNISER_SIZE, RECOGNISER_TEMPLATE = 112, "arcface_112_v2"


@attrs.frozen
class EmbeddingSource:
    """An identity vector as source. converter: the recogniser's vector goes through a converter network first. emap: it
    is multiplied by the model's own 512 x 512 matrix. normalize: the result gets length 1."""

    converter: bool = False
    emap: bool = False
    normalize: bool = True


@attrs.frozen
class ImageSource:
    """A crop of the photo as source, RGB 0..1."""

    size: int
    template: str


@attrs.frozen
class Descriptor:
    """One kind of network.

    size: edge of its crop in pixels, None: as its file says. template: of its alignment. mean, std: its input is
    (x - mean) / std of x in 0..1; `denormalize`: so is its output. channels_last: NHWC instead of NCHW. bgr: instead of
    RGB. source: what it takes beside the crop, None: nothing, the identity is trained in. target_input, source_input,
    extra_input: names. face_output: name, None: the first. mask_outputs: names of masks that come along; the smallest
    value counts. outputs: how many it has. licence: as its makers or lists of networks state it, for information.
    """

    id: str
    template: str
    size: int | None
    licence: str
    source: EmbeddingSource | ImageSource | None
    mean: Three = (0.0, 0.0, 0.0)
    std: Three = (1.0, 1.0, 1.0)
    denormalize: bool = False
    channels_last: bool = False
    bgr: bool = False
    target_input: str = "target"
    source_input: str = "source"
    extra_input: str | None = None
    face_output: str | None = None
    mask_outputs: tuple[str, ...] = ()
    outputs: int = 1


_HALF: Three = (0.5, 0.5, 0.5)
_IMAGENET_MEAN: Three = (0.485, 0.456, 0.406)
_IMAGENET_STD: Three = (0.229, 0.224, 0.225)
_CONVERTED = EmbeddingSource(converter=True)

DESCRIPTORS: tuple[Descriptor, ...] = (
    Descriptor("inswapper_128", "arcface_128", 128, "non-commercial (InsightFace)", EmbeddingSource(emap=True)),
    Descriptor("simswap_256", "arcface_112_v1", 256, "non-commercial", _CONVERTED, _IMAGENET_MEAN, _IMAGENET_STD),
    Descriptor("simswap_unofficial_512", "arcface_112_v1", 512, "non-commercial", _CONVERTED),
    Descriptor(
        "ghost_256", "arcface_112_v1", 256, "Apache-2.0", EmbeddingSource(converter=True, normalize=False),
        _HALF, _HALF, denormalize=True,
    ),
    Descriptor("hififace_unofficial_256", "mtcnn_512", 256, "unknown", _CONVERTED, _HALF, _HALF, denormalize=True),
    Descriptor(
        "hyperswap_256", "arcface_128", 256, "ResearchRAIL-MS", EmbeddingSource(), _HALF, _HALF, denormalize=True,
        mask_outputs=("mask",), outputs=2,
    ),
    Descriptor("uniface_256", "ffhq_512", 256, "unknown", ImageSource(256, "ffhq_512"), _HALF, _HALF, denormalize=True),
    Descriptor("blendswap_256", "ffhq_512", 256, "non-commercial", ImageSource(112, "arcface_112_v2")),
    Descriptor(
        "dfm", "dfl_whole_face", None, "its trainer's", None, channels_last=True, bgr=True, target_input="in_face:0",
        extra_input="morph_value:0", face_output="out_celeb_face:0",
        mask_outputs=("out_face_mask:0", "out_celeb_face_mask:0"), outputs=3,
    ),
)  # fmt: skip
KINDS = tuple(descriptor.id for descriptor in DESCRIPTORS)
