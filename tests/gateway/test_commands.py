from __future__ import annotations

from dataclasses import replace

import pytest

from opencraw.contract import Address, ChatType, Rights
from opencraw.gateway.commands import (
    COMMANDS,
    Answer,
    answer,
    is_command,
    is_stop,
)
from opencraw.gateway.models import Models
from opencraw.queue.rules import QueueRules
from opencraw.queue.settings import QueueSettings
from opencraw.sessions.change import ChooseModel, ChooseQueue, Reset, Speak, Stop
from opencraw.sessions.choice import QueueChoice
from opencraw.settings import Mode
from tests.gateway.situations import MODELS, SITUATION, situation


@pytest.mark.parametrize(
    ("text", "command"),
    [
        ("/help", True),
        ("  /Help", True),
        ("\n/x", True),
        ("/", True),
        ("/ help", True),
        ("/help\tme", True),
        ("a/b", False),
        ("", False),
        ("/usr/bin/env is gone", False),
        ("//", False),
        ("see /help", False),
    ],
)
def test_what_is_meant_for_the_daemon(text: str, command: bool) -> None:
    assert is_command(text) is command


@pytest.mark.parametrize(
    ("text", "stop"),
    [("/stop", True), (" /STOP\n", True), ("/ stop", True), ("/stop now", False), ("stop", False)],
)
def test_what_is_heard_however_much_was_said_before(text: str, stop: bool) -> None:
    assert is_stop(text) is stop
    assert (is_command(text) and answer(text, SITUATION).change == Stop()) is stop


@pytest.mark.parametrize("text", ["/help", "/HELP", "  /Help \n"])
def test_help_lists_every_command_once(text: str) -> None:
    said = answer(text, SITUATION).text
    for name, command in COMMANDS.items():
        shown = said.count(f"`{command.usage}`")
        assert shown == 1, name


@pytest.mark.parametrize("text", ["/nonsense", "/", "/ help", "/stopp now"])
def test_an_unknown_command_gets_the_list(text: str) -> None:
    said = answer(text, SITUATION)
    assert said.text.startswith("There is no command") or text == "/ help"
    assert "`/stop`" in said.text
    assert said.change is None


def test_a_very_long_unknown_command_is_not_repeated_in_full() -> None:
    assert len(answer("/" + "x" * 100_000, SITUATION).text) < 2_000


@pytest.mark.parametrize(
    "name", [name for name, each in COMMANDS.items() if not each.takes_argument]
)
@pytest.mark.parametrize("gap", [" ", "\n", "\t"])
def test_a_command_without_arguments_refuses_them_and_does_nothing(name: str, gap: str) -> None:
    said = answer(f"/{name}{gap}everything", SITUATION)
    assert said == Answer(
        f"`/{COMMANDS[name].name}` takes nothing behind it. Usage: `{COMMANDS[name].usage}`"
    )


@pytest.mark.parametrize("name", ["new", "nuke"])
def test_new_begins_anew(name: str) -> None:
    assert answer(f"/{name}", SITUATION).change == Reset()


@pytest.mark.parametrize(
    ("waiting", "running", "words"),
    [
        (0, False, "There was nothing to stop."),
        (2, False, "Stopped: 2 waiting taken back."),
        (0, True, "Stopped: the running answer ends."),
        (3, True, "Stopped: the running answer ends and 3 waiting taken back."),
    ],
)
def test_stop_says_what_it_stopped(waiting: int, running: bool, words: str) -> None:
    said = answer("/stop", situation(waiting=waiting, running=running))
    assert said == Answer(words, change=Stop())


def test_status() -> None:
    said = answer("/status", situation(model="local/Qwen3", waiting=2, running=True)).text
    for line in (
        "- model: local/Qwen3",
        "- default model: openai/gpt-5",
        "- channels: webchat, telegram",
        "- running: an answer",
        "- waiting: 2",
        "- queue: steer, debounce 250 ms (fixed), cap 20, drop summarize",
        "- up for: 1 d 1 h 1 min 1 s",
    ):
        assert line in said.splitlines()


