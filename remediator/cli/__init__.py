"""The command line: one thin module per command group, each loaded only when it is asked for."""

from __future__ import annotations

import sys
from importlib import import_module

import click

from remediator import __version__

#: Command → the module that holds it, in the order of the help.
_COMMANDS = {
    "serve": "serve",
    "demo": "demo",
    "check": "check",
    "test": "testing",
    "simulate": "simulate",
    "history": "story",
    "show": "story",
    "explain": "explain",
    "approve": "approvals",
    "deny": "approvals",
    "run": "control",
    "pause": "control",
    "resume": "control",
    "clear": "control",
    "ack": "control",
    "reload": "control",
    "status": "control",
    "backup": "backup",
}


class _Lazy(click.Group):
    """Imports a command's module when the command is used, so that `check` needs no Kubernetes."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        del ctx
        return list(_COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        del ctx
        if cmd_name not in _COMMANDS:
            return None
        module = import_module(f"remediator.cli.{_COMMANDS[cmd_name]}")
        command: click.Command = getattr(module, cmd_name)
        return command


@click.group(cls=_Lazy, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100})
@click.version_option(__version__, prog_name="remediator")
def cli() -> None:
    """Turn Prometheus alerts into safe, proven repairs.

    `serve` runs the daemon; `demo` shows it at work on this machine alone; `check` reads rule files;
    `simulate` tells what they would have done.
    The rest speak to a running daemon at REMEDIATOR_URL.
    """


def main() -> None:
    """Run a command; exit 0 is fine, 1 says no, 2 is misuse."""
    sys.exit(cli.main(standalone_mode=True))
