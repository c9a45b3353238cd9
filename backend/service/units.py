# SPDX-License-Identifier: Apache-2.0
"""How the operating system starts the service and keeps it: a systemd unit, and what to do on Windows."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

SYSTEMD = """\
# Save as ~/.config/systemd/user/digidouble.service, then
#     systemctl --user daemon-reload
#     systemctl --user enable --now digidouble
#     loginctl enable-linger $USER        # so that it runs while nobody is logged in
# Logs: journalctl --user -u digidouble

[Unit]
Description=Digidouble backend service
After=network-online.target

[Service]
Type=exec
ExecStart={command}
WorkingDirectory={folder}
# It puts its jobs back into the queue and leaves; the next start goes on with them.
KillSignal=SIGTERM
KillMode=mixed
TimeoutStopSec=30
Restart=on-failure
RestartSec=5
NoNewPrivileges=true
UMask=0077

[Install]
WantedBy=default.target
"""

WINDOWS = """\
# On Windows: run this once in a PowerShell of the user that the service is to run as. It starts at log-on.
#     $action = New-ScheduledTaskAction -Execute '{python}' -Argument '{arguments}' -WorkingDirectory '{folder}'
#     $trigger = New-ScheduledTaskTrigger -AtLogOn
#     $set = New-ScheduledTaskSettingsSet -ExecutionTimeLimit 0 -RestartCount 3 `
#         -RestartInterval (New-TimeSpan -Minutes 1)
#     Register-ScheduledTask -TaskName Digidouble -Action $action -Trigger $trigger -Settings $set
# Stop it with `digidouble serve --state DIR --stop`, which lets it put its jobs back; ending the task kills it, which
# costs no job but what was computed since the last checkpoint.
"""


def systemd(python: str, arguments: Sequence[str], folder: Path) -> str:
    """The unit file. A % would be a specifier there."""
    command = " ".join(_quoted(word) for word in (python, "-m", "backend.cli", "serve", *arguments))
    return SYSTEMD.format(command=command, folder=str(folder).replace("%", "%%"))


def windows(python: str, arguments: Sequence[str], folder: Path) -> str:
    """Comment lines, which fit below the unit file."""
    words = " ".join(f'"{word}"' if " " in word else word for word in ("-m", "backend.cli", "serve", *arguments))
    return WINDOWS.format(python=python, arguments=words.replace("'", "''"), folder=folder)


def _quoted(word: str) -> str:
    """As systemd reads it: % and $ are doubled, quotes and backslashes escaped."""
    word = word.replace("%", "%%").replace("$", "$$")
    if not any(character in word for character in " \t\"'\\;"):
        return word
    escaped = word.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
