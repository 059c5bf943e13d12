"""`opencraw doctor`: looks for what is wrong and says how to mend it."""

from __future__ import annotations

import os

import click

from opencraw.cli import FAILED, Options
from opencraw.cli.client import data_dir
from opencraw.cli.doctor import channels, files, services
from opencraw.cli.doctor.finding import Finding, State
from opencraw.cli.output import as_json, plural
from opencraw.config import Configuration, load
from opencraw.errors import CannotStart, ConfigInvalid

COLOURS = {State.OK: "green", State.WARNING: "yellow", State.PROBLEM: "red"}


@click.command("doctor", epilog="Example: opencraw doctor --fix")
@click.option("--fix", is_flag=True, help="Close files and folders that others can read.")
@click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
@click.pass_obj
def command(options: Options, fix: bool, json_wanted: bool) -> None:
    """Look for what is wrong and say how to mend it.

    Ends with 1 when there is a problem; a warning is none. Changes nothing without --fix.
    """
    findings = examine(options, fix=fix)
    problems = sum(finding.state is State.PROBLEM for finding in findings)
    if json_wanted:
        as_json({"ok": not problems, "findings": [finding.as_dict() for finding in findings]})
    else:
        _show(findings)
    if problems:
        click.get_current_context().exit(FAILED)


def examine(options: Options, *, fix: bool) -> list[Finding]:
    """Everything there is to look at, in the order in which a start would need it."""
    configuration, findings = _configuration(options)
    folder = data_dir(options.config, os.environ)
    findings = [files.python(), *findings]
    findings += files.config_file(options.config, fix=fix)
    findings += files.data_folder(folder, fix=fix)
    findings += services.daemon(options.config)
    if configuration is not None:
        findings += channels.enabled(configuration)
        findings += services.model(configuration)
        findings += services.database(configuration.database, folder)
        findings += services.port(configuration, options.config)
    return findings


def _configuration(options: Options) -> tuple[Configuration | None, list[Finding]]:
    name = "configuration"
    if not options.config.exists():
        detail = f"there is no {options.config} yet"
        return None, [Finding(name, State.WARNING, detail, "opencraw init, or opencraw serve")]
    try:
        loaded = load(options.config, os.environ)
    except ConfigInvalid as refused:
        return None, [
            Finding(name, State.PROBLEM, f"{each.where}: {each.key} {each.problem}", each.fix)
            for each in refused.problems
        ]
    except CannotStart as error:
        return None, [Finding("channels", State.PROBLEM, str(error), "repair the package")]
    good = Finding(name, State.OK, f"{options.config} is understood")
    old = [Finding(name, State.WARNING, text, "follow it") for text in loaded.warnings]
    return loaded.configuration, [good, *old]


def _show(findings: list[Finding]) -> None:
    # No table: what is to be copied from a next step is broken by nobody but the terminal.
    width = max(map(len, State)) + 2
    for each in findings:
        click.secho(f"{each.state:<{width}}", fg=COLOURS[each.state], nl=False)
        click.echo(f"{each.check}: {each.detail}")
        if each.fix:
            click.echo(f"{'':<{width}}→ {each.fix}")
    problems = sum(each.state is State.PROBLEM for each in findings)
    warnings = sum(each.state is State.WARNING for each in findings)
    click.echo()
    if problems or warnings:
        click.echo(f"{plural(problems, 'problem')}, {plural(warnings, 'warning')}.")
    else:
        click.echo("All is well.")
