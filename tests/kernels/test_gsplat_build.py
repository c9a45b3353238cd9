# SPDX-License-Identifier: Apache-2.0
"""gsplat's sources are patched as meant, and whatever keeps them from being compiled is said in one sentence."""

from __future__ import annotations

import importlib.util
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from backend.kernels import gsplat
from backend.kernels.gsplat import build, patches
from backend.kernels.gsplat.patches import SOURCES, Replacement, patched
from interchange.errors import InputError


def _package() -> Path:
    spec = importlib.util.find_spec("gsplat")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("gsplat's wheel, which requirements/gsplat.txt pins, is not installed")
    return Path(next(iter(spec.submodule_search_locations)))


def test_patches_fit_the_pinned_sources(tmp_path):
    package = _package()
    patches.copy_sources(package, tmp_path, (13, 0))
    texts = {file: (tmp_path / file).read_text() for file in SOURCES}
    assert not any("0.999" in text for text in texts.values())
    assert texts["csrc/RasterizeToPixels3DGSBwd.cu"].count("0.99f") == 2
    for file in ("csrc/RasterizeToPixels3DGSFwd.cu", "csrc/RasterizeToPixels3DGSBwd.cu"):
        assert re.findall(r"^ *__INS__\((\d+)\)", texts[file], re.MULTILINE) == ["3"]
    launched = re.findall(r"^ *__LAUNCH_KERNEL__\((\d+)\)", texts["csrc/Rasterization.cpp"], re.MULTILINE)
    assert launched == ["3", "3"]  # forward and backward
    entries = set(re.findall(r"&gsplat::(\w+)", texts["ext.cpp"]))
    defined = {name for name in entries for text in texts.values() if re.search(rf"^(.*[ >]|){name}\(", text, re.M)}
    assert defined == entries and len(entries) == 9
    used = set(re.findall(r"\blaunch_\w+_kernel", "".join(t for f, t in texts.items() if f.endswith(".cpp"))))
    kernels = "".join(text for file, text in texts.items() if file.endswith(".cu"))
    assert all(re.search(rf"void {name}\(", kernels) for name in used) and len(used) == 9
    assert (tmp_path / "include/Utils.cuh").is_file() and (tmp_path / "csrc/Rasterization.h").is_file()


_CPP = """#include "x.h"
namespace gsplat {

int kept_before(int a) {
    return a;
}

std::tuple<int>
rasterize_to_indices_3dgs(int a) {
    if (a) {
        return 1;
    }
}

int kept_after(int a) {
    return a;
}

} // namespace gsplat
"""


def test_one_function_is_cut_whole():
    text = patches._without_function(_CPP, "rasterize_to_indices_3dgs", "x.cpp")
    assert text.split("kept_before")[0] == _CPP.split("kept_before")[0]
    assert "kept_after(int a) {\n    return a;\n}\n\n} // namespace gsplat\n" in text
    assert "indices" not in text and "tuple" not in text
    with pytest.raises(InputError, match=r"x\.cpp of the installed gsplat is not that of release 1\.5\.3"):
        patches._without_function(text, "rasterize_to_indices_3dgs", "x.cpp")


def test_unknown_sources_are_refused(tmp_path):
    with pytest.raises(InputError, match="RasterizeToPixels3DGSFwd.cu .*release"):
        patched("csrc/RasterizeToPixels3DGSFwd.cu", "min(0.99f, opac", (13, 0))
    with pytest.raises(InputError, match="ext.cpp"):
        patched("ext.cpp", "nothing", (13, 0))
    with pytest.raises(InputError, match="release"):
        patches.copy_sources(tmp_path, tmp_path / "copy", (13, 0))


def test_changes_for_a_cuda_release_wait_for_it(monkeypatch):
    change = Replacement("csrc/Adam.cpp", "old_call(", "new_call(", 2, "the call was renamed")
    monkeypatch.setattr(patches, "FOR_CUDA", (((13, 2), change),))
    text = "old_call(1); old_call(2);"
    assert patched("csrc/Adam.cpp", text, (13, 1)) == text
    assert patched("csrc/Adam.cpp", text, (13, 2)) == "new_call(1); new_call(2);"
    assert patched("csrc/Adam.cpp", text, (14, 0)) == "new_call(1); new_call(2);"


def test_missing_torch_and_cuda_are_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torch", None)
    with pytest.raises(InputError, match="PyTorch, which is not installed"):
        build.load()
    fake = SimpleNamespace(__version__="2.13.0+cpu", version=SimpleNamespace(cuda=None))
    monkeypatch.setitem(sys.modules, "torch", fake)
    with pytest.raises(InputError, match=r"PyTorch \(2\.13\.0\+cpu\) is built without CUDA"):
        build.load()
    works, sentence = gsplat.availability()
    assert not works
    assert sentence == "gsplat is not used: The installed PyTorch (2.13.0+cpu) is built without CUDA."
    with pytest.raises(InputError, match="is built without CUDA") as caught:
        gsplat.open_engine()
    assert caught.value.code == "RES_NO_GPU"


@pytest.mark.parametrize(
    ("available", "capability", "words"),
    [(False, (9, 0), "sees no NVIDIA GPU"), (True, (6, 1), "compute capability 6.1; gsplat needs 7.0")],
)
def test_missing_and_old_gpus_are_named(available, capability, words):
    cuda = SimpleNamespace(is_available=lambda: available, get_device_capability=lambda: capability)
    with pytest.raises(InputError, match=words):
        build.require_gpu(SimpleNamespace(cuda=cuda))


