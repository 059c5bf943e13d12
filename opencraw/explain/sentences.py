"""From a story to words: why a message was, or was not, answered.

The rules of a lane change while its messages stay, so that those in force are a cause only of what
waits now. What is over is told without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import assert_never

from opencraw.errors import FailureKind
from opencraw.explain.history import Moment, history, tried
from opencraw.explain.story import (
    DeliveryFacts,
    DeliveryState,
    Hands,
    Outcome,
    State,
    Story,
    TurnFacts,
    TurnState,
    Work,
)
from opencraw.explain.words import plural, short, span, times
from opencraw.queue.failures import Failure, Fault
from opencraw.queue.modes import MOST_WINDOWS, PASTE_SECONDS

#: After its window a message is taken up within one look at the database.
_SOON = 2.0
_SAY_AGAIN = "Say it again."
_GAVE_UP = "not answered by itself: it gave up its place because its conversation was full"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What became of a message, in a few words, in a sentence, and in its history; and what can be
    done about it, where something can."""

    brief: str
    headline: str
    next_step: str | None
    history: tuple[Moment, ...]


@dataclass(frozen=True, slots=True)
class _Fate:
    """What became of a message, or of the turn that has it: `words` follow "it was" or stand
    alone."""

    brief: str
    words: str
    next_step: str | None = None


def explain(story: Story) -> Explanation:
    """Say why the message of this story was, or was not, answered."""
    fate = _fate(story)
    headline = f"{fate.words[0].upper()}{fate.words[1:]}."
    return Explanation(fate.brief, headline, fate.next_step, tuple(history(story)))


def _fate(story: Story) -> _Fate:
    match story.message.state:
        case State.WAITING:
            return _waiting(story)
        case State.OVERFLOWED:
            return _Fate(
                "gave up its place",
                f"{_GAVE_UP}. The next turn of its conversation reads a summary of it",
                "`/stop` in its conversation takes back all that wait there.",
            )
        case State.TAKEN | State.DONE:
            return _decided(story)
        case _:
            assert_never(story.message.state)


def _decided(story: Story) -> _Fate:
    match story.message.outcome:
        case None | Outcome.ANSWERED | Outcome.INTERRUPTED | Outcome.FAILED:
            return _end(story)
        case Outcome.INJECTED:
            return _led(
                story, "heard by a running turn", "heard by a turn that ran already (mode steer): "
            )
        case Outcome.SUPERSEDED:
            by = f"message {short(story.superseded_by)}" if story.superseded_by else "a newer one"
            return _led(story, "superseded", f"not answered: superseded by {by}, which was ")
        case Outcome.SUMMARIZED:
            reader = short(story.turn.id) if story.turn else "that is gone"
            return _led(story, "summarized", f"{_GAVE_UP}; its summary was read by turn {reader}: ")
        case Outcome.WITHDRAWN:
            return _Fate("taken back", "not answered: taken back")
        case Outcome.COMMAND:
            return _command(story)
        case Outcome.DROPPED:
            return _dropped(story)
        case Outcome.MUTED:
            return _muted(story)
        case _:
            assert_never(story.message.outcome)


def _dropped(story: Story) -> _Fate:
    again = "Say again what still matters."
    if story.rules.drop != "summarize":
        again += " `/queue drop:summarize` keeps a summary instead."
    return _Fate("dropped", "not answered: dropped, because its conversation was full", again)


def _muted(story: Story) -> _Fate:
    return _Fate(
        "muted",
        "not answered: the assistant was not allowed to speak here (send policy)",
        "`/send on` in its conversation allows it there."
        if story.sends is False
        else "`/send` in its conversation and `queue.send_policy` in the configuration decide "
        "that.",
    )


# While it waits.


def _waiting(story: Story) -> _Fate:
    are = "is" if story.ahead == 1 else "are"
    ahead = f"{plural(story.ahead, 'message')} {are} ahead of it" if story.ahead else ""
    turn = story.turn
    if turn is None or turn.work is None:
        return _without_turn(story, ahead)
    doing = f"turn {short(turn.id)} {_is_at(story, turn, turn.work)}"
    words = f"waits: {ahead}, and {doing}" if ahead else f"waits: {doing}"
    if turn.work.hands is not Hands.WORKING:
        return _Fate("waits", words, "Nothing has to be done: the turn goes on, then it is next.")
    if turn.stop_requested:
        return _Fate("waits", words, "Nothing has to be done: that turn was asked to end.")
    heard = (
        "The turn hears it before its next tool call or its next question to the model. "
        if story.rules.mode == "steer" and turn.may_hear
        else ""
    )
    stop = "`/stop` in its conversation ends the turn and takes back what waits."
    return _Fate("waits", words, heard + stop)


