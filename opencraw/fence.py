"""Marks around what others wrote: it is data, whatever it says."""

from __future__ import annotations


def fence(text: str, *, origin: str, mark: str) -> str:
    """`text` between marks that name where it came from. Nothing in it can close them."""
    return f'<from-outside origin="{origin}" mark="{mark}">\n{text}\n</from-outside mark="{mark}">'
