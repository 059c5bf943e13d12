"""What the demonstration says. These words go to people, never to a model."""

from __future__ import annotations

INTRODUCTION = (
    "This is the OpenCraw demonstration: no language model is connected, and these answers are "
    "canned. Everything around them is real: queue, memory, tools and delivery."
)

CAN_TRY = """\
Things to try:

- `what time is it?` or `what is 12*7?` calls a tool
- `my name is Ada` and later `what is my name?`; `remember that …` and `what do you remember?` \
(in another conversation, too, when memory is on)
- `show markdown` shows a heading, a list, a table and code
- `tell me a long story` or `count to 500` takes its time: send another message meanwhile, \
stop it, reload the page, or kill the daemon
"""

MARKDOWN = """\
## A heading

Some **bold**, some *italic*, some `code`, and a [link](https://example.org).

1. first
2. second
   - with something inside

| word | meaning |
| --- | --- |
| lane | work that must not overlap |
| turn | one run of the assistant |

```python
def greet(name: str) -> str:
    return f"Hello, {name}!"
```

> And a quotation to end with.
"""

_STORY_BEGINS = (
    "A small claw of iron lay at the bottom of a harbour and carried what the tide brought."
)
_STORY_SCENES = (
    "In the morning came a bottle with a letter; it was put on the shelf before it was read.",
    "At noon the lamp went out in the middle of a sentence, and the sentence was finished later.",
    "Two boats arrived at once; each got its own quay, so that neither waited for the other.",
    "A gull asked the same question twice and was given the same answer, once.",
    "The wind turned over every paper on the pier, but what mattered was written in the ledger.",
    "Somebody knocked in the night and was asked, politely, who had sent them.",
    "A storm cut the line to the mainland, so letters were kept dry until it was mended.",
    "In the evening the harbour counted what had come and what had gone, and the numbers agreed.",
)
STORY_PARTS = 40


def story() -> str:
    """Long enough to be interrupted; its numbered parts show where it went on."""
    parts = [
        f"Part {number} of {STORY_PARTS}. {_STORY_SCENES[(number - 1) % len(_STORY_SCENES)]}"
        for number in range(1, STORY_PARTS + 1)
    ]
    return "\n\n".join([_STORY_BEGINS, *parts, "And that is the end of it."])
