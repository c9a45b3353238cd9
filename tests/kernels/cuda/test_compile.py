# SPDX-License-Identifier: Apache-2.0
"""The CUDA sources compile for every architecture that we promise, without a GPU; and what the cache keeps."""

from __future__ import annotations

import errno
import shutil
import subprocess
from pathlib import Path

import attrs
import pytest

from backend.kernels.cuda import compiler, sources
from backend.kernels.cuda.compiler import CompileError, compile_program, compiled, compiler_version
from backend.kernels.cuda.sources import CHANGES, SWAP, TRAINING, Program, Variant

ARCHITECTURES = (75, 80, 89, 90, 120)
PLAIN, RICH, FOR_SWAP = Variant(0), Variant(3, antialiased=True, depth=True), Variant(program=SWAP)
BETWEEN = Variant(program=CHANGES)
CASES = [(variant, number) for number in ARCHITECTURES for variant in (PLAIN, RICH, FOR_SWAP, BETWEEN)]
CASES += [(Variant(1), 90), (Variant(1, True), 75), (Variant(2), 89), (Variant(3), 80), (Variant(2, depth=True), 90)]


def why_not() -> str:
    """Why NVRTC cannot be used here; empty if it can."""
    try:
        compiler_version()
    except Exception as error:  # cuda-bindings has its own exceptions for a missing library
        return str(error) or type(error).__name__
    return ""


needs_nvrtc = pytest.mark.skipif(bool(why_not()), reason=f"NVRTC cannot be used: {why_not()}")


def assert_all_kernels_in(cubin: bytes, program: Program) -> None:
    """Each kernel is a section of the ELF file, by its name."""
    assert cubin.startswith(b"\x7fELF")
    missing = [name for name in program.kernels if f".text.{name}\0".encode() not in cubin]
    assert not missing


# -- compiling --------------------------------------------------------------------------------------------------------


@pytest.fixture
def logs(monkeypatch):
    """What NVRTC said, read before it forgets each program."""
    from cuda.bindings import nvrtc

    said: list[str] = []
    destroy = nvrtc.nvrtcDestroyProgram

    def listen(program):
        _, size = nvrtc.nvrtcGetProgramLogSize(program)
        text = compiler.room_for(size)
        nvrtc.nvrtcGetProgramLog(program, text)
        said.append(text.rstrip(b"\0 ").decode())
        return destroy(program)

    monkeypatch.setattr(nvrtc, "nvrtcDestroyProgram", listen)
    return said


@needs_nvrtc
@pytest.mark.parametrize(("variant", "architecture"), CASES)
def test_every_kernel_compiles_without_a_word(logs, variant, architecture):
    assert_all_kernels_in(compile_program(variant, architecture), variant.program)
    assert logs == [""]


@needs_nvrtc
def test_the_log_is_heard_at_all(logs, monkeypatch):
    files = dict(sources.include_files())
    files["adam/cuda/adam.cuh"] += "\n__global__ void careless() { int nobody_reads_it = 3; }\n"
    monkeypatch.setattr(sources, "include_files", lambda program: files)
    compile_program(PLAIN, 90)
    assert "nobody_reads_it" in logs[0]


@needs_nvrtc
def test_a_broken_source_is_an_error_with_the_compilers_words(monkeypatch):
    files = dict(sources.include_files())
    files["adam/cuda/adam.cuh"] += "\nthis is no C++;\n"
    monkeypatch.setattr(sources, "include_files", lambda program: files)
    with pytest.raises(CompileError, match=r"adam\.cuh.*error"):
        compile_program(PLAIN, 90)


@needs_nvrtc
def test_an_architecture_that_nobody_knows(logs):
    with pytest.raises(CompileError, match="architecture"):
        compile_program(PLAIN, 74)
    assert len(logs) == 1  # the program was given back all the same


@pytest.mark.skipif(shutil.which("nvcc") is None, reason="nvcc is not on PATH")
@pytest.mark.parametrize("variant", [RICH, FOR_SWAP, BETWEEN], ids=["training", "swap", "changes"])
def test_nvcc_agrees(tmp_path, variant):
    program = variant.program
    (tmp_path / sources.CONSTANTS).write_text(sources.constants(variant))
    cubin = tmp_path / "kernels.cubin"
    command = ["nvcc", "-cubin", "-arch=sm_90", *program.options, "--Werror", "all-warnings"]
    folders = [f"-I{tmp_path}", f"-I{sources.ROOT}"]
    run = subprocess.run(
        [*command, *folders, "-o", cubin, sources.ROOT / program.main], capture_output=True, text=True
    )
    assert run.returncode == 0, run.stderr
    assert_all_kernels_in(cubin.read_bytes(), program)


# -- the cache --------------------------------------------------------------------------------------------------------


@pytest.fixture
def compilations(monkeypatch):
    """What was compiled; each result is another."""
    done: list[tuple[Variant, int]] = []

    def compile_quickly(variant, architecture):
        done.append((variant, architecture))
        return b"\x7fELF" + bytes([len(done)]) * 5000

    monkeypatch.setattr(compiler, "compile_program", compile_quickly)
    monkeypatch.setattr(compiler, "compiler_version", lambda: (12, 9))
    return done