def test_usage() -> None:
    said = answer("/usage", SITUATION).text
    assert "prompt: 12,345 (of these cached: 90)" in said
    assert "completion: 678" in said


def test_usage_tells_what_the_day_cost_where_there_is_a_cap() -> None:
    assert "Spent" not in answer("/usage", SITUATION).text
    capped = replace(SITUATION, spent=(1_230_500, 5_000_000))
    assert "Spent today (UTC), in all conversations: 1.2305 of 5." in answer("/usage", capped).text


@pytest.mark.parametrize(
    ("word", "sends"), [("on", True), ("off", False), ("inherit", None), ("OFF", False)]
)
def test_the_owner_decides_whether_the_assistant_speaks(word: str, sends: bool | None) -> None:
    assert answer(f"/send {word}", SITUATION).change == Speak(sends)


@pytest.mark.parametrize("word", ["on", "off", "inherit", "never"])
def test_a_guest_does_not(word: str) -> None:
    said = answer(f"/send {word}", replace(SITUATION, rights=Rights.GUEST))
    assert said.change is None
    assert "Only the owner" in said.text


@pytest.mark.parametrize(("sends", "word"), [(True, "on"), (False, "off"), (None, "inherit")])
def test_send_alone_tells(sends: bool | None, word: str) -> None:
    said = answer("/send", situation(sends=sends))
    assert said.change is None
    assert f"here: {word}." in said.text
    assert COMMANDS["send"].usage in said.text


@pytest.mark.parametrize("word", ["never", "on off", "1"])
def test_send_that_is_not_understood_changes_nothing(word: str) -> None:
    said = answer(f"/send {word}", SITUATION)
    assert said.change is None
    assert COMMANDS["send"].usage in said.text


@pytest.mark.parametrize(
    ("argument", "mode", "debounce_ms"),
    [
        ("collect", "collect", None),
        ("Followup", "followup", None),
        ("steer debounce:0.5s", "steer", 500),
        ("debounce:250ms interrupt", "interrupt", 250),
        ("debounce:0ms", None, 0),
        ("debounce:60s", None, 60_000),
        ("debounce:1.5S", None, 1_500),
        ("collect followup", "followup", None),
        ("default", None, None),
        ("reset", None, None),
    ],
)
def test_queue_is_chosen(argument: str, mode: Mode | None, debounce_ms: int | None) -> None:
    said = answer(f"/queue {argument}", SITUATION)
    assert said.change == ChooseQueue(QueueChoice(mode, debounce_ms))


@pytest.mark.parametrize(
    ("argument", "choice"),
    [
        (
            "collect debounce:0.5s window:sliding cap:25 drop:summarize",
            QueueChoice("collect", 500, "sliding", 25, "summarize"),
        ),
        ("drop:BLOCK Window:fixed", QueueChoice(debounce_window="fixed", drop="block")),
        ("cap:1 drop:newest", QueueChoice(cap=1, drop="newest")),
        ("cap:1000 cap:7", QueueChoice(cap=7)),
        ("drop:oldest", QueueChoice(drop="oldest")),
    ],
)
def test_all_that_is_said_of_a_queue_is_chosen_at_once(argument: str, choice: QueueChoice) -> None:
    said = answer(f"/queue {argument}", SITUATION)
    assert said.change == ChooseQueue(choice)
    for value in (choice.mode, choice.debounce_window, choice.cap, choice.drop):
        assert value is None or str(value) in said.text


@pytest.mark.parametrize("word", ["default", "reset", "Default"])
def test_a_choice_of_queue_is_taken_back_whole(word: str) -> None:
    chosen = situation(choice=QueueChoice("collect", 500, "sliding", 25, "summarize"))
    assert answer(f"/queue {word}", chosen).change == ChooseQueue(QueueChoice())


