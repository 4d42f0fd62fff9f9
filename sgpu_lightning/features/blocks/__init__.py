"""Feature blocks by name. Every module of this folder that defines ``BLOCK`` adds one."""

from __future__ import annotations

from sgpu_lightning.answers.discovery import import_submodules
from sgpu_lightning.features.blocks.block import Block, BlockInputs

_FOUND = [module.BLOCK for module in import_submodules(__name__) if hasattr(module, "BLOCK")]
BLOCKS: dict[str, Block] = {block.name: block for block in sorted(_FOUND, key=lambda block: block.name)}

__all__ = ["BLOCKS", "Block", "BlockInputs"]
