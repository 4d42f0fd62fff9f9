"""Arguments as shells and users give them: dashes or underscores, files anywhere, lists."""

from __future__ import annotations

import json
import re

import pytest
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sgpu_lightning.cli.arguments import files_first, join_lists, with_default_value, with_underscores
from sgpu_lightning.cli.main import main

NAMES = st.from_regex(r"[a-z][a-z0-9_]*([-_.][a-z][a-z0-9_]*){0,3}", fullmatch=True)
VALUES = st.one_of(
    st.text().filter(lambda text: not text.startswith("-")),
    st.dictionaries(st.text(), st.text()).map(json.dumps),
    st.from_regex(r"-[0-9][0-9.]*", fullmatch=True),
    st.just("--a well-known text"),
    st.just("---"),
)


class TestWithUnderscores:
    @settings(deadline=None, max_examples=50)
    @given(NAMES, VALUES, st.sampled_from(["", "+"]))
    def test_only_names_are_changed(self, name, value, append):
        named = "--" + name.replace("-", "_") + append
        assert with_underscores([f"--{name}{append}", value]) == [named, value]
        assert with_underscores([f"--{name}{append}={value}"]) == [f"{named}={value}"]

    @settings(deadline=None, max_examples=50)
    @given(st.lists(VALUES))
    def test_values_and_files_are_left_as_they_are(self, values):
        assert with_underscores(values) == values

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.one_of(VALUES, NAMES.map(lambda name: f"--{name}"))))
    def test_doing_it_twice_changes_nothing_more(self, args):
        assert with_underscores(with_underscores(args)) == with_underscores(args)

    def test_nothing_is_changed_after_two_dashes(self):
        assert with_underscores(["--a-b", "--", "--a-b"]) == ["--a_b", "--", "--a-b"]

    @pytest.mark.parametrize("arg", ["-c", "-h", "-1", "--", "a-b.jsonl", "--not an-option", '{"a-b": "--c-d"}'])
    def test_what_is_no_long_option_is_left_as_it_is(self, arg):
        assert with_underscores([arg]) == [arg]


@pytest.mark.parametrize(
    ("args", "key", "value"),
    [
        (["--data.val-fraction", "0.2"], "data.val_fraction", 0.2),
        (["--data.val_fraction=0.2"], "data.val_fraction", 0.2),
        (["--trainer.max-steps=7"], "trainer.max_steps", 7),
        (["--model.num-inducing", "8"], "model.num_inducing", 8),
        (["--data.answers+", "b-c.jsonl"], "data.answers", ["a.jsonl", "b-c.jsonl"]),
        (["--data.test-answers+=b-c.jsonl"], "data.test_answers", ["b-c.jsonl"]),
        (
            ["--trainer.callbacks+=LearningRateMonitor", "--trainer.callbacks.log-momentum=true"],
            "trainer.callbacks",
            [{"class_path": "lightning.pytorch.callbacks.LearningRateMonitor"}],
        ),
        (["--seed-everything", "3"], "seed_everything", 3),
    ],
    ids=lambda value: " ".join(value) if isinstance(value, list) and isinstance(value[0], str) else "",
)
def test_the_lightning_verbs_take_dashes(args, key, value, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["fit", "--data.answers", "a.jsonl", *args, "--print-config"])
    assert stop.value.code == 0
    found = yaml.safe_load(capsys.readouterr().out)
    for part in key.split("."):
        found = found[part]
    if key == "trainer.callbacks":
        assert found[0].pop("init_args")["log_momentum"] is True
    assert found == value


@pytest.mark.parametrize(
    "args",
    [
        ["compare", "a-b.jsonl", "--cache-dir", "c-d", "--print-config"],
        ["curve", "labels", "--warm-start=false", "a-b.jsonl", "--print_config"],
        ["curve", "answers", "a-b.jsonl", "--print-config"],
        ["transfer", "a-b.jsonl", "c.jsonl", "--leave-one-out", "--shared-questions", "cross_fit", "--print-config"],
        ["select", "a-b.jsonl", "--print-config"],
        ["import", "a-b.jsonl", "--out", "c-d", "--on-error=skip", "--print-config"],
        ["embed", "a-b", "--cache-dir", "c-d", "--print-config"],
        ["label", "a-b.jsonl", "--options", '{"a-b": "--c-d"}', "--on-error", "skip", "--print-config"],
        ["merge", "a-b", "c", "--out", "d-e", "--print-config"],
        ["sample", "--model", "a-b", "--task", "t", "--out", "o", "--sampling.num-answers", "3",
         "--server.extra-body", '{"min-p": 1}', "--prompt.system", "well-known", "--print-config"],
        ["demo", "--out", "a-b", "--print-config"],
        ["export", "a-b.ckpt", "--out", "c-d", "--cache-dir", "e-f", "--print-config"],
        ["score", "a-b", "c-d.jsonl", "--on-error=skip", "--print-config"],
        ["push", "a-b", "owner/c-d", "--print-config"],
    ],
    ids=lambda args: args[0],
)  # fmt: skip
def test_every_other_verb_takes_dashes(args, capsys):
    with pytest.raises(SystemExit) as stop:
        main(args)
    assert stop.value.code == 0
    shown = capsys.readouterr().out
    values = [arg for arg in args[1:] if re.fullmatch(r"\w+-\w+(\.\w+)?", arg)]
    assert all(value in shown for value in values)
    if args[0] == "label":
        assert yaml.safe_load(shown)["options"] == {"a-b": "--c-d"}
    if args[0] == "sample":
        assert yaml.safe_load(shown)["server"]["extra_body"] == {"min-p": 1}


class TestLists:
    def test_values_after_an_option_become_one_list(self):
        args = ["--sources", "a", "b-c", "--leave_one_out", "--x_y=p-q"]
        assert join_lists(args, ("--sources",)) == ["--sources", '["a", "b-c"]', "--leave_one_out", "--x_y=p-q"]
        assert join_lists(["--sources", "[a,b]"], ("--sources",)) == ["--sources", "[a,b]"]

    @settings(deadline=None, max_examples=50)
    @given(st.lists(st.sampled_from(["a.jsonl", "b-c", "d e"]), min_size=1), st.integers(0, 5))
    def test_files_may_stand_before_and_after_options(self, files, at):
        joined = [json.dumps(files)]
        assert files_first([*files[:at], "--folds", "3", *files[at:], "--out=x"]) == [
            *joined,
            "--folds",
            "3",
            "--out=x",
        ]
        assert files_first([*files[:at], "--out=x", *files[at:]], "--answers") == ["--answers", *joined, "--out=x"]

    @pytest.mark.parametrize(
        ("args", "expected"),
        [
            (["--leave", "a"], ["--leave", "model", "a"]),
            (["a", "--leave"], ["a", "--leave", "model"]),
            (["--leave", "set", "a"], ["--leave", "set", "a"]),
            (["--leave=set", "a"], ["--leave=set", "a"]),
            (["a"], ["a"]),
        ],
    )
    def test_an_option_alone_gets_its_default(self, args, expected):
        assert with_default_value(args, "--leave", ("model", "set"), "model") == expected
