"""The bridge as we call it: signed requests, bounded answers, and what each answer means."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from urllib.parse import urlsplit

import aiohttp
import msgspec
from yarl import URL

from channels.http.events import UNREADABLE, Polled
from channels.http.settings import HttpSettings
from channels.http.signing import signed
from opencraw.errors import (
    AccountRefused,
    DeliveryFailure,
    MaybeSent,
    NeverSendable,
    NotFound,
    NotSent,
    Refused,
    Unavailable,
)

#: An answer to a poll that was held for as long as it may be takes a little longer.
POLL_GRACE = 1.5
_FETCH_SECONDS = 60.0
_CONNECT_SECONDS = 10.0
_LARGEST_ANSWER = 64 * 1024
_LARGEST_POLL = 8 * 1024 * 1024
_LONGEST_PAUSE = 3600.0
_CHUNK = 64 * 1024
_NUMBER = re.compile(r"[0-9]{1,9}(\.[0-9]{1,9})?")


@dataclass(frozen=True, slots=True)
class _Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes


class _Named(msgspec.Struct):
    """What a bridge may answer to a message: by what the platform calls it."""

    id: str = ""


class Bridge:
    """Never follows a redirect: what we sign and say is for the configured addresses only."""

    def __init__(self, settings: HttpSettings) -> None:
        assert settings.secret is not None
        self._settings = settings
        self._secret = settings.secret.get_secret_value()

    async def send(self, body: Mapping[str, object], *, key: str = "") -> str:
        """Hand over one message; returns the platform's id of it, if the bridge says one. Raises a
        `DeliveryFailure`."""
        headers = {"Idempotency-Key": key} if key else {}
        return await self._post(self._settings.send_url, body, headers)

    async def stream(self, body: Mapping[str, object]) -> str:
        """Hand over a draft; returns the platform's id of it. Raises a `DeliveryFailure`."""
        return await self._post(self._settings.stream_url, body, {})

    async def poll(self, cursor: str | None) -> Polled:
        """What came after `cursor`; without one, where now is. Raises `AccountRefused` and
        `Unavailable`."""
        url = self._settings.poll_url
        if cursor is not None:
            url = str(_address(url).update_query(cursor=cursor))
        try:
            seconds = self._settings.long_poll_timeout_seconds * POLL_GRACE
            answer = await self._call("GET", url, None, {}, seconds, most=_LARGEST_POLL)
        except (NotSent, MaybeSent, Refused) as error:
            raise Unavailable(f"polling {self._settings.poll_url}: {error}") from error
        if answer.status in {401, 403}:
            raise AccountRefused(_not_ours("poll_url", answer.status))
        if answer.status != 200:
            pause = retry_after(answer.headers, time.time())
            raise Unavailable(
                f"{self._settings.poll_url} answers {answer.status}", retry_after=pause or 1.0
            )
        try:
            return msgspec.json.decode(answer.body, type=Polled)
        except UNREADABLE as error:
            raise Unavailable(
                f"{self._settings.poll_url} answers in a wrong shape: {error}"
            ) from None

    async def fetch(self, url: str, limit: int) -> bytes:
        """A file of the bridge. Raises `Refused`, `NotFound` and `Unavailable`."""
        if not self._is_its_own(url):
            raise Refused("The file is not at the address of the bridge.")
        try:
            answer = await self._call("GET", url, None, {}, _FETCH_SECONDS, most=limit)
        except (NotSent, MaybeSent) as error:
            raise Unavailable(f"the bridge does not hand out the file: {error}") from error
        if answer.status in {403, 404, 410}:
            raise NotFound("The file is gone.")
        if 300 <= answer.status < 400:
            raise Refused("The file is somewhere else: the bridge has to hand it out itself.")
        if answer.status != 200:
            raise Unavailable(f"the bridge answers {answer.status}")
        return answer.body

    async def greet(self) -> Mapping[str, str]:
        """Facts about the bridge. Raises `AccountRefused` and `Unavailable`."""
        body = msgspec.json.encode({"kind": "probe"})
        url, seconds = self._settings.send_url, self._settings.request_seconds
        try:
            answer = await self._call("POST", url, body, {}, seconds)
        except (NotSent, MaybeSent, Refused) as error:
            raise Unavailable(f"{url}: {error}") from error
        if answer.status in {401, 403}:
            raise AccountRefused(_not_ours("send_url", answer.status))
        return {"send_url": url, "answer": str(answer.status)}

    async def _post(self, url: str, body: Mapping[str, object], headers: Mapping[str, str]) -> str:
        encoded, seconds = msgspec.json.encode(body), self._settings.request_seconds
        try:
            answer = await self._call("POST", url, encoded, headers, seconds)
        except Refused as error:
            raise MaybeSent(f"{url}: {error}") from error
        failure = verdict(answer.status, answer.headers, time.time())
        if failure is not None:
            raise failure
        try:
            return msgspec.json.decode(answer.body, type=_Named).id
        except UNREADABLE:
            return ""  # it need not say anything

    async def _call(
        self,
        method: str,
        url: str,
        body: bytes | None,
        headers: Mapping[str, str],
        seconds: float,
        *,
        most: int = _LARGEST_ANSWER,
    ) -> _Answer:
        """One request. Raises `NotSent`, `MaybeSent`, and `Refused` for an answer that is too
        large."""
        address = _address(url)
        signs = body if body is not None else address.raw_path_qs.encode()
        sent = {**headers, **signed(self._secret, signs, time.time())}
        if body is not None:
            sent["Content-Type"] = "application/json"
        patience = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience) as http,
                http.request(
                    method, address, data=body, headers=sent, allow_redirects=False
                ) as response,
            ):
                read = await _bounded(response, most)
                return _Answer(response.status, dict(response.headers), read)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"cannot be reached: {error}") from error
        except aiohttp.InvalidURL as error:
            raise NeverSendable(f"{url} is no address") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise MaybeSent(str(error) or type(error).__name__) from error

    def _is_its_own(self, url: str) -> bool:
        """Whether the operator named the host that would be asked: nobody who writes a message
        chooses whom we call."""
        try:
            return _origin(url) == _origin(self._settings.send_url)
        except ValueError:
            return False


