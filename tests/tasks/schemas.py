"""A few rows of every benchmark in its true schema, with real images."""

from __future__ import annotations

import io

from datasets import ClassLabel, Dataset, Features, Image, List, Value
from PIL import Image as Pillow

TEXT, INT = Value("string"), Value("int64")


def image(colour, kind="PNG"):
    buffer = io.BytesIO()
    Pillow.new("RGB", (12, 8), colour).save(buffer, kind)
    return {"bytes": buffer.getvalue(), "path": None}


def trivia_row(identity, question, value, aliases):
    answer = {
        "aliases": aliases, "normalized_aliases": [alias.lower() for alias in aliases], "matched_wiki_entity_name": "",
        "normalized_matched_wiki_entity_name": "", "normalized_value": value.lower(), "type": "WikipediaEntity",
        "value": value,
    }  # fmt: skip
    return {
        "question": question, "question_id": identity, "question_source": "http://www.quizwise.com/",
        "entity_pages": {"doc_source": [], "filename": [], "title": [], "wiki_context": []},
        "search_results": {
            "description": [], "filename": [], "rank": [], "title": [], "url": [], "search_context": [],
        },
        "answer": answer,
    }  # fmt: skip


_MATCHED = ("matched_wiki_entity_name", "normalized_matched_wiki_entity_name")
TRIVIAQA = Features(
    {
        "question": TEXT, "question_id": TEXT, "question_source": TEXT,
        "entity_pages": dict.fromkeys(("doc_source", "filename", "title", "wiki_context"), List(TEXT)),
        "search_results": dict.fromkeys(("description", "filename", "title", "url", "search_context"), List(TEXT))
        | {"rank": List(Value("int32"))},
        "answer": dict.fromkeys(("aliases", "normalized_aliases"), List(TEXT))
        | dict.fromkeys((*_MATCHED, "normalized_value", "type", "value"), TEXT),
    }
)  # fmt: skip
NQ_OPEN = Features({"question": TEXT, "answer": List(TEXT)})
SQUAD = Features(
    {
        "id": TEXT, "title": TEXT, "context": TEXT, "question": TEXT,
        "answers": {"text": List(TEXT), "answer_start": List(Value("int32"))},
    }
)  # fmt: skip
VQAV2 = Features(
    {
        "question_type": TEXT, "multiple_choice_answer": TEXT,
        "answers": List({"answer": TEXT, "answer_confidence": TEXT, "answer_id": INT}), "image_id": INT,
        "answer_type": TEXT, "question_id": INT, "question": TEXT, "image": Image(),
    }
)  # fmt: skip
OKVQA = Features(
    {
        "question_id": TEXT, "image": Image(), "question": TEXT, "answers": List(TEXT), "question_type": TEXT,
        "answer_type": TEXT,
    }
)  # fmt: skip
VIZWIZ = Features({"question_id": TEXT, "image": Image(), "question": TEXT, "answers": List(TEXT), "category": TEXT})
CIFAR100 = Features(
    {
        "img": Image(),
        "fine_label": ClassLabel(names=["aquarium_fish", "lion", "seal", "cra"]),
        "coarse_label": ClassLabel(names=["fish", "large_carnivores", "aquatic_mammals", "non-insect_invertebrates"]),
    }
)
IMAGENET = Features(
    {
        "image": Image(),
        "label": ClassLabel(
            names=["tench, Tinca tinca", "lion, king of beasts, Panthera leo", "sea lion", "crane", "crane2"]
        ),
    }
)

TEN = ["net", "net", "net", "netting", "net", "mesh", "net", "netting", "a net", "net"]


def vqa_row(identity, question, answers, image_id, colour):
    return {
        "question_type": "what is this", "multiple_choice_answer": "net", "image_id": image_id, "answer_type": "other",
        "answers": [
            {"answer": answer, "answer_confidence": "yes", "answer_id": i + 1} for i, answer in enumerate(answers)
        ],
        "question_id": identity, "question": question, "image": image(colour, "JPEG"),
    }  # fmt: skip


def okvqa_row(identity, question, answers, colour):
    return {
        "question_id": identity, "image": image(colour, "JPEG"), "question": question, "answers": answers,
        "question_type": "other", "answer_type": "other",
    }  # fmt: skip


