# SPDX-License-Identifier: GPL-3.0-or-later
"""The performer's operators as a script calls them, and the panel in every state."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import bpy
import pytest

import blender_addon
from blender_addon import performer as performers
from blender_addon.panels import performer as panel
from blender_addon.performer.gallery import GALLERY, Gallery
from interchange.errors import InputError
from tests.blender_addon.performers import face, photo, picture, tagged_jpeg
from tests.blender_addon.standin import build_standin


@pytest.fixture
def scene(empty: Any, tmp_path: Path) -> Iterator[Any]:
    """An empty file, saved, with the add-on."""
    blender_addon.register()
    bpy.ops.wm.save_as_mainfile(filepath=str(tmp_path / "film.blend"))
    yield bpy.context.scene
    blender_addon.unregister()


def problem_of(call: Any, **arguments: Any) -> str:
    """The sentence with which an operator refuses."""
    with pytest.raises(RuntimeError) as caught:
        call(**arguments)
    return str(caught.value)


class Layout:
    """Takes whatever a panel draws and remembers the texts and the operators."""

    def __init__(self, drawn: list[str] | None = None) -> None:
        self.drawn: list[str] = [] if drawn is None else drawn

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)

        def call(*arguments: Any, **options: Any) -> Any:
            if name == "operator":
                self.drawn.append(arguments[0])
                assert hasattr(bpy.ops.digidouble, arguments[0].split(".")[1])
            if name == "prop":
                assert hasattr(arguments[0], arguments[1])
            if "text" in options and options["text"]:
                self.drawn.append(options["text"])
            icon = options.get("icon", "NONE")
            assert icon in bpy.types.UILayout.bl_rna.functions["label"].parameters["icon"].enum_items
            return Layout(self.drawn)

        return call


def drawn(scene: Any) -> str:
    """All that the performer's panels show now."""
    GALLERY.forget()
    layout = Layout()
    context = SimpleNamespace(scene=scene, region=SimpleNamespace(width=4000))
    for item in panel.CLASSES[1:]:
        if not hasattr(item, "poll") or item.poll(context):
            item.draw(SimpleNamespace(layout=layout), context)
    return "\n".join(layout.drawn)


def place_all(name: str) -> None:
    for index, (x, y) in face().items():
        assert bpy.ops.digidouble.performer_landmark_set(photo=name, index=index, x=x, y=y) == {"FINISHED"}


def fill_in(form: Any) -> None:
    form.subject, form.granted_by, form.use, form.expires = "J. Doe", "J. Doe", "a film", "2099-12-31"


def test_from_nobody_to_ready_in_the_order_of_the_panel(scene: Any, tmp_path: Path) -> None:
    ops, chosen = bpy.ops.digidouble, scene.digidouble
    assert "Who shall the double look like?" in drawn(scene)
    with pytest.raises(InputError, match="no performer yet"):
        performers.active_source_folder(bpy.context)
    ops.performer_add(name="Jane")
    jane = chosen.performers[0]
    assert jane.folder == "//digidouble/performers/Jane"
    assert performers.folder_of(jane) == tmp_path / "digidouble/performers/Jane"
    assert "Add photos" in drawn(scene)
    ops.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    assert "0 of 5 points" in drawn(scene)
    place_all("front.png")
    assert "68 points" in drawn(scene) and performers.why_incomplete(jane) == "There is no consent record yet."
    fill_in(jane.consent)
    assert not ops.performer_consent_write.poll()
    jane.consent.confirmed = True
    ops.performer_consent_write()
    assert jane.consent.confirmed is False
    assert performers.why_incomplete(jane) is None and "Jane is ready." in drawn(scene)
    assert performers.active_source_folder(bpy.context) == tmp_path / "digidouble/performers/Jane"
    assert json.loads((tmp_path / "digidouble/performers/Jane/consent.json").read_text())["use"] == "a film"