def verdict(status: int, headers: Mapping[str, str], now: float) -> DeliveryFailure | None:
    """What an answer to a message means; None is that the bridge has it."""
    if 200 <= status < 300:
        return None
    problem = f"the bridge answers {status}"
    pause = retry_after(headers, now)
    if status in {401, 403}:
        # Mended by an operator, who should not have to send everything by hand afterwards.
        return NotSent(f"{problem}: is it the same secret on both sides?", retry_after=pause)
    if status in {408, 425, 429, 503}:
        return NotSent(problem, retry_after=pause)
    if 300 <= status < 400:
        return NeverSendable(f"{problem}: redirects are not followed, name the last address")
    return MaybeSent(problem) if status >= 500 else NeverSendable(problem)


def retry_after(headers: Mapping[str, str], now: float) -> float | None:
    """For how many seconds a server asks us to stay away, as a number or a date."""
    wish = next((value for name, value in headers.items() if name.lower() == "retry-after"), "")
    if _NUMBER.fullmatch(wish.strip()):
        seconds = float(wish)
    else:
        try:
            seconds = parsedate_to_datetime(wish).timestamp() - now
        except (TypeError, ValueError, OverflowError):
            return None
    return min(max(seconds, 0.0), _LONGEST_PAUSE)


async def _bounded(response: aiohttp.ClientResponse, most: int) -> bytes:
    announced = response.content_length
    if announced is not None and announced > most:
        raise Refused(f"The answer has {announced:,} bytes; at most {most:,} are read.")
    read = bytearray()
    async for chunk in response.content.iter_chunked(_CHUNK):
        read += chunk
        if len(read) > most:
            raise Refused(f"The answer has more than {most:,} bytes.")
    return bytes(read)


def _address(url: str) -> URL:
    try:
        return URL(url)
    except ValueError as error:
        raise NeverSendable(f"{url} is no address") from error


def _origin(url: str) -> tuple[str, str | None, int | None]:
    parts = urlsplit(url)
    port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    return parts.scheme, parts.hostname, port


def _not_ours(setting: str, status: int) -> str:
    return (
        f"The bridge at channels.http.{setting} answers {status} to what we sign. Nothing is lost. "
        "Give both sides the same secret (HTTP_CHANNEL_SECRET) and set their clocks."
    )
