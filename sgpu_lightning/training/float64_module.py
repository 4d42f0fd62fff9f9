"""A LightningModule whose dtype stays float64 where it matters."""

from __future__ import annotations

from typing import Any, Self

import torch
from lightning.pytorch import LightningModule

from sgpu_lightning.training.checks import precision_error


class Float64Module(LightningModule):
    """Refuses to be converted to a dtype in which a GP cannot run. Moving it to another device is fine."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the module to another device; float64 is the only dtype that is accepted."""
        dtype = torch._C._nn._parse_to(*args, **kwargs)[1]
        if dtype not in (None, torch.float64):
            raise precision_error(str(dtype))
        return super().to(*args, **kwargs)

    def float(self) -> Self:
        """Refused: the GP runs in float64."""
        raise precision_error("torch.float32")

    def half(self) -> Self:
        """Refused: the GP runs in float64."""
        raise precision_error("torch.float16")

    def bfloat16(self) -> Self:
        """Refused: the GP runs in float64."""
        raise precision_error("torch.bfloat16")
