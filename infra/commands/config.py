"""``tallystick config`` and ``tallystick completion``: what is set, and what a shell needs."""

import click
from click.shell_completion import get_completion_class

from infra.commandline import COMPLETE_VARIABLE
from infra.options import json_option, settings_of
from infra.output import console, table, to_json
from infra.settings import SETTINGS, masked


@click.group()
def config() -> None:
    """The settings and where each is from."""


@config.command()
@json_option
@click.pass_context
def show(context: click.Context, as_json: bool) -> None:
    """Every setting: a flag beats TALLYSTICK_* in the environment, that tallystick.toml, that the default."""
    settings = settings_of(context)
    values = {name: settings.value(name) for name in SETTINGS}
    if as_json:
        shown = {
            name: {"value": masked(value.text), "origin": value.origin} for name, value in values.items()
        }
        click.echo(to_json(shown))
        return
    rows = [(name, masked(value.text), value.origin, SETTINGS[name].help) for name, value in values.items()]
    console().print(table("", ("setting", "value", "from", "what it is"), rows))


@click.command()
@click.argument("shell", type=click.Choice(("bash", "zsh", "fish")))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the completion script of a shell.

    \b
    bash:  tallystick completion bash > ~/.local/share/bash-completion/completions/tallystick
    zsh:   tallystick completion zsh > ~/.zfunc/_tallystick
    fish:  tallystick completion fish > ~/.config/fish/completions/tallystick.fish
    """
    kind = get_completion_class(shell)
    assert kind is not None, "click knows the three shells"
    command = context.find_root().command
    click.echo(kind(command, {}, "tallystick", COMPLETE_VARIABLE).source())
