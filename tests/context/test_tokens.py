from __future__ import annotations

import logging
import threading

import pytest
from hypothesis import given
from hypothesis import strategies as st

from opencraw.context.tokens import LEAST_FACTOR, MOST_FACTOR, Tokens, rough
from opencraw.context.vocabulary import Damaged, Vocabulary
from tests.fixtures.core import until

GPT = "openai/gpt-4o"
CLAUDE = "anthropic/claude-sonnet-5-5"
TEXT = "Please remember that the flight LH 1234 leaves on 2026-11-21 at 06:45. " * 20


@pytest.fixture(scope="module")
def o200k() -> Vocabulary:
    return Vocabulary("o200k_base")


def test_until_it_matters_tokens_are_estimated() -> None:
    counter = Tokens().counter(GPT)
    assert not counter.exact
    assert counter(TEXT) == rough(TEXT)


async def test_once_it_matters_openais_models_are_counted_exactly(o200k: Vocabulary) -> None:
    tokens = Tokens(lambda _kind: o200k)
    tokens.wanted(GPT)
    await until(lambda: tokens.counter(GPT).exact)
    assert tokens.counter(GPT)(TEXT) == o200k.count(TEXT)
    assert tokens.problem is None


async def test_what_was_learned_of_bytes_is_not_said_of_a_vocabulary(o200k: Vocabulary) -> None:
    tokens, label = Tokens(lambda _kind: o200k), "openai/gpt-6.1-terra"
    of_bytes = tokens.counter(label)
    tokens.learn(label, of_bytes, 1_000, 2_000)
    tokens.wanted(label)
    await until(lambda: tokens.counter(label)(TEXT) == o200k.count(TEXT))
    tokens.learn(label, of_bytes, 1_000, 2_000)
    tokens.learn(label, tokens.counter(label), 1_000, 1_100)
    assert tokens.counter(label)(TEXT) == round(1.1 * o200k.count(TEXT))


async def test_a_vocabulary_is_loaded_once_for_all_who_want_it(o200k: Vocabulary) -> None:
    loaded: list[str] = []

    def load(kind: str) -> Vocabulary:
        loaded.append(kind)
        return o200k

    tokens = Tokens(load)
    labels = [GPT, "openai-responses/gpt-5", "openai/openai/o3", "openai/gpt-4.1"]
    for label in labels * 2:
        tokens.wanted(label)
    await until(lambda: all(tokens.counter(label).exact for label in labels))
    assert loaded == ["o200k_base"]


async def test_asking_for_a_vocabulary_does_not_wait_for_it(o200k: Vocabulary) -> None:
    gate = threading.Event()

    def load(_kind: str) -> Vocabulary:
        assert gate.wait(30)
        return o200k

    tokens = Tokens(load)
    tokens.wanted(GPT)
    assert not tokens.counter(GPT).exact
    gate.set()
    await until(lambda: tokens.counter(GPT).exact)


@pytest.mark.parametrize("label", [CLAUDE, "demo/assistant", "anthropic/gpt-4o", "script/one", ""])
def test_who_is_not_openai_never_has_a_vocabulary_loaded(label: str) -> None:
    tokens = Tokens()
    tokens.wanted(label)
    assert not [thread for thread in threading.enumerate() if thread.name == "vocabulary"]
    assert tokens.counter(label)(TEXT) == rough(TEXT)


async def test_a_model_that_nobody_knows_is_estimated(o200k: Vocabulary) -> None:
    tokens = Tokens(lambda _kind: o200k)
    tokens.wanted("openai/llama3.3")
    tokens.wanted("openai/gpt-6.1-terra")
    newer = tokens.counter
    await until(lambda: newer("openai/gpt-6.1-terra")(TEXT) == o200k.count(TEXT))
    assert not newer("openai/gpt-6.1-terra").exact
    assert not newer("openai/llama3.3").exact
    assert newer("openai/llama3.3")(TEXT) == rough(TEXT)


