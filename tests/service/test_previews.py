# SPDX-License-Identifier: Apache-2.0
"""Pictures of what a job is making, from its worker to those who want them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs
import numpy as np
import pytest

from backend.service.previews import PreviewWriter, read_preview
from backend.service.watchers import Watchers
from interchange import client as client_module
from interchange import messages as wire
from interchange.client import JobClient
from interchange.paths import scan_folder
from interchange.png import decode_png, encode_png
from interchange.service_errors import ServiceError

from .harness import IMPATIENT, Service, new_device, wait_until
from .toy import picture


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with Service(tmp_path_factory.mktemp("previews") / "state", "--cancel-grace", "0.5") as running:
        yield running


@pytest.fixture
def client(service: Service) -> Iterator[JobClient]:
    with service.client() as made:
        yield made


def shown(news: list[Any]) -> list[wire.Preview]:
    return [item for item in news if isinstance(item, wire.Preview)]


def test_watchers_who_ask_see_pictures(client: JobClient) -> None:
    job_id = client.submit("double", {"steps": 25, "pause": 0.03, "pictures": 64}, {})
    news = list(client.watch(job_id, previews=True))
    previews, events = shown(news), [item for item in news if isinstance(item, wire.Event)]
    assert len(previews) >= 5 and events[-1].state == "succeeded"
    assert [p.number for p in previews] == sorted({p.number for p in previews})
    for preview in previews:
        image = decode_png(preview.data)
        assert preview.name == "count" and image.shape == (64, 64, 3) and (image == preview.number - 1).all()
        assert abs(time.time() - preview.at) < 60
    plain = list(client.watch(job_id))  # those who do not ask see events and nothing else
    assert [e for e in plain if e.kind == "state"] == [e for e in events if e.kind == "state"]
    last = client.preview(job_id)
    assert last is not None and last.number == 25 and last.name == "count" and last.data == picture(24, 64)
    assert client.preview(job_id, newer_than=24) == last and client.preview(job_id, newer_than=25) is None
    assert shown(list(client.watch(job_id, previews=True))) in ([last], [])  # it has ended: perhaps not sent any more


def test_they_outlive_the_server_and_count_on_in_the_next_attempt(tmp_path: Path) -> None:
    with Service(tmp_path / "state") as service, service.client() as client:
        job_id = client.submit("double", {"steps": 60, "pause": 0.03, "pictures": 8}, {})
        news: list[Any] = []
        for item in client.watch(job_id, previews=True):
            news.append(item)
            if isinstance(item, wire.Preview) and len(shown(news)) == 3:
                service.restart()
                assert client.preview(job_id) is not None
        numbers = [p.number for p in shown(news)]
        assert numbers == sorted(set(numbers)) and numbers[-1] > 30
        last = client.preview(job_id)
        assert last is not None and (decode_png(last.data) == 59).all()


def test_a_job_without_pictures(client: JobClient) -> None:
    job_id = client.submit("double", {}, {})
    assert all(isinstance(item, wire.Event) for item in client.watch(job_id, previews=True))
    assert client.preview(job_id) is None
    with pytest.raises(ServiceError) as caught:
        client.preview("nobody-knows")
    assert caught.value.code == "JOB_UNKNOWN"


def test_a_picture_that_is_too_large_is_a_fault_of_the_job(client: JobClient) -> None:
    job_id = client.submit("double", {"pictures": 513}, {})
    with pytest.raises(ServiceError, match="a preview is a PNG of at most 512 pixels a side and 262144 bytes"):
        client.wait(job_id)
    assert client.preview(job_id) is None


def test_nothing_that_is_no_picture_reaches_the_client(client: JobClient, service: Service) -> None:
    job_id = client.submit("double", {"pictures": 8}, {})
    client.wait(job_id)
    path = service.job_folder(job_id) / "preview.bin"
    good = path.read_bytes()
    line, png = good.split(b"\n", 1)
    huge = encode_png(np.zeros((600, 8, 3), np.uint8))
    negative = b'{"number":-4,"name":"x","at":0}\n' + png
    for damage in (b"", b"{}", good[: -len(png)], line + b"\nGIF89a", line + b"\n" + png + bytes(300_000),
                   line + b"\n" + huge, negative, b"x" * 5000 + b"\n" + png):  # fmt: skip
        path.write_bytes(damage)
        assert client.preview(job_id) is None
    path.write_bytes(good)
    assert client.preview(job_id) is not None
    for bad in (huge, b"GIF89a", b""):
        with pytest.raises(ServiceError, match="no picture"):
            client_module._check_preview(wire.Preview(job_id, 1, "fit", 0.0, bad))


def test_a_service_that_knows_no_previews(client: JobClient) -> None:
    """Minor version 0: nothing is asked of it that it does not know."""
    job_id = client.submit("double", {"pictures": 8}, {})
    link = client._link("control")
    link.welcome = attrs.evolve(link.welcome, features=["resume", "replay"])
    assert not shown(list(client.watch(job_id, previews=True))) and client.preview(job_id) is None


def test_others_do_not_see_them(client: JobClient, service: Service, tmp_path: Path) -> None:
    with service.owner() as owner:
        new_device(service, owner, tmp_path, "other")
    job_id = client.submit("double", {"pictures": 8}, {})
    client.wait(job_id)
    with JobClient(tmp_path, IMPATIENT) as other, pytest.raises(ServiceError) as caught:
        other.preview(job_id)
    assert caught.value.code == "JOB_UNKNOWN"


def test_a_slow_watcher_gets_the_newest_and_one_at_a_time() -> None:
    watchers, newest = Watchers(), [1]

    def read(job_id: str) -> wire.Preview:
        return wire.Preview(job_id, newest[0], "fit", 0.0, b"x")

    watchers.watch(b"slow", "job", 0, 0)
    watchers.watch(b"events only", "job", 0)
    watchers.watch(b"elsewhere", "other", 0, 0)
    assert [(peer, p.number) for peer, p in watchers.due_previews(read) if p.job_id == "job"] == [(b"slow", 1)]
    for newest[0] in range(2, 50):
        watchers.show("job")
        assert watchers.due_previews(read) == []
    watchers.acknowledge_preview(b"slow", "job", 1)
    assert [p.number for _, p in watchers.due_previews(read)] == [49]
    watchers.acknowledge_preview(b"slow", "job", 49)
    assert watchers.due_previews(read) == []
    watchers.forget(b"slow")
    watchers.show("job")
    assert watchers.due_previews(read) == []


def test_the_file(tmp_path: Path) -> None:
    told: list[int] = []
    path = tmp_path / "preview.bin"
    write = PreviewWriter(path, lambda: told.append(1), lambda: 5.0)
    write("fit", picture(1, 8))
    PreviewWriter(path, lambda: None, lambda: 6.0)("swap" * 50, picture(2, 512))
    assert read_preview(path, "j") == wire.Preview("j", 2, ("swap" * 50)[:60], 6.0, picture(2, 512)) and told == [1]
    noise = np.random.default_rng(1).integers(0, 256, (512, 512, 3), dtype=np.uint8)
    with pytest.raises(ValueError, match="262144 bytes"):
        write("fit", encode_png(noise))
    path.unlink()
    path.mkdir()
    write("fit", picture(1, 8))  # it cannot be written: the job goes on
    assert told == [1] and read_preview(path, "j").number == 0


def test_a_picture_appears_while_the_job_runs(client: JobClient) -> None:
    job_id = client.submit("double", {"steps": 2000, "pause": 0.01, "pictures": 512}, {})
    wait_until(lambda: client.preview(job_id) is not None)
    assert client.get(job_id).state == "running"
    client.cancel(job_id)


@pytest.mark.slow
def test_a_real_job_shows_the_swap_and_the_fit(tmp_path: Path) -> None:
    from tests.faceswap import synthetic

    synthetic.write_capture(tmp_path / "in/capture", views=(-60, 5, 50, -15))
    synthetic.write_source(tmp_path / "in/source")
    fit = {"iterations": 400, "splats": 300, "sh_degree": 0, "early_stop": False, "engine": "cpu"}
    with Service(tmp_path / "state", "--runner", "backend.pipeline:run_job") as service, service.client() as client:
        job_id = client.submit("double", {"fit": fit}, scan_folder(tmp_path / "in"))
        previews = shown(list(client.watch(job_id, previews=True)))
    assert [p.name for p in previews][0] == "swap" and previews[-1].name == "fit"
    assert all(decode_png(p.data).std() > 20 for p in previews)
