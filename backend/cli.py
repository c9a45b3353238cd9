# SPDX-License-Identifier: Apache-2.0
"""The command `digidouble`: one subcommand a file in backend/commands/."""

from __future__ import annotations

import argparse
import importlib
import signal
import sys
import tempfile
import threading
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from interchange.errors import Cancelled, InputError, describe_os_error
from interchange.service_errors import ServiceError

from .terminal import Terminal

COMMANDS = {
    "demo": "the whole job on two sample avatars",
    "run": "the whole job on your own avatar and photo",
    "avatar": "build a sample avatar as a .blend file",
    "portrait": "render a portrait of a sample avatar, to be used as a source",
    "landmarks": "find the facial points of photos with a network of your own",
    "source": "make a source folder out of photos, their landmarks and a consent record",
    "capture": "render an avatar from all sides with all passes",
    "swap": "put the source's face on the captured avatar, in all views",
    "fit": "fit Gaussians to a capture, or to photos with known cameras",
    "render": "render a splat file: stills or a turntable",
    "evaluate": "measure a double against its views and the truth",
    "export": "write a double's splats to a file",
    "import": "put a double's splats into a .blend file",
    "report": "write report.html of a double",
    "verify": "check a double against its manifest",
    "models": "list your own networks",
    "serve": "run the backend service",
    "jobs": "list your jobs on a service, and how it is",
    "watch": "follow a job until it ends",
    "cancel": "stop a job",
    "logs": "say what happened to a job",
    "prioritise": "let a waiting job come before your others",
    "delete": "delete a job and its files on the service",
    "stats": "say how a service is",
    "gc": "make room on a service's disk",
    "pair": "let another computer use the service",
    "devices": "list, rename or revoke the computers that may use the service",
    "addon": "build the Blender extension",
    "doctor": "say what works on this machine",
}
_MODULES = {"import": "import_splats"}  # `import` is no module name


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """One sentence and exit code 2, without the usage text."""
        self.exit(2, f"{self.prog}: {message}. See {self.prog} --help\n")


def make_parser() -> argparse.ArgumentParser:
    """The parser with a help line for each command; a command's own arguments come from its module."""
    listing = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    parser = _Parser(
        prog="digidouble",
        description="Digital doubles out of 3D Gaussians, from a rigged avatar and a consenting performer's photo.",
        epilog=f"commands:\n{listing}\n\n`digidouble COMMAND --help` explains one.",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        add_help=True,
    )
    parser.add_argument("command", choices=COMMANDS, metavar="COMMAND")
    parser.add_argument("arguments", nargs=argparse.REMAINDER, help=argparse.SUPPRESS)
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command. Exit codes: 0 done, 1 a check or the service failed, 2 unusable input, 130 stopped."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words:
        make_parser().print_help(sys.stderr)
        return 2
    options = make_parser().parse_args(words)
    name = options.command
    _let_termination_clean_up()
    _print_what_can_be_printed()
    try:
        module = importlib.import_module(f"backend.commands.{_MODULES.get(name, name)}")
        parser = _Parser(
            prog=f"digidouble {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
        )
        module.add_arguments(parser)
        return int(module.run(parser.parse_args(options.arguments), Terminal()))
    except InputError as error:
        print(f"\ndigidouble {name}: {error}", file=sys.stderr)
        return 2
    except ServiceError as error:
        print(f"\ndigidouble {name}: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        print(f"\ndigidouble {name}: {describe_os_error(error)}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, Cancelled):
        print("\nStopped. What was finished stays; the same command goes on from there.", file=sys.stderr)
        return 130
    except MemoryError:
        print(f"\ndigidouble {name}: Memory ran out. Ask for fewer splats or smaller pictures.", file=sys.stderr)
        return 2
    except Exception as error:
        print(f"\ndigidouble {name}: {_report_bug(error)}", file=sys.stderr)
        return 1


def _let_termination_clean_up() -> None:
    """A plain `kill` ends the job as Ctrl-C does, so that no child process and no service is left behind."""

    def interrupt(*_: Any) -> NoReturn:
        raise KeyboardInterrupt

    if threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, interrupt)


def _print_what_can_be_printed() -> None:
    """A name with letters that the terminal or a redirected file has no code for (Windows) is printed with escapes:
    it must not end a command whose work is done."""
    reconfigure = getattr(sys.stdout, "reconfigure", None)  # what takes its place in tests may have none
    if reconfigure is not None:
        reconfigure(errors="backslashreplace")


def _report_bug(error: Exception) -> str:
    """Keep the traceback in a file for a bug report; a sentence that says where."""
    reason = next(iter(str(error).splitlines()), "")
    what = f"{type(error).__name__}: {reason}" if reason else type(error).__name__
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="digidouble-error-", suffix=".log", delete=False, encoding="utf-8"
        ) as file:
            traceback.print_exception(error, file=file)
        where = f"Please report it with {Path(file.name)}."
    except OSError:
        where = "Please report it."
    return f"The program failed ({what}), which is its own fault. {where}"


if __name__ == "__main__":
    sys.exit(main())
