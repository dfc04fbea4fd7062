# SPDX-License-Identifier: Apache-2.0
"""A training run: which data, which sizes, stage after stage, from a TOML file."""

from __future__ import annotations

import hashlib
import json
import shutil
import tomllib
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import torch

from bridge_server.audio.encoder import AudioEncoder, load_audio_encoder
from bridge_server.motion.features import PARTS
from bridge_server.motion.text_branch import BranchConfig
from bridge_server.motion.tokenizer import Tokenizer, TokenizerConfig
from bridge_server.motion.weights import SHIPPED, load_networks, save_network, write_card
from bridge_server.text.encoder import TextEncoder, load_text_encoder
from shared.errors import UnderstudyError

from . import corpus as corpora
from .audio_stage import train_audio_branch
from .clips import Clip, read_sets
from .loop import RunOptions
from .prepare_store import read_index
from .sequences import TextTable, TokenSet, build_text_set
from .speech_set import build_speech_set
from .text_stage import train_residual_branch, train_text_branch
from .tokenizer_stage import reconstruction, refine_decoder, train_tokenizer

__all__ = ["CONFIGS", "STAGES", "Recipe", "load_recipe"]

CONFIGS: Final = Path(__file__).resolve().parent / "configs"


@dataclass
class Recipe:
    """One run.

    :ivar run: folder of checkpoints, logs and weights. :ivar data: folder that holds the motion sets.
    :ivar settings: the TOML file's content.
    :ivar speech: folders of performances with speech, instead of those that the settings name.
    """

    run: Path
    data: Path
    settings: dict[str, Any]
    device: str = "cpu"
    bf16: bool = False
    minutes: dict[str, float] = field(default_factory=dict)
    speech: tuple[Path, ...] = ()

    @property
    def weights(self) -> Path:
        """Where the finished networks are."""
        return self.run / "weights"

    def options(self, stage: str) -> RunOptions:
        """The loop's options of a stage."""
        s = self.settings[stage]
        return RunOptions(self.run / stage, steps=s["steps"], rate=s["rate"], seed=self.settings["seed"], device=self.device,
                          bf16=self.bf16, minutes=self.minutes.get(stage, s.get("minutes", 0)))

    def branch_config(self, **rest: Any) -> BranchConfig:
        """Sizes of the branches."""
        groups = len(_tokenizer_config(self).groups)
        return BranchConfig(codes=self.settings["tokenizer"]["codes"], groups=groups, **self.settings["branches"], **rest)

    def _encoder(self, which: str, default: str) -> dict[str, Any]:
        """The options of ``text_encoder`` or ``audio_encoder``: a name, or a table with ``name``, ``folder`` and others."""
        given = self.settings.get(which, default)
        return {"name": given} if isinstance(given, str) else {"name": default, **given}

    def text_encoder(self) -> TextEncoder:
        """What reads directions. :raises UnderstudyError: ``text_encoder_missing`` or ``weights_invalid``."""
        asked = self._encoder("text_encoder", "minilm")
        return load_text_encoder(asked["name"], asked.get("folder"), self.device, beside=self.weights)

    def audio_encoder(self) -> AudioEncoder:
        """What hears speech. :raises UnderstudyError: ``audio_encoder_missing`` or ``weights_invalid``."""
        asked = self._encoder("audio_encoder", "mel")
        return load_audio_encoder(asked["name"], asked.get("folder"), self.device, layer=asked.get("layer", "last"), beside=self.weights)

    def cache(self, stem: str) -> Path:
        """Where sequences are kept between stages; other encoders than the defaults have files of their own."""
        marks = [stem]
        if (text := self._encoder("text_encoder", "minilm")["name"]) != "minilm":
            marks += [text, self.text_encoder().digest[:8]]
        if stem == "speech" and self.speech:
            marks.append(hashlib.sha256(repr([str(f.resolve()) for f in self.speech]).encode()).hexdigest()[:8])
        if stem == "speech" and (asked := self._encoder("audio_encoder", "mel"))["name"] != "mel":
            facts = self.audio_encoder().card()
            marks += [asked["name"], facts["sha256"][:8], hashlib.sha256(repr(facts["layer"]).encode()).hexdigest()[:4]]
        return self.run / f"{'-'.join(marks)}.pt"

    def groups(self, corpus: corpora.Corpus) -> dict[str, list[str]]:
        """Token groups, by the tokenizer's ``configuration``: ``single``, a list of parts, or ``parts``: those that the data have.

        :raises UnderstudyError: ``request_invalid`` where a part is named that is unknown or that no clip has.
        """
        asked = self.settings["tokenizer"].get("configuration", "parts")
        if asked == "single":
            return TokenizerConfig.single().groups
        groups = TokenizerConfig.of_parts(corpora.parts_in(corpus) if asked == "parts" else asked).groups
        for part in groups:
            if not any(part in v.parts for v in corpus):
                raise UnderstudyError("request_invalid", f"The recipe names {part!r}, and no training clip has it.",
                                      "Leave it out, or add a set with fingers and faces, such as BEAT2.")
        return groups

    @property
    def parts(self) -> tuple[str, ...]:
        """The parts to make features of, as far as the recipe says."""
        asked = self.settings["tokenizer"].get("configuration", "parts")
        return PARTS if asked == "parts" else PARTS[:2] if asked == "single" else tuple(asked)

    def corpus(self, split: str, **options: Any) -> corpora.Corpus:
        """The clips of a split as features of the parts that are learnt."""
        return corpora.build(self.clips(split), parts=self.parts, **options)

    def clips(self, split: str) -> list[Clip]:
        """All clips of a split; a set that is marked non-commercial needs the recipe to say so."""
        clips = read_sets([self.data / name for name in self.settings["data"]], (split,))
        self.check_terms({c.source for c in clips if c.record.get("non_commercial")})
        return clips

    def check_terms(self, marked: set[str]) -> None:
        """:raises UnderstudyError: ``unsupported`` where sets are marked non-commercial and the recipe is not."""
        if marked and not self.settings.get("non_commercial", False):
            raise UnderstudyError("unsupported", f"{', '.join(sorted(marked))} is for non-commercial use, and this recipe is not.",
                                  "Leave the set out, or set non_commercial = true in the recipe.")

    @property
    def speech_folders(self) -> list[Path]:
        """The performances with speech: synthesized ones below the run's folder, prepared sets (BEAT2) in the data folder."""
        if self.speech:
            return list(self.speech)
        named = self.settings["speech"]
        found = []
        for name in [named] if isinstance(named, str) else named:
            own = self.run / name
            found.append(own if (own / "clips.json").is_file() or not (self.data / name / "clips.json").is_file() else self.data / name)
        return found


