# SPDX-License-Identifier: Apache-2.0
"""Devices let in by a pasted line, what they may do then, and how they are put out again."""

from __future__ import annotations

import io
import socket
import stat
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import pytest
import zmq

from backend import cli
from backend.commands import pair as pair_command
from backend.commands import serve as serve_command
from backend.service.devices import Devices, clean_name
from backend.service.keys import ALLOWED, Gatekeeper, Keys
from backend.service.pairing import LINGER_S, MAX_WRONG, VALID_S, PairingDesk
from backend.service.server import endpoint_for_own
from backend.service.settings import Settings
from backend.service.store import JobStore
from backend.terminal import Terminal
from interchange import messages as wire
from interchange.client import JobClient
from interchange.connection import PAIRING, Connection, Link
from interchange.errors import Cancelled, InputError
from interchange.fingerprint import fingerprint
from interchange.handshake import REVOKED, UNPAIRED
from interchange.owner import OwnerClient
from interchange.pairing import pair, pairing_fingerprint, parse_pairing_line
from interchange.service_errors import ServiceError

from .harness import IMPATIENT, Service, assert_reversed, make_files, new_device, offer_of, wait_until


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("pairing") / "state", "--cancel-grace", "0.5") as running:
        yield running


@pytest.fixture
def owner(service: Service) -> Iterator[OwnerClient]:
    """The client of the computer that the service runs on."""
    with service.owner() as made:
        yield made
        made.close_pairing()


# -- pairing ----------------------------------------------------------------------------------------------------------


