# SPDX-License-Identifier: Apache-2.0
"""The whole job on two sample avatars: A is the target, one portrait of B is the source.

Builds both avatars, renders A from all sides and B's portrait, sends them to a backend of its own over ZeroMQ, which
swaps the face in all views and fits Gaussians; fetches the double, imports it into Blender, writes the report. B is
synthetic, so its consent record says so. Run it again after an interruption and it goes on where it was.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import attrs

from backend.blender_process import run_blender
from backend.ledger import Ledger
from backend.terminal import Terminal
from backend.whole_job import ADDON, JobPlan, alone_in, capture_step, compiling_kernels, complete
from interchange.errors import InputError

from . import _arguments, avatar

PROCEDURAL = ("bruno", "ada")
MAKEHUMAN = ("caucasian-male-young", "african-female-young")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Options of this command."""
    _arguments.add_out(parser, "where everything goes (default: digidouble-demo)", Path("digidouble-demo"))
    parser.add_argument("--target", metavar="NAME", help="identity of A")
    parser.add_argument("--source", metavar="NAME", help="identity of B")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use heads from MakeHuman's CC0 files")
    _arguments.add_views(parser, held_out_at_least=1)
    _arguments.add_fit(parser)
    _arguments.add_swap(parser)


@attrs.frozen
class _Pair:
    """The two avatars' files."""

    target: str
    source: str
    makehuman: Path | None
    folder: Path

    @property
    def target_blend(self) -> Path:
        return self.folder / "target.blend"

    @property
    def source_blend(self) -> Path:
        return self.folder / "source.blend"


def run(options: argparse.Namespace, terminal: Terminal) -> int:
    """All steps; each is skipped if an earlier run has done it."""
    started = time.monotonic()
    root = options.out.resolve()
    usual = MAKEHUMAN if options.makehuman else PROCEDURAL
    pair = _Pair(options.target or usual[0], options.source or usual[1], options.makehuman, root / "avatars")
    if pair.target == pair.source:
        raise InputError(f"Target and source are both {pair.target}.", "Choose two identities.")
    plan = make_plan(options, root, pair)
    with alone_in(root):
        ledger = Ledger(root / "ledger.json", settings_of(plan, pair))
        terminal.say(f"Digidouble demo: {pair.source}'s face on {pair.target}, in {root}")
        with compiling_kernels():
            avatars_step(pair, plan, ledger, terminal)
            portrait_step(pair, plan, ledger, terminal)
            capture_step(plan, ledger, terminal)
            truth_step(pair, plan, ledger, terminal)
        complete(plan, ledger, terminal, started)
    return 0


def make_plan(options: argparse.Namespace, root: Path, pair: _Pair) -> JobPlan:
    """The job's settings out of the options."""
    parameters = {"swap": _arguments.swap_settings(options), "fit": _arguments.fit_settings(options)}
    return JobPlan(
        root, pair.target_blend, pair.target, options.train, options.held_out, options.size, options.samples,
        (), parameters, has_truth=True,
    )  # fmt: skip


def settings_of(plan: JobPlan, pair: _Pair) -> dict[str, object]:
    """What must be the same for a folder to be gone on with."""
    return {
        "target": pair.target,
        "source": pair.source,
        "makehuman": pair.makehuman is not None,
        "views": plan.views,
        "parameters": plan.parameters,
    }


def avatars_step(pair: _Pair, plan: JobPlan, ledger: Ledger, terminal: Terminal) -> None:
    """Two .blend files."""
    for name, identity, blend in (
        ("target", pair.target, pair.target_blend),
        ("source", pair.source, pair.source_blend),
    ):
        if ledger.is_done(name):
            continue
        with ledger.step(name):
            blend.parent.mkdir(parents=True, exist_ok=True)
            arguments = avatar.build_arguments(identity, blend, pair.makehuman, 0, identity)
            run_blender("avatars", arguments, terminal.progress(f"avatar {identity}"), log=plan.log)


def portrait_step(pair: _Pair, plan: JobPlan, ledger: Ledger, terminal: Terminal) -> None:
    """B's photo, landmarks and consent record."""
    if ledger.is_done("portrait"):
        return
    arguments: list[str | Path] = [
        "portrait",
        "--blend",
        pair.source_blend,
        "--avatar",
        pair.source,
        "--out",
        plan.source,
        "--json-progress",
    ]
    with ledger.step("portrait"):
        run_blender(ADDON, arguments, terminal.progress("portrait"), log=plan.log)


def truth_step(pair: _Pair, plan: JobPlan, ledger: Ledger, terminal: Terminal) -> None:
    """The held-out views once more, with B's own skin on A: what a perfect swap would give."""
    if ledger.is_done("truth"):
        return
    arguments: list[str | Path] = ["truth", "--capture", plan.capture, "--blend", plan.blend]
    arguments += ["--skin-of", pair.source_blend]
    with ledger.step("truth"):
        run_blender(
            ADDON, [*arguments, "--out", plan.truth, "--json-progress"], terminal.progress("truth"), log=plan.log
        )
