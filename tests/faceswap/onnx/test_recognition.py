# SPDX-License-Identifier: Apache-2.0
"""Which files are taken for what, and the sentences that turn the others away."""

from __future__ import annotations

from pathlib import Path

import attrs
import numpy as np
import pytest
from numpy.testing import assert_array_equal

from backend.faceswap.onnx.descriptors import DESCRIPTORS, KINDS
from backend.faceswap.onnx.onnx_file import Border, read_last_matrix, read_signature
from backend.faceswap.onnx.recognition import recognise, role_of
from interchange.errors import InputError

from . import networks


def test_all_known_kinds_have_a_stand_in() -> None:
    assert set(KINDS) == set(networks.KINDS)


@pytest.mark.parametrize("kind", sorted(networks.KINDS))
def test_signatures_are_read_without_a_runtime(kind: str, models: Path) -> None:
    import onnxruntime

    path = models / networks.file_name(kind)
    signature = read_signature(path)
    session = onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    for ours, theirs in ((signature.inputs, session.get_inputs()), (signature.outputs, session.get_outputs())):
        assert [b.name for b in ours] == [b.name for b in theirs]
        assert [list(b.shape) for b in ours] == [[s if isinstance(s, int) else None for s in b.shape] for b in theirs]
        assert {b.dtype for b in ours} == {"float32"}


def test_the_emap_is_read_exactly(models: Path, tmp_path: Path) -> None:
    assert_array_equal(read_last_matrix(models / "inswapper_128.onnx", 512, 512), networks.emap())
    assert read_last_matrix(models / "inswapper_128.onnx", 512, 511) is None
    assert read_last_matrix(models / "uniface_256.onnx", 512, 512) is None
    onnx, helper, kinds = networks.onnx, networks.helper, networks.TensorProto
    values = np.arange(6, dtype=np.float32).reshape(2, 3)
    for number, tensor in enumerate((
        helper.make_tensor("m", kinds.FLOAT, (2, 3), values.ravel()),  # as a list of floats, not raw
        networks.numpy_helper.from_array(values.astype(np.float16), "m"),
    )):  # fmt: skip
        graph = helper.make_graph([], "g", [], [networks._value("m", (2, 3))], [tensor])
        path = tmp_path / f"{number}.onnx"
        path.write_bytes(helper.make_model(graph).SerializeToString())
        assert_array_equal(read_last_matrix(path, 2, 3), values)
    assert onnx.__version__


@pytest.mark.parametrize("kind", sorted(networks.KINDS))
def test_kinds_are_recognised_by_signature_and_where_several_fit_by_name(kind: str, models: Path) -> None:
    signature = read_signature(models / networks.file_name(kind))
    found = recognise(signature, networks.file_name(kind))
    assert found.descriptor.id == kind
    assert found.descriptor.size == networks.KINDS[kind].target[2]
    alike = {"simswap_256", "ghost_256", "hififace_unofficial_256"}
    if kind in alike:
        with pytest.raises(InputError, match="may be simswap_256, ghost_256, hififace_unofficial_256"):
            recognise(signature, "model.onnx")
        assert {recognise(signature, "model.onnx", other).descriptor.id for other in alike} == alike
        assert "name its kind" in role_of(signature, "model.onnx")
    else:
        assert recognise(signature, "model.onnx").descriptor.id == kind


def test_a_kind_that_does_not_fit_is_refused_by_what_was_found(models: Path) -> None:
    signature = read_signature(models / "uniface_256.onnx")
    with pytest.raises(InputError, match=r"no inswapper_128: it has inputs source \[1, 3, 256, 256\] and target") as e:
        recognise(signature, "x.onnx", "inswapper_128")
    assert "It could be uniface_256" in str(e.value)


