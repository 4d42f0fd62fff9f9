"""A store's manifest: the format version, the source of the answers and the vector sets."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sgpu_lightning.answers.storage.store_files import StoreError, write_whole

FORMAT_VERSION = 2
_READABLE = (1, 2)  # format 1 differs only in the names of the shards


def manifest_file(store: Path) -> Path:
    """Path of the manifest of a store.

    Args:
        store: The store's folder.
    """
    return store / "manifest.json"


def new_manifest(source: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of a new store without vector sets.

    Args:
        source: JSON-ready description of what the answers come from.
    """
    return {"format_version": FORMAT_VERSION, "source": source, "vectors": {}}


def read_manifest(store: Path) -> dict[str, Any]:
    """Read and check the manifest of a store.

    Args:
        store: The store's folder.

    Raises:
        StoreError: If the folder is not a store, or its format is newer than this version reads.
    """
    file = manifest_file(store)
    if not file.is_file():
        raise StoreError(f"{store}: not a store (no manifest.json); make one with 'sgpu import' or 'sgpu sample'")
    try:
        manifest = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise StoreError(f"{file}: not readable as JSON ({error})") from error
    if not isinstance(manifest, dict) or "format_version" not in manifest:
        raise StoreError(f"{file}: not a store's manifest: expected an object with format_version")
    if manifest["format_version"] not in _READABLE:
        raise StoreError(
            f"{file}: expected format_version {' or '.join(map(str, _READABLE))}, got "
            f"{manifest['format_version']!r}; upgrade sgpu_lightning or write the store again"
        )
    if lacking := [key for key in ("source", "vectors") if not isinstance(manifest.get(key), dict)]:
        raise StoreError(f"{file}: expected objects under 'source' and 'vectors', got none under {lacking}")
    return manifest


def write_manifest(store: Path, manifest: Mapping[str, Any]) -> None:
    """Write the manifest of a store atomically.

    Args:
        store: The store's folder.
        manifest: The JSON-ready manifest.

    Raises:
        StoreError: If the system refuses to write.
    """
    text = json.dumps(manifest, indent=2) + "\n"
    write_whole(manifest_file(store), lambda partial: partial.write_text(text, encoding="utf-8"))


def differences(
    first: Mapping[str, Any], second: Mapping[str, Any], first_has: str, second_has: str, prefix: str = ""
) -> list[str]:
    """Describe every setting in which two sources differ, one line each; nested settings have dotted names.

    Args:
        first: Settings of the first source.
        second: Settings of the second source.
        first_has: Phrase before a value of the first source, for example ``the store has``.
        second_has: Phrase before a value of the second source.
        prefix: Dotted name of the object that holds the settings, with a final dot; empty at the top.
    """
    lines = []
    for key in sorted({*first, *second}):
        one, other = first.get(key), second.get(key)
        if isinstance(one, dict) and isinstance(other, dict):
            lines += differences(one, other, first_has, second_has, f"{prefix}{key}.")
        elif one != other:
            lines.append(f"  {prefix}{key}: {first_has} {one!r}, {second_has} {other!r}")
    return lines