async def test_a_vocabulary_that_is_damaged_is_told_once_and_estimates_go_on(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def load(kind: str) -> Vocabulary:
        raise Damaged(f"{kind} is not what it must be")

    tokens = Tokens(load)
    with caplog.at_level(logging.WARNING):
        for label in (GPT, GPT, "openai/gpt-5"):
            tokens.wanted(label)
        await until(lambda: tokens.problem)
    await until(lambda: all(each.name != "vocabulary" for each in threading.enumerate()))

    assert tokens.problem is not None
    assert "o200k_base is not what it must be" in tokens.problem
    assert len(caplog.records) == 1
    assert tokens.counter(GPT)(TEXT) == rough(TEXT)


def test_an_estimate_learns_from_what_is_reported() -> None:
    tokens = Tokens()
    for _ in range(20):
        counter = tokens.counter(CLAUDE)
        tokens.learn(CLAUDE, counter, counter(TEXT), round(rough(TEXT) * 1.4))
    assert tokens.counter(CLAUDE)(TEXT) == pytest.approx(rough(TEXT) * 1.4, rel=0.01)
    assert tokens.counter("anthropic/another")(TEXT) == rough(TEXT)


def test_a_turn_whose_counter_stays_the_same_learns_the_same_from_all_its_reports() -> None:
    tokens, truth = Tokens(), round(rough(TEXT) * 1.3)
    for _ in range(3):
        counter = tokens.counter(CLAUDE)
        for _ in range(12):
            tokens.learn(CLAUDE, counter, counter(TEXT), truth)
            assert tokens.counter(CLAUDE)(TEXT) == pytest.approx(truth, rel=0.01)


def test_turns_that_count_at_once_agree() -> None:
    tokens, truth = Tokens(), round(rough(TEXT) * 1.3)
    first = tokens.counter(CLAUDE)
    tokens.learn(CLAUDE, first, first(TEXT), truth)
    second = tokens.counter(CLAUDE)
    for _ in range(12):
        for counter in (first, second):
            tokens.learn(CLAUDE, counter, counter(TEXT), truth)
            assert tokens.counter(CLAUDE)(TEXT) == pytest.approx(truth, rel=0.01)


def test_one_odd_report_changes_little() -> None:
    tokens = Tokens()
    usual = rough(TEXT)
    for reported in (usual, usual, 3 * usual):
        counter = tokens.counter(CLAUDE)
        tokens.learn(CLAUDE, counter, counter(TEXT), reported)
    assert tokens.counter(CLAUDE)(TEXT) == pytest.approx(1.4 * usual, rel=0.01)


@given(
    st.lists(st.tuples(st.integers(-5, 10**9), st.integers(-5, 10**9)), max_size=30),
    st.text(max_size=200),
)
def test_no_report_makes_an_estimate_absurd(reports: list[tuple[int, int]], text: str) -> None:
    tokens = Tokens()
    for counted, reported in reports:
        tokens.learn(CLAUDE, tokens.counter(CLAUDE), counted, reported)
    count = tokens.counter(CLAUDE)(text)
    assert LEAST_FACTOR * rough(text) - 1 <= count <= MOST_FACTOR * rough(text) + 1


async def test_exact_counts_learn_nothing(o200k: Vocabulary) -> None:
    tokens = Tokens(lambda _kind: o200k)
    tokens.wanted(GPT)
    await until(lambda: tokens.counter(GPT).exact)
    tokens.learn(GPT, tokens.counter(GPT), 1_000, 2_000)
    assert tokens.counter(GPT)(TEXT) == o200k.count(TEXT)


@pytest.mark.parametrize(
    "text",
    [
        TEXT,
        "Wir treffen uns morgen um fünfzehn Uhr vor dem Bahnhof und gehen dann essen. " * 20,
        "今天天气很好，我们去公园散步吧。请记住我的生日是三月五号。" * 20,
        "明日の会議は午後三時からです。資料を忘れないでください。" * 20,
        "내일 회의는 오후 세 시에 시작합니다. 자료를 잊지 마세요." * 20,
        "def add(a: int, b: int) -> int:\n    return a + b\n\n\n" * 20,
        '{"id": 17, "name": "item 17", "tags": ["a", "b"], "price": 25.5}\n' * 20,
    ],
)
def test_an_estimate_is_near_the_truth(text: str, o200k: Vocabulary) -> None:
    assert 0.75 <= rough(text) / o200k.count(text) <= 1.5


@given(st.text())
def test_every_text_can_be_estimated(text: str) -> None:
    assert rough(text) >= 0
    assert rough(text + "\ud800<|endoftext|>漢👩") > 0
