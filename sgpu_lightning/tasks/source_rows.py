"""Rows of a dataset, streamed from the hub at a pinned revision or from a local copy."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sgpu_lightning.errors import show_value
from sgpu_lightning.tasks.question import TaskError

_BUILDERS = ("parquet", "json", "arrow")  # formats read as data: no code of a dataset is run, nothing is unpickled


@dataclass(frozen=True, kw_only=True)
class Dataset:
    """A dataset on the hub.

    Args:
        hub_id: Name on the hub.
        revision: Commit that is read.
        config: Configuration (subset) of the dataset; None if there is only one.
        split: Default split.
        columns: Names of the columns that are read.
        image: Name of the column that holds an image; None if there is none.
    """

    hub_id: str
    revision: str
    config: str | None = None
    split: str
    columns: tuple[str, ...]
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Row:
    """One row of a dataset.

    Args:
        where: Dataset, split and index of the row, for error messages.
        split: Split of the row.
        index: Index of the row in the split, from 0.
        values: Values by column; images are not decoded.
        class_names: Names of the classes, for each column of class labels.
    """

    where: str
    split: str
    index: int
    values: Mapping[str, Any]
    class_names: Mapping[str, tuple[str, ...]]

    def text(self, column: str) -> str:
        """The text in a column; an integer is converted to text.

        Args:
            column: Name of the column.

        Raises:
            TaskError: If the value is neither text nor an integer, or the text is blank.
        """
        value = self.values[column]
        if isinstance(value, int) and not isinstance(value, bool):
            return str(value)
        if not isinstance(value, str) or not value.strip():
            raise TaskError(f"{self.where}: column '{column}': expected text, got {show_value(value)}")
        return value.strip()

    def texts(self, column: str, key: str | None = None) -> tuple[str, ...]:
        """The texts in a column of lists, in order and with repeats; null counts as an empty list.

        Args:
            column: Name of the column.
            key: Key of the list in a column of objects; None for a column of lists.

        Raises:
            TaskError: If the value is not a list of texts, or not an object with the key.
        """
        value = self.values[column]
        if key is not None and value is not None:
            if not isinstance(value, Mapping) or key not in value:
                raise TaskError(
                    f"{self.where}: column '{column}': expected an object with '{key}', got {show_value(value)}"
                )
            value = value[key]
        value = [] if value is None else value
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
            raise TaskError(f"{self.where}: column '{column}': expected a list of texts, got {show_value(value)}")
        return tuple(value)

    def class_name(self, column: str) -> str:
        """The name of the class in a column of class labels or of class names.

        Args:
            column: Name of the column.

        Raises:
            TaskError: If the class has no name.
        """
        value, names = self.values[column], self.class_names.get(column)
        if isinstance(value, str):
            return value
        if names is None or not isinstance(value, int) or not 0 <= value < len(names):
            expected = f"a number below {len(names)}" if names else "a ClassLabel, or names"
            raise TaskError(f"{self.where}: column '{column}': expected {expected}, got {show_value(value)}")
        return names[value]


def read_dataset(dataset: Dataset, *, path: Path | None = None, split: str | None = None) -> Iterator[Row]:
    """Stream the rows of a dataset in order.

    Args:
        dataset: The dataset on the hub and its columns.
        path: A local copy: a folder as on the hub, a folder written by ``save_to_disk``, or a .parquet, .json or
            .jsonl file. None reads from the hub.
        split: The split; None for the dataset's default, in which case the only split of a local copy is read
            whatever its name.

    Raises:
        TaskError: If the data cannot be read, has no such split or lacks columns.
    """
    wanted = split or dataset.split
    table, name = _open_hub(dataset, wanted) if path is None else _open_local(dataset, path, wanted, split is not None)
    features = table.features or {}
    if missing := [column for column in dataset.columns if column not in features]:
        raise TaskError(
            f"{name}: expected the columns {', '.join(dataset.columns)} of {dataset.hub_id}, got "
            f"{', '.join(features)}: {', '.join(missing)} missing; for a folder that mixes data and images, give the "
            "data file's path"
        )
    names = {column: tuple(feature.names) for column, feature in features.items() if hasattr(feature, "names")}
    table = table.select_columns(list(dataset.columns))
    if dataset.image is not None:
        from datasets import Image

        table = table.cast_column(dataset.image, Image(decode=False))
    try:
        for index, values in enumerate(table):
            yield Row(f"{name}, row {index}", wanted, index, values, names)
    except Exception as error:  # the network and each kind of broken file raise different errors
        raise TaskError(f"{name}: reading broke off: {error}; run again to continue") from error


def _open_hub(dataset: Dataset, split: str) -> tuple[Any, str]:
    from datasets import load_dataset

    name = f"{dataset.hub_id} ({split})"
    try:
        table = load_dataset(dataset.hub_id, dataset.config, split=split, revision=dataset.revision, streaming=True)
    except Exception as error:  # network, credentials and split names raise different errors
        raise TaskError(
            f"{name}: could not be read from the hub at revision {dataset.revision}: {error}; check the network and, "
            "for gated data, that the licence is accepted and a token is set ('hf auth login'). Or give the path of a "
            "local copy"
        ) from error
    _require_data(table, name)
    return table, name


def _open_local(dataset: Dataset, path: Path, split: str, asked: bool) -> tuple[Any, str]:
    if not path.exists():
        raise TaskError(f"{path}: expected a folder or file with a copy of {dataset.hub_id}, got none there")
    try:
        tables = _load_local(dataset, path)
    except TaskError:
        raise
    except Exception as error:  # each kind of broken file raises different errors
        raise TaskError(f"{path}: not readable as a copy of {dataset.hub_id}: {error}") from error
    if split not in tables and (asked or len(tables) > 1):
        raise TaskError(f"{path}: expected a split '{split}', got {', '.join(tables)}")
    return tables[split] if split in tables else next(iter(tables.values())), str(path)


def _load_local(dataset: Dataset, path: Path) -> dict[str, Any]:
    from datasets import get_dataset_config_names, load_dataset, load_from_disk

    if (path / "state.json").is_file():
        return {dataset.split: load_from_disk(str(path))}
    if (path / "dataset_dict.json").is_file():
        return dict(load_from_disk(str(path)))
    if path.is_dir():
        configs = get_dataset_config_names(str(path))
        config = dataset.config if dataset.config in configs else None
        tables = dict(load_dataset(str(path), config, streaming=True))
    else:
        builder = "parquet" if path.suffix == ".parquet" else "json"
        tables = dict(load_dataset(builder, data_files=str(path), streaming=True))
    for table in tables.values():
        _require_data(table, str(path))
    return tables


def _require_data(table: Any, name: str) -> None:
    builder = table.info.builder_name
    if builder is not None and builder not in _BUILDERS:
        raise TaskError(f"{name}: expected {', '.join(_BUILDERS)} files, got files read as '{builder}'")