def test_a_pasted_line_lets_a_device_in(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    line = offer_of(service, owner).line
    folder = tmp_path / "box"
    begun = time.perf_counter()
    connection = pair(parse_pairing_line(f"  {line[:50]}\n  {line[50:]}\n"), "Maria's\nlaptop", folder)
    seconds = time.perf_counter() - begun
    print(f"paired in {seconds * 1000:.0f} ms")  # pytest -rP shows it
    assert seconds < 1.0
    assert Connection.load(folder) == connection and connection.pid == 0
    assert stat.S_IMODE((folder / "connection.json").stat().st_mode) == 0o600
    assert connection.client_secret_key not in repr(connection)
    with JobClient(folder, IMPATIENT) as client:
        files = make_files(tmp_path / "in", {"capture/a": 300_000})
        job_id = client.submit("double", {"steps": 2}, files)
        client.wait(job_id)
        client.download(job_id, tmp_path / "out")
    assert_reversed(files, tmp_path / "out")
    device = owner.devices().devices[-1]
    assert (device.name, device.revoked) == ("Maria's laptop", False)
    assert device.last_seen is not None and device.paired_at <= device.last_seen <= time.time() + 1.0
    assert fingerprint(Connection.load(service.state).server_key, device.key) == pairing_fingerprint(connection)


def test_a_line_is_good_for_one_device(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    offer = offer_of(service, owner, "The box's name for it")
    first = pair(offer, "What it calls itself", tmp_path / "a")
    assert not owner.devices().pairing and owner.devices().devices[-1].name == "The box's name for it"
    with pytest.raises(ServiceError) as caught:
        pair(offer, "thief", tmp_path / "b")
    assert caught.value.code == "AUTH_CODE" and "used before" in caught.value.message
    assert not (tmp_path / "b/connection.json").exists()
    door = attrs.evolve(first, endpoint=offer.endpoint)
    port = int(first.endpoint.rpartition(":")[2])
    assert ask(door, wire.PairAsk(offer.code)) == wire.PairDone(port, "The box's name for it")


def ask(door: Connection, message: wire.Message) -> wire.Message:
    context: zmq.Context[Any] = zmq.Context()
    link = Link(context, door, PAIRING, IMPATIENT)
    try:
        return link.request(message, 2.0)
    finally:
        link.close()
        context.term()


def test_the_endpoint_is_there_for_pairing_only(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    offer = offer_of(service, owner)
    again = offer_of(service, owner)  # takes the place of the first
    wait_until(lambda: not listens(offer.port))
    public, secret = (key.decode() for key in zmq.curve_keypair())
    door = Connection(again.endpoint, again.server_key, public, secret)
    for message in (wire.Hello("control"), wire.JobList(), wire.ServerStop()):
        with pytest.raises(ServiceError) as refused:
            ask(door, message)
        assert refused.value.code == "PROTO_UNKNOWN_TYPE"
    with pytest.raises(ServiceError) as wrong:
        pair(attrs.evolve(again, code="a" * 24), "guess", tmp_path)
    assert wrong.value.code == "AUTH_CODE"
    service_door = attrs.evolve(door, endpoint=Connection.load(service.state).endpoint)
    with JobClient(service_door, IMPATIENT) as stranger, pytest.raises(ServiceError) as unpaired:
        stranger.ping()  # a key that may knock at the pairing endpoint may not enter the service
    assert unpaired.value.code == "AUTH_UNPAIRED"
    owner.close_pairing()
    wait_until(lambda: not listens(again.port))
    begun = time.perf_counter()
    with pytest.raises(ServiceError, match="nobody listens there") as gone:
        pair(again, "late", tmp_path)
    assert gone.value.code == "UNAVAILABLE" and time.perf_counter() - begun < 1.0


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_line_of_another_service(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    public, _ = zmq.curve_keypair()
    begun = time.perf_counter()
    with pytest.raises(ServiceError, match="has other keys") as caught:
        pair(attrs.evolve(offer_of(service, owner), server_key=public.decode()), "laptop", tmp_path)
    assert caught.value.code == "AUTH_SERVER_KEY_CHANGED" and time.perf_counter() - begun < 1.0


def test_pairing_can_be_cancelled_and_spoils_no_folder(service: Service, owner: OwnerClient, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        offer = attrs.evolve(offer_of(service, owner), port=silent.getsockname()[1])
        stop = threading.Event()
        threading.Timer(0.3, stop.set).start()
        begun = time.perf_counter()
        with pytest.raises(Cancelled):
            pair(offer, "laptop", tmp_path, stop.is_set)
        assert time.perf_counter() - begun < 0.6
    with pytest.raises(InputError, match="belongs to a service on this computer"):
        pair(offer, "laptop", service.state)
    (tmp_path / "file").touch()
    with pytest.raises(InputError, match="cannot be written"):
        pair(offer, "laptop", tmp_path / "file/folder")
    assert Connection.load(service.state).pid != 0


# -- the desk, with a clock of its own --------------------------------------------------------------------------------


@attrs.define
class Desk:
    context: zmq.Context[Any]
    gate: Gatekeeper
    devices: Devices
    desk: PairingDesk
    keys: Keys
    now: list[float]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    keys = Keys.load_or_create(tmp_path / "keys.json")
    store, context, now = JobStore(tmp_path / "jobs.sqlite"), zmq.Context(), [0.0]
    gate, devices = Gatekeeper(context), Devices(store.database, keys.client_public)

    def bind(router: zmq.Socket[bytes], port: int) -> int:
        return router.bind_to_random_port("tcp://127.0.0.1")

    made = PairingDesk(context, keys, gate, devices, bind, 7713, Settings(tmp_path), lambda: now[0])
    yield Desk(context, gate, devices, made, keys, now)
    made.close()
    gate.socket.close()
    context.term()
    store.close()


def knock(desk: Desk, port: int, *messages: wire.Message) -> list[str]:
    """What the desk answers to a new key: types of messages, codes of errors."""
    public, secret = (key.decode() for key in zmq.curve_keypair())
    door = Connection(f"tcp://127.0.0.1:{port}", desk.keys.server_public, public, secret)
    answers: list[str] = []

    def work() -> None:
        for message in messages:
            try:
                answers.append(ask(door, message).TYPE)
            except ServiceError as error:
                answers.append(error.code)

    thread = threading.Thread(target=work)
    thread.start()
    while thread.is_alive():
        if desk.gate.socket.poll(2):
            desk.gate.answer()
        if desk.desk.socket is not None and desk.desk.socket.poll(2):
            desk.desk.hear()
    return answers


def test_a_line_is_good_for_five_minutes(desk: Desk) -> None:
    offer = desk.desk.open()
    desk.now[0] = VALID_S - 0.1
    desk.desk.step()
    assert desk.desk.is_open and knock(desk, offer.port, wire.PairAsk(offer.code)) == ["pair.done"]
    desk.desk.step()
    assert not desk.desk.is_open and desk.desk.socket is not None  # for one who did not hear the answer
    desk.now[0] += LINGER_S
    desk.desk.step()
    assert desk.desk.socket is None
    offer = desk.desk.open()
    desk.now[0] += VALID_S
    desk.desk.step()
    assert desk.desk.socket is None and not desk.desk.is_open and not desk.gate.judges


def test_guessing_ends_the_offer(desk: Desk) -> None:
    offer = desk.desk.open()
    assert set(knock(desk, offer.port, *[wire.PairAsk("x" * 24)] * MAX_WRONG)) == {"AUTH_CODE"}
    assert desk.desk.socket is None and not desk.devices.page()
    assert len({desk.desk.open().code for _ in range(5)}) == 5


def test_a_large_message_is_not_even_received(desk: Desk) -> None:
    offer = desk.desk.open()
    public, secret = zmq.curve_keypair()
    context: zmq.Context[Any] = zmq.Context()
    with context.socket(zmq.DEALER) as big:
        big.linger = 0
        big.curve_serverkey, big.curve_publickey, big.curve_secretkey = desk.keys.server_public.encode(), public, secret
        big.connect(f"tcp://127.0.0.1:{offer.port}")
        big.send_multipart([b"DD/2", b"{" + b" " * 5000])
        deadline = time.monotonic() + 0.5
        while time.monotonic() < deadline:
            if desk.gate.socket.poll(5):
                desk.gate.answer()
            assert desk.desk.socket is not None and not desk.desk.socket.poll(5)
    context.term()
    assert knock(desk, offer.port, wire.PairAsk(offer.code)) == ["pair.done"]


def test_names_are_clean_and_distinct(desk: Desk) -> None:
    keys = [zmq.curve_keypair()[0].decode() for _ in range(4)]
    asked = ["A\x1b[31m\n b", "A[31m b", "", "x" * 99]
    names = [desk.devices.add(key, name).name for key, name in zip(keys, asked, strict=True)]
    assert names == ["A[31m b", "A[31m b 2", "a device without a name", "x" * 60]
    assert clean_name(" \u202e \x00a ") == "a"
    for name, reason in (("A[31m b", "Another device"), ("\n", "needs a name")):
        with pytest.raises(InputError, match=reason):
            desk.devices.rename(keys[3], name)
    with pytest.raises(InputError, match="no such device"):
        desk.devices.revoke("?" * 40)


def test_a_revoked_device_can_be_paired_again(desk: Desk) -> None:
    key = zmq.curve_keypair()[0].decode()
    assert desk.devices.standing(key) == UNPAIRED and desk.devices.standing(desk.keys.client_public) == ALLOWED
    desk.devices.add(key, "laptop")
    desk.devices.saw(key)
    desk.devices.write_down()
    desk.devices.revoke(key)
    assert desk.devices.standing(key) == REVOKED
    again = Devices(desk.devices._db, desk.keys.client_public)  # the next start
    assert again.page() == desk.devices.page() and again.standing(key) == REVOKED
    assert again.page()[0].last_seen is not None
    again.add(key, "laptop")
    assert again.standing(key) == ALLOWED


# -- on the command line ----------------------------------------------------------------------------------------------


def test_the_commands(service: Service, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    said = io.StringIO()
    codes: list[int] = []
    options = cli._Parser()
    pair_command.add_arguments(options)
    chosen = options.parse_args(["--state", str(service.state), "--name", "Tablet", "--host", "127.0.0.1"])
    thread = threading.Thread(target=lambda: codes.append(pair_command.run(chosen, Terminal(said))))
    thread.start()
    wait_until(lambda: "Paste" in said.getvalue())
    connection = pair(parse_pairing_line(said.getvalue().splitlines()[0]), "whatever", tmp_path)
    thread.join()
    assert codes == [0]
    assert f"Paired with Tablet. Both computers show: {pairing_fingerprint(connection)}" in said.getvalue()
    state = ["devices", "--state", str(service.state)]
    assert cli.main(state) == 0
    line = next(line for line in capsys.readouterr().out.splitlines() if line.startswith("Tablet: paired"))
    assert pairing_fingerprint(connection) in line
    assert cli.main([*state, "rename", "tablet", "Ann's tablet"]) == 0
    assert cli.main([*state, "revoke", "Ann's tablet"]) == 0
    assert "Ann's tablet: REVOKED" in capsys.readouterr().out
    assert cli.main([*state, "revoke", "nobody"]) == 2
    assert "There is no device called nobody. Known devices: " in capsys.readouterr().err
    with JobClient(tmp_path, IMPATIENT) as client, pytest.raises(ServiceError, match="any more"):
        client.ping()


def test_commands_without_a_service(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for command in ("pair", "devices"):
        assert cli.main([command, "--state", str(tmp_path)]) == 2
        assert "No service runs in" in capsys.readouterr().err


def test_a_service_for_the_network(tmp_path: Path) -> None:
    """Bound to everything, at ports of one's choice; own clients still go through the loopback."""
    with socket.socket() as one, socket.socket() as two:
        for probe in (one, two):
            probe.bind(("127.0.0.1", 0))
        port, pair_port = one.getsockname()[1], two.getsockname()[1]
    arguments = ["--bind", "0.0.0.0", "--port", str(port), "--pair-port", str(pair_port)]
    with Service(tmp_path / "state", *arguments) as service, service.owner() as owner:
        assert Connection.load(service.state).endpoint == f"tcp://127.0.0.1:{port}"
        opened = owner.open_pairing()
        assert (opened.address, opened.port) == ("0.0.0.0", pair_port)
        connection = new_device(service, owner, tmp_path / "box", "laptop")
        assert connection.endpoint == f"tcp://127.0.0.1:{port}"
        service.restart()
        with JobClient(tmp_path / "box", IMPATIENT) as client:
            client.ping()  # the list of devices outlives the service, however that ends
    assert endpoint_for_own("::", 1) == "tcp://[::1]:1" and endpoint_for_own("10.0.0.7", 1) == "tcp://10.0.0.7:1"


def test_where_it_listens() -> None:
    assert serve_command.listening("tcp://127.0.0.1:7", "127.0.0.1") == "Listening at tcp://127.0.0.1:7, Ctrl-C ends"
    assert "Listening at 0.0.0.0, port 7, to paired" in serve_command.listening("tcp://127.0.0.1:7", "0.0.0.0")


def test_a_host_to_print() -> None:
    assert pair_command.host_to_print("192.168.7.7") == "192.168.7.7" and pair_command._bracketed("::1") == "[::1]"
    assert pair_command.host_to_print("0.0.0.0") not in ("", "0.0.0.0")
