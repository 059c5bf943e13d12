"""What the demonstration makes of fenced text: a guest's words, and what memory brought up. The
rest is none of its business, and nothing inside a fence is anything that it is asked to do."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from opencraw.model import Message, ToolMessage, UserMessage

_FENCE = re.compile(
    r'(?:^\[[^\n]*\]\n)?<from-outside origin="([^"\n]*)"[^>\n]*>\n(.*?)\n</from-outside[^>\n]*>',
    re.DOTALL | re.MULTILINE,
)
_MEMORY = re.compile(r"memory|tool memory_(?:search|summarize)")
_GUEST = ", a guest"
#: What somebody said goes on in lines that are set in.
_NEXT = re.compile(r"\n(?!\s)")
_BULLET = re.compile(r"- (?:[0-9a-f-]{36} \([^)\n]*\) )?")
#: A day, or what a person did not say.
_NOT_SAID = re.compile(r"\d{4}-\d\d-\d\d$|(?:assistant|tool [^:,\n]*)(?:, \d{4}-\d\d-\d\d)?: ")


def own_words(text: str) -> str:
    """`text` without what is fenced in it."""
    return _FENCE.sub("", text).strip()


def questions(messages: Iterable[Message]) -> Iterator[str]:
    """What is asked, in the words of whoever asks."""
    for message in messages:
        if not isinstance(message, UserMessage):
            continue
        words = own_words(message.text)
        if words or not _FENCE.search(message.text):
            yield words


def guests(messages: Iterable[Message]) -> Iterator[str]:
    """What guests said, who are answered and never obeyed."""
    for origin, text in _fenced(messages):
        if origin.endswith(_GUEST):
            yield text


def from_memory(messages: Iterable[Message]) -> list[str]:
    """What memory brought up that a person said or somebody noted, each once."""
    found: dict[str, None] = {}
    for origin, text in _fenced(messages):
        if not _MEMORY.fullmatch(origin):
            continue
        for line in _NEXT.split(text):
            told = " ".join(_BULLET.sub("", line, count=1).split())
            if told and not _NOT_SAID.match(told):
                found.setdefault(told)
    return list(found)


def _fenced(messages: Iterable[Message]) -> Iterator[tuple[str, str]]:
    """Each fence: where its content came from, and the content."""
    for message in messages:
        if isinstance(message, UserMessage | ToolMessage):
            yield from _FENCE.findall(message.text)
