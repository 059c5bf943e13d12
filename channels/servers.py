"""Servers that an operator names; out of our own network a secret goes only by https."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Annotated
from urllib.parse import urlsplit

from pydantic import AfterValidator


def web_address(url: str) -> str:
    """An address to which a secret may go, without a slash at its end. Raises `ValueError`."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname:
        raise ValueError('must be a web address such as "https://example.org"')
    if parts.username or parts.query or parts.fragment:
        raise ValueError("must be an address without a password, ? or #")
    if parts.scheme == "http" and not _is_near(parts.hostname):
        raise ValueError(
            f"{parts.hostname} is not in our own network: our secret goes there only by https"
        )
    return url.rstrip("/")


#: What `web_address` lets through, as the type of a setting.
WebAddress = Annotated[str, AfterValidator(web_address)]


def is_here(host: str) -> bool:
    """Whether a host is this machine."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _is_near(host: str) -> bool:
    """Whether a host is in a network of our own, such as one of containers, where names have no
    dots."""
    try:
        return ip_address(host).is_private
    except ValueError:
        return "." not in host
