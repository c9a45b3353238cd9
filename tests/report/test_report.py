# SPDX-License-Identifier: Apache-2.0
"""The report: well-formed, self-contained, honest about what is missing, and safe against names with markup."""

from __future__ import annotations

import base64
import io
import json
import re
import shutil
from html.parser import HTMLParser
from pathlib import Path

import numpy as np
import pytest
from PIL import Image as PillowImage

from backend.evaluation.evaluate import evaluate
from backend.report import gather, write_report
from backend.report.write import LIMIT_BYTES
from interchange.cameras import Camera
from interchange.capture import Capture
from interchange.errors import Cancelled, InputError
from tests.evaluation import scene

VOID = {"meta", "img", "br", "link", "input", "hr"}
SVG_LEAVES = {"path", "use", "circle", "polyline", "rect", "line"}


class Page(HTMLParser):
    """Checks nesting and collects references, pictures and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.references: list[str] = []
        self.ids: list[str] = []
        self.tags: list[str] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)
        for name, value in attributes:
            if name in ("src", "href", "xlink:href", "srcset", "action", "poster", "data"):
                self.references.append(value or "")
            if name == "id":
                self.ids.append(value or "")

    def handle_startendtag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attributes)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, f"</{tag}> closes nothing"

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    @property
    def text(self) -> str:
        return re.sub(r"\s+", " ", " ".join(self.words))


def render(view: Camera) -> np.ndarray:
    return scene.trace(view.scaled(0.25), scene.texture_b)[0]


@pytest.fixture(scope="module")
def job(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = scene.write_job(tmp_path_factory.mktemp("job"))
    evaluate(root / "capture", root / "swapped", root / "double", root / "truth", timings={"fit": 61.5, "swap": 2.0})
    return root


@pytest.fixture(scope="module")
def page(job: Path) -> Page:
    path = write_report(
        job / "double", job / "capture", job / "swapped", job / "truth", job / "source", render=render
    )
    assert path == job / "double/report.html" and path.stat().st_size < LIMIT_BYTES
    return Page(path.read_text(encoding="utf-8"))


def test_page_is_well_formed_and_needs_nothing_else(job: Path, page: Page) -> None:
    assert {"html", "head", "title", "style", "main", "table", "svg", "img"} <= set(page.tags)
    assert not {"script", "link", "iframe", "object", "embed", "form"} & set(page.tags)
    outside = [r for r in page.references if not r.startswith(("data:image/", "#"))]
    assert outside == []
    assert all(r[1:] in page.ids for r in page.references if r.startswith("#"))
    assert len(page.ids) == len(set(page.ids))
    source = (job / "double/report.html").read_text(encoding="utf-8")
    assert not re.search(r"url\(\s*['\"]?(?!#)", source) and "@import" not in source
    assert "http:" not in source and "https:" not in source
    assert str(job) not in source


def test_every_picture_decodes(page: Page) -> None:
    pictures = [r for r in page.references if r.startswith("data:")]
    assert len(pictures) >= 4 + 3 * 6 + 2
    for uri in pictures:
        with PillowImage.open(io.BytesIO(base64.b64decode(uri.split(",", 1)[1]))) as picture:
            picture.load()


def test_page_says_what_was_measured(job: Path, page: Page) -> None:
    found = json.loads((job / "double/metrics.json").read_text())
    for words in (
        "ball A", "Ball B <not a person>", "Consent: synthetic", f"{found['truth']['psnr_face']:.2f}",
        f"{found['held_out']['psnr']:.2f}", f"{found['held_out']['ssim']:.4f}", "Error to truth", "61.5 s",
        "compositeSynthetic", "Training loss", "68 landmarks", "Turntable", "h00", "numpy",
        "LPIPS is not available: no weights were given", "not available",
    ):  # fmt: skip
        assert words in page.text, words


def test_turntable_moves_and_strip_is_a_strip(job: Path, page: Page) -> None:
    with PillowImage.open(job / "double/turntable.webp") as picture:
        assert picture.n_frames >= 36 and picture.info["loop"] == 0
        first = np.asarray(picture.convert("RGB"), float)
        picture.seek(12)
        assert np.abs(np.asarray(picture.convert("RGB"), float) - first).mean() > 1
    with PillowImage.open(job / "double/strip.png") as picture:
        assert picture.size[1] == 320 and 1280 <= picture.size[0] <= 1300


def test_a_second_report_keeps_the_turntable(job: Path, page: Page) -> None:
    before = (job / "double/turntable.webp").read_bytes()
    path = write_report(job / "double", job / "capture", job / "swapped", job / "truth", job / "source")
    assert (job / "double/turntable.webp").read_bytes() == before
    assert "Turntable" in Page(path.read_text(encoding="utf-8")).text


@pytest.mark.parametrize("with_swap", [True, False])
def test_missing_parts_leave_their_place_empty(job: Path, tmp_path: Path, with_swap: bool) -> None:
    texture = scene.texture_b if with_swap else scene.texture_a
    double = scene.write_double(tmp_path / "double", Capture.load(job / "capture"), texture)
    (double / "curves.json").unlink()
    swapped = job / "swapped" if with_swap else None
    evaluate(job / "capture", swapped, double)
    page = Page(write_report(double, job / "capture", swapped).read_text(encoding="utf-8"))
    for words in ("Turntable", "Error to truth", "Training loss", "landmarks.", "Consent:", "Right face"):
        assert words not in page.text, words
    assert ("No consent record" in page.text) is with_swap
    assert ("Error to swapped" in page.text) is with_swap
    assert ("Error to original" in page.text) is not with_swap
    assert "unknown" in page.text


def test_names_of_real_subjects_stay_out(job: Path, tmp_path: Path) -> None:
    source = tmp_path / "source"
    shutil.copytree(job / "source", source)
    record = json.loads((source / "consent.json").read_text())
    record |= {"kind": "employment", "subject": "Jane Example", "granted_by": "Jane Example", "use": "Jane's film"}
    (source / "consent.json").write_text(json.dumps(record))
    shutil.copytree(job / "double", tmp_path / "double")
    path = write_report(tmp_path / "double", job / "capture", job / "swapped", None, source)
    text = path.read_text(encoding="utf-8")
    assert "Jane" not in text and "Consent: employment" in text and "subject-" in text


def test_photos_that_were_left_out_are_named_with_the_reason(job: Path, page: Page, tmp_path: Path) -> None:
    assert "photos were used" not in page.text
    for name in ("double", "swapped"):
        shutil.copytree(job / name, tmp_path / name)
    left = [{"photo": "b<i>.png", "reason": "It is less sharp."}, {"photo": "c.png", "reason": "It has no colour."}]
    choice = {"kept": [{"photo": "a.png"}], "left_out": left}
    (tmp_path / "swapped" / "swap.json").write_text(json.dumps({"choice": choice}))
    path = write_report(tmp_path / "double", job / "capture", tmp_path / "swapped", None, job / "source")
    found = Page(path.read_text(encoding="utf-8"))
    for words in ("1 of 3 photos were used", "Used: a.png.", "b<i>.png: It is less sharp.", "c.png: It has no colour."):
        assert words in found.text, words
    (tmp_path / "swapped" / "swap.json").write_text(json.dumps({"choice": {"kept": [1]}}))
    path = write_report(tmp_path / "double", job / "capture", tmp_path / "swapped", None, job / "source")
    assert "photos were used" not in path.read_text(encoding="utf-8")


def test_bad_input_gets_a_sentence_and_keeps_the_earlier_report(job: Path, page: Page, tmp_path: Path) -> None:
    double = tmp_path / "double"
    shutil.copytree(job / "double", double)
    before = (double / "report.html").read_bytes()

    def attempt(words: str, source: Path | None = None) -> None:
        with pytest.raises(InputError, match=words) as error:
            write_report(double, job / "capture", job / "swapped", job / "truth", source)
        assert error.value.hint
        assert (double / "report.html").read_bytes() == before

    (double / "curves.json").write_text('{"iteration": [1, 2], "loss": [1], "psnr": [1, 2]}')
    attempt("curves.json")
    (double / "curves.json").unlink()
    source = tmp_path / "source"
    shutil.copytree(job / "source", source)
    (source / "landmarks.json").write_text('{"format": "digidouble-landmarks", "version": 1, "points": {"x": 1}}')
    attempt("landmarks.json", source)
    (source / "portrait.png").write_bytes(b"not a picture")
    (source / "landmarks.json").unlink()
    attempt("portrait", source)
    (double / "renders/h01.png").unlink()
    attempt("h01")
    (double / "evaluation.json").unlink()
    attempt("evaluation.json")
    with pytest.raises(Cancelled):
        write_report(job / "double", job / "capture", cancelled=lambda: True)


def test_sixteen_bit_portraits_are_shown(job: Path, tmp_path: Path) -> None:
    import cv2

    (tmp_path / "source").mkdir()
    pixels = np.zeros((12, 10, 3), np.uint16)
    pixels[..., 2] = 65535  # OpenCV is BGR: red
    cv2.imwrite(str(tmp_path / "source/portrait.png"), pixels)
    source = gather.load_source(tmp_path / "source")
    assert source is not None and source.points == []
    np.testing.assert_allclose(source.portrait[0, 0], [1, 0, 0])
    assert gather.load_source(tmp_path) is None


def test_a_capture_without_mesh_or_masks_has_a_report_too(job: Path, tmp_path: Path) -> None:
    from interchange.capture import write_view

    scene.write_capture(tmp_path / "capture", scene.texture_a, "bare")
    capture = Capture.load(tmp_path / "capture")
    for view in capture.views:
        images = capture.load_view(view)
        images.masks, images.depth = {}, None
        write_view(capture.folder / view.exr, images)
    capture.poses = []
    capture.objects = []
    capture.save_manifest()
    double = scene.write_double(tmp_path / "double", capture, scene.texture_a)
    evaluate(tmp_path / "capture", None, double)
    text = Page(write_report(double, tmp_path / "capture", render=render).read_text(encoding="utf-8")).text
    assert "Faithful fit" in text and "Views agree" not in text and "PSNR in the face" not in text


def test_the_page_says_which_engine_fitted_and_why(job: Path, page: Page, tmp_path: Path) -> None:
    assert "Fitted by" not in page.text  # splats from elsewhere have no fit.json
    double = tmp_path / "double"
    shutil.copytree(job / "double", double)
    reason = "The CPU fits: There is no NVIDIA driver <here>."
    (double / "fit.json").write_text(json.dumps({"result": {"engine": "cpu", "engine_reason": reason}}))
    text = Page(write_report(double, job / "capture", job / "swapped").read_text(encoding="utf-8")).text
    assert f"Fitted by Engine cpu: {reason}" in text


def test_the_photo_may_have_any_name_and_lie_on_its_side(job: Path, tmp_path: Path) -> None:
    shutil.copytree(job / "source", tmp_path / "source")
    portrait = tmp_path / "source/portrait.png"
    upright = np.asarray(PillowImage.open(portrait).convert("RGB"))
    exif = PillowImage.Exif()
    exif[0x0112] = 6  # stored turned to the left
    PillowImage.fromarray(np.rot90(upright)).save(tmp_path / "source/front.png", exif=exif)
    portrait.unlink()
    landmarks = json.loads((tmp_path / "source/landmarks.json").read_text())
    (tmp_path / "source/landmarks.json").write_text(json.dumps(landmarks | {"image": "front.png"}))
    source = gather.load_source(tmp_path / "source")
    assert source is not None and len(source.points) == len(landmarks["points"])
    np.testing.assert_allclose(source.portrait, upright / 255, atol=1e-6)
    opened = gather.open_job(job / "double", job / "capture", job / "swapped", None, tmp_path / "source")
    assert "source/front.png" in dict(gather.digests(opened))
