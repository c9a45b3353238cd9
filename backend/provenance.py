# SPDX-License-Identifier: Apache-2.0
"""The provenance manifest of a double: what it was made from, by what, under which consent; and its verification.

manifest.json (docs/formats/double.md) names every output with its SHA-256, every input, the parameters, versions, the
digest of the consent record (never its personal data) and what was done, in C2PA's names. It carries a digest of
itself. That finds damage and careless changes; it is no signature: whoever rewrites the manifest too is not stopped.
"""

from __future__ import annotations

import hashlib
import importlib.metadata
import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import attrs

from interchange.capture import write_json
from interchange.consent import FILE_NAME as CONSENT_FILE
from interchange.consent import refusal
from interchange.errors import InputError

FORMAT, VERSION = "digidouble-manifest", 1
MANIFEST = "manifest.json"
_CAPTURE, _SWAP, _FIT = "capture.json", "swap.json", "fit.json"
FIGURES, REPORT = ("evaluation.json", "metrics.json"), ("report.html", "strip.png", "turntable.webp")
"""Outputs that `evaluate` and `report` make out of the others, as often as somebody likes."""
SOURCE_TYPES = "http://cv.iptc.org/newscodes/digitalsourcetype/"
"""IPTC's vocabulary, which C2PA uses for `digitalSourceType`."""
RENDER, COMPOSITE = SOURCE_TYPES + "digitalCreation", SOURCE_TYPES + "compositeSynthetic"
PICTURES = SOURCE_TYPES + "composite"
"""Of pictures that came with their cameras: photos or renders, nobody says which."""
TRAINED_COMPOSITE = SOURCE_TYPES + "compositeWithTrainedAlgorithmicMedia"
PACKAGES = ("numpy", "numba", "opencv-python", "opencv-python-headless", "attrs", "pyzmq", "matplotlib", "pillow")
_IGNORED_SUFFIXES = (".part", ".tmp")
_CHUNK = 1 << 20


@attrs.frozen
class Action:
    """One thing that was done, named as C2PA names it: c2pa.opened, c2pa.edited, c2pa.created, c2pa.converted."""

    action: str
    description: str


@attrs.frozen
class Problem:
    """One finding of `verify`: path in the folder, kind (missing, changed, extra, damaged, consent), one sentence."""

    path: str
    kind: str
    message: str


RENDERED = Action("c2pa.created", "Views of the target avatar rendered in Blender.")
PICTURES_OPENED = Action("c2pa.opened", "Pictures with known cameras read as ingredients; whom they show is not known.")
SOURCE_OPENED = Action("c2pa.opened", "Source portrait read as an ingredient, under the consent record.")
SWAPPED = Action("c2pa.edited", "The target's face replaced by the source's in texture space.")
FITTED = Action("c2pa.converted", "3D Gaussians fitted to the views.")


def default_actions(
    swap: bool, engine: str = "", networks: Sequence[Mapping[str, Any]] = (), views: Action = RENDERED,
    swapped: Action = SWAPPED,
) -> list[Action]:  # fmt: skip
    """The actions of a swap job, or of a plain fit; `engine`: a sentence on what fitted it; `networks`: the trained
    networks of the swap, as `networks_of` gives them; `views`, `swapped`: as `views_action` and `swap_action` do."""
    fitted = attrs.evolve(FITTED, description=f"{FITTED.description} {engine}".rstrip())
    if networks:
        names = ", ".join(f"{n['file']} ({n['kind']})" for n in networks)
        swapped = attrs.evolve(SWAPPED, description=f"The target's face replaced view by view by a network: {names}.")
    return [views, SOURCE_OPENED, swapped, fitted] if swap else [views, fitted]


def views_action(capture_folder: Path) -> Action:
    """How a fit's pictures came to be: rendered, and by what, as the capture says; or not known, without a capture."""
    try:
        manifest = json.loads((Path(capture_folder) / _CAPTURE).read_text(encoding="utf-8"))
        engine = str(manifest.get("renderer", {}).get("engine", "")).upper()
    except (OSError, ValueError, AttributeError):
        return PICTURES_OPENED
    name = {"CYCLES": " Cycles", "EEVEE": " EEVEE"}.get(engine, "")
    return attrs.evolve(RENDERED, description=f"Views of the target avatar rendered in Blender{name}.")


def swap_action(swapped_folder: Path | None) -> Action:
    """How a face was exchanged, by the swap.json of the folder."""
    if swapped_folder is None:
        return SWAPPED
    try:
        report = json.loads((Path(swapped_folder) / _SWAP).read_text(encoding="utf-8"))
        swapper, joined = report.get("swapper"), "consistency" in report
    except (OSError, ValueError, AttributeError):
        return SWAPPED
    if swapper != "classical":
        return SWAPPED
    joining = ", and the views joined into one skin" if joined else ""
    return attrs.evolve(SWAPPED, description=f"The target's face replaced view by view by the warped photo{joining}.")


