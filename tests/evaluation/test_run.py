# SPDX-License-Identifier: Apache-2.0
"""The command end to end on sets and weights that the tests write; rows are kept; the report keeps what others
wrote."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from bridge_server.cli.main import main
from bridge_server.evaluation import report as reports
from bridge_server.evaluation import run as runs
from bridge_server.evaluation.evaluator_training import EvaluatorOptions
from bridge_server.evaluation.items import read_items
from bridge_server.evaluation.takes import Takes, direct
from bridge_server.motion.generator import Generator, load

from .sets import write_set, write_sound, write_speech_set, write_weights

HASTY = EvaluatorOptions(steps=3, gesture_steps=3, batch=12)


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with data, weights, ablations and one finished evaluation in ``out``."""
    root = tmp_path_factory.mktemp("evaluation")
    write_set(root / "data" / "moves")
    write_speech_set(root / "speech")
    write_sound(root / "data" / "speech" / "real.wav", 5.0, 9)
    write_weights(root / "tiny")
    write_weights(root / "ablations" / "single", name="single", single=True)
    (root / "out").mkdir()
    (root / "out" / "evaluation.json").write_text(json.dumps({"align_median_ms": 12.5, "beat_sigma": -1}))
    (root / "out" / "evaluation.md").write_text("# Evaluation\n\n## Face\n\nA table of others.\n")
    options = runs.Options(
        root / "data",
        root / "run",
        [str(root / "tiny")],
        ["moves"],
        speech=root / "speech",
        recording=root / "data" / "speech" / "real.wav",
        quick=8,
        repeats=2,
        takes=2,
        ablations=root / "ablations",
        evaluator=HASTY,
    )
    reports.write(runs.evaluate(options), root / "out")
    return root


def test_every_figure_is_measured_and_stands_beside_its_references(measured: Path) -> None:
    found = json.loads((measured / "out" / "evaluation.json").read_text())
    assert set(runs.TARGETS) <= set(found) and all(isinstance(found[k], float) for k in runs.TARGETS)
    assert found["sets"]["tiny"]["figures"]["beat_sigma"] == found["beat_sigma"]
    for name in ("real", "random training clip", "mean pose"):
        assert 0 <= found["reference"][name]["mean"]["r_precision_3"] <= 1
    still, real = found["reference"]["mean pose"]["mean"], found["reference"]["real"]["mean"]
    assert still["jitter"] == 0 and still["diversity"] < real["diversity"] and "fid" not in real
    rows = found["sets"]["tiny"]["rows"]
    assert set(rows) == {"directed", "directed, speech on", "tokenizer alone"}
    ratio = rows["directed"]["mean"]["foot_slide_mm"] / real["foot_slide_mm"]
    assert found["foot_slide_ratio"] == pytest.approx(ratio, rel=1e-3)
    assert {"multimodality", "fgd", "beats", "tokenizer"} <= set(found["sets"]["tiny"]["other"])
    assert found["ablations"][0]["tokenizer"] == "single" and "rows" in found["ablations"][0]


def test_the_report_keeps_what_others_wrote(measured: Path) -> None:
    found = json.loads((measured / "out" / "evaluation.json").read_text())
    assert found["align_median_ms"] == 12.5 and found["beat_sigma"] != -1
    text = (measured / "out" / "evaluation.md").read_text()
    assert "A table of others." in text and text.count("## Generator") == 1 and "R@3" in text
    assert str(measured) not in text
    reports.write({k: v for k, v in found.items() if k not in ("date", "machine")}, measured / "out")
    again = (measured / "out" / "evaluation.md").read_text()
    assert again.count("## Generator") == 1 and again.count("A table of others.") == 1 and again == text


