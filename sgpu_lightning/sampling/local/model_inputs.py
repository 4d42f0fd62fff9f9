"""Encoded prompts as model inputs: token ids and image inputs, for one prompt or a batch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question as model inputs.

    Args:
        ids: The token ids without padding, an image's placeholders included.
        token_kinds: Further inputs with one number per token, by the model's argument names, for example
            ``mm_token_type_ids``.
        images: The processor's tensors of the images, by the model's argument names, for example ``pixel_values``.
    """

    ids: Sequence[int]
    token_kinds: Mapping[str, Sequence[int]] = field(default_factory=dict)
    images: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PromptBatch:
    """Several prompts, padded on the left so that all end at the same position.

    Args:
        ids: Token ids, padded on the left, [prompts, longest].
        mask: 1 for a token and 0 for padding, [prompts, longest].
        token_kinds: Further inputs with one number per token, each [prompts, longest].
        images: The processor's tensors of all images, in the order of the prompts.
    """

    ids: Tensor
    mask: Tensor
    token_kinds: dict[str, Tensor]
    images: dict[str, Tensor]

    def without_last_token(self) -> PromptBatch:
        """The same prompts without the last token of each."""
        kinds = {name: table[:, :-1] for name, table in self.token_kinds.items()}
        return PromptBatch(self.ids[:, :-1], self.mask[:, :-1], kinds, self.images)

    def to_arguments(self) -> dict[str, Tensor]:
        """The batch as arguments of a model's ``generate`` or ``forward``."""
        return {"input_ids": self.ids, "attention_mask": self.mask} | self.token_kinds | self.images


def collate(
    prompts: Sequence[Prompt], pad_id: int, device: torch.device, dtype: torch.dtype = torch.float32
) -> PromptBatch:
    """Combine prompts into a batch, padded on the left.

    Args:
        prompts: At least one.
        pad_id: Token id used as padding.
        device: Device of the batch.
        dtype: Floating-point type of the image inputs.
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
    """Concatenate along the first dimension, padding the other dimensions with zeros to a common size.

    Processors do the same with the images of a batch: the first dimension counts prompts, images or patches, and models
    recognise padding by a mask, by image sizes that are passed too, or by its zeros.
    """
    sizes = torch.tensor([table.shape[1:] for table in tables]).amax(dim=0).tolist()
    padded = []
    for table in tables:
        missing = [size - own for size, own in zip(sizes, table.shape[1:], strict=True)]
        padded.append(torch.nn.functional.pad(table, [n for count in reversed(missing) for n in (0, count)]))
    return torch.cat(padded)