def networks_of(swapped_folder: Path | None) -> list[dict[str, str]]:
    """The trained networks that made a swap (role, file, sha256, kind, licence), by its swap.json; [] for none."""
    if swapped_folder is None:
        return []
    try:
        report = json.loads((Path(swapped_folder) / _SWAP).read_text(encoding="utf-8"))
        licence = str(report.get("licence", ""))
        keys = ("role", "file", "sha256", "kind")
        return [{k: str(model[k]) for k in keys} | {"licence": licence} for model in report.get("models", ())]
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return []


def consent_of_swap(folder: Path) -> str | None:
    """SHA-256 of the consent record under which the pictures of a capture folder were swapped; None if nothing in the
    folder says that they were. Raises InputError (CONSENT) if they were and the record is not named."""
    folder = Path(folder)
    try:
        origin = json.loads((folder / _CAPTURE).read_text(encoding="utf-8")).get("provenance")
    except (OSError, ValueError, AttributeError):
        origin = None  # photos have no such file, and a damaged one is refused by whoever reads the pictures
    if not (folder / _SWAP).is_file() and not (isinstance(origin, dict) and "swap" in origin):
        return None
    try:
        digest = json.loads((folder / _SWAP).read_text(encoding="utf-8"))["digests"]["consent"]
    except (OSError, ValueError, KeyError, TypeError):
        digest = None
    if not isinstance(digest, str):
        raise refusal(
            f"The pictures of {folder} show a swapped face, and its {_SWAP} does not say under which consent.",
            "Restore that file, or swap again.",
        )
    return digest


def consent_of_fit(double_folder: Path) -> str | None:
    """The same of the pictures that a double was fitted to, as the fit has noted it; None where nothing is noted."""
    try:
        digest = json.loads((Path(double_folder) / _FIT).read_text(encoding="utf-8"))["consent"]
    except (OSError, ValueError, KeyError, TypeError):
        return None
    return digest if isinstance(digest, str) else None


def check_same_consent(source: Path | None, digests: Iterable[str | None], what: str) -> None:
    """Refuse (InputError, CONSENT) unless the record of the `source` folder is the one that all `digests` are of; no
    source will do where there are none. what: the beginning of a sentence, what shows the swapped face."""
    known = {digest for digest in digests if digest is not None}
    if not known:
        return
    if source is None or not (source / CONSENT_FILE).is_file():
        raise refusal(f"{what} a swapped face.", "Give the source folder with the consent record of that swap.")
    if known != {sha256_file(source / CONSENT_FILE)}:
        raise refusal(
            f"{what} a face that was swapped under another consent record than {source / CONSENT_FILE}.",
            "Give the source folder that the swap was made from, or swap again.",
        )


def source_type(swap: bool, networks: Sequence[Mapping[str, Any]], views: Action = RENDERED) -> str:
    """IPTC's term for what a double is made of."""
    if not swap:
        return PICTURES if views == PICTURES_OPENED else RENDER
    return TRAINED_COMPOSITE if networks else COMPOSITE


