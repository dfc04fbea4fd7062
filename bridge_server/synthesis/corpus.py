# SPDX-License-Identifier: Apache-2.0
"""Sentences to be said: templates filled at random, plus the utterances of ``gesture_notation``.

A sentence belongs to exactly one split, by a hash of its text, so no sentence of the validation or test split is
ever said in training.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np

from shared.errors import UnderstudyError

__all__ = ["Sentence", "Utterance", "load_utterances", "monologue", "sentence", "spell", "split_of"]

SPLITS: Final = ("train", "val", "test")


@dataclass(frozen=True)
class Sentence:
    """``text`` as it is spoken; ``emphasis`` the indices of words (split at blanks) said with stress."""

    text: str
    emphasis: frozenset[int] = frozenset()


@dataclass(frozen=True)
class Utterance:
    """A sentence of the notation data with the speech acts its gestures are for."""

    text: str
    concepts: tuple[str, ...]


_WORDS: Final = {
    "who": """
        we, they, you, my friends, the students, the engineers, our neighbours, the committee, the whole team,
        my parents, the children, our customers, most people, the doctors, the actors""",
    "person": """
        my sister, the director, our teacher, an old friend, the mayor, my brother, the captain, a stranger, the
        new manager, your neighbour, the lead singer, my grandfather, the coach""",
    "thing": """
        project, question, machine, garden, story, problem, picture, window, letter, song, bridge, kitchen,
        meeting, journey, experiment, contract, budget, recipe, system, plan, camera, computer, festival,
        library, market, harbour, mountain, painting, theatre""",
    "things": """
        ideas, houses, answers, tools, letters, flowers, mistakes, numbers, pictures, rules, languages, chances,
        memories, tickets, books, windows, colours, details, promises""",
    "place": """
        the river, the station, the old town, the airport, the coast, the north, the office, the park, the city,
        the village, the mountains, the market, the hospital, the studio, the stage""",
    "adj": """
        big, small, simple, strange, beautiful, important, terrible, quiet, difficult, enormous, wonderful,
        tiny, expensive, honest, careful, brilliant, boring, dangerous, clever, huge""",
    "verb": """
        build, change, finish, open, paint, repair, understand, improve, present, discover, remember, protect,
        design, explain, follow, replace, forget, measure, imagine, rewrite""",
    "past": """
        built, changed, finished, opened, painted, repaired, forgot, improved, discovered, remembered,
        protected, designed, explained, followed, replaced, measured, rewrote""",
    "time": """
        yesterday, last summer, in the morning, every single day, on Monday, ten years ago, tonight, next week,
        at midnight, before lunch, in December, this afternoon, after the war, right now""",
    "adv": """
        really, never, always, slowly, quickly, certainly, absolutely, finally, honestly, usually""",
    "number": """
        two, three, four, five, seven, ten, twelve, twenty, forty-five, a hundred, three thousand, nine million,
        sixteen, thirty-two, eighty""",
    "food": """
        bread, apples, coffee, soup, chocolate, fish, rice, cheese, oranges, tomatoes, honey""",
    "feeling": """
        happy, sad, tired, excited, worried, proud, surprised, nervous, hopeful, grateful""",
    "animal": """
        dog, horse, eagle, whale, cat, elephant, fox, tiger, rabbit, donkey""",
    "noun": """
        freedom, music, science, patience, courage, trust, silence, weather, history, education, health, money,
        love, time, language, nature, work, art, peace, memory""",
    "up": """
        grow, rise, climb, increase, improve, go up""",
    "down": """
        fall, sink, drop, shrink, decline, go down""",
}
_SLOTS: Final = {slot: tuple(" ".join(text.split()).split(", ")) for slot, text in _WORDS.items()}

_TEMPLATES: Final = (
    "{who} {past} the {adj} {thing} {time}.",
    "I {adv} wanted to {verb} the {thing} with {person}.",
    "You have to {verb} it, and then you have to {verb} it again.",
    "This is the most {adj} {thing} I have ever seen.",
    "There were {number} {things} in the {adj} {thing}.",
    "First we {verb} the {thing}, second we {verb} the {things}, and third we go to {place}.",
    "*No*, that is *not* what {person} said about {noun}.",
    "Do you {adv} think that {noun} can {verb} the {thing}?",
    "Why would {who} ever {verb} a {adj} {thing}?",
    "I don't know, maybe {person} can {verb} it {time}.",
    "Look over there, beyond {place}, there is a {adj} {animal}.",
    "All of the {things} were {adj}, *all* of them.",
    "On the one hand it is {adj}, on the other hand it is {adj}.",
    "We need {food}, {food}, {food} and {food}.",
    "Prices {up} in the morning and {down} in the evening.",
    "When I was young, {person} told me a {adj} story about {place}.",
    "{noun} is more {adj} than {noun}, believe me.",
    "I feel {feeling}, you feel {feeling}, and everybody is {feeling} about the {thing}.",
    "Come with me to {place}, and I will show you everything.",
    "Nobody could {verb} the {thing}, not even {person}.",
    "It was a very, very {adj} {thing}, as big as a house.",
    "Just a little bit of {noun} can {verb} the whole {thing}.",
    "Imagine {number} {things}, one next to the other, from here to {place}.",
    "Thank you all for coming {time}.",
    "Ladies and gentlemen, it is time to {verb} our {thing}.",
    "What is {noun}? It is the {thing} that we all {verb}.",
    "{person} looked at me and said: {verb} the {thing}, {verb} the {things}, and be {feeling}.",
    "Between {place} and {place} you will find {number} {adj} {things}.",
    "Stop! You cannot {verb} that {thing} here.",
    "If {noun} is the question, then {noun} is the answer.",
    "Either {who} {verb} the {thing}, or we lose {noun}.",
    "In {number} years, {who} will {verb} every {thing} in {place}.",
    "I was {feeling}, but {person} was even more {feeling}.",
    "Who knows? Perhaps the {animal} is {adj}.",
    "Some people like {food}, other people like {food}.",
    "The {thing} is *here*, and the {thing} is *there*, far away.",
    "We must *never* {verb} the {thing} without {noun}.",
    "My first point is {noun}, my second point is {noun}, and my last point is {noun}.",
    "Everything we {past}, everything we {past}, belongs to {who}.",
    "You and I, together, can {verb} this {thing}.",
    "Is it {adj}, or is it only {adj}?",
    "The {animal} turned around, {adv}, and went back to {place}.",
    "How many {things} do you need to {verb} a {adj} {thing}?",
    "Let us {verb} the {things}, step by step.",
    "I *love* the {adj} {things} that {person} {past} {time}.",
    "That is why {noun} matters, and that is why I am here.",
    "Well, actually, {who} {past} it {time}.",
    "Please {verb} the {thing} before {who} {verb} the {things}.",
    "Not the {thing}, the *{thing}*!",
    "Whatever happens {time}, {person} will {verb} us.",
    "The bigger the {thing}, the smaller the {noun}.",
    "She said {number}, he said {number}, and I said {number}.",
    "Open the {thing}, take out the {things}, and put them over there.",
    "Good morning, and welcome to {place}.",
    "It isn't {adj}, it isn't {adj}, it is simply {adj}.",
    "To be honest, I have {adv} understood {noun}.",
    "From {place} all the way to {place}, {who} {verb} {things}.",
    "Yes, of course, {person} can {verb} the {thing}.",
    "We came, we {past} the {thing}, and we went home.",
    "Believe me, {noun} is everything.",
    "Right behind you there was a {adj} {animal} with {number} {things}.",
    "Can you hear that? It comes from {place}.",
)

_UNITS: Final = (
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen "
    "seventeen eighteen nineteen"
).split()
_ORDINALS: Final = dict(enumerate("zeroth first second third fourth fifth sixth seventh eighth ninth tenth".split()))
_TENS: Final = "zero ten twenty thirty forty fifty sixty seventy eighty ninety".split()


def spell(text: str) -> str:
    """The text with numbers written as words, so that every engine counts the same words."""

    def number(n: int) -> str:
        if n < 20:
            return _UNITS[n]
        if n < 100:
            return _TENS[n // 10] + (f"-{_UNITS[n % 10]}" if n % 10 else "")
        if n < 1000:
            return f"{_UNITS[n // 100]} hundred" + (f" {number(n % 100)}" if n % 100 else "")
        if n < 1_000_000:
            return f"{number(n // 1000)} thousand" + (f" {number(n % 1000)}" if n % 1000 else "")
        return " ".join(_UNITS[int(d)] for d in str(n))

    text = re.sub(r"\b(\d+)(?:st|nd|rd|th)\b", lambda m: _ORDINALS.get(int(m[1]), m[1]), text)
    text = re.sub(r"(\d+):(\d\d)\b", lambda m: f"{m[1]} {m[2]}", text)
    return re.sub(r"\d+", lambda m: number(int(m[0])), text.replace("%", " percent"))


def split_of(text: str) -> str:
    """The split that a sentence belongs to: of 20 buckets, 16 train, 2 val, 2 test."""
    key = " ".join(re.findall(r"[a-z0-9']+", text.lower()))
    bucket = int.from_bytes(hashlib.sha256(key.encode()).digest()[:4], "little") % 20
    return SPLITS[0 if bucket < 16 else 1 if bucket < 18 else 2]


def sentence(rng: np.random.Generator, split: str) -> Sentence:
    """A sentence of this split; about one in four has one more word stressed at random."""
    while True:
        template = _TEMPLATES[rng.integers(len(_TEMPLATES))]
        marked = re.sub(r"{(\w+)}", lambda m: str(rng.choice(_SLOTS[m[1]])), template)
        marked = re.sub(r"\ba (?=[aeiou])", "an ", marked)
        marked = re.sub(r"(^|[.!?:] )([a-z])", lambda m: m[1] + m[2].upper(), marked)
        text = marked.replace("*", "")
        if split_of(text) == split:
            break
    emphasis = {k for k, w in enumerate(marked.split()) if w.startswith("*")}
    if not emphasis and rng.random() < 0.25:
        long = [k for k, w in enumerate(text.split()) if len(w) > 3]
        emphasis = {int(rng.choice(long))} if long else set()
    return Sentence(text, frozenset(emphasis))


def monologue(rng: np.random.Generator, split: str, count: int) -> list[Sentence]:
    """``count`` sentences."""
    return [sentence(rng, split) for _ in range(count)]


def load_utterances(path: Path, split: str) -> list[Utterance]:
    """The utterances of this split from ``utterances.json``. :raises UnderstudyError: ``file_invalid``."""
    try:
        rows = json.loads(path.read_text("utf-8"))
        found = [Utterance(spell(str(r["text"]).strip()), tuple(r["concepts"])) for r in rows]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnderstudyError("file_invalid", f"{path.name} cannot be read as a list of utterances ({error}).",
                              "Fetch the gesture_notation data again.") from error
    # a stress mark of the notation's sentences is their own capital word; none is marked, so none is emphasised
    return [u for u in found if re.search("[a-z]", u.text.lower()) and split_of(u.text) == split]