def test_an_unknown_signature_is_refused_with_what_is_supported(models: Path) -> None:
    signature = read_signature(models / "uniface_256.onnx")
    strange = (Border("picture", (1, 3, 200, 200), "float32"),)
    with pytest.raises(InputError, match=r"not known: inputs picture \[1, 3, 200, 200\], outputs output") as caught:
        recognise(attrs.evolve(signature, inputs=strange), "x.onnx")
    for kind in KINDS:
        assert f"{kind} (" in caught.value.hint


@pytest.mark.parametrize("change", ["name", "size", "dtype", "extra output", "rank", "missing mask", "sides"])
def test_every_part_of_a_signature_counts(change: str, models: Path) -> None:
    signature = read_signature(models / ("dfm.dfm" if change == "sides" else "hyperswap_256.onnx"))
    target = signature.inputs[-1] if change != "sides" else signature.inputs[0]
    one, mask = signature.outputs[:2]
    changed = {
        "name": {"inputs": (signature.inputs[0], attrs.evolve(target, name="Target"))},
        "size": {"inputs": (signature.inputs[0], attrs.evolve(target, shape=(1, 3, 224, 224)))},
        "dtype": {"inputs": (signature.inputs[0], attrs.evolve(target, dtype="uint8"))},
        "rank": {"inputs": (signature.inputs[0], attrs.evolve(target, shape=(3, 256, 256)))},
        "extra output": {"outputs": (one, mask, one)},
        "missing mask": {"outputs": (one, attrs.evolve(mask, name="matte"))},
        "sides": {"inputs": (attrs.evolve(target, shape=(1, 64, 96, 3)),)},
    }[change]
    with pytest.raises(InputError, match="not known"):
        recognise(attrs.evolve(signature, **changed), "hyperswap.onnx")


def test_free_sides_fit(models: Path) -> None:
    signature = read_signature(models / "inswapper_128.onnx")
    free = tuple(attrs.evolve(b, shape=(None, *b.shape[1:])) for b in signature.inputs)
    assert recognise(attrs.evolve(signature, inputs=free), "x.onnx").descriptor.id == "inswapper_128"


def test_roles_of_recogniser_and_converter(models: Path) -> None:
    assert role_of(read_signature(models / networks.RECOGNISER), networks.RECOGNISER) == "recogniser"
    assert role_of(read_signature(models / networks.CONVERTER), networks.CONVERTER) == "converter"


@pytest.mark.parametrize("share", [0.0, 0.001, 0.3, 0.7, 0.999])
def test_a_truncated_file_is_damaged(share: float, models: Path, tmp_path: Path) -> None:
    data = (models / "inswapper_128.onnx").read_bytes()
    path = tmp_path / "cut.onnx"
    path.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(InputError, match="damaged, or no ONNX network"):
        read_signature(path)


def test_weights_in_a_second_file_are_refused(models: Path, tmp_path: Path) -> None:
    model = networks.onnx.load(str(models / "inswapper_128.onnx"))
    path = tmp_path / "split.onnx"
    networks.onnx.save_model(
        model, str(path), save_as_external_data=True, location="split.data", size_threshold=1000
    )  # fmt: skip
    with pytest.raises(InputError, match="second file, which its SHA-256 does not cover"):
        read_signature(path)


def test_random_bytes_never_crash_the_reader(models: Path, tmp_path: Path) -> None:
    data = bytearray((models / "dfm.dfm").read_bytes())
    random = np.random.default_rng(0)
    path = tmp_path / "noise.onnx"
    for trial in range(150):
        noisy = bytearray(data)
        for place in random.integers(0, len(data), 4 if trial % 2 else 40):
            noisy[place] = random.integers(256)
        path.write_bytes(random.bytes(300) if trial % 10 == 0 else noisy)
        try:
            role_of(read_signature(path), "noise.onnx")
            read_last_matrix(path, 2, 2)
        except InputError as error:
            assert "noise.onnx" in error.message


def test_what_is_known_is_complete() -> None:
    assert len({d.id for d in DESCRIPTORS}) == len(DESCRIPTORS)
    assert all(d.licence and d.outputs >= 1 + (len(d.mask_outputs) > 0) for d in DESCRIPTORS)
