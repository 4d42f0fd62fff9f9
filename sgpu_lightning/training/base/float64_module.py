"""A LightningModule that refuses to be converted to a lower precision than float64."""

from __future__ import annotations

from typing import Any, Self

import torch
from lightning.pytorch import LightningModule

from sgpu_lightning.training.checks import precision_error


class Float64Module(LightningModule):
    """A LightningModule that refuses dtypes in which a GP cannot run. It can be moved to another device."""

    def to(self, *args: Any, **kwargs: Any) -> Self:
        """Move the module to another device; float64 is the only dtype that is accepted."""
        dtype = torch._C._nn._parse_to(*args, **kwargs)[1]
        if dtype not in (None, torch.float64):
            raise precision_error(str(dtype))
        return super().to(*args, **kwargs)

    def float(self) -> Self:
        """Raise an error, because the GP runs in float64."""
        raise precision_error("torch.float32")

    def half(self) -> Self:
        """Raise an error, because the GP runs in float64."""
        raise precision_error("torch.float16")

    def type(self, dst_type: Any) -> Self:
        """Refused, unless it is float64."""
        if dst_type not in (torch.float64, torch.double, "torch.DoubleTensor"):
            raise precision_error(str(dst_type))
        return super().type(dst_type)

    def bfloat16(self) -> Self:
        """Raise an error, because the GP runs in float64."""
        raise precision_error("torch.bfloat16")
