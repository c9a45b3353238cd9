# SPDX-License-Identifier: Apache-2.0
"""The swap's CUDA program: it compiles for every architecture that is promised, and its cache file is its own."""

from __future__ import annotations

import attrs
import pytest

from backend.kernels.cuda import compiler, sources
from backend.kernels.cuda.sources import SWAP, TRAINING, Variant

pytest.importorskip("cuda.bindings.nvrtc", reason="cuda-bindings is not installed: it brings the compiler NVRTC")
ARCHITECTURES = (75, 80, 89, 90, 120)


@pytest.fixture(autouse=True)
def needs_nvrtc():
    try:
        compiler.compiler_version()
    except Exception as error:  # cuda-bindings has its own exceptions for a missing library
        pytest.skip(f"NVRTC is not installed: {error}")


@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_the_swap_compiles_without_a_gpu(architecture):
    image = compiler.compile_program(Variant(program=SWAP), architecture)
    assert image[:4] == b"\x7fELF"
    for kernel in (b"prepare_faces", b"nearest_small", b"nearest_large", b"look_up", b"gather", b"exchange_skin"):
        assert kernel in image


def test_a_cache_file_is_named_by_all_that_it_depends_on(monkeypatch):
    swap = Variant(program=SWAP)
    names = {compiler._digest(variant, 90, 13000) for variant in (Variant(), swap, Variant(1), Variant(0, True))}
    names.add(compiler._digest(swap, 89, 13000))
    names.add(compiler._digest(swap, 90, 12090))
    other = attrs.evolve(SWAP, options=(*SWAP.options, "--maxrregcount=64"))
    names.add(compiler._digest(Variant(program=other), 90, 13000))
    assert len(names) == 7
    before, training = compiler._digest(swap, 90, 13000), compiler._digest(Variant(), 90, 13000)
    files = sources.include_files

    def edited(program):
        return {name: text + "// new" * ("filtered_skin" in name) for name, text in files(program).items()}

    monkeypatch.setattr(sources, "include_files", edited)
    assert compiler._digest(swap, 90, 13000) != before
    assert compiler._digest(Variant(), 90, 13000) == training  # a fit does not wait for the swap's compilation
    assert TRAINING.main not in files(SWAP)
