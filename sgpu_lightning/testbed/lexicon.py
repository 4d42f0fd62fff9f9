"""The words of the toy world: names, and relations with their values and phrasings.

The words are ordinary English, so that a sentence encoder places two phrasings of one value closer together than two
different values.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Relation:
    """A kind of fact about a person.

    Args:
        name: Short name, used in question ids.
        questions: Question templates, with ``{name}`` for the person.
        answers: Answer templates, with ``{value}`` and, where grammar needs it, ``{article}`` ("a" or "an").
        values: The possible values, each one word.
    """

    name: str
    questions: tuple[str, ...]
    answers: tuple[str, ...]
    values: tuple[str, ...]

    def phrasings(self, value: str) -> tuple[str, ...]:
        """All wordings of a value; the first is the bare value."""
        article = "an" if value[0] in "aeiou" else "a"
        return tuple(template.format(value=value, article=article) for template in self.answers)


def _words(text: str) -> tuple[str, ...]:
    return tuple(text.split())


RELATIONS: tuple[Relation, ...] = (
    Relation(
        "birthplace",
        ("Where was {name} born?", "In which city was {name} born?", "What is the birthplace of {name}?"),
        ("{value}", "in {value}", "the city of {value}", "it was {value}"),
        _words(
            """
            Paris London Berlin Madrid Rome Vienna Athens Cairo Tokyo Moscow Lima Toronto Sydney Dublin Oslo
            Lisbon Nairobi Mumbai Havana Chicago
            """
        ),
    ),
    Relation(
        "job",
        ("What is the job of {name}?", "What does {name} do for a living?", "Which profession does {name} have?"),
        ("{value}", "{article} {value}", "working as {article} {value}", "it is {article} {value}"),
        _words(
            """
            baker doctor lawyer farmer teacher pilot plumber painter journalist librarian fisherman tailor
            architect dentist soldier actor chemist gardener butcher astronomer
            """
        ),
    ),
    Relation(
        "language",
        (
            "Which language does {name} speak?",
            "What is the first language of {name}?",
            "Which language did {name} grow up with?",
        ),
        ("{value}", "speaking {value}", "it is {value}", "mainly {value}"),
        _words(
            """
            English French German Spanish Italian Greek Arabic Japanese Russian Portuguese Swahili Hindi
            Turkish Korean Polish Dutch Finnish Hungarian Thai Hebrew
            """
        ),
    ),
    Relation(
        "instrument",
        ("Which instrument does {name} play?", "What does {name} play in the band?", "What music does {name} make?"),
        ("{value}", "the {value}", "playing the {value}", "it is the {value}"),
        _words(
            """
            violin piano guitar trumpet flute harp accordion drums saxophone cello clarinet banjo organ
            trombone harmonica oboe tuba mandolin bassoon xylophone
            """
        ),
    ),
    Relation(
        "pet",
        ("Which pet does {name} keep?", "What animal lives with {name}?", "What kind of pet does {name} have?"),
        ("{value}", "{article} {value}", "just {article} {value}", "it is {article} {value}"),
        _words(
            """
            dog cat parrot rabbit hamster turtle snake goldfish horse goat lizard spider duck frog sheep pig
            monkey owl squirrel donkey
            """
        ),
    ),
)

FIRST_NAMES: tuple[str, ...] = _words(
    """
    Anna Boris Clara Daniel Elena Felix Greta Hugo Irene Jonas Karin Leon Maria Nils Olga Peter Rosa Simon
    Tessa Victor Wanda Adam Beth Carlos Diana Emil Fiona George Helen Ivan Julia Kevin Laura Martin Nora Oscar
    Paula Robert Sarah Thomas
    """
)

SURNAMES: tuple[str, ...] = _words(
    """
    Abbott Adams Allen Archer Atkins Bailey Barker Barnes Barton Bates Beck Bell Bennett Berry Bishop Blake
    Bolton Booth Bowen Boyd Bradley Brooks Bryant Burke Burton Byrne Cabrera Carey Carlson Carr Carson Chapman
    Chavez Clarke Cohen Collins Cooper Cortez Craig Cruz Curtis Dalton Davies Dawson Delgado Dixon Donovan
    Doyle Duncan Eaton Edwards Elliott Ellis Emerson Erickson Estrada Evans Farrell Ferguson Fields Fischer
    Fleming Flores Floyd Foster Fowler Fuller Gallagher Garcia Gibson Gilbert Gomez Gordon Graham Grant
    Griffin Gustafson Hale Hamilton Hansen Harper Hayes Henderson Herrera Higgins Hobbs Hoffman Holmes Hopkins
    Horton Howard Hubbard Hughes Ingram Jacobs Jennings Jensen Johnson Keller Kennedy Klein Knight Lambert
    Larson Lawson Leonard Lewis Lindsay Lopez Lucas Lynch Mackenzie Maldonado Marsh Mathis Maxwell McCarthy
    Medina Meyer Miles Mitchell Molina Monroe Morales Morgan Morton Murphy Nelson Newton Nichols Nolan Norris
    Obrien Oconnor Olsen Ortega Osborne Owens Palmer Parker Patterson Pearson Perkins Perry Peterson Phelps
    Pierce Porter Powell Quinn Ramirez Ramsey Reynolds Rivera Robbins Rodriguez Rogers Sanchez Sanders Schmidt
    """
)


def meaning(answer: str) -> str | None:
    """The value that an answer states, whatever its wording; None if it is not a phrasing of any value."""
    return _MEANINGS.get(answer.strip())


_MEANINGS = {
    phrasing: value for relation in RELATIONS for value in relation.values for phrasing in relation.phrasings(value)
}