# name: (features, rows, the file's path in the repository on the hub)
ROWS = {
    "triviaqa": (
        TRIVIAQA,
        [
            trivia_row("tc_2", "Who was President when the first Peanuts cartoon was published?", "Harry Truman",
                       ["Presidency of Harry S. Truman", "Harry Truman", "33rd President"]),
            trivia_row("tc_33", "Which {curly} question?", "Braces", ["{}"]),
            trivia_row("tc_2", "Who was President when the first Peanuts cartoon was published?", "Harry Truman",
                       ["Harry Truman"]),  # of another document
            trivia_row("tc_34", "In the test split?", "<unk>", []),
        ],
        "rc.nocontext/validation-00000-of-00001.parquet",
    ),
    "nq_open": (
        NQ_OPEN,
        [
            {"question": "when was anyone on the moon", "answer": ["14 December 1972 UTC", "December 1972"]},
            {"question": "who wrote he ain't heavy", "answer": ["Bobby Scott", "Bob Russell"]},
        ],
        "nq_open/validation-00000-of-00001.parquet",
    ),
    "squad": (
        SQUAD,
        [
            {"id": "56be4db0acb8001400a502ec", "title": "Super_Bowl_50", "context": "Denver Broncos won.",
             "question": "Who won?", "answers": {"text": ["Denver Broncos", "Denver Broncos", "Broncos"],
                                                 "answer_start": [0, 0, 7]}},
            {"id": "56be4db0acb8001400a502ed", "title": "Super_Bowl_50", "context": "Denver Broncos won.",
             "question": "From where?", "answers": {"text": ["Denver"], "answer_start": [0]}},
            {"id": "56be4db0acb8001400a502ee", "title": "Super_Bowl_50", "context": "Another passage.",
             "question": "What?", "answers": {"text": ["passage"], "answer_start": [8]}},
        ],
        "plain_text/validation-00000-of-00001.parquet",
    ),
    "vqav2": (
        VQAV2,
        [
            vqa_row(262148000, "Where is he looking?", TEN, 262148, "red"),
            vqa_row(262148001, "What is this?", TEN[::-1], 262148, "red"),
            vqa_row(393225000, "Is it blue?", [], 393225, "blue"),
        ],
        "data/validation-00000-of-00068.parquet",
    ),
    "okvqa": (
        OKVQA,
        [okvqa_row("2621480", "What is it for?", TEN, "red"), okvqa_row("3932251", "Why?", TEN, "blue")],
        "data/val2014-00000-of-00002.parquet",
    ),
    "vizwiz": (
        VIZWIZ,
        [
            {"question_id": "VizWiz_val_00000000.jpg", "image": image("red", "JPEG"), "question": "What is this?",
             "answers": ["unanswerable"] * 7 + ["soda", "soda", "unsuitable"], "category": "unanswerable"},
            {"question_id": "VizWiz_val_00000001.jpg", "image": image("blue", "JPEG"), "question": "What is this?",
             "answers": ["can"] * 10, "category": "other"},
            {"question_id": "VizWiz_test_00000001.jpg", "image": image("green", "JPEG"), "question": "What is this?",
             "answers": None, "category": None},
        ],
        "data/val-00000-of-00005.parquet",
    ),
    "cifar100": (
        CIFAR100,
        [
            {"img": image("gold"), "fine_label": 0, "coarse_label": 0},
            {"img": image("brown"), "fine_label": 1, "coarse_label": 1},
            {"img": image("grey"), "fine_label": 2, "coarse_label": 2},
            {"img": image("brown"), "fine_label": 3, "coarse_label": 3},
        ],
        "cifar100/test-00000-of-00001.parquet",
    ),
    "imagenet": (
        IMAGENET,
        [
            {"image": image("gold", "JPEG"), "label": 0},
            {"image": image("brown", "JPEG"), "label": 1},
            {"image": image("grey", "JPEG"), "label": 4},
            {"image": image("white", "JPEG"), "label": -1},
        ],
        "data/validation-00000-of-00014.parquet",
    ),
}  # fmt: skip


def dataset(name):
    features, rows, _ = ROWS[name]
    return Dataset.from_list(rows, features=features)


def hub_copy(folder, name):
    """Write the benchmark's rows to the place they have in a download of its repository."""
    file = folder / name / ROWS[name][2]
    file.parent.mkdir(parents=True)
    dataset(name).to_parquet(file)
    return folder / name