def test_a_new_photo_asks_for_consent_again_and_removing_it_does_not(scene: Any, tmp_path: Path) -> None:
    ops = bpy.ops.digidouble
    ops.performer_add()
    ops.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    place_all("front.png")
    performer = scene.digidouble.performers[0]
    fill_in(performer.consent)
    performer.consent.confirmed = True
    ops.performer_consent_write()
    photo(tmp_path / "left.png", seed=5)
    photo(tmp_path / "right.png", seed=6)
    ops.performer_add_photos(directory=str(tmp_path), files=[{"name": "left.png"}, {"name": "right.png"}])
    for name in ("left.png", "right.png"):
        place_all(name)
    assert "The consent record does not cover left.png, right.png: confirm again." in drawn(scene)
    with pytest.raises(InputError, match="not ready: The consent record does not cover"):
        performers.active_source_folder(bpy.context)
    ops.performer_photo_first(photo="right.png")
    assert [p.name for p in performers.state_of(performer).photos] == ["right.png", "front.png", "left.png"]
    assert "digidouble.performer_photo_first" in drawn(scene)
    for name in ("left.png", "right.png"):
        ops.performer_remove_photo(photo=name)
    assert performers.why_incomplete(performer) is None


def test_another_wording_takes_the_tick_back_and_shows_until_it_is_written(scene: Any, tmp_path: Path) -> None:
    ops = bpy.ops.digidouble
    ops.performer_add()
    ops.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    form = scene.digidouble.performers[0].consent
    fill_in(form)
    form.confirmed = True
    form.kind = "synthetic"
    assert form.authority == "synthetic" and not form.confirmed
    form.kind = "licensed"
    assert form.authority == "self"
    form.confirmed = True
    ops.performer_consent_write()
    assert "something else" not in drawn(scene)
    form.use = "another film"
    assert "The form says something else." in drawn(scene)
    ops.performer_consent_read()
    assert form.use == "a film" and form.kind == "licensed" and "something else" not in drawn(scene)


@pytest.mark.parametrize(
    ("text", "words"), [("", "no last day"), ("31.12.2027", "not a date"), ("2027-02-30", "not a date")]
)
def test_a_bad_date_is_refused(scene: Any, tmp_path: Path, text: str, words: str) -> None:
    bpy.ops.digidouble.performer_add()
    bpy.ops.digidouble.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    form = scene.digidouble.performers[0].consent
    fill_in(form)
    form.expires = text
    form.confirmed = True
    assert words in problem_of(bpy.ops.digidouble.performer_consent_write)
    form.never_expires = True
    form.confirmed = True
    bpy.ops.digidouble.performer_consent_write()
    record = performers.state_of(scene.digidouble.performers[0]).record
    assert record.expires is None


def test_a_folder_with_a_record_fills_the_form(scene: Any, tmp_path: Path) -> None:
    test_from_nobody_to_ready_in_the_order_of_the_panel(scene, tmp_path)
    folder = tmp_path / "digidouble/performers/Jane"
    bpy.ops.digidouble.performer_remove()
    assert not scene.digidouble.performers and (folder / "front.png").exists()
    bpy.ops.digidouble.performer_load_folder(directory=str(folder) + os.sep)
    performer = scene.digidouble.performers[0]
    assert performer.name == "Jane" and performer.consent.use == "a film" and not performer.consent.confirmed
    assert "something else" not in drawn(scene) and performers.why_incomplete(performer) is None
    assert "no folder" in problem_of(bpy.ops.digidouble.performer_load_folder, directory=str(tmp_path / "nowhere"))