def engine_sentence(double_folder: Path) -> str:
    """Which engine fitted a double and why it was taken, by its fit.json; empty where that does not say."""
    try:
        result = json.loads((Path(double_folder) / _FIT).read_text(encoding="utf-8"))["result"]
        return f"Engine {result['engine']}: {result['engine_reason']}"
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def sha256_file(path: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes. Raises InputError when it cannot be read."""
    digest = hashlib.sha256()
    try:
        with open(path, "rb") as file:
            while chunk := file.read(_CHUNK):
                digest.update(chunk)
    except OSError as error:
        raise InputError(f"{path} cannot be read ({error.strerror}).", "Check that it exists.") from error
    return digest.hexdigest()


def software_versions(packages: Iterable[str] = PACKAGES) -> dict[str, str]:
    """Versions of Python, the system's family and those of `packages` that are installed."""
    found = {"python": platform.python_version(), "system": f"{platform.system()} {platform.machine()}"}
    for name in packages:
        try:
            found[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return found


def current_commit(root: Path) -> str | None:
    """The commit that a git checkout at `root` stands on, read from .git; None outside a checkout."""
    git = root / ".git"
    try:
        if git.is_file():  # a worktree: the file names the real folder
            git = (root / git.read_text().removeprefix("gitdir:").strip()).resolve()
        head = (git / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        common = git / "commondir"
        shared = (git / common.read_text().strip()).resolve() if common.exists() else git
        name = head.removeprefix("ref: ")
        if (shared / name).exists():
            return (shared / name).read_text().strip()
        packed = (shared / "packed-refs").read_text().splitlines()
        return next(line.split()[0] for line in packed if line.endswith(" " + name))
    except (OSError, StopIteration, IndexError):
        return None


def consent_summary(consent_file: Path) -> dict[str, Any]:
    """What the manifest and the report may say of a consent record: digest, kind, scope, and a pseudonym.

    The subject's name is kept only for records of kind `synthetic`, which concern no person; otherwise it becomes
    `subject-` and 12 hexadecimal digits that depend on the whole record. They are made from its digest, not from the
    name: the manifest holds the digest, so a guessed name could be tried against it. Raises InputError for an unusable
    record.
    """
    digest = sha256_file(consent_file)
    try:
        record = json.loads(consent_file.read_bytes())  # bytes, as the gate reads it: editors put a mark before UTF-8
        kind, subject, operations = record["kind"], str(record["subject"]), [str(o) for o in record["operations"]]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"The consent record {consent_file} is damaged ({error!r}).", "Write it again.") from error
    pseudonym = "subject-" + hashlib.sha256(f"{digest}:subject".encode()).hexdigest()[:12]
    return {
        "sha256": digest,
        "kind": str(kind),
        "subject": subject if kind == "synthetic" else pseudonym,
        "authority": record.get("authority"),
        "operations": operations,
        "expires": record.get("expires"),
    }


def list_files(folder: Path) -> list[Path]:
    """All files under a folder but half-written ones, in the order of their names."""
    found = (p for p in folder.rglob("*") if p.is_file() and p.suffix not in _IGNORED_SUFFIXES)
    return sorted(found, key=lambda p: p.relative_to(folder).as_posix())


def write_manifest(
    double_folder: Path,
    inputs: Mapping[str, Path],
    parameters: Mapping[str, Any],
    consent: Path | None,
    actions: Sequence[Action] | None = None,
    digital_source_type: str | None = None,
    commit: str | None = None,
    created: datetime | None = None,
    versions: Mapping[str, str] | None = None,
    networks: Sequence[Mapping[str, str]] = (),
) -> Path:
    """Write double/manifest.json, last of all: it names every other file in the folder as an output.

    inputs: files or folders by the name that the manifest shall show ("capture", "source"); paths of this machine do
    not appear. `verify` looks for inputs under those names beside the double folder. parameters: anything that JSON
    holds. consent: the record; None only where nothing was swapped (a plain fit of an avatar). actions and
    digital_source_type follow from that and from the `networks` of the swap unless given. Raises InputError when an
    input or the record is unreadable.
    """
    double_folder = Path(double_folder)
    swap = consent is not None
    if actions is None:
        actions = default_actions(swap, engine_sentence(double_folder), networks)
    created = created or datetime.now(UTC)
    manifest: dict[str, Any] = {
        "format": FORMAT,
        "version": VERSION,
        "created": created.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
        "software": dict(versions or software_versions()),
        "commit": commit,
        "inputs": _input_digests(inputs),
        "outputs": {
            path.relative_to(double_folder).as_posix(): _output(path)
            for path in list_files(double_folder)
            if path != double_folder / MANIFEST
        },
        "parameters": dict(parameters),
        "consent": consent_summary(consent) if consent is not None else None,
        "actions": [attrs.asdict(a) for a in actions],
        "digital_source_type": digital_source_type or source_type(swap, networks),
    }
    if networks:
        manifest["networks"] = [dict(network) for network in networks]
    manifest["digest"] = _own_digest(manifest)
    write_json(double_folder / MANIFEST, manifest)
    return double_folder / MANIFEST


def renew_manifest(double_folder: Path, names: Sequence[str]) -> None:
    """Take these outputs into the manifest as they are now, because they were just made anew. All else stays as it was
    signed, so that a change of anything else is still found. Raises InputError for an unusable manifest."""
    double_folder = Path(double_folder)
    manifest = read_manifest(double_folder)
    there = [name for name in names if (double_folder / name).is_file()]
    manifest["outputs"] |= {name: _output(double_folder / name) for name in there}
    manifest["digest"] = _own_digest(manifest)
    write_json(double_folder / MANIFEST, manifest)


def _output(path: Path) -> dict[str, Any]:
    return {"sha256": sha256_file(path), "bytes": path.stat().st_size}


def read_manifest(double_folder: Path) -> dict[str, Any]:
    """The manifest, checked against its own digest. Raises InputError when it is missing or damaged."""
    path = Path(double_folder) / MANIFEST
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"{path} is missing.", "Nothing is known of how this double was made.") from None
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is damaged ({type(error).__name__}).", "Restore it from a copy.") from error
    if not isinstance(manifest, dict) or manifest.get("format") != FORMAT:
        raise InputError(f"{path} is not a {FORMAT} file.", "Restore it from a copy.")
    if manifest.get("version") != VERSION:
        raise InputError(f"{path} has version {manifest.get('version')}.", f"This program reads version {VERSION}.")
    if manifest.get("digest") != _own_digest(manifest):
        raise InputError(f"{path} was changed after it was written: its digest does not match.", "Restore a copy.")
    return manifest


def verify(double_folder: Path, inputs_folder: Path | None = None) -> list[Problem]:
    """All that is wrong with a double, by its manifest; an empty list means that everything is as it was written.

    Outputs are compared byte for byte, missing and additional files are named, the manifest's own digest is checked,
    and so are those inputs (the consent record among them) that lie beside the double folder or in `inputs_folder`.
    """
    double_folder = Path(double_folder)
    try:
        manifest = read_manifest(double_folder)
        outputs, inputs, consent = manifest["outputs"], manifest["inputs"], manifest["consent"]
        problems = _verify_outputs(double_folder, outputs)
        problems += _verify_inputs(inputs_folder or double_folder.resolve().parent, inputs)
        return problems + _verify_consent(manifest["actions"], inputs, consent, consent_of_fit(double_folder))
    except InputError as error:
        return [Problem(MANIFEST, "damaged" if (double_folder / MANIFEST).exists() else "missing", str(error))]
    except (KeyError, TypeError, AttributeError) as error:
        return [Problem(MANIFEST, "damaged", f"{MANIFEST} lacks a part that it should have ({error!r}).")]


def _input_digests(inputs: Mapping[str, Path]) -> dict[str, str]:
    found = {}
    for name, path in inputs.items():
        if Path(path).is_dir():
            for file in list_files(Path(path)):
                found[f"{name}/{file.relative_to(path).as_posix()}"] = sha256_file(file)
        else:
            found[name] = sha256_file(Path(path))
    return found


def _own_digest(manifest: Mapping[str, Any]) -> str:
    """SHA-256 of the manifest without its digest, as canonical JSON: sorted keys, no spaces, ASCII."""
    content = {k: v for k, v in manifest.items() if k != "digest"}
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _verify_outputs(folder: Path, outputs: Mapping[str, Mapping[str, Any]]) -> list[Problem]:
    problems = []
    for name, entry in outputs.items():
        path = folder / name
        if not path.is_file():
            problems.append(Problem(name, "missing", f"{name} is missing."))
        elif path.stat().st_size != entry["bytes"]:
            sizes = f"{path.stat().st_size} bytes instead of {entry['bytes']}"
            problems.append(Problem(name, "changed", f"{name} was changed: {sizes}."))
        elif sha256_file(path) != entry["sha256"]:
            problems.append(Problem(name, "changed", f"{name} was changed: its SHA-256 differs."))
    known = outputs.keys() | {MANIFEST}
    extra = [name for p in list_files(folder) if (name := p.relative_to(folder).as_posix()) not in known]
    return problems + [Problem(n, "extra", f"{n} was added after the manifest was written.") for n in extra]


def _verify_inputs(folder: Path, inputs: Mapping[str, str]) -> list[Problem]:
    """Inputs may have been moved away, which is no problem; those that are there must be the same."""
    return [
        Problem(name, "changed", f"The input {name} is not the one that this double was made from.")
        for name, digest in inputs.items()
        if (folder / name).is_file() and sha256_file(folder / name) != digest
    ]


def _verify_consent(
    actions: Sequence[Mapping[str, str]], inputs: Mapping[str, str], consent: Mapping[str, Any] | None,
    fitted: str | None,
) -> list[Problem]:  # fmt: skip
    """fitted: SHA-256 of the record that the fitted pictures were swapped under, as the fit has noted it."""
    edited = fitted is not None or any(action["action"] == SWAPPED.action for action in actions)
    if edited and not consent:
        return [Problem(MANIFEST, "consent", "A face was swapped, but the manifest names no consent record.")]
    if not consent:
        return []
    problems = []
    if fitted is not None and consent["sha256"] != fitted:
        problems.append(Problem(MANIFEST, "consent", "The face was swapped under another consent record."))
    if "swap" not in consent["operations"]:
        problems.append(Problem(MANIFEST, "consent", "The consent record does not allow a swap."))
    listed = [digest for name, digest in inputs.items() if name.rsplit("/", 1)[-1] == "consent.json"]
    if listed and consent["sha256"] not in listed:
        problems.append(Problem(MANIFEST, "consent", "The consent record is not the one among the inputs."))
    return problems
