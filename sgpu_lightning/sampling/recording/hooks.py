"""Recording the hidden states of answers with forward hooks while a model generates them."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self, cast, get_args

import torch
from torch import Tensor, nn

from sgpu_lightning.errors import LayerError, SamplingError
from sgpu_lightning.sampling.sampler_protocol import TokenRule

if TYPE_CHECKING:
    from transformers import PreTrainedModel

Layers = int | Sequence[int] | None
# The name in Llama and most others; in GPT-2, Falcon and BLOOM; in MPT.
_BLOCK_LISTS = ("layers", "h", "blocks")


def decoder_layers(model: PreTrainedModel) -> nn.ModuleList:
    """The blocks of a model's text decoder, first to last.

    Args:
        model: The model.

    Raises:
        SamplingError: If the model has no list of decoder blocks.
    """
    decoder: nn.Module = cast("Any", model).get_decoder()
    for name in _BLOCK_LISTS:
        blocks = getattr(decoder, name, None)
        if isinstance(blocks, nn.ModuleList) and len(blocks) > 0:
            return blocks
    raise SamplingError(
        f"{type(model).__name__} has no decoder layers: expected get_decoder() to hold a list named "
        f"{', '.join(_BLOCK_LISTS)}, got {type(decoder).__name__} without"
    )


def resolve_layers(model: PreTrainedModel, layers: Layers = None) -> tuple[int, ...]:
    """Convert layer indices to non-negative ones, without repetitions.

    Args:
        model: The model whose decoder blocks are counted.
        layers: Indices counted from 0, or negative from the end; None: the middle block, ``num_layers // 2``.

    Raises:
        LayerError: If an index is out of range, naming the range and the model.
        SamplingError: If the model has no decoder layers.
    """
    count = len(decoder_layers(model))
    if layers is None:
        return (count // 2,)
    given = (layers,) if isinstance(layers, int) else tuple(layers)
    for index in given:
        if not -count <= index < count:
            raise LayerError(
                f"layers: expected indices from {-count} to {count - 1}, got {index}: "
                f"{type(model).__name__} has {count} decoder layers"
            )
    return tuple(dict.fromkeys(index % count for index in given))


class HiddenStateRecorder:
    """Records one vector for each generated row and layer, instead of the states of all tokens.

    Within the ``with`` block, forward hooks observe the selected decoder blocks. Layer ``i`` is the output of block
    ``i``, counted from 0, **before** the model's final norm. In transformers this is usually ``hidden_states[i + 1]``,
    except for the last block, whose entry there is taken after the final norm.

    A token's own state is computed when the token is fed back, one forward after it was selected. The code that selects
    the tokens therefore calls `mark` with the rows whose new token is part of the answer. The vector of a row that is
    not marked (finished, padding, the end token) does not change. A row that is never marked has an empty answer: its
    vector is the state of the prompt's last token. Rows must be left-padded, so that the newest token comes last.

    Args:
        model: A causal language model.
        layers: Decoder blocks, counted from 0 or negative from the end; None: the middle one; an empty list: none.
        token: ``last`` keeps the state of the last answer token, ``mean`` the mean over all answer tokens.

    Raises:
        LayerError: If a layer is out of range.
        SamplingError: If ``token`` is unknown or the model has no decoder layers.
    """

    def __init__(self, model: PreTrainedModel, layers: Layers = None, token: TokenRule = "last") -> None:
        if token not in get_args(TokenRule):
            raise SamplingError(f"token: expected one of {', '.join(get_args(TokenRule))}, got {token!r}")
        self.layers = resolve_layers(model, layers)
        self.token: TokenRule = token
        self._blocks = decoder_layers(model)
        self._handles: list[torch.utils.hooks.RemovableHandle] = []
        self._reductions: dict[int, _Reduction] = {}
        self._active: Tensor | None = None

    def __enter__(self) -> Self:
        self._active = None
        self._reductions = {layer: _Reduction(self.token) for layer in self.layers}
        self._handles = [
            self._blocks[layer].register_forward_hook(partial(self._on_forward, reduction))
            for layer, reduction in self._reductions.items()
        ]
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        for handle in self._handles:
            handle.remove()
        self._handles = []

    def mark(self, active: Tensor) -> None:
        """Set which rows' newest token is part of their answer.

        Args:
            active: Bool, [rows]: True if the token just selected, the next forward's input, is an answer token.
        """
        self._active = active

    def vectors(self) -> dict[int, Tensor]:
        """The recorded vectors: for each layer float32 on the CPU, [rows, d].

        Raises:
            RuntimeError: If no forward ran in the ``with`` block.
        """
        return {layer: reduction.result() for layer, reduction in self._reductions.items()}

    def _on_forward(self, reduction: _Reduction, module: nn.Module, args: tuple[Any, ...], output: Any) -> None:
        hidden: Tensor = output[0] if isinstance(output, tuple) else output
        reduction.update(hidden[:, -1], self._active)


class _Reduction:
    """Accumulates one layer's vector of each row, in float32 on the layer's device."""

    def __init__(self, token: TokenRule) -> None:
        self._token = token
        self._prompt: Tensor | None = None
        self._value = torch.empty(0)
        self._count = torch.empty(0)

    def update(self, state: Tensor, active: Tensor | None) -> None:
        """Add the states of one forward.

        Args:
            state: The newest token's state of each row, [rows, d].
            active: Bool, [rows]: which of the tokens are answer tokens; None: the forward read the prompt.
        """
        # A copy: a view would keep the states of the whole prompt in memory.
        state = state.detach().to(torch.float32, copy=True)
        if active is None or self._prompt is None:
            self._prompt = state
            self._value = torch.zeros_like(state)
            self._count = state.new_zeros(len(state), 1)
            return
        if len(active) != len(state):
            raise SamplingError(f"mark: expected one flag for each of {len(state)} rows, got {len(active)}")
        column = active.to(state.device)[:, None]
        updated = self._value + state if self._token == "mean" else state
        self._value = torch.where(column, updated, self._value)
        self._count += column

    def result(self) -> Tensor:
        """The vectors so far, [rows, d]; for rows without an answer token, the state of the prompt's last token."""
        if self._prompt is None:
            raise RuntimeError("nothing was recorded: the model ran no forward within the recorder's with block")
        divisor = self._count.clamp(min=1) if self._token == "mean" else 1
        return torch.where(self._count > 0, self._value / divisor, self._prompt).cpu()