def test_performers_do_not_share_folders_and_the_choice_follows_the_list(scene: Any, tmp_path: Path) -> None:
    for _ in range(3):
        bpy.ops.digidouble.performer_add(name="Jürgen / Ü")
    names = [p.name for p in scene.digidouble.performers]
    assert names == ["Jürgen / Ü", "Jürgen / Ü 2", "Jürgen / Ü 3"]
    assert len({performers.folder_of(p) for p in scene.digidouble.performers}) == 3
    assert scene.digidouble.active_performer == 2
    bpy.ops.digidouble.performer_remove()
    assert scene.digidouble.active_performer == 1
    bpy.ops.digidouble.performer_remove()
    bpy.ops.digidouble.performer_remove()
    assert not bpy.ops.digidouble.performer_remove.poll() and not bpy.ops.digidouble.performer_add_photos.poll()
    (tmp_path / "digidouble/performers/Jane").mkdir(parents=True)
    photo(tmp_path / "digidouble/performers/Jane/old.png")  # of an earlier film
    bpy.ops.digidouble.performer_add(name="Jane")
    assert performers.folder_of(scene.digidouble.performers[0]).name == "Jane_2"


def test_files_that_are_no_photos_are_named_and_the_others_added(scene: Any, tmp_path: Path) -> None:
    bpy.ops.digidouble.performer_add()
    (tmp_path / "notes.png").write_text("hello")
    photo(tmp_path / "front.png")
    files = [{"name": "notes.png"}, {"name": "front.png"}]
    words = problem_of(bpy.ops.digidouble.performer_add_photos, directory=str(tmp_path), files=files)
    assert "notes.png is no PNG" in words and "1 other photos were added" in words
    assert "notes.png is no PNG" in bpy.context.window_manager.digidouble.problem
    assert "front.png" in drawn(scene)
    assert "No photo is chosen" in problem_of(bpy.ops.digidouble.performer_add_photos)


def test_landmarks_are_loaded_cleared_and_refused_off_the_photo(scene: Any, tmp_path: Path) -> None:
    ops = bpy.ops.digidouble
    ops.performer_add()
    ops.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    (tmp_path / "list.json").write_text(json.dumps([[x - 0.5, y - 0.5] for x, y in face().values()]))
    ops.performer_landmarks_load(photo="front.png", filepath=str(tmp_path / "list.json"))
    assert "68 points" in drawn(scene)
    ops.performer_landmark_set(photo="front.png", index=3, remove=True)
    assert "67 points" in drawn(scene)
    ops.performer_landmarks_clear(photo="front.png")
    assert "0 of 5 points" in drawn(scene)
    (tmp_path / "list.json").write_text(json.dumps([[x * 9, y] for x, y in face().values()]))
    words = problem_of(ops.performer_landmarks_load, photo="front.png", filepath=str(tmp_path / "list.json"))
    assert "outside the photo" in words and "0 of 5 points" in drawn(scene)
    assert "Landmark 5 lies outside" in problem_of(ops.performer_landmark_set, photo="front.png", index=5, x=-3, y=2)
    assert "no photo called 'x.png'" in problem_of(ops.performer_landmark_set, photo="x.png", index=5, x=3, y=2)


def test_clicking_needs_a_window_and_says_so(scene: Any, tmp_path: Path) -> None:
    bpy.ops.digidouble.performer_add()
    bpy.ops.digidouble.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    for how in ("EXEC_DEFAULT", "INVOKE_DEFAULT"):
        with pytest.raises(RuntimeError, match="only be clicked in a window"):
            bpy.ops.digidouble.performer_landmarks_place(how, photo="front.png")


def test_what_is_odd_or_wrong_with_a_photo_is_shown_beside_it(scene: Any, tmp_path: Path) -> None:
    bpy.ops.digidouble.performer_add()
    bpy.ops.digidouble.performer_add_photos(filepath=str(photo(tmp_path / "front.png")))
    for index, (x, y) in face().items():
        bpy.ops.digidouble.performer_landmark_set(photo="front.png", index=index, x=200 - x, y=y)
    assert "The landmarks of front.png are mirrored" in drawn(scene)
    place_all("front.png")
    assert "a larger photo gives more detail" in drawn(scene)
    folder = performers.folder_of(scene.digidouble.performers[0])
    (folder / "front.png").write_bytes(b"")
    assert "front.png is empty, which cannot be used as a photo." in drawn(scene)
    (folder / "landmarks.json").write_text("{")
    assert "landmarks.json cannot be read" in drawn(scene)


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="root may write anywhere")
def test_a_read_only_folder_is_a_sentence(scene: Any, tmp_path: Path) -> None:
    bpy.ops.digidouble.performer_add()
    photo(tmp_path / "front.png")
    folder = performers.folder_of(scene.digidouble.performers[0])
    folder.mkdir(parents=True)
    folder.chmod(0o500)
    assert "may not be read or written" in problem_of(
        bpy.ops.digidouble.performer_add_photos, filepath=str(tmp_path / "front.png")
    )


