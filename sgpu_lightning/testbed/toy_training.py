"""Training a toy model on its corpus: plain AdamW on one thread, for a number of steps."""

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
    """Turn the corpus into padded tokens and training targets.

    Returns:
        Token ids and targets, both [mentions, T] and right-padded. A target is the next token where that is part of
        the answer or its end, and -100 elsewhere: the model learns to answer, not to ask.
    """
    rows: Any = tokenizer.apply_chat_template([chat(mention) for mention in mentions], tokenize=False)
    return encode_chats(rows, tokenizer)


def encode_chats(rows: list[str], tokenizer: PreTrainedTokenizerFast) -> tuple[Tensor, Tensor]:
    """As `encode`, of questions and answers already in the form of the chat template, special tokens and all."""
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
    """Train in place for a number of steps, not seconds, so that a busy machine changes nothing but the time.

    Args:
        model: Trained on the CPU, left in eval mode.
        data: Tokens and targets, [mentions, T] each.
        learning_rate: AdamW's; reached after a short warm-up, falls linearly towards zero.
        steps: Number of batches of `BATCH_SIZE` mentions.
        images: For a vision-language model: grey values, uint8 [mentions, S, S], one image for each mention.
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
    """Run torch on one thread, and put the number back.

    Matrices this small gain next to nothing from a second thread, while on a busy machine the threads' waiting for
    one another costs up to tenfold. It also makes the result independent of the number of cores.
    """
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _batches(mentions: int, steps: int) -> Iterator[Tensor]:
    """Yield the rows of ``steps`` batches, reshuffling whenever the corpus has been gone through."""
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