def _without_turn(story: Story, ahead: str) -> _Fate:
    age = (story.now - story.message.accepted_at).total_seconds()
    window = story.rules.window
    longest = window * MOST_WINDOWS if story.rules.debounce_window == "sliding" else window
    if age < max(longest, PASTE_SECONDS) + _SOON:
        burst = (
            f". More of the burst may come within {story.rules.debounce_ms} ms" if window else ""
        )
        return _Fate("waits", f"waits: its turn is about to begin{burst}")
    before = f"{ahead}, and no" if ahead else "no"
    elsewhere = (
        f"{plural(story.turns_running, 'turn')} of other conversations run here"
        if story.turns_running
        else "no turn runs here at all"
    )
    return _Fate(
        "waits",
        f"waits: {before} turn of its conversation has begun since it came {span(age)} ago; "
        f"{elsewhere}",
        "When all places (queue.max_concurrency, queue.background_concurrency) are taken it is "
        "answered when one is free. Otherwise ask `opencraw doctor`.",
    )


# When a turn has it.


def _led(story: Story, brief: str, lead: str) -> _Fate:
    """The fate of a message that its turn does not answer by itself."""
    end = _end(story)
    # Whoever looks at a list has to see that nobody got an answer at all.
    more = end.brief.removeprefix("answered").removeprefix(", ")
    brief = f"{brief}, {more}" if more else brief
    return _Fate(brief, f"{lead}{end.words}", end.next_step)


def _end(story: Story) -> _Fate:
    """How the turn of a message ended, or where it is."""
    turn = story.turn
    assert turn is not None, "only a turn takes a message up"
    match turn.state:
        case TurnState.RUNNING:
            assert turn.work is not None, "a turn that runs is at something"
            return _in_work(story, turn, turn.work)
        case TurnState.DONE:
            return _done(story, turn)
        case TurnState.INTERRUPTED:
            return _interrupted(story, turn)
        case TurnState.FAILED:
            assert turn.failure is not None, "a turn fails for a reason"
            return _failed(turn, turn.failure)
        case _:
            assert_never(turn.state)


def _in_work(story: Story, turn: TurnFacts, work: Work) -> _Fate:
    goes_on = f"turn {short(turn.id)} {_is_at(story, turn, work)}"
    if work.hands is not Hands.WORKING:
        return _Fate("being taken over", f"not answered yet: {goes_on}")
    words = f"being answered: {goes_on}"
    if turn.deaths:
        words += f"; {times(turn.deaths)} before, its process died or gave it up"
    return _Fate("being answered", words)


def _is_at(story: Story, turn: TurnFacts, work: Work) -> str:
    """What a running turn is doing, as `turn 1b2c3d4e …` goes on."""
    heir = "this daemon" if story.nodes <= 1 else f"one of {story.nodes} daemons"
    owner = f" ({turn.owner})" if turn.owner else ""
    match work.hands:
        case Hands.WORKING:
            return f"has been {work.what} for {span(work.seconds)}"
        case Hands.HANDED_OVER:
            return f"was handed over by a daemon that stopped{owner}; {heir} takes it over"
        case Hands.DEAD:
            return f"lost its node, which died{owner}; it is taken over by {heir}"
        case Hands.GIVEN_UP:
            return "was given up on an error; this daemon takes it up again"
        case _:
            assert_never(work.hands)


def _done(story: Story, turn: TurnFacts) -> _Fate:
    by = f"by turn {short(turn.id)}"
    answer = story.answer
    if answer is None:
        return _Fate("no words", f"taken up {by}, which ended without a word", _SAY_AGAIN)
    if answer.kind == "notice":
        said = f"taken up {by}, to which the model answered with nothing; a notice says so"
        return _delivered(story, answer, _Fate("no answer", said, _SAY_AGAIN), "notice")
    ended = turn.ended_at or story.now
    took = span((ended - story.message.accepted_at).total_seconds())
    return _delivered(story, answer, _Fate("answered", f"answered {by} in {took}"), "answer")


def _interrupted(story: Story, turn: TurnFacts) -> _Fate:
    words = (
        f"cut short: turn {short(turn.id)} was ended by `/stop`, by `/new`, or by a newer message "
        "(mode interrupt)"
    )
    if story.answer is None:
        return _Fate("interrupted", f"{words} before it had said anything")
    kept = _Fate("interrupted", f"{words}; what it had said is kept")
    return _delivered(story, story.answer, kept, "beginning of an answer")


