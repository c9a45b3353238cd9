# SPDX-License-Identifier: Apache-2.0
"""The whole job as a client sees it, from an avatar in a .blend file to a double beside it; for `run` and `demo`.

    capture ─▶ send to the service ─▶ wait ─▶ fetch ─▶ import into Blender ─▶ report

Each step reads and writes folders below one root, and the ledger there knows which steps are done.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import attrs

from interchange.client import JobClient
from interchange.errors import InputError
from interchange.landmarks import files_of_source
from interchange.local_server import start_local_server, stop_local_server
from interchange.locks import FileLock
from interchange.service_errors import ServiceError

from .blender_process import ROOT, run_blender
from .evaluation.results import merge_timings
from .ledger import Ledger
from .pipeline import sign
from .provenance import list_files, sha256_file
from .report.build import build_report
from .terminal import Terminal

ADDON = "blender_addon.headless"
REWRITTEN = ("double/metrics.json", "double/manifest.json", "timings.json")
"""Results that this side completes after they were fetched."""


@attrs.frozen
class JobPlan:
    """What is to be done. `truth` renders of the true swap exist only for sample avatars."""

    root: Path
    blend: Path
    avatar: str
    train: int
    held_out: int
    size: int
    samples: int
    expression: tuple[str, ...]
    parameters: dict[str, Any]
    has_truth: bool = False

    @property
    def views(self) -> dict[str, int]:
        """How many views of what quality."""
        return {"train": self.train, "held_out": self.held_out, "size": self.size, "samples": self.samples}

    @property
    def capture(self) -> Path:
        """The target's capture."""
        return self.root / "capture"

    @property
    def source(self) -> Path:
        """The performer's photo, landmarks, consent."""
        return self.root / "source"

    @property
    def truth(self) -> Path:
        """Renders of the true swap."""
        return self.root / "truth"

    @property
    def swapped(self) -> Path:
        """The swapped views, as the service returned them."""
        return self.root / "swapped"

    @property
    def double(self) -> Path:
        """The result."""
        return self.root / "double"

    @property
    def result_blend(self) -> Path:
        """Avatar, cameras and double in one file."""
        return self.root / "demo.blend"

    @property
    def log(self) -> Path:
        """What Blender said."""
        return self.root / "logs" / "blender.log"


@contextlib.contextmanager
def alone_in(root: Path) -> Iterator[None]:
    """Keep a second command out of a job's folder; the system takes the lock back when the process dies.

    Raises InputError if another one is at work there.
    """
    lock = FileLock(root / "job.lock")
    if not lock.acquire():
        raise InputError(f"Another digidouble is at work in {root}.", "Wait until it ends, or choose another --out.")
    try:
        yield
    finally:
        lock.release()


def take_in(plan: JobPlan, ledger: Ledger, source: Path) -> None:
    """Copy the source folder into the job, and see to it that what depends on changed inputs is done again.

    The capture keeps those views that a changed .blend file leaves as they are.
    """
    source = source.resolve()
    if plan.root.is_relative_to(source):
        raise InputError(f"--out {plan.root} lies in the source folder.", "Choose another --out.")
    files = {path.relative_to(source).as_posix(): path for path in list_files(source)}
    blend = sha256_file(plan.blend) if plan.blend.is_file() else ""
    now = {"blend": blend, "source": {name: sha256_file(path) for name, path in files.items()}}
    before = ledger.noted("inputs") or now
    if before["blend"] != now["blend"]:
        ledger.forget("capture")
    if before != now:
        ledger.forget("send", "compute", "fetch", "import", "report")
    ledger.note("inputs", now)
    if source == plan.source.resolve():
        return
    for name in set(before["source"]) - set(files):
        (plan.source / name).unlink(missing_ok=True)
    for name, path in files.items():
        (plan.source / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, plan.source / name)


def capture_step(plan: JobPlan, ledger: Ledger, terminal: Terminal) -> None:
    """Render the views that are missing."""
    if ledger.is_done("capture"):
        return
    arguments: list[str | Path] = ["capture", "--blend", plan.blend, "--out", plan.capture]
    arguments += ["--avatar", plan.avatar] if plan.avatar else []
    arguments += ["--train", str(plan.train), "--held-out", str(plan.held_out), "--size", str(plan.size)]
    arguments += ["--samples", str(plan.samples), "--json-progress"]
    arguments += [a for e in plan.expression for a in ("--expression", e)]
    with ledger.step("capture"):
        run_blender(ADDON, arguments, terminal.progress("capture"), log=plan.log)


