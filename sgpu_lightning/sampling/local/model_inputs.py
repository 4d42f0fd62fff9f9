"""Prompts as a model takes them: token ids, and what belongs to their images; one or a batch of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question as a model takes it.

    Args:
        ids: The token ids, none of them padding; an image's placeholders included.
        token_kinds: Further numbers for each token under the model's own names, for example ``mm_token_type_ids``.
        images: What the processor made of the images under the model's own names, for example ``pixel_values``.
    """

    ids: Sequence[int]
    token_kinds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    images: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Prompts that end together.

    Args:
        ids: Token ids, padded on the left, [prompts, longest].
        mask: 1 for a token and 0 for padding, [prompts, longest].
        token_kinds: Further numbers for each token, each [prompts, longest].
        images: What the processor made of all images, in the order of the prompts.
    """

    ids: Tensor
    mask: Tensor
    token_kinds: dict[str, Tensor]
    images: dict[str, Tensor]

    def without_last_token(self) -> PromptBatch:
        """The same prompts but for the last token of each."""
        kinds = {name: table[:, :-1] for name, table in self.token_kinds.items()}
        return PromptBatch(self.ids[:, :-1], self.mask[:, :-1], kinds, self.images)

    def to_arguments(self) -> dict[str, Tensor]:
        """The batch as arguments of a model's ``generate`` or ``forward``."""
        return {"input_ids": self.ids, "attention_mask": self.mask} | self.token_kinds | self.images


def collate(
    prompts: Sequence[Prompt], pad_id: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> PromptBatch:
    """Put prompts together, padded on the left.

    Args:
        prompts: At least one.
        pad_id: Fills the token ids.
        device: Where the batch is wanted.
        dtype: Of images.
    """
    longest = max(len(prompt.ids) for prompt in prompts)

    def padded(rows: Sequence[Sequence[int]], filler: int) -> Tensor:
        return torch.tensor([[filler] * (longest - len(row)) + list(row) for row in rows], device=device)

    kinds = dict.fromkeys(name for prompt in prompts for name in prompt.token_kinds)
    names = dict.fromkeys(name for prompt in prompts for name in prompt.images)
    images = {name: _stack([prompt.images[name] for prompt in prompts if name in prompt.images]) for name in names}
    return PromptBatch(
        ids=padded([prompt.ids for prompt in prompts], pad_id),
        mask=padded([[1] * len(prompt.ids) for prompt in prompts], 0),
        token_kinds={name: padded([prompt.token_kinds.get(name, ()) for prompt in prompts], 0) for name in kinds},
        images={name: table.to(device, dtype if table.is_floating_point() else None) for name, table in images.items()},
    )


def _stack(tables: Sequence[Tensor]) -> Tensor:
    """One after the other along the first dimension, filled up with zeros to a common size in the others.

    It is what processors do with the images of a batch themselves: the first dimension counts prompts, images or
    patches, and models tell padding by a mask, by sizes that are given too, or by its being zero.
    """
    sizes = torch.tensor([table.shape[1:] for table in tables]).amax(dim=0).tolist()
    filled = []
    for table in tables:
        room = [size - own for size, own in zip(sizes, table.shape[1:], strict=True)]
        filled.append(torch.nn.functional.pad(table, [n for size in reversed(room) for n in (0, size)]))
    return torch.cat(filled)
