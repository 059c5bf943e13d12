"""The bridge as we call it: signed requests, bounded answers, and what each answer means."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass

import aiohttp
import msgspec
from yarl import URL

from channels import bounded
from channels.http.events import UNREADABLE, Polled
from channels.http.settings import HttpSettings
from channels.http.signing import signed
from channels.pacing import wish
from opencraw.errors import (
    AccountRefused,
    DeliveryFailure,
    MaybeSent,
    NeverSendable,
    NotSent,
    Refused,
    Unavailable,
)

log = logging.getLogger(__name__)

#: An answer to a poll that was held for as long as it may be takes a little longer.
POLL_GRACE = 1.5
_CONNECT_SECONDS = 10.0
_LARGEST_ANSWER = 64 * 1024


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
        return await self._post(self._settings.send_url, body, key)

    async def stream(self, body: Mapping[str, object], *, key: str = "") -> str:
        """Hand over a draft; returns the platform's id of it. Raises a `DeliveryFailure`."""
        return await self._post(self._settings.stream_url, body, key)

    async def poll(self, cursor: str | None) -> Polled:
        """What came after `cursor`; without one, where now is. Raises `AccountRefused` and
        `Unavailable`."""
        url = self._settings.poll_url
        if cursor is not None:
            url = str(_address(url).update_query(cursor=cursor))
        try:
            seconds = self._settings.long_poll_timeout_seconds * POLL_GRACE
            answer = await self._call("GET", url, None, {}, seconds, most=bounded.LARGEST_ANSWER)
        except (NotSent, MaybeSent) as error:
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
        address = self._own(url)
        headers = signed(self._secret, address.raw_path_qs.encode(), time.time())
        return await bounded.download(address, limit, platform="The bridge", headers=headers)

    async def greet(self) -> Mapping[str, str]:
        """Facts about the bridge. Raises `AccountRefused` and `Unavailable`."""
        body = msgspec.json.encode({"kind": "probe"})
        url, seconds = self._settings.send_url, self._settings.request_seconds
        try:
            answer = await self._call("POST", url, body, {}, seconds)
        except (NotSent, MaybeSent) as error:
            raise Unavailable(f"{url}: {error}") from error
        if answer.status in {401, 403}:
            raise AccountRefused(_not_ours("send_url", answer.status))
        return {"send_url": url, "answer": str(answer.status)}

    async def _post(self, url: str, body: Mapping[str, object], key: str) -> str:
        headers = {"Idempotency-Key": key} if key else {}
        encoded, seconds = msgspec.json.encode(body), self._settings.request_seconds
        answer = await self._call("POST", url, encoded, headers, seconds)
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
        """One request. Raises `NotSent` and `MaybeSent`. Of an answer that nobody may read there is
        no body: its status says enough."""
        address = _address(url)
        signs = body if body is not None else address.raw_path_qs.encode()
        sent = {**headers, **bounded.PLAIN, **signed(self._secret, signs, time.time())}
        if body is not None:
            sent["Content-Type"] = "application/json"
        patience = aiohttp.ClientTimeout(total=seconds, sock_connect=_CONNECT_SECONDS)
        try:
            async with (
                aiohttp.ClientSession(timeout=patience, auto_decompress=False) as http,
                http.request(
                    method, address, data=body, headers=sent, allow_redirects=False
                ) as response,
            ):
                try:
                    read = await bounded.read(response, most)
                except Refused as refused:
                    log.warning("the answer of %s is not read: %s", url, refused)
                    read = b""
                return _Answer(response.status, dict(response.headers), read)
        except (aiohttp.ClientConnectorError, aiohttp.ConnectionTimeoutError) as error:
            raise NotSent(f"cannot be reached: {error}") from error
        except aiohttp.InvalidURL as error:
            raise NeverSendable(f"{url} is no address") from error
        except (aiohttp.ClientError, OSError, TimeoutError) as error:
            raise MaybeSent(str(error) or type(error).__name__) from error

    def _own(self, url: str) -> URL:
        """The address of a file. The operator named the host that is asked: nobody who writes a
        message chooses whom we call."""
        try:
            address = URL(url)
            if _origin(address) == _origin(URL(self._settings.send_url)):
                return address
        except ValueError:
            pass
        raise Refused("The file is not at the address of the bridge.")


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
    """For how many seconds a server asks us to stay away."""
    said = next((value for name, value in headers.items() if name.lower() == "retry-after"), None)
    return wish(said, now=now)


def _address(url: str) -> URL:
    try:
        return URL(url)
    except ValueError as error:
        raise NeverSendable(f"{url} is no address") from error


def _origin(address: URL) -> tuple[str, str | None, int | None]:
    return address.scheme, address.host, address.port


def _not_ours(setting: str, status: int) -> str:
    return (
        f"The bridge at channels.http.{setting} answers {status} to what we sign. Nothing is lost. "
        "Give both sides the same secret (HTTP_CHANNEL_SECRET) and set their clocks."
    )
