# SPDX-License-Identifier: Apache-2.0
"""The structs of common.cuh, as the C++ compiler lays them out, against the numpy types that Python packs."""

from __future__ import annotations

import re
import subprocess

import numpy as np
import pytest

from backend.kernels.adam.cpu import BETA1, BETA2
from backend.kernels.cuda import sources
from backend.kernels.cuda.records import CHANGE, CONTROL, FRAME, VIEW, pack_steps, pack_target, step_dtype
from backend.kernels.cuda.renderer import over
from backend.kernels.cuda.sources import Variant
from backend.kernels.rasterizer import LossWeights, Step
from backend.kernels.views import prepare_view

from ..scenes import camera_for
from .emulated import HERE, compiler

STRUCT = re.compile(r"struct (View|Step|Control|Frame|Change) \{(.*?)\n\};", re.DOTALL)


def fields_of(body: str) -> list[str]:
    """The names that a struct declares, in order."""
    found = []
    for declaration in re.sub(r"//.*", "", body).split(";"):
        for part in declaration.split(","):
            if part.strip():
                found.append(re.sub(r"\[.*", "", part.split()[-1]))
    return found


@pytest.mark.skipif(compiler() is None, reason="g++ is not installed")
@pytest.mark.parametrize("degree", range(4))
def test_the_compiler_lays_structs_out_as_numpy_does(tmp_path, degree):
    rows = 11 + 3 * (degree + 1) ** 2
    types = {"View": VIEW, "Step": step_dtype(rows), "Control": CONTROL, "Frame": FRAME, "Change": CHANGE}
    files = sources.include_files(sources.CHANGES)
    text = files["cuda/common.cuh"] + files["regularization/cuda/change.cuh"]
    structs = {name: fields_of(body) for name, body in STRUCT.findall(text)}
    assert set(structs) == set(types)
    lines = []
    for name, fields in structs.items():
        lines.append(f'printf("{name} %zu\\n", sizeof({name}));')
        for field in fields:
            lines.append(
                f'printf("{name}.{field} %zu %zu\\n", offsetof({name}, {field}), sizeof((({name}*)0)->{field}));'
            )
    program = tmp_path / "layout.cpp"
    program.write_text(
        '#include "cuda_on_cpu.h"\n#include "regularization/cuda/change.cuh"\n#include <cstddef>\n#include <cstdio>\n'
        "int main() {\n" + "\n".join(lines) + "\n}\n"
    )
    (tmp_path / sources.CONSTANTS).write_text(sources.constants(Variant(degree)))
    folders = [f"-I{path}" for path in (tmp_path, sources.ROOT, HERE)]
    command = [compiler() or "", "-std=c++17", "-Wno-unknown-pragmas", *folders, "-o", tmp_path / "layout", program]
    subprocess.run(command, check=True)
    said = subprocess.run([tmp_path / "layout"], check=True, capture_output=True, text=True).stdout
    expected = []
    for name, fields in structs.items():
        assert types[name].names == tuple(fields)
        expected.append(f"{name} {types[name].itemsize}")
        for field in fields:
            kind, offset = types[name].fields[field][:2]
            expected.append(f"{name}.{field} {offset} {kind.itemsize}")
    assert said.split("\n")[:-1] == expected


def test_numbers_go_where_they_belong():
    camera = camera_for(70, 50)
    rgb, alpha = np.zeros((50, 70, 3), np.float32), np.zeros((50, 70), np.float32)
    alpha[10:20, 30:40] = 1
    view = pack_target(prepare_view(camera, rgb, alpha), 1 << 40, 0, 1 << 41)
    assert (view["width"], view["height"], view["stride"], view["rows"]) == (70, 50, 96, 64)
    assert (view["tiles_x"], view["tiles_y"]) == (9, 7) and (view["target"], view["weights"]) == (1 << 40, 0)
    assert view["depth"] == 1 << 41
    x0, y0, x1, y1 = view["region"]
    assert x0 <= 30 and y0 <= 10 and 40 <= x1 <= 70 and 20 <= y1 <= 50
    rates = np.arange(14, dtype=np.float32)
    steps = [Step(1, 1, rates, (0.1, 0.2, 0.3)), Step(0, 1000, rates)]
    first, second = pack_steps(steps, LossWeights(0.2, 0.3, 0.7, 2.0), [100, 400], 14)
    assert (first["view"], second["view"]) == (1, 0)
    np.testing.assert_allclose(first["background"], (0.1, 0.2, 0.3))
    np.testing.assert_allclose(first["factors"], (0.8 / 1200, 0.2 / 1200, 0.3 / 400, 0.35 / 400))
    np.testing.assert_allclose(second["factors"], (0.8 / 300, 0.2 / 300, 0.3 / 100, 0.35 / 100))
    np.testing.assert_allclose(first["corrections"], (1 / (1 - BETA1), 1 / (1 - BETA2)), rtol=1e-6)
    np.testing.assert_allclose(second["corrections"], (1, 1 / (1 - float(BETA2) ** 1000)), rtol=1e-6)
    np.testing.assert_array_equal(first["rates"], rates)


@pytest.mark.parametrize("background", [(0.0, 0.0, 0.0), (0.2, 0.0, 0.7)])
def test_planes_over_a_background(background):
    planes = np.random.default_rng(1).random((4, 30, 20), np.float32)
    expected = planes[:3].transpose(1, 2, 0) + planes[3][:, :, None] * np.asarray(background, np.float32)
    image = over(planes[:, :25, :17], background)
    np.testing.assert_array_equal(image, expected[:25, :17])
    assert image.flags.c_contiguous
