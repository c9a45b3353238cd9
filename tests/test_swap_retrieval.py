# SPDX-License-Identifier: Apache-2.0
"""The retrieval benchmark on a cast that needs no Blender: three painted performers, three views, all methods."""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import attrs
import numpy as np
import pytest

from backend.evaluation.retrieval import HOG
from backend.evaluation.tables import UNTOUCHED
from backend.faceswap.source import load_source
from benchmarks import performers as casting
from benchmarks import swap_retrieval as benchmark
from benchmarks.performers import LIKENESS, SOURCE, YAWS, Cast, Performer, performers, turned_folder
from benchmarks.retrieval_sheet import BAND, TILE
from benchmarks.swap_robustness import several_photos
from interchange.errors import InputError
from interchange.png import read_png, write_png

from .faceswap import synthetic

VIEWS = (-30, 0, 30)
PEOPLE = {
    "A": synthetic.SKINS["A"],
    "B": synthetic.SKINS["B"],
    "C": synthetic.Skin((0.80, 0.60, 0.50), (0.6, 0.3, 0.3), (0.3, 0.2, 0.1), -2.0, 60, 5),
}


@pytest.fixture
def cast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cast:
    sittings = {where: performers(False, 1)[0].sittings[SOURCE] for where in (SOURCE, LIKENESS)}
    made = Cast(tmp_path, tuple(Performer(name, name, 0, "kin", sittings) for name in PEOPLE))
    synthetic.write_capture(made.capture, views=VIEWS)
    for name, skin in PEOPLE.items():
        monkeypatch.setitem(synthetic.SKINS, name, skin)
        monkeypatch.setitem(synthetic.SHAPES, name, synthetic.SHAPES["A" if name == "A" else "B"])
    for person in made.performers:
        paint = synthetic.paint(person.identity)
        made.of(person, SOURCE).parent.mkdir(parents=True)
        write_png(made.of(person, "skin.png"), np.rint(paint * 255).astype(np.uint8))
        for folder in casting.TRUTHS.values():  # all of one tone here
            synthetic.write_capture(made.of(person, folder), views=VIEWS, skin=paint)
        synthetic.write_source(made.of(person, SOURCE), person.identity, light=synthetic.Light(key=(-0.6, -1, 0.3)))
        synthetic.write_source(made.of(person, LIKENESS), person.identity, azimuth=8)
    return made


@pytest.mark.slow
def test_everybody_is_found_and_the_untouched_target_is_one_person(
    cast: Cast, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(benchmark, "render_cast", lambda settings, root: cast)
    parser = argparse.ArgumentParser()
    benchmark.add_arguments(parser)
    outcome = benchmark.run(parser.parse_args(["--folder", str(tmp_path), "--performers", "3"]))
    rows = outcome.tables["retrieval"]
    assert set(rows) > {UNTOUCHED, benchmark.PERFECT, *benchmark.METHODS}
    for name in (benchmark.PERFECT, benchmark.UV):
        assert rows[name][HOG.name]["top1"] == 1, name
    # Two of these three stand-ins are alike in the avatar's tone; of 24 rendered performers the stage finds 21.
    assert rows[benchmark.FUSED][HOG.name]["top1"] > 0.5
    assert rows[UNTOUCHED][HOG.name]["found"] == (0, 0, 0)
    assert rows[f"{benchmark.PORTRAITS}, among other photos"][HOG.name]["top1"] == 1
    bars = {b.name: b for b in outcome.bars}
    assert bars["uv: top-1, hog"].holds and bars["uv: top-1, hog"].value == 100
    assert bars[f"{UNTOUCHED}: top-1, hog"].value == pytest.approx(33.33)
    truth = outcome.tables["truth_psnr_face"]
    assert np.mean(truth[benchmark.UV]) > 28 and len(truth[benchmark.UV]) == 3
    json.dumps(outcome.tables)
    sheet = read_png(tmp_path / "sheet.png")
    assert sheet.shape[:2] == (5 * (BAND + TILE), 3 * TILE) and sheet.std() > 20


def test_a_cast_is_always_the_same_and_nobody_sits_like_another() -> None:
    people = performers(True, 30, turned=2)
    assert people == performers(True, 30, turned=2)
    assert [p.identity for p in people[:24]] == [p.identity for p in performers(True, 24)]
    assert len({(p.identity, p.seed) for p in people}) == 30 and len({p.kin for p in people}) == 12
    sittings = [attrs.astuple(s) for p in people[2:] for s in p.sittings.values()]
    assert len({json.dumps(s) for s in sittings}) == len(sittings)
    assert set(people[1].sittings) == {SOURCE, LIKENESS, *map(turned_folder, YAWS)}
    assert people[0].sittings[turned_folder(45)].turn == (0.0, 45, 0.0)
    assert all(not p.sittings[LIKENESS].expression and p.sittings[SOURCE].expression for p in people)
    assert {p.identity for p in performers(False, 9)} == {"ada", "bruno", "chidi"}


def test_a_folder_keeps_to_its_cast(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = []
    monkeypatch.setattr(casting, "run_blender", lambda module, arguments, *_, **__: asked.append(arguments))
    settings = casting.CastSettings.of(None, None, 4)
    for person in performers(False, 4):  # as if it had all been rendered
        (tmp_path / "performers" / person.name).mkdir(parents=True)
        (tmp_path / "performers" / person.name / "toned.png").touch()
    assert casting.render_cast(settings, tmp_path).performers[3].kin == "ada"
    casting.render_cast(settings, tmp_path)
    assert asked == [[tmp_path / "performers.json"]] * 2
    with pytest.raises(InputError, match="another cast"):
        casting.render_cast(attrs.evolve(settings, count=5), tmp_path)


def test_several_portraits_make_one_source(cast: Cast, tmp_path: Path) -> None:
    sources = {"a": cast.of(cast.performers[1], SOURCE), "b": cast.of(cast.performers[1], LIKENESS)}
    found = load_source(several_photos(sources, tmp_path / "both"))
    assert [p.path.name for p in found.photos] == ["a.png", "b.png"] and len(found.photos[1].landmarks) == 68
