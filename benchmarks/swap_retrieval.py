# SPDX-License-Identifier: Apache-2.0
"""Whose face is on the target? Swaps many performers onto one avatar and looks each result up among all of them.

Queries: three views of the target with a performer's face, made from one portrait in a pose, expression and light of
its own. Gallery: every performer's true skin on the target, rendered by Cycles, which shares nothing with a swap but
the target; the target's own skin is among them. Methods that keep the avatar's tone are looked up among true skins in
that tone. Descriptors need no weights (backend/evaluation/retrieval.py) and are
blind to skin tone but for `colour`. Nothing is chosen by the results: `hog` was named the judge before any was seen.
Beside it all performers are looked up by another photo of theirs, which tells what the descriptors are worth, and the
views are measured against the true swaps, a pair for each performer.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
import numpy as np

from backend.evaluation.controls import pasted_rigidly
from backend.evaluation.retrieval import DESCRIPTORS, HOG, Retrieval, aligned_face, five_points, retrieve
from backend.evaluation.tables import RIGID, TRUE_SWAP, UNTOUCHED
from backend.faceswap.settings import SwapSettings
from backend.faceswap.source import Photo, load_source
from backend.faceswap.views import Skins, exchange_skin
from interchange.capture import ViewImages
from interchange.colour import linear_from_srgb, srgb_from_linear
from interchange.png import read_png

from .bars import Bar, Outcome
from .contact_sheet import write_sheet
from .performers import LIKENESS, SOURCE, TRUTHS, Cast, CastSettings, render_cast
from .retrieval_sheet import retrieval_sheet
from .stage import Picture, Stage
from .swap_robustness import robustness, robustness_lines

Faces = list[list[Picture]]
"""By person and view: aligned faces."""
UV, UV_TONED, CLASSICAL, FUSED = "uv", "uv, avatar's tone", "classical", "classical + consistency"
METHODS: dict[str, SwapSettings] = {
    UV: SwapSettings(threads=2, eye_colour=0.0),  # the truths keep the eyes of the target
    UV_TONED: SwapSettings(tone=0.0, threads=2, eye_colour=0.0),
    CLASSICAL: SwapSettings(swapper="classical", consistency=False, threads=2),
    FUSED: SwapSettings(swapper="classical", threads=2),
}
OWN, TONED = TRUTHS.values()
PERFECT = "true skin through the swap's light"
PORTRAITS, LIKENESSES = "their own portrait", "another photo of theirs"
_BAR = 0.95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Who, and where it is kept."""
    parser.add_argument("--folder", type=Path, metavar="DIR", help="keep renders and results here (default: a cache)")
    parser.add_argument("--makehuman", type=Path, metavar="DIR", help="use MakeHuman heads")
    parser.add_argument("--target", metavar="NAME", help="identity of the target")
    parser.add_argument("--performers", type=int, default=24, metavar="N", help="how many (default 24)")
    parser.add_argument("--sheet", type=Path, metavar="FILE", help="the contact sheet (default: sheet.png in --folder)")
    parser.add_argument("--robust", action="store_true", help="also noisy landmarks, turned heads, three photos")


def run(options: argparse.Namespace) -> Outcome:
    """Render, swap, look up; prints the tables."""
    settings = CastSettings.of(options.target, options.makehuman, options.performers)
    root = options.folder or Path(tempfile.gettempdir()) / "digidouble-benchmarks" / settings.name
    cast = render_cast(settings, root)
    stage = Stage.of(cast)
    pictures = _swap_all(stage)
    controls = _controls(stage)
    galleries = {folder: [stage.faces(stage.pictures(cast.of(p, folder))) for p in cast.performers]
                 for folder in TRUTHS.values()}  # fmt: skip
    gallery = galleries[OWN]
    queries = {name: [stage.faces(views) for views in people] for name, people in {**controls, **pictures}.items()}
    rows = {name: {d.name: retrieve(d, asked, galleries[truth_of(name)]) for d in DESCRIPTORS}
            for name, asked in queries.items()}  # fmt: skip
    photos = _photo_rows(cast, stage, gallery, queries[UV])
    truth = {
        name: [stage.truth_psnr(p, views, truth_of(name)) for p, views in zip(cast.performers, people, strict=True)]
        for name, people in {UNTOUCHED: controls[UNTOUCHED], **pictures}.items()
    }
    print("\n".join([*lines_of(rows | photos), *truth_lines(truth)]))
    robust = robustness(stage) if options.robust else {}
    print("\n".join(robustness_lines(robust)))
    sheet = options.sheet or root / "sheet.png"
    shown = {name: (queries[name], galleries[truth_of(name)]) for name in (UV, CLASSICAL)}
    write_sheet(sheet, retrieval_sheet(_portrait_faces(cast, SOURCE), shown, rows))
    print(f"  contact sheet: {sheet}")
    looked_up = {name: {d: attrs.asdict(r) for d, r in row.items()} for name, row in (rows | photos).items()}
    tables = {"retrieval": looked_up, "truth_psnr_face": truth, "robustness": robust,
              "performers": [p.name for p in cast.performers]}  # fmt: skip
    return Outcome(bars_of(rows, photos, truth), tables)


