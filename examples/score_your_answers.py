"""Fit P(correct) on a file of graded answers and print the five held-out answers with the lowest P(correct).

    python examples/score_your_answers.py answers.jsonl

docs/record.md describes the format of the file.
"""

from __future__ import annotations

import sys

import torch

from sgpu_lightning import AnswerDataModule, fit


def main(path: str) -> None:
    data = AnswerDataModule(path, encoder="minilm")
    fitted = fit(data)
    print({name: round(value, 3) for name, value in fitted.metrics["test"].items()})
    held_out = data.split_indices["test"]
    p_correct = fitted.module(data.batch(held_out)).p_correct
    for i in torch.argsort(p_correct)[:5].tolist():
        row = data.table.rows[int(held_out[i])]
        print(f"{p_correct[i]:.2f}  {row.scored!r}  {row.group}")


if __name__ == "__main__":
    main(*sys.argv[1:])
