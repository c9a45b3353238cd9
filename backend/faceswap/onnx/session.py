# SPDX-License-Identifier: Apache-2.0
"""Running a network with onnxruntime, on no other execution provider than the user has listed.

onnxruntime goes on quietly on the CPU when a provider cannot be had, or takes no part of the network. Here the list is
the permission: every node must be computed by a provider that is on it, and the first one that gets any is reported.
"""

from __future__ import annotations

import contextlib
import importlib
import threading
import warnings
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs
import numpy as np
import numpy.typing as npt

from interchange.errors import InputError

from .models import ModelFile
from .settings import CPU

Floats = npt.NDArray[Any]
NO_RUNTIME = "A network of your own needs the package onnxruntime, which is not installed."
INSTALL = "Run python3 install.py onnx."
_SILENT = 4  # onnxruntime's log level: what is wrong comes as an exception
_DTYPES = {"tensor(float)": np.float32, "tensor(float16)": np.float16}


def find_runtime() -> Any:
    """The module onnxruntime; InputError when it is not installed."""
    try:
        return importlib.import_module("onnxruntime")
    except ImportError:
        raise InputError(NO_RUNTIME, INSTALL) from None


@attrs.define(eq=False)
class Network:
    """An opened network. provider: the execution provider that computes it; nodes: how many of its nodes each provider
    has, {} where onnxruntime is too old to tell; passed_over: sentences on providers that came first and did not work.
    """

    file: ModelFile
    provider: str
    nodes: dict[str, int]
    passed_over: tuple[str, ...]
    session: Any
    dtypes: dict[str, Any]
    outputs: tuple[str, ...]
    _lock: contextlib.AbstractContextManager[Any] = attrs.field(factory=contextlib.nullcontext)

    def run(self, inputs: Mapping[str, Floats]) -> dict[str, npt.NDArray[np.float32]]:
        """Outputs by name, float32. Inputs are given the network's own number type. InputError when it fails or gives
        NaN or infinite numbers."""
        given = {name: np.ascontiguousarray(value, self.dtypes[name]) for name, value in inputs.items()}
        try:
            with self._lock:
                values = self.session.run(None, given)
        except Exception as error:  # onnxruntime's errors have no common class but Exception
            raise InputError(
                f"The model {self.file.name} failed ({short(error)}).", "Check the file, or take another provider."
            ) from error
        found = {name: np.asarray(v, np.float32) for name, v in zip(self.outputs, values, strict=True)}
        if not all(np.isfinite(value).all() for value in found.values()):
            raise InputError(
                f"The model {self.file.name} gives NaN or infinite numbers.", "A float16 file may do that."
            )
        return found

    def close(self) -> None:
        """Give its memory back."""
        self.session = None


def open_network(file: ModelFile, providers: Sequence[str], runtime: Any, threads: int = 1) -> Network:
    """Open a network on the first of `providers` that computes it.

    Raises InputError when none does, when part of it would run on a provider that is not listed, or when onnxruntime
    cannot read the file. `runtime`: the module onnxruntime. threads: of the CPU that one run takes; views run side by
    side instead; 0: as many as there are.
    """
    passed_over: list[str] = []
    available = runtime.get_available_providers()
    for index, provider in enumerate(providers):
        if provider not in available:
            passed_over.append(f"{provider} is not in this onnxruntime, which has {', '.join(available)}.")
            continue
        session = _session(file, provider, runtime, threads)
        nodes = _nodes(session)
        problem = _fallback(file, provider, nodes, providers[index:], session.get_providers())
        if problem is None:
            return _network(file, provider, nodes, tuple(passed_over), session)
        passed_over.append(problem)
    hint = "Install what the provider needs" + ("." if CPU in providers else f", or add {CPU} to the list to allow it.")
    raise InputError(f"The model {file.name} cannot run as asked: {' '.join(passed_over)}", hint)


def _session(file: ModelFile, provider: str, runtime: Any, threads: int) -> Any:
    options = runtime.SessionOptions()
    options.log_severity_level = _SILENT
    options.intra_op_num_threads, options.inter_op_num_threads = threads, 1
    options.add_session_config_entry("session.record_ep_graph_assignment_info", "1")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of fallbacks, which are looked for below
            return runtime.InferenceSession(str(file.path), options, providers=[provider])
    except Exception as error:
        raise InputError(
            f"onnxruntime cannot read the model {file.path} ({short(error)}).", "Copy it again; check its digest."
        ) from error


def _nodes(session: Any) -> dict[str, int]:
    ask = getattr(session, "get_provider_graph_assignment_info", None)
    if ask is None:  # onnxruntime before 1.24
        return {}
    counts: Counter[str] = Counter()
    for part in ask():
        counts[part.ep_name] += len(part.get_nodes())
    return dict(counts)


def _fallback(
    file: ModelFile, provider: str, nodes: dict[str, int], allowed: Sequence[str], registered: Sequence[str]
) -> str | None:
    """One sentence if the network does not run on `provider`, or partly on one that is not `allowed`."""
    if provider not in registered:
        return f"{provider} could not be started, onnxruntime fell back to {', '.join(registered)}."
    if not nodes:
        return None
    if not nodes.get(provider):
        return f"{provider} takes no part of {file.name}, onnxruntime gave it to {', '.join(nodes)}."
    strangers = {name: count for name, count in nodes.items() if name not in allowed}
    if not strangers:
        return None
    name, count = next(iter(strangers.items()))
    return f"{count} of {sum(nodes.values())} nodes of {file.name} would run on {name}, which is not listed."


def _network(
    file: ModelFile, provider: str, nodes: dict[str, int], passed_over: tuple[str, ...], session: Any
) -> Network:
    dtypes = {item.name: _DTYPES.get(item.type) for item in session.get_inputs()}
    for name, dtype in dtypes.items():
        if dtype is None:
            raise InputError(f"The model {file.name} takes {name} as no kind of float.", "Choose another file.")
    outputs = tuple(item.name for item in session.get_outputs())
    # The CPU runs calls side by side; of other providers some do not (DirectML), and one GPU gains nothing by it.
    lock: Any = contextlib.nullcontext() if provider == CPU else threading.Lock()
    return Network(file, provider, nodes, passed_over, session, dtypes, outputs, lock)


def short(error: Exception) -> str:
    """An error's text in one line."""
    return " ".join(str(error).split())[:160]
