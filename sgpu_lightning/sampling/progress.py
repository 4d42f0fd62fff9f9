"""The progress bar of a sampling run."""

from __future__ import annotations

from contextlib import AbstractContextManager
from types import TracebackType
from typing import Self

from sgpu_lightning.sampling.launch import Launch


class SamplingProgress(AbstractContextManager["SamplingProgress"]):
    """Shows questions done, answers per second and time left.

    With several processes, only the main one shows a bar, and the bar counts that process's questions.

    Args:
        model: Name of the model.
        total: Number of questions of this process.
        done: How many of them are already in the store.
        launch: This process's place among all.
        show: Whether to show the bar.
    """

    def __init__(self, model: str, total: int, done: int, launch: Launch, *, show: bool = True) -> None:
        from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

        part = f" (process 1 of {launch.world_size})" if launch.world_size > 1 else ""
        self._bar = Progress(
            TextColumn(f"sample {model}{part}", markup=False),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            disable=not (show and launch.is_main),
        )
        self._task = self._bar.add_task("sample", total=total, completed=done, rate="")
        self._answers = self._failed = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._bar.stop()

    def advance(self, answers: int) -> None:
        """Count one more question.

        Args:
            answers: Number of answers it got; 0 if it failed.
        """
        self._answers += answers
        self._failed += answers == 0
        elapsed = self._bar.tasks[0].elapsed or 0.0
        rate = f"{self._answers / elapsed:.1f} answers/s" if elapsed > 0 else ""
        failed = f", {self._failed} failed" if self._failed else ""
        self._bar.update(self._task, advance=1, rate=rate + failed)