def load_recipe(config: str, run: Path, data: Path, **rest: Any) -> Recipe:
    """A recipe by name (of :data:`CONFIGS`) or path. :raises UnderstudyError: when there is none or it is broken."""
    path = CONFIGS / f"{config}.toml" if (CONFIGS / f"{config}.toml").is_file() else Path(config)
    try:
        settings = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UnderstudyError("file_missing", f"There is no recipe {config!r}.",
                              f"Choose one of {', '.join(sorted(p.stem for p in CONFIGS.glob('*.toml')))}, or a file.") from error
    except tomllib.TOMLDecodeError as error:
        raise UnderstudyError("file_invalid", f"The recipe {path.name} is not valid TOML ({error}).", "Correct the file.") from error
    return Recipe(run, data, settings, **rest)


def _tokenizer(recipe: Recipe) -> None:
    s = recipe.settings["tokenizer"]
    training = recipe.corpus("train", tempi=tuple(recipe.settings["tempi"]))
    validation = recipe.corpus("val", mirror=False)
    config = TokenizerConfig(recipe.groups(training), s["codes"], s["levels"], s["width"], s["code_width"])
    model = train_tokenizer(training, validation, config, recipe.options("tokenizer"))
    save_network(recipe.weights, "tokenizer", model, config.to_json())


