"""The command line: one command, ``tallystick``, whose sub-commands are loaded when they are called.

Exit codes: 0 done, 1 an invariant does not hold, 2 wrong usage, 3 something cannot be had now, 130 interrupted.
What goes wrong is one sentence on standard error that says what to do next, never a traceback.
"""

import os
import platform
import sys
from importlib import import_module
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, NamedTuple

import click

from events.errors import Broken, Retry, TallystickError

if TYPE_CHECKING:
    from click.shell_completion import CompletionItem

OK, INVARIANT_FAILED, USAGE, UNAVAILABLE, INTERRUPTED = 0, 1, 2, 3, 130
COMPLETE_VARIABLE: Final = "_TALLYSTICK_COMPLETE"


class Lazy(NamedTuple):
    """A sub-command: where it lives and what the help says of it, so that help need not load it."""

    section: str
    name: str
    module: str
    attribute: str
    help: str


#: Sections and their commands, in the order in which help shows them.
COMMANDS: Final = (
    Lazy("Run", "demo", "demo", "demo", "From a day of card payments to a reconciled bank statement."),
    Lazy("Run", "simulate", "produce", "simulate", "Write a simulated day of requests to a file."),
    Lazy(
        "Run", "import", "produce", "import_", "Turn a CSV, JSON Lines, Parquet or Avro file into requests."
    ),
    Lazy("Look", "query", "query", "query", "Ask the projections in SQL."),
    Lazy("Look", "payment", "payment", "payment", "One payment: where it stands and how it came there."),
    Lazy("Look", "ledger", "ledger", "ledger", "Trial balance and what has not come back to zero."),
    Lazy("Look", "merchant", "merchant", "merchant", "A merchant's statement."),
    Lazy("Look", "disputes", "disputes", "disputes", "Who wants money back, and how it came out."),
    Lazy("Look", "clearing", "clearing", "clearing", "Files that left for the networks, made again."),
    Lazy("Look", "settlement", "settlement", "settlement", "What becomes available to merchants when."),
    Lazy(
        "Look",
        "reconciliation",
        "reconciliation",
        "reconciliation",
        "What networks and bank have not agreed with yet.",
    ),
    Lazy("Look", "export", "export", "export", "Every table and view as Parquet files, with a manifest."),
    Lazy("Look", "risk", "risk", "risk", "What fraud decisions see: the features of a history of yours."),
    Lazy(
        "Look", "review", "review", "review", "Payments that wait for a person: list, show, assign, decide."
    ),
    Lazy("Look", "blocks", "blocks", "blocks", "The hotlist: what is on it and why; add, release."),
    Lazy("Look", "limits", "limits", "limits", "Limits over all cards: check, compare, back-test, publish."),
    Lazy("Look", "rules", "rules", "rules", "Fraud rules: check, test, compare, back-test, publish."),
    Lazy("Look", "model", "model", "model", "Train, test and compare fraud models."),
    Lazy("Prove", "replay", "replay", "replay", "Decide everything again and compare byte for byte."),
    Lazy("Kafka", "kafka", "kafka", "kafka", "A broker on this machine: start, stop, status."),
    Lazy("Kafka", "topics", "topics", "topics", "The topics: list them, make them, check their settings."),
    Lazy("Kafka", "worker", "worker", "worker", "Decide what comes in, with the other workers of the house."),
    Lazy("Kafka", "publish", "publish", "publish", "An input file onto Kafka, every row once."),
    Lazy("Kafka", "adapter", "adapter", "adapter", "The line to the card networks, with a journal."),
    Lazy(
        "Kafka",
        "counterparties",
        "counterparties",
        "counterparties",
        "Clearing houses and the bank, simulated.",
    ),
    Lazy("Kafka", "registry", "registry", "registry", "The schema registry: serve, publish, check."),
    Lazy("Keep", "project", "project", "project", "How far the projections are; build them anew."),
    Lazy("Keep", "dead-letters", "dead_letters", "dead_letters", "What could not be taken, and why."),
    Lazy("Keep", "config", "config", "config", "The settings and where each is from."),
    Lazy("Keep", "completion", "config", "completion", "Print the completion script of a shell."),
)
_BY_NAME: Final = {lazy.name: lazy for lazy in COMMANDS}


class _Tallystick(click.Group):
    """A group that knows its commands by name and imports one when it is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [lazy.name for lazy in COMMANDS]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        lazy = _BY_NAME.get(cmd_name)
        if lazy is None:
            return None
        command = getattr(import_module(f"infra.commands.{lazy.module}"), lazy.attribute)
        assert isinstance(command, click.Command)
        return command

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            # Whoever read our output has seen enough. Click would end with 1, which here means something else, and
            # Python would complain when it flushes at exit.
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            return OK

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        sections = dict.fromkeys(lazy.section for lazy in COMMANDS)
        for section in sections:
            with formatter.section(section):
                formatter.write_dl([(lazy.name, lazy.help) for lazy in COMMANDS if lazy.section == section])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> "list[CompletionItem]":
        from click.shell_completion import CompletionItem

        found = [
            CompletionItem(lazy.name, help=lazy.help) for lazy in COMMANDS if lazy.name.startswith(incomplete)
        ]
        return found or click.Command.shell_complete(self, ctx, incomplete)


def _print_version(context: click.Context, _: click.Parameter, wanted: bool) -> None:
    if not wanted or context.resilient_parsing:
        return
    click.echo(f"tallystick {_version()} ({_built()}, Python {platform.python_version()})")
    context.exit(OK)


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # 20 ms to import, and rarely needed

    try:
        return version("tallystick")
    except PackageNotFoundError:
        return "from a source tree"


def _built() -> str:
    codec = find_spec("events._codec")
    origin = codec.origin if codec is not None else None
    return "interpreted" if origin is None or origin.endswith(".py") else "compiled"


@click.group(
    cls=_Tallystick,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with: tallystick demo",
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_print_version,
    help="Version and build.",
)
def tallystick() -> None:
    """Tallystick, an event-sourced card payment processor."""


def run(arguments: list[str] | None = None) -> int:
    """Run the command line; the exit code."""
    try:
        result = tallystick.main(
            arguments, prog_name="tallystick", complete_var=COMPLETE_VARIABLE, standalone_mode=False
        )
    except click.ClickException as error:
        error.show()
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        _complain("interrupted")
        return INTERRUPTED
    except TallystickError as error:
        _complain(str(error))
        return exit_code_of(error)
    return result if isinstance(result, int) else OK


def exit_code_of(error: TallystickError) -> int:
    """What a script learns of an error."""
    match error:
        case Broken():
            return INVARIANT_FAILED
        case Retry():
            return UNAVAILABLE
        case _:
            return USAGE


def _complain(sentence: str) -> None:
    click.echo(f"tallystick: {sentence}", err=True)