def test_a_file_in_the_way_of_the_folder_is_a_sentence(scene: Any, tmp_path: Path) -> None:
    bpy.ops.digidouble.performer_add(name="Jane")
    folder = performers.folder_of(scene.digidouble.performers[0])
    folder.parent.mkdir(parents=True)
    folder.write_text("in the way")
    assert "A file is where a folder is needed" in drawn(scene)
    words = problem_of(bpy.ops.digidouble.performer_add_photos, filepath=str(photo(tmp_path / "front.png")))
    assert "A file is where a folder is needed" in words


def test_an_unsaved_file_keeps_performers_in_the_users_folder(empty: Any) -> None:
    blender_addon.register()
    try:
        bpy.ops.digidouble.performer_add(name="Jane")
        folder = performers.folder_of(bpy.context.scene.digidouble.performers[0])
        assert folder.is_absolute() and folder.parts[-3:] == ("work", "performers", folder.name)
    finally:
        blender_addon.unregister()


def test_another_avatar_is_taken_in_one_click(scene: Any) -> None:
    ops = bpy.ops.digidouble
    assert "no second avatar" in problem_of(ops.performer_from_avatar)
    build_standin("Ada")
    assert "no second avatar" in problem_of(ops.performer_from_avatar)
    build_standin("Bruno")
    assert "several avatars" in problem_of(ops.performer_from_avatar)
    assert "no avatar called 'Carl'" in problem_of(ops.performer_from_avatar, avatar="Carl")
    assert not scene.digidouble.performers
    ops.performer_from_avatar(avatar="Bruno", size=256, samples=1)
    bruno = scene.digidouble.performers[0]
    state = performers.state_of(bruno)
    assert bruno.name == "Bruno" and bruno.consent.kind == "synthetic" and bruno.consent.never_expires
    assert [p.name for p in state.photos] == ["portrait.png"] and len(state.photos[0].points) == 68
    assert state.consent_problem is None


def test_thumbnails_are_upright_and_freed(scene: Any, tmp_path: Path) -> None:
    bpy.ops.digidouble.performer_add()
    bpy.ops.digidouble.performer_add_photos(filepath=str(tagged_jpeg(tmp_path / "a.jpg", bpy, picture(), 6)))
    gallery = Gallery(lambda: 0.0)
    state = gallery.state(performers.folder_of(scene.digidouble.performers[0]))
    gallery.thumbnail(state.photos[0])
    preview = gallery._previews[state.photos[0].facts.digest]
    assert tuple(preview.image_size) == (200, 160)
    first = preview.image_pixels_float[:3]  # the lower left corner
    assert first == pytest.approx(picture()[-1, 0] / 255, abs=0.08)
    gallery.close()
    gallery.close()
    assert gallery._previews is None


def test_the_panel_reads_a_folder_at_most_twice_a_second(scene: Any, tmp_path: Path) -> None:
    clock = [0.0]
    gallery = Gallery(lambda: clock[0])
    assert not gallery.state(tmp_path / "x").photos
    (tmp_path / "x").mkdir()
    photo(tmp_path / "x/a.png")
    clock[0] = 0.4
    assert not gallery.state(tmp_path / "x").photos
    clock[0] = 0.6
    assert gallery.state(tmp_path / "x").photos
    photo(tmp_path / "x/b.png", seed=1)
    gallery.forget()
    assert len(gallery.state(tmp_path / "x").photos) == 2
