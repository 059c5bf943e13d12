"""What a person says all day. Whatever a planted fact is about comes up again and again, without
the fact."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random

#: How often each thing that a fact is about comes up beside it.
MENTIONS = 8

_ABOUT = (
    "I had a long talk about {about} today, and we came to no end.",
    "There was some trouble with {about} again, nothing serious.",
    "Remind me to think about {about} when there is time.",
    "Somebody asked me about {about}, and I did not know what to say.",
    "You know how it is with {about}: always something.",
    "Funny story about {about}, I will tell you later.",
    "I dreamt of {about} last night, of all things.",
    "Can we talk about {about} some other day?",
    "Everybody had an opinion about {about} at dinner.",
    "I am glad that {about} is settled for the moment.",
)
_PEOPLE = (
    "a colleague", "the postman", "my aunt", "an old friend", "the teacher", "a stranger",
    "the people upstairs", "my cousin", "our guests", "the plumber", "a classmate", "my boss",
    "the librarian", "somebody from the club", "the children next door", "a man with a parrot",
    "the new intern", "my godmother", "the greengrocer", "a couple from Norway", "the coach",
    "my old flatmate", "the doorman", "a nurse", "the accountant", "two cyclists", "the tailor",
)  # fmt: skip
_DOINGS = (
    "told me about a trip to the mountains", "wants to borrow the ladder", "sent a postcard",
    "came by with a cake", "was late as always", "forgot an umbrella here", "is learning Danish",
    "complained about the noise", "found a kitten", "needs help with a form", "has a cold",
    "repaired the fence", "bought a telescope", "cancelled the picnic", "broke a window",
    "is looking for a cello", "won a raffle", "planted tomatoes", "lost a glove", "read us a poem",
    "asked for the way to the museum", "recommended a film", "was stuck in the lift", "sang loudly",
    "gave a talk about glaciers", "misplaced the tickets", "has a new haircut", "baked bread",
)  # fmt: skip
_FEELINGS = (
    "What do you make of that?", "I am not sure what to say.", "It made me laugh.",
    "Should I answer at once?", "That went well.", "I had hoped for something else.",
    "It can wait until Monday.", "Tell me something cheerful.", "How would you put that politely?",
    "I need a plan for the weekend.", "Never mind.", "The weather did not help.", "Oh well.",
)  # fmt: skip
_ABROAD = (
    "Heute war der Zug wieder zu spät, aber das Wetter ist schön.",
    "今天下班以后我跟同事去吃了火锅，非常好吃。",
    "今日は雨だったので、家で本を読んでいました。",
    "오늘은 친구랑 공원에서 산책했어요. 날씨가 좋았어요.",
    "Hier soir nous avons regardé un vieux film avec les voisins.",
)


def small_talk(random: Random, about: Sequence[str], count: int) -> Iterator[str]:
    """So many messages, which mention each of `about` some times."""
    mentions = [
        words.format(about=each) for each in about for words in random.sample(_ABOUT, MENTIONS)
    ]
    others = [_idle(random, number) for number in range(count - len(mentions))]
    messages = mentions + others
    random.shuffle(messages)
    yield from messages


def _idle(random: Random, number: int) -> str:
    if number % 17 == 0:
        return f"{random.choice(_ABROAD)} ({number})"
    who, what, then = (random.choice(words) for words in (_PEOPLE, _DOINGS, _FEELINGS))
    more = f" And {random.choice(_PEOPLE)} {random.choice(_DOINGS)}." if number % 3 == 0 else ""
    return f"So {who} {what} today.{more} {then}"