def test_rows_are_performed_once(measured: Path) -> None:
    items = read_items(measured / "data", ["moves"], "test")[:2]
    made = 0

    def make() -> Generator:
        nonlocal made
        made += 1
        return load("versa", str(measured / "tiny"))

    folder, weights = measured / "rows", str(measured / "tiny")
    wishes = [direct(i, i.caption(0), 3) for i in items]
    first = Takes(folder, weights, make).row("row", wishes)
    assert made == 1 and [len(q) for q, _ in first] == [len(i) for i in items]
    kept = Takes(folder, weights, make).row("row", wishes)
    assert made == 1 and all(np.array_equal(a[0], b[0]) for a, b in zip(first, kept, strict=True))
    # another seed is another row, and a file that was cut off is made anew
    Takes(folder, weights, make).row("row", [direct(i, i.caption(0), 4) for i in items])
    assert made == 2
    for path in folder.glob("*.npz"):
        path.write_bytes(path.read_bytes()[:200])
    Takes(folder, weights, make).row("row", wishes)
    assert made == 3


def test_weights_without_an_audio_branch_say_what_is_not_measured(measured: Path) -> None:
    write_weights(measured / "deaf", name="deaf", audio=False)
    options = runs.Options(
        measured / "data",
        measured / "run",
        [str(measured / "deaf")],
        ["moves"],
        speech=measured / "speech",
        quick=8,
        repeats=1,
        takes=1,
        evaluator=HASTY,
    )
    report = runs.evaluate(options)
    found = report["sets"]["deaf"]
    assert (
        set(found["not_measured"]) == {"r3_drop_with_audio", "beat_sigma", "fgd"}
        and "r3_ratio_to_real" in found["figures"]
    )
    assert "not measured: the weights set has no audio branch" in reports.markdown(
        {"date": "", "machine": "", **report}
    )


def test_what_is_missing_is_said_in_one_sentence(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], measured: Path
) -> None:
    weights = ["--weights", str(measured / "tiny")]
    for arguments, sentence in (
        ([*weights], "--data"),
        ([*weights, "--data", str(tmp_path), "--folder", str(tmp_path / "run")], "nothing to measure with"),
        (
            ["--weights", str(tmp_path / "none"), "--data", str(tmp_path), "--folder", str(tmp_path / "run")],
            "no weights named",
        ),
        (
            [*weights, "--data", str(tmp_path), "--folder", str(tmp_path), "--speech", str(tmp_path)],
            "no synthesized performances",
        ),
        ([*weights, "--data", str(tmp_path), "--folder", str(tmp_path), "--repeats", "0"], "Nothing would be measured"),
    ):
        assert main(["evaluate", *arguments]) == 1
        error = capsys.readouterr().err
        assert sentence in error and "Traceback" not in error
    assert not list(tmp_path.iterdir()) or not (tmp_path / "evaluation.json").exists()


def test_a_quick_run_is_not_published(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[runs.Options] = []

    def remember(options: runs.Options) -> dict[str, object]:
        seen.append(options)
        return json.loads((measured / "out" / "evaluation.json").read_text())

    monkeypatch.setattr(runs, "evaluate", remember)
    arguments = ["evaluate", "--weights", "a, b", "--data", str(measured / "data"), "--folder", str(measured / "run")]
    assert main([*arguments, "--quick", "4"]) == 0 and (measured / "run" / "quick" / "evaluation.md").is_file()
    assert main([*arguments, "--split", "val"]) == 0 and (measured / "run" / "val" / "evaluation.json").is_file()
    assert seen[0].weights == ["a", "b"] and seen[0].repeats == 1 and seen[1].split == "val" and seen[1].repeats == 3


def test_pictures_are_drawn(measured: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from bridge_server.evaluation import sheets

    monkeypatch.setattr(sheets, "LOOKS", dict(list(sheets.LOOKS.items())[-2:]))
    sound = write_sound(measured / "short.wav", 2.0)
    assert (
        main(
            [
                "evaluate",
                "--weights",
                str(measured / "tiny"),
                "--pictures",
                str(measured / "sheets"),
                "--recording",
                str(sound),
            ]
        )
        == 0
    )
    pictures = sorted(p.name for p in (measured / "sheets").glob("*.png"))
    assert pictures == ["speech.png", "walks-below-waves-above.png", "walks-right-arm-waves.png"]
