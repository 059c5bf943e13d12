"""`opencraw status`: what the running daemon is doing."""

from __future__ import annotations

from collections.abc import Mapping

import click

from opencraw.cli import FAILED, Options
from opencraw.cli.client import Answer, Daemon, ask, find
from opencraw.cli.output import as_json, duration, in_line, pairs, plural, word

STATUS = "/api/v1/os/status"


@click.command("status", epilog="Example: opencraw status --json")
@click.option("--json", "json_wanted", is_flag=True, help="Print what programs read.")
@click.option("--link", is_flag=True, help="Print the page's link with its token, nothing else.")
@click.pass_obj
def command(options: Options, json_wanted: bool, link: bool) -> None:
    """Show what the running daemon is doing.

    Ends with 0 when it is ready, with 1 when it runs and is not, with 69 when none runs.
    """
    daemon = find(options.config)
    ask(daemon, "GET", "/health")  # so that a link is only given to a page that is there
    if link:
        click.echo(daemon.link)
        return
    ready = ask(daemon, "GET", "/ready")
    status = ask(daemon, "GET", STATUS)
    said = status.body if status.status == 200 and isinstance(status.body, dict) else {}
    is_ready, remarks = ready.status == 200, remarks_of(ready)
    if json_wanted:
        shown = {"url": daemon.url, "pid": daemon.pid, "ready": is_ready, "remarks": remarks}
        as_json({**shown, "status": said})
    else:
        degraded = "ready, degraded" if remarks else "ready"
        state = degraded if is_ready else f"not ready ({in_line(ready.body)})"
        _tell(daemon, said, state, remarks)
    if not is_ready or status.status != 200:
        click.get_current_context().exit(FAILED)


def remarks_of(ready: Answer) -> dict[str, str]:
    """What a daemon that is ready says is not well, by its name."""
    body = ready.body if ready.status == 200 and isinstance(ready.body, dict) else {}
    return dict(body.get("remarks") or {})


def _tell(daemon: Daemon, said: dict[str, object], state: str, remarks: Mapping[str, str]) -> None:
    rest = dict(said)
    version = rest.pop("version", "")
    pid = rest.pop("pid", daemon.pid)
    uptime = rest.pop("uptime_seconds", None)
    since = f" for {duration(uptime)}" if isinstance(uptime, int | float) else ""
    click.echo(f"OpenCraw {version} runs{since} as process {pid} at {daemon.url}: {state}")
    model, demo = rest.pop("model", None), rest.pop("demo", False)
    running, waiting = rest.pop("turns_running", None), rest.pop("waiting", None)
    rows: dict[str, object] = {}
    if model is not None:
        rows["model"] = f"{model} (a demonstration, no real model)" if demo else model
    if isinstance(running, int):
        rows["turns"] = f"{plural(running, 'turn')} running, {in_line(waiting)} waiting"
    # What troubles them has lines of its own.
    if isinstance(channels := rest.get("channels"), list):
        rest["channels"] = [{**each, "detail": ""} for each in channels]
    rows |= {word(name): value for name, value in rest.items()}
    rows |= remarks
    if not said:
        rows["status"] = "the daemon did not tell; its token may have changed: restart it"
    pairs(rows)