def files_to_send(plan: JobPlan) -> dict[str, Path]:
    """The job's inputs by the path that they have on the server; nothing is computed from previews and notes to
    resume by, nor from what else lies beside the performer's photos, so they stay here."""
    folders = [plan.capture] + ([plan.truth] if plan.has_truth else [])
    found = {path.relative_to(plan.root).as_posix(): path for path in files_of_source(plan.source)}
    for folder in folders:
        for path in sorted(folder.rglob("*")):
            relative = path.relative_to(plan.root)
            if path.is_file() and path.suffix != ".part" and relative.parts[1] not in ("previews", "resume.json"):
                found[relative.as_posix()] = path
    return found


@contextlib.contextmanager
def service(plan: JobPlan, terminal: Terminal) -> Iterator[JobClient]:
    """A local server process for the time of the job, and a client connected to it. Whoever finds that it died need
    not start it: the next run does."""
    state = plan.root / "service"
    connection = start_local_server(state, python=Path(sys.executable), working_folder=ROOT)
    terminal.say(f"  service {connection.endpoint}, encrypted, keys in {state}")
    try:
        with JobClient(state) as client:
            yield client
    except ServiceError as error:
        if error.code != "UNAVAILABLE":
            raise
        hint = f"Run the same command again, it goes on from there; {state / 'server.log'} may say why."
        raise ServiceError(error.code, "The service of this job ended unexpectedly.", hint, error.retry) from error
    finally:
        stop_local_server(state)


def send_step(plan: JobPlan, ledger: Ledger, client: JobClient, terminal: Terminal) -> str:
    """Send what the server lacks and queue the job. Returns its id, which survives interruptions.

    If the inputs have changed since the job was first sent (a damaged view was captured again, say), it becomes a new
    job; what is unchanged does not travel again.
    """
    files, progress = files_to_send(plan), terminal.progress("transfer")
    with ledger.step("send"):
        job_id = ledger.noted("job_id") or _new_job_id(ledger)
        try:
            return client.submit("double", plan.parameters, files, job_id, progress)
        except ServiceError as error:
            if error.code != "JOB_CONFLICT":
                raise
        return client.submit("double", plan.parameters, files, _new_job_id(ledger), progress)


def _new_job_id(ledger: Ledger) -> str:
    job_id = str(uuid.uuid4())
    ledger.note("job_id", job_id)
    return job_id


def wait_step(ledger: Ledger, client: JobClient, job_id: str, terminal: Terminal) -> None:
    """Show the job's progress until it has ended. Raises InputError or ServiceError with the server's sentence."""
    with ledger.step("compute"):
        client.wait(job_id, terminal.progress("job"))


def fetch_step(plan: JobPlan, ledger: Ledger, client: JobClient, job_id: str, terminal: Terminal) -> None:
    """Download swapped/, double/ and the stage times."""
    with ledger.step("fetch"):
        paths = client.download(job_id, plan.root, progress=terminal.progress("transfer"))
    names = [path.relative_to(plan.root).as_posix() for path in paths]
    ledger.note("fetched", {name: _stamp(plan.root / name) for name in names if name not in REWRITTEN})


def _stamp(path: Path) -> list[int]:
    """Size and time of a file; empty if it is not there."""
    try:
        status = path.stat()
    except OSError:
        return []
    return [status.st_size, status.st_mtime_ns]


def is_fetched(plan: JobPlan, ledger: Ledger) -> bool:
    """True if an earlier run fetched the results and nobody has touched them since."""
    if not ledger.is_done("fetch") or not (plan.double / "splats.ply").exists():
        return False
    return all(_stamp(plan.root / name) == stamp for name, stamp in (ledger.noted("fetched") or {}).items())


def import_step(plan: JobPlan, ledger: Ledger, terminal: Terminal) -> None:
    """Point cloud, avatar and cameras into one .blend file."""
    if ledger.is_done("import") and plan.result_blend.exists():
        return
    arguments: list[str | Path] = ["import", "--splats", plan.double / "splats.ply", "--blend", plan.blend]
    arguments += ["--capture", plan.capture, "--out", plan.result_blend, "--json-progress"]
    with ledger.step("import"):
        run_blender(ADDON, arguments, terminal.progress("import"), log=plan.log)


