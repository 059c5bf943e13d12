"""The first `config.toml`: short, and it answers at once, with or without a vendor's key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Choice:
    """A model, and why this one."""

    provider: str
    model: str
    reason: str


#: In order of preference: the variable that holds a vendor's key, and a general model of theirs.
VENDORS = {
    "ANTHROPIC_API_KEY": ("anthropic", "claude-sonnet-5-5"),
    "OPENAI_API_KEY": ("openai", "gpt-6.1-terra"),
}

_TEXT = """\
# OpenCraw's configuration. What is not here has its default; config.example.toml shows every key.
# Environment variables win over this file, and secrets belong there: see docs/configuration.md.

[llm]
active_profile = "main"

{comment}
[llm.profiles.main]
provider = "{provider}"
model = "{model}"

# What people tell it is remembered beyond a conversation, and long conversations are summed up.
[memory]
enabled = true

[context]
compaction_enabled = true
"""

_VENDOR = """\
# This model was chosen because {variable} was set when the file was written. For another
# one change the two lines below. The key stays in the environment."""

_DEMO = """\
# "demo" answers without a model, so that you can look around: no vendor's key was set when this
# file was written. For a real model set its key and change the two lines below, for example
#   ANTHROPIC_API_KEY   provider = "anthropic"   model = "{anthropic}"
#   OPENAI_API_KEY      provider = "openai"      model = "{openai}\""""


def choose(environ: Mapping[str, str]) -> Choice:
    """The model of the first vendor whose key is at hand, else the demonstration."""
    for variable, (provider, model) in VENDORS.items():
        if environ.get(variable):
            return Choice(provider, model, f"{variable} is set")
    return Choice("demo", "assistant", f"neither {' nor '.join(VENDORS)} is set")


def starter(environ: Mapping[str, str]) -> str:
    """The text of a first configuration file. Holds no secret."""
    choice = choose(environ)
    variables = {provider: variable for variable, (provider, _) in VENDORS.items()}
    if choice.provider in variables:
        comment = _VENDOR.format(variable=variables[choice.provider])
    else:
        comment = _DEMO.format_map(dict(VENDORS.values()))
    return _TEXT.format(comment=comment, provider=choice.provider, model=choice.model)
