# SPDX-License-Identifier: Apache-2.0
"""Which kind of network a file is, by the names and shapes at its border; nothing else is let in."""

from __future__ import annotations

import contextlib

import attrs

from interchange.errors import InputError

from .descriptors import DESCRIPTORS, EMBEDDING, RECOGNISER_SIZE, Descriptor, EmbeddingSource, ImageSource
from .landmark_kinds import (
    DETECTOR_LICENCE,
    check_detector,
    is_detector,
    is_old_detector,
    landmarker_of,
    other_points,
    recognise_landmarker,
)
from .onnx_file import Border, Signature
from .settings import AUTO

Shape = tuple[int | None, ...]
_FLOATS = ("float32", "float16")
_LICENCE = "its makers' licence:"


@attrs.frozen
class Recognised:
    """descriptor: what the file is, its size filled in. how: one sentence on why it is taken for that."""

    descriptor: Descriptor
    how: str


def recognise(signature: Signature, name: str, kind: str = AUTO) -> Recognised:
    """The kind of the network in file `name`. A `kind` that the user names is only checked against the signature.

    Where the signature fits several kinds the file's name decides. Raises InputError for a signature that is not known,
    not that of `kind`, or of several kinds when the name does not tell.
    """
    fitting = [d for d in DESCRIPTORS if fits(d, signature)]
    ids = [d.id for d in fitting]
    if kind != AUTO:
        if kind not in ids:
            raise InputError(
                f"The model {name} is no {kind}: it has {signature}.",
                f"It could be {' or '.join(ids)}." if ids else "Choose another file.",
            )
        return Recognised(_sized(fitting[ids.index(kind)], signature), f"{kind} was named, and its signature fits.")
    if not fitting:
        supported = "; ".join(describe(d) for d in DESCRIPTORS)
        raise InputError(
            f"The model {name} has a signature that is not known: {signature}.", f"Supported are {supported}."
        )
    if len(fitting) == 1:
        return Recognised(_sized(fitting[0], signature), "No other known kind has its signature.")
    named = [d for d in fitting if _family(d) in name.lower()]
    if len(named) == 1:
        return Recognised(_sized(named[0], signature), "Its signature fits several kinds; its name tells which.")
    raise InputError(f"The model {name} may be {', '.join(ids)}: all have its signature.", "Name its kind.")


def _family(descriptor: Descriptor) -> str:
    return descriptor.id.split("_")[0]


def _sized(descriptor: Descriptor, signature: Signature) -> Descriptor:
    """The descriptor with the size of the file at hand, where the kind has none of its own."""
    if descriptor.size is not None:
        return descriptor
    target = next(i for i in signature.inputs if i.name == descriptor.target_input)
    return attrs.evolve(descriptor, size=target.shape[1])


def fits(descriptor: Descriptor, signature: Signature) -> bool:
    """True if inputs and outputs are those of the kind; sides that the file leaves free fit any."""
    inputs = {i.name: i for i in signature.inputs}
    wanted = {descriptor.target_input: target_shape(descriptor)}
    if descriptor.source is not None:
        wanted[descriptor.source_input] = source_shape(descriptor.source)
    extra = inputs.pop(descriptor.extra_input, None) if descriptor.extra_input else None
    if extra is not None and (len(extra.shape) > 1 or extra.dtype not in _FLOATS):
        return False
    if inputs.keys() != wanted.keys() or len(signature.outputs) != descriptor.outputs:
        return False
    if not all(inputs[name].takes(shape) for name, shape in wanted.items()):
        return False
    if descriptor.size is None and not _is_square(inputs[descriptor.target_input].shape[1:3]):
        return False
    named = {*descriptor.mask_outputs} | ({descriptor.face_output} if descriptor.face_output else set())
    return named <= {o.name for o in signature.outputs}


def target_shape(descriptor: Descriptor) -> Shape:
    """Of the crop that the network takes; None where any side fits."""
    size = descriptor.size
    return (1, size, size, 3) if descriptor.channels_last else (1, 3, size, size)


def source_shape(source: EmbeddingSource | ImageSource) -> Shape:
    """Of the source that the network takes."""
    return (1, 3, source.size, source.size) if isinstance(source, ImageSource) else (1, EMBEDDING)


def _is_square(sides: Shape) -> bool:
    return sides[0] is not None and sides[0] == sides[1] and 16 <= sides[0] <= 4096


def describe(descriptor: Descriptor) -> str:
    """A kind's name and inputs, for messages."""
    shapes = [(descriptor.target_input, target_shape(descriptor))]
    if descriptor.source is not None:
        shapes.insert(0, (descriptor.source_input, source_shape(descriptor.source)))
    return f"{descriptor.id} ({', '.join(str(Border(name, shape, '')) for name, shape in shapes)})"


def check_recogniser(signature: Signature, name: str) -> str:
    """The input's name of a face recogniser; InputError if the file is none."""
    shape = (1, 3, RECOGNISER_SIZE, RECOGNISER_SIZE)
    return _one_in_one_out(signature, name, shape, "face recogniser")


def check_converter(signature: Signature, name: str) -> str:
    """The input's name of a converter of embeddings; InputError if the file is none."""
    return _one_in_one_out(signature, name, (1, EMBEDDING), "converter of embeddings")


def _one_in_one_out(signature: Signature, name: str, shape: Shape, what: str) -> str:
    inputs, outputs = signature.inputs, signature.outputs
    if len(inputs) == len(outputs) == 1 and inputs[0].takes(shape) and outputs[0].takes((1, EMBEDDING)):
        return inputs[0].name
    wanted = Border("input", shape, "")
    raise InputError(
        f"The model {name} is no {what}: it has {signature}.", f"Needed: one {wanted}, one output [1, {EMBEDDING}]."
    )


def role_of(signature: Signature, name: str) -> str:
    """What a file can be used for, in a few words; InputError if nothing is known that has its signature."""
    for check, role in ((check_recogniser, "recogniser"), (check_converter, "converter")):
        with contextlib.suppress(InputError):
            check(signature, name)
            return role
    if is_detector(signature):
        return f"face detector, YuNet ({_LICENCE} {DETECTOR_LICENCE})"
    if (landmarker := landmarker_of(signature)) is not None:
        return f"landmarker, {landmarker.id} ({_LICENCE} {landmarker.licence})"
    fitting = [d for d in DESCRIPTORS if fits(d, signature)]
    try:
        kind = recognise(signature, name).descriptor
    except InputError:
        if other_points(signature) is not None:
            recognise_landmarker(signature, name)  # says what it gives
        if is_old_detector(signature):
            check_detector(signature, name)
        if not fitting:
            raise
        return f"swapper, {' or '.join(d.id for d in fitting)} (name its kind)"
    return f"swapper, {kind.id} ({_LICENCE} {kind.licence})"
