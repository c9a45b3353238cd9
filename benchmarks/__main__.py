# SPDX-License-Identifier: Apache-2.0
"""`python -m benchmarks NAME --json FILE` runs one benchmark; `--list` names them."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence
from pathlib import Path

from interchange.errors import InputError

from .bars import Outcome, print_table, write_json

BENCHMARKS = {
    "fit_cpu": "a training step on the CPU: stages, rivals, growth, memory, start, time to quality",
    "demo": "the whole job on the sample avatars: wall time, memory, quality",
    "host": "what a job costs beside the GPU: reading, swapping, placing, looks, export, evaluation, signing",
    "fit_gpu": "fitting on an NVIDIA GPU: time a stage and a step, against gsplat, seconds to a quality",
    "swap": "every swapper against the rendered true swap: truth, agreement of views, sharpness, seam; a contact sheet",
    "swap_retrieval": "24 performers on one target: is each looked up as himself? noise, turned heads; a contact sheet",
    "swap_photos": "one photo of the performer against three, symmetric and one-sided faces; or which of 24 (--many)",
    "swap_time": "a swap of 12, 24 and 48 views of 512^2 on two cores: seconds, memory, growth",
    "swap_views": "changing a capture's views on an NVIDIA GPU: seconds a view against the CPU, and what differs",
    "splat_files": "every splat format: seconds to write and read, size, what a picture loses",
    "addon": "the Blender add-on without a window: capture overhead, memory, cameras, import, display, Apply Transform",
    "addon_display": "its second half alone: import, Cycles' picture against the rasterizer's, Apply Transform",
    "service": "the backend service: transfer against bare ZeroMQ, bad lines, a long job list, an idle server, turns",
    "fit_thin": "a fit of a thin object that starts without a mesh: seconds to 30 dB",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Exit code 0 if all bars hold, 1 if one does not, 2 for unusable input."""
    argv = list(sys.argv[1:] if argv is None else argv)
    if argv[:1] == ["--list"]:
        for name, text in BENCHMARKS.items():
            print(f"{name:<14} {text}")
        return 0
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("name", choices=sorted(BENCHMARKS))
    name = parser.parse_args(argv[:1]).name
    module = importlib.import_module(f"benchmarks.{name}")
    parser = argparse.ArgumentParser(prog=f"python -m benchmarks {name}", description=module.__doc__)
    parser.add_argument("--json", type=Path, metavar="FILE", help="also write the figures to this file")
    module.add_arguments(parser)
    options = parser.parse_args(argv[1:])
    try:
        outcome = Outcome.of(module.run(options))
    except InputError as error:
        print(f"benchmarks {name}: {error}", file=sys.stderr)
        return 2
    print_table(outcome.bars)
    if options.json:
        write_json(options.json, outcome.bars, outcome.tables)
    return 0 if all(b.holds is not False for b in outcome.bars) else 1


if __name__ == "__main__":
    sys.exit(main())