def report_step(plan: JobPlan, ledger: Ledger, terminal: Terminal, install_seconds: float | None) -> Path:
    """Times into metrics.json, then report.html, then the manifest anew since both are outputs."""
    stages = read_json_times(plan.root / "timings.json")
    times = {
        "install": install_seconds,
        "capture": ledger.seconds("capture"),
        "transfer": ledger.seconds("send", "fetch"),
        "swap": stages.get("swap"),
        "fit": stages.get("fit"),
        "import": ledger.seconds("import"),
        "total": ledger.seconds(),
    }
    merge_timings(plan.double, times)
    with ledger.step("report"):
        truth = plan.truth if plan.has_truth else None
        progress = terminal.progress("report")
        report = build_report(plan.double, plan.capture, plan.swapped, plan.source, truth, progress)
    merge_timings(plan.double, times | {"total": ledger.seconds()})
    sign(plan.double, plan.capture, plan.source, plan.parameters, plan.swapped)
    return report


def read_json_times(path: Path) -> dict[str, float]:
    """Seconds by stage as the worker measured them; empty if there are none."""
    try:
        return {str(k): float(v) for k, v in json.loads(path.read_text()).items()}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def install_seconds() -> float | None:
    """How long install.py worked when it last installed something."""
    return read_json_times(ROOT / ".digidouble" / "install.json").get("seconds")


def compute_and_fetch(plan: JobPlan, ledger: Ledger, terminal: Terminal) -> None:
    """Send, wait, fetch; nothing if an earlier run has fetched all of it. A damaged result is fetched again."""
    if is_fetched(plan, ledger):
        return
    check_disk(plan)
    with service(plan, terminal) as client:
        job_id = send_step(plan, ledger, client, terminal)
        try:
            wait_step(ledger, client, job_id, terminal)
        except InputError as error:
            raise in_own_words(plan, job_id, error) from error
        fetch_step(plan, ledger, client, job_id, terminal)


def complete(plan: JobPlan, ledger: Ledger, terminal: Terminal, started: float) -> None:
    """All that comes after the capture."""
    compute_and_fetch(plan, ledger, terminal)
    import_step(plan, ledger, terminal)
    report = report_step(plan, ledger, terminal, install_seconds())
    conclude(plan, terminal, report, started)


@contextlib.contextmanager
def compiling_kernels() -> Iterator[None]:
    """The kernels compile in the background while Blender renders; nothing to do when they are cached."""
    command = [sys.executable, "-m", "backend.kernels.compile"]
    compiler = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        yield
    finally:
        compiler.terminate()
        compiler.wait()


def in_own_words(plan: JobPlan, job_id: str, error: InputError) -> InputError:
    """The same error with the paths that the user knows instead of those of the service's copies."""
    message = error.message
    for folder in ("inputs", "work"):
        message = message.replace(str(plan.root / "service" / "jobs" / job_id / folder), str(plan.root))
    return InputError(message, error.hint, error.code)


def check_disk(plan: JobPlan) -> None:
    """The service keeps copies of what is sent and what comes back; stop before they fill the disk."""
    need = 3 * sum(p.stat().st_size for p in files_to_send(plan).values()) + 200_000_000
    free = shutil.disk_usage(plan.root).free
    if free < need:
        raise InputError(
            f"{plan.root} has {free / 1e9:.1f} GB free and this job needs {need / 1e9:.1f} GB.",
            "Make room or choose another --out.",
        )


def conclude(plan: JobPlan, terminal: Terminal, report: Path, started: float) -> None:
    """The paths, and the three numbers that matter."""
    metrics = json.loads((plan.double / "metrics.json").read_text())
    truth, held_out, agreement = metrics["truth"], metrics["held_out"], metrics["consistency"]
    terminal.say("")
    terminal.say(f"  report      {report}")
    terminal.say(f"  Blender     {plan.result_blend}")
    terminal.say(f"  splats      {plan.double / 'splats.ply'}  ({metrics['splats']} Gaussians)")
    terminal.say(f"  this run    {time.monotonic() - started:.0f} s, whole job {metrics['timing_s']['total']:.0f} s")
    terminal.say("")
    if truth["psnr_face"] is not None:
        terminal.say(f"  {truth['psnr_face']:6.2f} dB  face against the true swap, unseen cameras")
    terminal.say(f"  {held_out['psnr']:6.2f} dB  splats against the swapped views, unseen cameras")
    if agreement["reprojection_rmse"] is not None:
        ratio = agreement["reprojection_rmse"] / max(agreement["floor"], 1e-9)
        terminal.say(f"  {ratio:6.2f} x   disagreement between views, against the untouched avatar's own")
