"""Hashes of group names. Answer sets of one group (by default: of one question) are never split apart."""

from __future__ import annotations

import hashlib


def text_hash(text: str) -> int:
    """The first 64 bits of a text's SHA-256 as an unsigned integer; the same on every machine."""
    return int.from_bytes(hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()[:8], "big")


def group_key_hash(group: str) -> int:
    """A group's name as a signed 64-bit integer. A checkpoint stores these hashes for the groups it was fitted on."""
    return text_hash(group) - 2**63