def _failed(turn: TurnFacts, failure: Failure) -> _Fate:
    match failure.kind:
        case Fault.STUCK:
            became = f"was stuck {failure.detail}, and was ended"
        case Fault.DEATHS:
            became = (
                f"was given up, because its process broke off {times(turn.deaths)} while it worked "
                "on it"
            )
        case _:
            became = f"failed ({failure.text})"
    return _Fate(
        "failed",
        f"not answered: turn {short(turn.id)} {became}",
        f"{_remedy(failure.kind, turn)} {_SAY_AGAIN}",
    )


def _remedy(kind: FailureKind | Fault, turn: TurnFacts) -> str:
    """What helps against this kind of failure."""
    match kind:
        case FailureKind.BILLING:
            return f"The account behind {turn.model} needs credit, or another one is needed."
        case FailureKind.AUTH:
            return f"The key for {turn.model} is refused: put a good one into the configuration."
        case FailureKind.RATE_LIMITED | FailureKind.OVERLOADED:
            return f"{turn.model} was too busy; `/model` chooses another one."
        case FailureKind.TIMEOUT | FailureKind.UNREACHABLE:
            return f"{turn.model} could not be reached; `opencraw doctor` looks for the cause."
        case FailureKind.CONTEXT_OVERFLOW:
            return "The conversation is too long for the model: `/new` begins another one."
        case FailureKind.SPEND_CAP:
            return (
                "What is left of the day might not have been enough: a smaller max_output_tokens "
                "of the profile asks for less, and limits.spend_per_day can be raised."
            )
        case FailureKind.FORMAT:
            return f"{turn.model} and OpenCraw misunderstood each other; `/model` chooses another."
        case Fault.STUCK | Fault.DEATHS | Fault.INTERNAL:
            return f"The daemon's log has more under {turn.id}."
        case _:
            assert_never(kind)


# When something was said.


def _delivered(story: Story, delivery: DeliveryFacts, end: _Fate, noun: str) -> _Fate:
    """`end`, unless what the turn said has not arrived."""
    match delivery.state:
        case DeliveryState.SENT:
            return end
        case DeliveryState.SENDING:
            return _Fate(
                f"{end.brief}, on its way",
                f"{end.words}; the {noun} is being delivered (attempt {delivery.attempts})",
                end.next_step,
            )
        case DeliveryState.PENDING:
            return _undelivered(story, delivery, end, noun)
        case DeliveryState.DEAD:
            return _dead(delivery, end, noun)
        case _:
            assert_never(delivery.state)


def _undelivered(story: Story, delivery: DeliveryFacts, end: _Fate, noun: str) -> _Fate:
    brief = f"{end.brief}, on its way"
    if not delivery.is_open:
        return _Fate(
            f"{end.brief}, not delivered",
            f"{end.words}, but the channel {story.message.channel} is not open here; the {noun} "
            "is kept",
            f"Enable channels.{story.message.channel}: then it is delivered.",
        )
    if not delivery.attempts:
        return _Fate(brief, f"{end.words}; the {noun} is about to be delivered", end.next_step)
    pause = (delivery.not_before - story.now).total_seconds() if delivery.not_before else 0.0
    again = f"in {span(pause)}" if pause > 0 else "now"
    return _Fate(
        brief,
        f"{end.words}; the {noun} could not be delivered yet: {tried(delivery)}, the next attempt "
        f"is {again}",
        f"Nothing has to be done. `opencraw status` shows how the channel {story.message.channel} "
        "is.",
    )


def _dead(delivery: DeliveryFacts, end: _Fate, noun: str) -> _Fate:
    again = f"`opencraw deliveries retry {short(delivery.id)}` sends it once more."
    if delivery.unknown:
        next_step = (
            f"It may have arrived {times(delivery.unknown)}: look into the chat before you say it "
            f"again. The {noun} is kept in the conversation; {again}"
        )
    else:
        next_step = f"The {noun} is kept in the conversation; {again}"
    words = f"{end.words}, but the {noun} could not be delivered: {delivery.failure}"
    return _Fate(f"{end.brief}, not delivered", words, next_step)


def _command(story: Story) -> _Fate:
    end = _Fate("a command", "a command: it was answered at once, without a turn")
    return end if story.answer is None else _delivered(story, story.answer, end, "answer")
