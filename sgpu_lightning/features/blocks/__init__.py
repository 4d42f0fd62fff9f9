"""Feature blocks by name. Every module of this folder that defines ``BLOCK`` is one."""

from __future__ import annotations

import pkgutil
from importlib import import_module

from sgpu_lightning.features.blocks.block import Block, BlockInputs

_MODULES = [import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
_FOUND = [module.BLOCK for module in _MODULES if hasattr(module, "BLOCK")]
BLOCKS: dict[str, Block] = {block.name: block for block in sorted(_FOUND, key=lambda block: block.name)}

__all__ = ["BLOCKS", "Block", "BlockInputs"]