@pytest.mark.parametrize(
    ("argument", "words"),
    [
        ("collect debounce:0.5s", "collect, debounce 500 ms (fixed), cap 20, drop summarize"),
        ("drop:oldest cap:5", "steer, debounce 250 ms (fixed), cap 5, drop oldest"),
        ("window:sliding", "steer, debounce 250 ms (sliding), cap 20, drop summarize"),
    ],
)
def test_what_was_chosen_is_said_in_the_words_of_queue_alone(argument: str, words: str) -> None:
    said = answer(f"/queue {argument}", SITUATION)
    assert said.text == f"Queue of this conversation: {words}."
    assert isinstance(said.change, ChooseQueue)
    rules = QueueRules(QueueSettings()).of("webchat", said.change.choice)
    assert words in answer("/queue", replace(SITUATION, rules=rules)).text


def test_queue_changes_only_what_is_named() -> None:
    chosen = situation(choice=QueueChoice("collect", 100, "sliding", 25, "oldest"))
    for argument, choice in (
        ("steer", QueueChoice("steer", 100, "sliding", 25, "oldest")),
        ("debounce:1s", QueueChoice("collect", 1_000, "sliding", 25, "oldest")),
        ("drop:block", QueueChoice("collect", 100, "sliding", 25, "block")),
        ("default", QueueChoice()),
    ):
        assert answer(f"/queue {argument}", chosen).change == ChooseQueue(choice)


@pytest.mark.parametrize(
    "argument",
    [
        "sometimes", "collect please", "debounce", "debounce:", "debounce:5", "debounce:s",
        "debounce:-1s", "debounce:61s", "debounce:nans", "debounce:infs", "debounce:1h",
        "default collect", ":collect", "window:", "window:floating", "sliding", "cap:", "cap:0",
        "cap:-1", "cap:1001", "cap:٣", "cap:2.5", "cap:100000", "drop:", "drop:all", "summarize",
        "mode:collect", "cap:5:6", "collect cap:x",
    ],
)  # fmt: skip
def test_queue_that_is_not_understood_changes_nothing(argument: str) -> None:
    said = answer(f"/queue {argument}", SITUATION)
    assert said.change is None
    assert COMMANDS["queue"].usage in said.text


def test_queue_alone_tells() -> None:
    said = answer("/queue", SITUATION)
    assert said.change is None
    assert "steer, debounce 250 ms (fixed), cap 20, drop summarize" in said.text


@pytest.mark.parametrize(
    ("wanted", "label"),
    [
        ("openai/gpt-5", "openai/gpt-5"),
        ("OpenAI/GPT-5", "openai/gpt-5"),
        ("qwen3", "local/Qwen3"),
        ("home", "local/Qwen3"),
        ("HOME", "local/Qwen3"),
        ("gpt-5", "openai/gpt-5"),
        ("mini", "openai/mini"),  # a profile's name comes before a model's
        ("gpt", None),
        ("", None),
    ],
)
def test_how_a_model_is_found(wanted: str, label: str | None) -> None:
    assert MODELS.find(wanted) == label


def test_a_bare_name_that_could_mean_two_models_means_none() -> None:
    two = Models("a/x", {"a/x": "one", "b/x": "two"})
    assert two.find("x") is None
    assert two.find("b/x") == "b/x"


@pytest.mark.parametrize("word", ["", "use ", "set "])
def test_a_model_is_chosen(word: str) -> None:
    said = answer(f"/model {word}qwen3", SITUATION)
    assert said.change == ChooseModel("local/Qwen3")


@pytest.mark.parametrize("word", ["clear", "reset", "unset"])
def test_the_choice_of_a_model_is_taken_back(word: str) -> None:
    said = answer(f"/model {word}", situation(model="local/Qwen3"))
    assert said.change == ChooseModel(None)
    assert "openai/gpt-5" in said.text