def truth_of(name: str) -> str:
    """The folder of the true swaps in a row's tone."""
    return TONED if name in (UV_TONED, CLASSICAL, FUSED, UNTOUCHED) else OWN


def _swap_all(stage: Stage) -> dict[str, list[list[Picture]]]:
    """By method, person and view."""
    found: dict[str, list[list[Picture]]] = {}
    for name, settings in METHODS.items():
        print(f"  swapping: {name}", flush=True)
        found[name] = [stage.swapped(p, name, settings) for p in stage.cast.performers]
    return found


def _controls(stage: Stage) -> dict[str, list[list[Picture]]]:
    """By name, person and view: the target as it was; the photo pasted rigidly; the true skin in the captured light."""
    mesh = stage.capture.load_mesh()
    head, item = stage.capture.object_of_part("head")
    old = stage.capture.load_texture(item)
    views = list(zip(stage.capture.views, stage.images, strict=True))
    found: dict[str, list[list[Picture]]] = {UNTOUCHED: [], RIGID: [], PERFECT: []}
    for performer in stage.cast.performers:
        photo = load_source(stage.cast.of(performer, SOURCE)).photos[0]
        skins = Skins.of(old, linear_from_srgb(read_png(stage.cast.of(performer, "skin.png"))[..., :3] / 255))
        found[UNTOUCHED].append([i.display() for i in stage.images])
        found[RIGID].append([_display(i, pasted_rigidly(photo, i, mesh, v.camera)) for v, i in views])
        found[PERFECT].append([_display(i, exchange_skin(i, mesh, head, v.camera, skins, 3, False)) for v, i in views])
    return found


def _display(images: ViewImages, rgb: Picture) -> Picture:
    return attrs.evolve(images, rgb=rgb).display()


def _photo_rows(cast: Cast, stage: Stage, gallery: Faces, swapped: Faces) -> dict[str, dict[str, Retrieval]]:
    """Looking up by photos: what the descriptors are worth on real pictures, and the field's own protocol, which looks
    a swapped picture up among photos. Only the view nearest the front is like a portrait."""
    portraits, likenesses = ([[face] for face in _portrait_faces(cast, what)] for what in (SOURCE, LIKENESS))
    forward = np.array([view.camera.forward for view in stage.capture.views])
    front = int(np.argmin(np.abs(forward[:, 0])))
    asked = {
        f"{PORTRAITS}, among other photos": (portraits, likenesses),
        f"{PORTRAITS}, among true swaps": (portraits, [[person[front]] for person in gallery]),
        f"{TRUE_SWAP}, among other photos": ([[person[front]] for person in gallery], likenesses),
        f"{UV}, among other photos": ([[person[front]] for person in swapped], likenesses),
    }
    return {name: {d.name: retrieve(d, *lists) for d in DESCRIPTORS} for name, lists in asked.items()}


def _portrait_faces(cast: Cast, what: str) -> list[Picture]:
    return [photo_face(load_source(cast.of(p, what)).photos[0]) for p in cast.performers]


def photo_face(photo: Photo) -> Picture:
    """The aligned face of a photo."""
    return aligned_face(srgb_from_linear(photo.image), five_points(photo.landmarks))


def bars_of(rows: Mapping[str, Mapping[str, Retrieval]], photos: Mapping[str, Mapping[str, Retrieval]],
            truth: Mapping[str, Sequence[float]]) -> list[Bar]:  # fmt: skip
    """The bar is uv's, by the judge; the rest is shown."""
    judge = HOG.name
    shown = [Bar(f"{name}: top-1, {judge}", 100 * row[judge].top1, "%") for name, row in rows.items() if name != UV]
    return [
        Bar(f"uv: top-1, {judge}", 100 * rows[UV][judge].top1, "%", at_least=100 * _BAR),
        *[Bar(f"uv: top-1, {d.name}", 100 * rows[UV][d.name].top1, "%") for d in DESCRIPTORS if d is not HOG],
        *shown,
        *[Bar(f"{name}: {judge}", 100 * row[judge].top1, "%") for name, row in photos.items()],
        Bar("uv: truth PSNR, mean over performers", float(np.mean(truth[UV])), "dB", at_least=28),
        Bar("uv: truth PSNR, worst performer", float(np.min(truth[UV])), "dB"),
    ]


def lines_of(rows: Mapping[str, Mapping[str, Retrieval]]) -> list[str]:
    """The table for the terminal: top-1 over all views, by single views, mean rank."""
    lines = [f"{'top-1 % (single view) mean rank':<44}" + "".join(f"{d.name:>22}" for d in DESCRIPTORS)]
    for name, row in rows.items():
        cells = [f"{100 * r.top1:6.1f} ({100 * r.single:5.1f}) {r.rank:5.2f}" for r in row.values()]
        lines.append(f"{name:<44}" + "".join(f"{cell:>22}" for cell in cells))
    return lines


def truth_lines(truth: Mapping[str, Sequence[float]]) -> list[str]:
    """Against the true swap, over performers."""
    return [
        f"{name + ': dB in the face against the true skin':<52}{np.mean(v):6.2f} ± {np.std(v):.2f}, "
        f"{np.min(v):.2f} to {np.max(v):.2f}" for name, v in truth.items()
    ]  # fmt: skip
