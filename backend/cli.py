# SPDX-License-Identifier: Apache-2.0
"""The command `digidouble`: one subcommand a file in backend/commands/."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from interchange.errors import Cancelled, InputError
from interchange.service_errors import ServiceError

from .terminal import Terminal

COMMANDS = {
    "demo": "the whole job on two sample avatars",
    "run": "the whole job on your own avatar and photo",
    "avatar": "build a sample avatar as a .blend file",
    "portrait": "render a portrait of a sample avatar, to be used as a source",
    "source": "make a source folder out of a photo, its landmarks and a consent record",
    "capture": "render an avatar from all sides with all passes",
    "swap": "put the source's face on the captured avatar, in all views",
    "fit": "fit Gaussians to a capture",
    "evaluate": "measure a double against its views and the truth",
    "export": "write a double's splats to a file",
    "import": "put a double's splats into a .blend file",
    "report": "write report.html of a double",
    "verify": "check a double against its manifest",
    "serve": "run the backend service",
    "addon": "build the Blender extension",
    "doctor": "say what works on this machine",
}
_MODULES = {"import": "import_splats"}  # `import` is no module name


def make_parser() -> argparse.ArgumentParser:
    """The parser with a help line for each command; a command's own arguments come from its module."""
    listing = "\n".join(f"  {name:<10} {text}" for name, text in COMMANDS.items())
    parser = argparse.ArgumentParser(
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
    options = make_parser().parse_args(argv)
    name = options.command
    module = importlib.import_module(f"backend.commands.{_MODULES.get(name, name)}")
    parser = argparse.ArgumentParser(
        prog=f"digidouble {name}", description=module.__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    module.add_arguments(parser)
    try:
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


def describe_os_error(error: OSError) -> str:
    """A full disk or a forbidden folder in words; anything else as the system says it, with the path."""
    import errno

    place = f" ({error.filename})" if error.filename else ""
    words = {
        errno.ENOSPC: "The disk is full{}. Make room and run the same command again; it goes on from there.",
        errno.EDQUOT: "The disk quota is used up{}. Make room and run the same command again.",
        errno.EACCES: "This folder may not be written{}. Choose another with --out.",
        errno.EROFS: "This disk is read-only{}. Choose another folder with --out.",
    }
    template = words.get(error.errno or 0)
    return template.format(place) if template else f"{error.strerror or error}{place}."


if __name__ == "__main__":
    sys.exit(main())
