# SPDX-License-Identifier: GPL-3.0-or-later
""""Test Connection" says in words what is wrong, and how the backend is when nothing is."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import attrs
import bpy
import pytest
import zmq

from blender_addon.jobs.backends import Backend
from interchange.connection import Connection
from tests.blender_addon.jobs_office import Office


@pytest.fixture
def box(office: Office) -> Iterator[Path]:
    """A "remote" backend on this computer: the folder with its connection.json. Its service runs."""
    assert bpy.ops.digidouble.backend_start() == {"FINISHED"}
    folder = office.desk.backends.connection_folder("box")
    folder.mkdir(parents=True)
    connection = Connection.load(office.state)
    connection.save(folder / "connection.json")
    office.desk.backends.add(Backend("box", "Render Box", connection.endpoint, "acorn actor agate album alley almond"))
    yield folder


def _change(folder: Path, **values: str) -> None:
    attrs.evolve(Connection.load(folder), **values).save(folder / "connection.json")


def _problem() -> str:
    with pytest.raises(RuntimeError) as caught:
        bpy.ops.digidouble.backend_test()
    return str(caught.value)


def test_it_answers(office: Office, box: Path) -> None:
    assert bpy.ops.digidouble.backend_test() == {"FINISHED"}
    assert office.compute.backends[1].reached and "No jobs" in office.compute.backends[1].lines
    assert (box / "connection.json").stat().st_mode & 0o077 == 0


def test_nothing_listens(office: Office, box: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    _change(box, endpoint=f"tcp://127.0.0.1:{port}")
    assert "Render Box does not answer (nobody listens there). Is it switched on" in _problem()
    assert not office.compute.backends[1].reached


def test_something_else_listens(office: Office, box: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as stranger:
        _change(box, endpoint=f"tcp://127.0.0.1:{stranger.getsockname()[1]}")
        assert "Render Box does not answer" in _problem()


def test_other_keys(office: Office, box: Path) -> None:
    public, _ = zmq.curve_keypair()
    _change(box, server_key=public.decode("ascii"))
    problem = _problem()
    assert "Render Box" in problem and ("other keys" in problem or "not the one" in problem)


def test_not_paired(office: Office, box: Path) -> None:
    public, secret = zmq.curve_keypair()
    _change(box, client_public_key=public.decode("ascii"), client_secret_key=secret.decode("ascii"))
    problem = _problem()
    assert "Render Box: The service does not know this computer's key." in problem and "pair with it again" in problem


def test_its_keys_are_gone(office: Office, box: Path) -> None:
    (box / "connection.json").unlink()
    assert "Render Box: its keys are gone. Pair with it again." in _problem()


def test_this_computers_is_not_running(office: Office) -> None:
    assert "This computer's backend is not running. Start it." in _problem()


def test_start_twice_stop_twice(office: Office) -> None:
    for _ in range(2):
        assert bpy.ops.digidouble.backend_start() == {"FINISHED"}
    pid = Connection.load(office.state).pid
    assert bpy.ops.digidouble.backend_start() == {"FINISHED"} and Connection.load(office.state).pid == pid
    for _ in range(2):
        assert bpy.ops.digidouble.backend_stop() == {"FINISHED"}
    assert office.compute.notice == "The backend was not running."


def test_a_backend_that_cannot_start_says_why(office: Office) -> None:
    office.state.write_text("a file where its folder should be")
    try:
        with pytest.raises(RuntimeError, match="cannot be made"):
            bpy.ops.digidouble.backend_start()
    finally:
        office.state.unlink()


def test_a_pairing_line_that_is_none(office: Office) -> None:
    with pytest.raises(RuntimeError, match="The pairing line is empty"):
        bpy.ops.digidouble.backend_add()
    with pytest.raises(RuntimeError, match="no pairing line|cannot pair"):
        bpy.ops.digidouble.backend_add(pairing_line="hello")