@pytest.mark.parametrize("text", ["/model", "/model list", "/model use"])
def test_the_models_are_listed(text: str) -> None:
    said = answer(text, situation(model="local/Qwen3"))
    assert said.change is None
    assert "Active: `local/Qwen3`. Default: `openai/gpt-5`." in said.text
    for label in MODELS.labels:
        assert f"- `{label}`" in said.text


def test_an_unknown_model_changes_nothing_and_gets_the_list() -> None:
    said = answer("/model gpt-17", SITUATION)
    assert said.change is None
    assert "`gpt-17`" in said.text
    assert "- `local/Qwen3`" in said.text


@pytest.mark.parametrize("text", ["/stop", "/new", "/queue collect", "/model mini"])
def test_where_others_listen_only_owners_decide(text: str) -> None:
    guest = replace(SITUATION, rights=Rights.GUEST)
    in_a_group = replace(guest, chat_type=ChatType.GROUP)
    assert answer(text, guest).change is not None, "it is their own conversation"
    refused = answer(text, in_a_group)
    assert refused.change is None
    assert refused.text.startswith("Only the owner may use `/")
    assert answer(text, replace(in_a_group, rights=Rights.OWNER)).change is not None


@pytest.mark.parametrize("text", ["/whoami", "/id", "/WHOAMI"])
def test_whoever_asks_learns_who_he_is_here_and_what_he_may_do(text: str) -> None:
    anna = replace(SITUATION, here=Address("telegram", "1", "-100"), sender_id="4711")
    said = answer(text, replace(anna, chat_type=ChatType.GROUP)).text
    for line in ("- your id here: `4711`", "- channel: telegram", "- id of this chat: `-100`"):
        assert line in said.splitlines()
    assert "- rights: owner, who may do everything" in said
    guest = answer(text, replace(anna, rights=Rights.GUEST)).text
    assert "- rights: guest" in guest
    assert "owners`" not in guest
    assert "id of this chat" not in guest


def test_where_nobody_is_the_owner_a_guest_learns_how_to_become_that() -> None:
    alone = replace(SITUATION, rights=Rights.GUEST, here=Address("telegram", "1", "7"))
    said = answer("/whoami", replace(alone, has_owner=False)).text
    assert "`[channels.telegram.access]`" in said
    assert "`opencraw pairing approve CODE --owner`" in said


def test_nobodys_id_is_more_than_an_id() -> None:
    trick = replace(SITUATION, here=Address("email", "a", "b"), sender_id="`x`\n# boss")
    assert "- your id here: `'x' # boss`" in answer("/whoami", trick).text.splitlines()


def test_guests_are_not_offered_what_only_owners_may_do() -> None:
    guest = replace(SITUATION, rights=Rights.GUEST)
    assert "`/pair" in answer("/help", SITUATION).text
    for text in ("/help", "/nonsense"):
        alone = answer(text, guest).text
        assert "`/pair" not in alone
        assert "`/stop`" in alone
        among_others = answer(text, replace(guest, chat_type=ChatType.GROUP)).text
        assert "`/stop`" not in among_others
        assert "`/queue`" in among_others, "it shows, and no more"
        assert "`/send`" in alone
        assert "`/send [on" not in alone


def test_what_is_used_in_a_direct_chat_is_offered_nowhere_else() -> None:
    in_a_group = replace(SITUATION, chat_type=ChatType.GROUP)
    listed = answer("/help", in_a_group).text
    assert "`/pair" not in listed
    assert "`/send [on" in listed
    asked = answer("/pair", in_a_group).text
    assert "by an owner: in a direct chat" in asked


@pytest.mark.parametrize("text", ["/queue", "/model", "/status", "/usage"])
def test_guests_may_ask_anywhere(text: str) -> None:
    in_a_group = replace(SITUATION, rights=Rights.GUEST, chat_type=ChatType.GROUP)
    assert answer(text, in_a_group) == answer(text, SITUATION)