def test_what_was_compiled_once_is_read_afterwards(compilations, tmp_path):
    told: list[tuple[str, float, str]] = []
    folder = tmp_path / "deep" / "cache"
    first = compiled(PLAIN, 90, 13000, folder, lambda *event: told.append(event))
    assert [event[1] for event in told] == [0.0, 1.0] and "sm_90" in told[0][2]
    assert compiled(PLAIN, 90, 13000, folder, lambda *event: told.append(event)) == first
    assert len(compilations) == 1 and len(told) == 2
    assert len(list(folder.iterdir())) == 1  # no half-written file stays behind


def test_whatever_the_code_depends_on_compiles_anew(compilations, tmp_path, monkeypatch):
    seen = {compiled(PLAIN, 90, 13000, tmp_path)}

    def is_new(*arguments) -> bool:
        before = len(compilations)
        seen.add(compiled(*arguments, tmp_path))
        return len(compilations) == before + 1 and len(seen) == len(compilations)

    assert is_new(PLAIN, 89, 13000)
    assert is_new(PLAIN, 90, 12080)
    assert is_new(Variant(0, True), 90, 13000) and is_new(Variant(1), 90, 13000)
    assert is_new(Variant(0, depth=True), 90, 13000)
    assert is_new(FOR_SWAP, 90, 13000) and is_new(BETWEEN, 90, 13000)
    for program in (TRAINING, SWAP, CHANGES):
        faster = attrs.evolve(program, options=(*program.options, "--use_fast_math"))
        assert is_new(Variant(0, program=faster), 90, 13000)
    with monkeypatch.context() as changed:
        changed.setattr(compiler, "compiler_version", lambda: (13, 0))
        assert is_new(PLAIN, 90, 13000)
    with monkeypatch.context() as changed:
        changed.setattr(sources, "TILE", 16)
        assert is_new(PLAIN, 90, 13000)
    for name in sources.include_files():
        files = {**sources.include_files(), name: sources.include_files()[name] + " "}
        with monkeypatch.context() as changed:
            changed.setattr(sources, "include_files", lambda program, files=files: files)
            assert is_new(PLAIN, 90, 13000), name
    assert not is_new(PLAIN, 90, 13000)


def test_an_edit_compiles_only_its_own_program_anew(compilations, tmp_path, monkeypatch):
    whole = sources.include_files

    def edited(program):
        return {name: text + "//" * ("filtered_skin" in name) for name, text in whole(program).items()}

    for variant in (PLAIN, FOR_SWAP, BETWEEN):
        compiled(variant, 90, 13000, tmp_path)
    monkeypatch.setattr(sources, "include_files", edited)
    for variant in (PLAIN, FOR_SWAP, BETWEEN):
        compiled(variant, 90, 13000, tmp_path)
    assert [variant.program for variant, _ in compilations] == [TRAINING, SWAP, CHANGES, SWAP]


@pytest.mark.parametrize("damage", ["cut", "flipped", "emptied"])
def test_a_damaged_file_is_compiled_anew_and_mended(compilations, tmp_path, damage):
    first = compiled(PLAIN, 90, 13000, tmp_path)
    (file,) = tmp_path.iterdir()
    whole = file.read_bytes()
    file.write_bytes({"cut": whole[:-7], "flipped": whole[:-1] + b"?", "emptied": b""}[damage])
    second = compiled(PLAIN, 90, 13000, tmp_path)
    assert len(compilations) == 2 and second != first
    assert compiled(PLAIN, 90, 13000, tmp_path) == second and len(compilations) == 2


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES, errno.ENOSPC])
def test_a_folder_that_takes_nothing_stops_nothing(compilations, tmp_path, monkeypatch, reason):
    def refuse(*_, **__):
        raise OSError(reason, "no")

    with monkeypatch.context() as broken:
        if reason == errno.ENOSPC:
            broken.setattr(compiler, "whole_file", refuse)
        else:
            broken.setattr(Path, "mkdir", refuse)
        assert compiled(PLAIN, 90, 13000, tmp_path / "cache").startswith(b"\x7fELF")
        assert compiled(PLAIN, 90, 13000, tmp_path / "cache").startswith(b"\x7fELF")
    assert len(compilations) == 2


def test_a_file_where_the_folder_should_be_stops_nothing(compilations, tmp_path):
    (tmp_path / "cache").write_text("in the way")
    assert compiled(PLAIN, 90, 13000, tmp_path / "cache").startswith(b"\x7fELF")
    assert (tmp_path / "cache").read_text() == "in the way"


def test_where_the_cache_is(monkeypatch, tmp_path):
    monkeypatch.setenv(compiler.CACHE_VARIABLE, str(tmp_path / "chosen"))
    assert compiler.cache_folder() == tmp_path / "chosen" / "cuda"
    monkeypatch.delenv(compiler.CACHE_VARIABLE)
    monkeypatch.setattr(compiler.sys, "platform", "linux")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "xdg"))
    assert compiler.cache_folder() == tmp_path / "xdg" / "digidouble" / "cuda"
    monkeypatch.setattr(compiler.sys, "platform", "win32")
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path / "local"))
    assert compiler.cache_folder() == tmp_path / "local" / "digidouble" / "cuda"


@needs_nvrtc
def test_nvrtc_writes_into_no_bytes_that_python_shares():
    """An empty log is one byte long, and all one-byte objects of a process are the same."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sources, "constants", lambda variant: "#error\n")
        with pytest.raises(CompileError):
            compile_program(PLAIN, 90)
    assert len(compiler.room_for(0)) > 1 and bytes([32]) == b" " and bytes([0]) == b"\0"
    assert b" " * 3 == b"\x20\x20\x20"
