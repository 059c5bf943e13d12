"""How many tokens a text has for a model.

Bytes tell it roughly at once; what the vendor then reports says how far that is off for this model,
and the next estimate is better. For OpenAI's own models it can be known exactly, by a vocabulary
that takes memory: it is loaded when a count begins to matter, in a thread, and never downloaded.
"""

from __future__ import annotations

import logging
import re
import string
import threading
from collections.abc import Callable
from dataclasses import dataclass

from opencraw.context.vocabulary import Vocabulary, kind_of

log = logging.getLogger(__name__)

#: A reported count may say that an estimate is off by so much at most.
LEAST_FACTOR, MOST_FACTOR = 0.5, 3.0
#: How much the newest report changes what is believed.
_WEIGHT = 0.2
#: What is said about a shorter prompt is mostly about its wrapping.
LEAST_LEARNED = 200

#: Wire formats whose models may be OpenAI's own.
_OPENAI = frozenset({"openai", "openai-responses"})
#: Models newer than tiktoken's table count about as their elders do. It is an assumption, and
#: corrected by what is reported.
_NEWER = re.compile(r"(gpt-[4-9]|gpt-\d\d|o\d|chatgpt-)")
_ASSUMED = "o200k_base"


#: Bytes of one token: of Latin letters with the spaces between them, of digits and signs, and of
#: all other scripts. Measured on prose, code, JSON and logs in nine languages: a tenth off mostly.
_BYTES_OF_WORDS, _BYTES_OF_SIGNS, _BYTES_OF_OTHERS = 4.5, 1.8, 3.5
_WORDS = (string.ascii_letters + " ").encode()
_ONE_BYTE = bytes(range(128))


def rough(text: str) -> int:
    """About how many tokens `text` has, by its bytes: words take few, numbers and signs many."""
    data = text.encode("utf-8", "replace")
    signs_and_others = len(data.translate(None, _WORDS))
    others = len(data.translate(None, _ONE_BYTE))
    words = len(data) - signs_and_others
    return round(
        words / _BYTES_OF_WORDS
        + (signs_and_others - others) / _BYTES_OF_SIGNS
        + others / _BYTES_OF_OTHERS
    )


@dataclass(frozen=True, slots=True)
class Counter:
    """Counts the tokens of one model's texts, by what was known of it when it was asked for."""

    base: Callable[[str], int]
    #: What was learned of the model, which the base does not know.
    factor: float
    #: Whether its counts are what the vendor's own tokenizer says.
    exact: bool

    def __call__(self, text: str) -> int:
        """How many tokens `text` has, without what a request wraps around it. Never raises."""
        if self.factor == 1.0:
            return self.base(text)
        return round(self.base(text) * self.factor)


class Tokens:
    """Counters for models, by their labels, as in "openai/gpt-5"."""

    def __init__(self, load: Callable[[str], Vocabulary] = Vocabulary) -> None:
        self._load = load
        self._factors: dict[str, float] = {}
        #: Whose counts have begun to matter, and by what each can be counted; only threads add to
        #: the second, and what is there stays.
        self._wanted: set[str] = set()
        self._known: dict[str, tuple[Vocabulary, bool]] = {}
        self._loaded: dict[str, Vocabulary | None] = {}
        self._loading = threading.Lock()
        #: Why counts are estimates although they could be exact; None is well.
        self.problem: str | None = None

    def counter(self, label: str) -> Counter:
        """The best that is known now about a model. It does not change; ask again for a better."""
        factor = self._factors.get(label, 1.0)
        if label not in self._known:
            return Counter(rough, factor, exact=False)
        vocabulary, exact = self._known[label]
        return Counter(vocabulary.count, 1.0 if exact else factor, exact)

    def wanted(self, label: str) -> None:
        """Counts of this model begin to matter: load what makes them exact, in a thread. Returns at
        once; asked again, it does nothing."""
        vendor, _, model = label.partition("/")
        model = model.removeprefix("openai/")  # as brokers write it
        if label in self._wanted or vendor not in _OPENAI:
            return
        self._wanted.add(label)
        threading.Thread(
            target=self._prepare, args=(label, model), name="vocabulary", daemon=True
        ).start()

    def learn(self, label: str, counter: Counter, counted: int, reported: int) -> None:
        """The vendor reported `reported` tokens for what this counter took for `counted`. It may be
        an older one: what its reports say is the same. Exact counts learn nothing from it, and
        neither does a vocabulary from a count of bytes."""
        if min(counted, reported) < LEAST_LEARNED or counter.base != self.counter(label).base:
            return
        known = self._factors.get(label)
        seen = _bounded(counter.factor * reported / counted)
        self._factors[label] = seen if known is None else known + _WEIGHT * (seen - known)

    def _prepare(self, label: str, model: str) -> None:
        try:
            kind = kind_of(model)
            assumed = _ASSUMED if _NEWER.match(model) else None
            vocabulary = self._vocabulary(kind or assumed)
        except Exception as error:  # noqa: BLE001 - whatever it is, estimates go on to serve
            self.problem = f"tokens of {label} are estimated: {error}"
            log.warning(
                "%s; prompts are cut a little too early or too late. Installing OpenCraw again"
                " brings the file back",
                self.problem,
            )
            return
        if vocabulary is not None:
            self._known[label] = (vocabulary, kind is not None)
            # What was learned was about bytes, and no more of that is learned from here on.
            self._factors.pop(label, None)

    def _vocabulary(self, kind: str | None) -> Vocabulary | None:
        """Load a vocabulary once, whoever wants it. One that failed is not tried again."""
        if kind is None:
            return None
        with self._loading:
            if kind not in self._loaded:
                self._loaded[kind] = None
                self._loaded[kind] = self._load(kind)
            return self._loaded[kind]


def _bounded(factor: float) -> float:
    return min(max(factor, LEAST_FACTOR), MOST_FACTOR)