def _decoder(recipe: Recipe) -> None:
    """Where the residual branch is not used: a decoder for the first level alone. The tokens stay what they are."""
    if "residual" in recipe.settings:
        return
    trained = _load_tokenizer(recipe)
    if trained.config.levels == 1:
        return
    training = recipe.corpus("train")
    validation = recipe.corpus("val", mirror=False)
    model = refine_decoder(trained, training, validation, recipe.options("decoder"))
    save_network(recipe.weights, "tokenizer", model, model.config.to_json())


def _tokenizer_config(recipe: Recipe) -> TokenizerConfig:
    """What was trained. :raises UnderstudyError: ``file_missing``."""
    from safetensors import safe_open

    path = recipe.weights / "tokenizer.safetensors"
    if not path.is_file():
        raise UnderstudyError("file_missing", f"{recipe.run.name} has no trained tokenizer.", "Train the tokenizer stage first.")
    with safe_open(path, "pt") as file:
        return TokenizerConfig(**json.loads(file.metadata()["config"]))


def _load_tokenizer(recipe: Recipe) -> Tokenizer:
    from safetensors.torch import load_file

    model = Tokenizer(_tokenizer_config(recipe))
    model.load_state_dict({k: v.float() for k, v in load_file(recipe.weights / "tokenizer.safetensors").items()}, strict=False)
    return model.eval()


def _text_sets(recipe: Recipe) -> tuple[TokenSet, TokenSet]:
    """Training and validation sequences with directions, kept on disk between stages."""
    cache = recipe.cache("sequences")
    if cache.is_file():
        loaded: tuple[TokenSet, TokenSet] = torch.load(cache, weights_only=False)
        return loaded
    tokenizer, table = _load_tokenizer(recipe), TextTable()
    training = recipe.corpus("train", tempi=tuple(recipe.settings["tempi"]))
    validation = recipe.corpus("val", mirror=False)
    usable = [v for v in training if not v.clip.record.get("needs_objects")]
    held = [v for v in validation if not v.clip.record.get("needs_objects")]
    count = recipe.settings["text"]["sequences"]
    sets = (build_text_set(usable, tokenizer, count, table, recipe.settings["seed"]),
            build_text_set(held, tokenizer, 256, table, 1, recombine=0.0))
    table.embed(recipe.text_encoder())
    torch.save(sets, cache)
    return sets


def _joined(a: TokenSet, b: TokenSet, encoder: TextEncoder) -> TokenSet:
    """Both sets' sequences (without audio), under the first one's captions."""
    numbers = torch.tensor([a.table.add(text) for text in b.table.texts] + [-1], dtype=a.captions.dtype)
    a.table.embed(encoder)
    most = a.captions.shape[-1]
    padded = torch.nn.functional.pad(b.captions, (0, most - b.captions.shape[-1]), value=-1)
    return TokenSet(torch.cat((a.tokens, b.tokens)), torch.cat((a.captions, numbers[padded.long()])), torch.cat((a.since, b.since)),
                    torch.cat((a.until, b.until)), a.table)


def _together(sets: list[TokenSet]) -> TokenSet:
    """Sets with speech that share a table of captions, one after the other."""
    if len(sets) == 1:
        return sets[0]
    heard = [s.audio for s in sets if s.audio is not None]
    return TokenSet(torch.cat([s.tokens for s in sets]), torch.cat([s.captions for s in sets]), torch.cat([s.since for s in sets]),
                    torch.cat([s.until for s in sets]), sets[0].table, torch.cat(heard))


def _speech_sets(recipe: Recipe) -> tuple[TokenSet, TokenSet]:
    """Training and validation performances with their speech, kept on disk between stages."""
    cache = recipe.cache("speech")
    if cache.is_file():
        loaded: tuple[TokenSet, TokenSet] = torch.load(cache, weights_only=False)
        return loaded
    folders = recipe.speech_folders
    if missing := [f for f in folders if not (f / "clips.json").is_file()]:
        raise UnderstudyError("file_missing", f"There are no performances with speech in {missing[0]}.",
                              "Run `understudy synthesize` into that folder first, or name a prepared set with speech, such as BEAT2.")
    recipe.check_terms({f.name for f in folders if any(record.get("non_commercial") for record in read_index(f))})
    tokenizer, table, encoder = _load_tokenizer(recipe), TextTable(), recipe.audio_encoder()
    seed = recipe.settings["seed"]
    training = [build_speech_set(f, "train", tokenizer, table, changed=True, seed=seed, encoder=encoder) for f in folders]
    validation = [build_speech_set(f, "val", tokenizer, table, mirror=False, encoder=encoder) for f in folders]
    sets = (_together(training), _together(validation))
    table.embed(recipe.text_encoder())
    torch.save(sets, cache)
    return sets


