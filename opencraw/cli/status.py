"""`opencraw status`: what the running daemon is doing."""

from __future__ import annotations

import click

from opencraw.cli import FAILED, Options
from opencraw.cli.client import Daemon, ask, find
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
    is_ready = ready.status == 200
    if json_wanted:
        as_json({"url": daemon.url, "pid": daemon.pid, "ready": is_ready, "status": said})
    else:
        _tell(daemon, said, is_ready, ready.body)
    if not is_ready or status.status != 200:
        click.get_current_context().exit(FAILED)


def _tell(daemon: Daemon, said: dict[str, object], is_ready: bool, why: object) -> None:
    rest = dict(said)
    version = rest.pop("version", "")
    pid = rest.pop("pid", daemon.pid)
    uptime = rest.pop("uptime_seconds", None)
    since = f" for {duration(uptime)}" if isinstance(uptime, int | float) else ""
    state = "ready" if is_ready else f"not ready ({in_line(why)})"
    click.echo(f"OpenCraw {version} runs{since} as process {pid} at {daemon.url}: {state}")
    model, demo = rest.pop("model", None), rest.pop("demo", False)
    running, waiting = rest.pop("turns_running", None), rest.pop("waiting", None)
    rows: dict[str, object] = {}
    if model is not None:
        rows["model"] = f"{model} (a demonstration, no real model)" if demo else model
    if isinstance(running, int):
        rows["turns"] = f"{plural(running, 'turn')} running, {in_line(waiting)} waiting"
    rows |= {word(name): value for name, value in rest.items()}
    if not said:
        rows["status"] = "the daemon did not tell; its token may have changed: restart it"
    pairs(rows)