def _tool(path: Path, text: str) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_nvcc_that_fits_is_found_or_missed_in_words(tmp_path):
    old = _tool(tmp_path / "old/bin/nvcc", "echo 'Cuda compilation tools, release 12.4, V12.4.99'")
    new = _tool(tmp_path / "new/bin/nvcc", "echo 'Cuda compilation tools, release 13.2, V13.2.1'")
    nothing = tmp_path / "nothing/bin/nvcc"
    assert build.find_nvcc("13.0", [nothing, old, new]) == (new, (13, 2))
    with pytest.raises(InputError, match=r"that of CUDA 12\.4, but PyTorch is built for CUDA 13\.0"):
        build.find_nvcc("13.0", [nothing, old])
    with pytest.raises(InputError, match="compiler nvcc.* is not installed"):
        build.find_nvcc("13.0", [nothing])
    places = build.nvcc_places({"CUDA_HOME": str(tmp_path / "old"), "PATH": str(new.parent)})
    assert places[:2] == [old, new]


def test_a_missing_host_compiler_is_named():
    build.require_host_compiler({}, lambda name: f"/usr/bin/{name}")
    with pytest.raises(InputError, match=r"compiler g\+\+, which nvcc needs, is not installed"):
        build.require_host_compiler({}, lambda name: None)
    with pytest.raises(InputError, match="compiler clang-99"):
        build.require_host_compiler({"NVCC_CCBIN": "clang-99"}, lambda name: None)


def test_wrong_releases_of_gsplat_are_named(tmp_path, monkeypatch):
    monkeypatch.setattr(sys, "path", [str(tmp_path)])
    monkeypatch.delitem(sys.modules, "gsplat", raising=False)
    with pytest.raises(InputError, match="gsplat is not installed"):
        build.require_package()
    (tmp_path / "gsplat").mkdir()
    (tmp_path / "gsplat/__init__.py").write_text("raise RuntimeError('imported too early')")
    (tmp_path / "gsplat/version.py").write_text('__version__ = "1.4.0"')
    importlib.invalidate_caches()
    with pytest.raises(InputError, match=r"gsplat 1\.4\.0 is installed"):
        build.require_package()
    (tmp_path / "gsplat/version.py").write_text('__version__ = "1.5.3"')
    assert build.require_package() == tmp_path / "gsplat"


_SCRIPT = """
while [ $# -gt 0 ]; do
  case "$1" in -o) shift; echo made > "$1";; *{broken}*) echo "Adam.cpp(7): error: gone" >&2; exit 1;; esac
  shift
done
"""


def _build(tmp_path, monkeypatch, broken):
    """A build with a compiler that only writes what it is asked for."""
    monkeypatch.setattr(patches, "copy_sources", lambda package, target, cuda: target.mkdir(parents=True))
    nvcc = _tool(tmp_path / "nvcc", _SCRIPT.format(broken=broken))
    toolchain = build.Toolchain(nvcc, (13, 0), "sm_90", "2.13.0", ".test.so", (tmp_path,), tmp_path)
    seen: list[tuple[float, str]] = []
    folder = tmp_path / "cache" / toolchain.key

    def progress(stage, fraction, message):
        seen.append((fraction, message))

    return lambda: build.compile_kernels(toolchain, tmp_path, folder, progress, jobs=2), folder, seen


def test_a_build_shows_its_files_and_is_whole_or_not_there(tmp_path, monkeypatch):
    make, folder, seen = _build(tmp_path, monkeypatch, "no-such-file")
    assert make() == folder / "csrc.test.so" and (folder / "csrc.test.so").is_file()
    assert len(seen) == 1 + len(SOURCES) and seen[-1][0] == 1
    assert re.match(r"compiled gsplat's file 12 of 12 \(.*\)", seen[-1][1])
    assert [path.name for path in folder.parent.iterdir()] == [folder.name]


def test_compiler_errors_are_shown_and_leave_nothing_half(tmp_path, monkeypatch):
    make, folder, _ = _build(tmp_path, monkeypatch, "csrc/Adam.cpp")
    with pytest.raises(InputError, match=r"csrc/Adam\.cpp: Adam\.cpp\(7\): error: gone") as caught:
        make()
    assert "failed-build.txt" in caught.value.hint
    assert [path.name for path in folder.parent.iterdir()] == ["failed-build.txt"]


def test_the_cache_is_told_apart_by_all_that_matters(tmp_path):
    tools = {"nvcc": tmp_path, "cuda": (13, 0), "arch": "sm_90", "torch": "2.13.0", "suffix": ".so"}
    other = [{}, {"cuda": (13, 1)}, {"arch": "sm_89"}, {"torch": "2.12.0"}]
    keys = {build.Toolchain(**{**tools, **change}, includes=(), libraries=tmp_path).key for change in other}
    assert len(keys) == len(other)


def test_a_module_that_does_not_load_is_named(tmp_path, monkeypatch):
    monkeypatch.delitem(sys.modules, "gsplat.cuda._backend", raising=False)
    module = tmp_path / "csrc.so"
    module.write_bytes(b"no module")
    with pytest.raises(InputError, match="cannot be loaded"):
        build._import(module)
    others = SimpleNamespace(_C=SimpleNamespace(__file__="elsewhere.so"))
    monkeypatch.setitem(sys.modules, "gsplat.cuda._backend", others)
    with pytest.raises(InputError, match=r"other kernels already \(elsewhere\.so\)"):
        build._import(module)