def _text(recipe: Recipe) -> None:
    training, validation = _text_sets(recipe)
    if all((folder / "clips.json").is_file() for folder in recipe.speech_folders):
        speech, _ = _speech_sets(recipe)
        few = torch.randperm(len(speech), generator=torch.Generator().manual_seed(0))[: len(training) // 5]
        speech = TokenSet(speech.tokens[few], speech.captions[few], speech.since[few], speech.until[few], speech.table)
        training = _joined(training, speech, recipe.text_encoder())
    config = recipe.branch_config(text_width=recipe.text_encoder().width)
    save_network(recipe.weights, "text", train_text_branch(training, validation, config, recipe.options("text")), config.to_json())


def _residual(recipe: Recipe) -> None:
    if "residual" not in recipe.settings:
        return
    training, validation = _text_sets(recipe)
    config = recipe.branch_config(text_width=recipe.text_encoder().width)
    model = train_residual_branch(training, validation, _load_tokenizer(recipe), config, recipe.options("residual"))
    save_network(recipe.weights, "residual", model, config.to_json())


def _audio(recipe: Recipe) -> None:
    directed, _ = _text_sets(recipe)
    speech, validation = _speech_sets(recipe)
    _card(recipe)
    text = load_networks(recipe.weights, recipe.device).text
    config = recipe.branch_config(text_width=text.config.text_width, audio_width=recipe.audio_encoder().width,
                                  fusion=recipe.settings["audio"].get("fusion", "layer"))
    model = train_audio_branch(speech, directed, validation, text, config, recipe.options("audio"))
    save_network(recipe.weights, "audio", model, config.to_json())
    _card(recipe)


def _card(recipe: Recipe, folder: Path | None = None) -> None:
    s = recipe.settings
    # a folder of the encoders says nothing on another machine
    public = {k: {n: x for n, x in v.items() if n != "folder"} if k in ("text_encoder", "audio_encoder") and isinstance(v, dict) else v
              for k, v in s.items()}
    if recipe.speech:
        public["speech"] = [f.name for f in recipe.speech]
    sets = [*s["data"], *(f.name for f in recipe.speech_folders if f.parent == recipe.data or f in recipe.speech)]
    write_card(
        folder or recipe.weights, name=s["name"], version=s["version"], licence=s["licence"], data=list(dict.fromkeys(sets)),
        non_commercial=bool(s.get("non_commercial", False)), sampling=s.get("sampling", {}),
        text_encoder={"name": recipe._encoder("text_encoder", "minilm")["name"], "sha256": recipe.text_encoder().digest},
        audio_encoder=recipe.audio_encoder().card(), groups=list(_tokenizer_config(recipe).groups), recipe=public,
    )


def _release(recipe: Recipe) -> None:
    """Put the finished set where the bridge finds it by name; what else lies there (the viseme recogniser) is kept."""
    target = SHIPPED / recipe.settings["name"]
    target.mkdir(parents=True, exist_ok=True)
    for file in recipe.weights.glob("*.safetensors"):
        shutil.copyfile(file, target / file.name)
    _card(recipe, target)


def _evaluate(recipe: Recipe) -> None:
    """Reconstruction of the test split, printed; the full evaluation is ``understudy evaluate``."""
    test = recipe.corpus("test", mirror=False)
    for name, value in reconstruction(_load_tokenizer(recipe), test).items():
        print(f"{name}: {value:.2f}")


STAGES: Final[dict[str, Callable[[Recipe], None]]] = {
    "tokenizer": _tokenizer, "decoder": _decoder, "text": _text, "residual": _residual, "audio": _audio, "reconstruction": _evaluate,
    "release": _release,
}
"""The stages in the order in which they are run."""
