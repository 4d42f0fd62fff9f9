"""Training of a toy model on its corpus: plain AdamW on one thread, for a fixed number of steps."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sgpu_lightning.testbed.mentions import Mention
from sgpu_lightning.testbed.tokenizer import ASSISTANT, chat
from sgpu_lightning.testbed.vision_processor import pixel_values

if TYPE_CHECKING:
    from rich.progress import Progress
    from torch import Tensor
    from transformers import LlamaForCausalLM, LlavaForConditionalGeneration, PreTrainedTokenizerFast

BATCH_SIZE = 64
WARMUP_STEPS = 20
_IGNORED = -100


def encode(mentions: list[Mention], tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, Tensor]:
    """Convert the corpus to padded token ids and training targets.

    Args:
        mentions: The corpus.
        tokenizer: The model's tokenizer.

    Returns:
        Token ids and targets, both [mentions, T] and right-padded. A target is the next token if that belongs to the
        answer or ends it, and -100 elsewhere: the model is trained to answer, not to ask.
    """
    rows: Any = tokenizer.apply_chat_template([chat(mention) for mention in mentions], tokenize=False)
    return encode_chats(rows, tokenizer)


def encode_chats(rows: list[str], tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, Tensor]:
    """Convert questions and answers to token ids and training targets, as `encode` does.

    Args:
        rows: Texts formatted by the chat template, special tokens included.
        tokenizer: The model's tokenizer.
    """
    ids = tokenizer(rows, padding=True, padding_side="right", return_tensors="pt")["input_ids"]
    tokens, following = ids[:, :-1], ids[:, 1:]
    answering = (tokens == tokenizer.convert_tokens_to_ids(ASSISTANT)).cumsum(dim=1).bool()
    answering &= following != tokenizer.pad_token_id
    return tokens, following.masked_fill(~answering, _IGNORED)


def train(
    model: LlamaForCausalLM | LlavaForConditionalGeneration,
    data: tuple[Tensor, Tensor],
    learning_rate: float,
    steps: int,
    *,
    images: Tensor | None = None,
) -> None:
    """Train a model in place.

    Training takes a number of steps rather than seconds, so the load of the machine does not change the result.

    Args:
        model: The model; it is trained on the CPU and left in eval mode.
        data: Token ids and targets, [mentions, T] each.
        learning_rate: AdamW's peak learning rate; it is reached after a short warm-up and falls linearly towards zero.
        steps: Number of batches of `BATCH_SIZE` mentions.
        images: Grey values for a vision-language model, uint8 [mentions, S, S], one image for each mention; None for
            a language model.
    """
    import torch
    from torch.nn import functional as F

    optimizer = torch.optim.AdamW(model.parameters(), learning_rate, betas=(0.9, 0.98), weight_decay=0.0, fused=True)
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min((step + 1) / WARMUP_STEPS, (steps - step) / steps)
    )
    model.train()
    kind = "language" if images is None else "vision-language"
    with one_thread(), _progress(kind) as progress:
        task = progress.add_task("train", total=steps, loss=float("nan"))
        for rows in _batches(len(data[0]), steps):
            tokens, targets = (table[rows] for table in data)
            seen = {} if images is None else {"pixel_values": pixel_values(images[rows])}
            hidden = model.model(input_ids=tokens, **seen).last_hidden_state
            learned = targets != _IGNORED
            loss = F.cross_entropy(model.lm_head(hidden[learned]), targets[learned])
            optimizer.zero_grad()
            torch.autograd.backward(loss)
            optimizer.step()
            schedule.step()
            progress.update(task, advance=1, loss=loss.item())
    model.train(False)


@contextmanager
def one_thread() -> Iterator[None]:
    """Run torch on one thread, and restore the number of threads afterwards.

    Matrices this small gain almost nothing from a second thread, while on a busy machine threads that wait for one
    another take up to ten times as long. One thread also makes the result independent of the number of cores.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(mentions: int, steps: int) -> Iterator[Tensor]:
    """Yield the row indices of ``steps`` batches, reshuffling the corpus after each pass."""
    import torch

    order = torch.empty(0, dtype=torch.long)
    for _ in range(steps):
        if len(order) < BATCH_SIZE:
            order = torch.cat([order, torch.randperm(mentions)])
        rows, order = order[:BATCH_SIZE], order[BATCH_SIZE:]
        yield rows


def _progress(kind: str) -> Progress:
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    return Progress(
        TextColumn(f"training a toy {kind} model"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("loss {task.fields[loss]:.2f}"),
        TimeRemainingColumn(),
    )
