"""One's own gestures: from a folder of clips to a judged model, and what is refused on the way."""

import shutil
from pathlib import Path

import pytest
import torch
from helpers import make_model, random_clip
from taught import DAYS

from core.decision import NUMBERS, Rule
from core.errors import BadInput
from core.training.frozen import Maps, Rest, border_of, class_means, fit, frame_logits, maps_of
from mobile_export.bundle.manifest import DECISION
from mobile_export.teach import advice
from mobile_export.teach.crossval import Judgement, folds_of, interval
from mobile_export.teach.folder import ONE, Clip, read_folder
from mobile_export.teach.rule import choose

ROUNDING = 2e-2  # maps are kept in half precision
HASTE = ["--minutes", "0.001"]  # class means and one step: what a random trunk can be given
WILSON = [69.9, 97.2]  # of 18 right ones of 20, by the formula in Wilson, JASA 22, 1927


def touch(root: Path, *names: str) -> Path:
    for name in names:
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(name.encode())
    return root


def clips_of(*counts: tuple[str, str, int]) -> list[Clip]:
    """Clips by label, session and number."""
    return [
        Clip(Path(f"{label}/{session}-{i}.mp4"), label, session)
        for label, session, count in counts
        for i in range(count)
    ]


def judged(clips: list[Clip], labels: list[str], says: list[int], sure: float = 6.0) -> Judgement:
    """Held-out clips of ten frames that were answered so."""
    made = Judgement(labels, clips, folds_of(clips)[1])
    for number, answer in enumerate(says):
        row = torch.zeros(10, len(labels))
        row[:, answer] = sure
        made.logits[number] = row
    return made


# What was recorded.


def test_sessions_are_told_by_folders_and_by_time(tmp_path):
    names = [f"wave/{day}-{n:03d}.mp4" for day in DAYS[:2] for n in range(2)]
    touch(tmp_path, *names, "wave/20260105-103500-000.mp4")  # twenty minutes after the first
    touch(tmp_path, *(f"none/{person}/{n}.mp4" for person in ("ann", "ben") for n in range(2)))
    touch(tmp_path, "none/x.mp4")
    found = {str(c.path.relative_to(tmp_path)): c.session for c in read_folder(tmp_path)}
    assert found["wave/20260105-103500-000.mp4"] == found[names[0]] == "2026-01-05 10:15"
    assert found[names[3]] == "2026-01-06 18:30"
    assert {found["none/ann/0.mp4"], found["none/ben/1.mp4"]} == {"ann", "ben"}
    assert found["none/x.mp4"] == ONE


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "no clips yet"),
        (["a/1.mp4", "a/2.mp4", "a/3.mp4"], "only the class 'a'"),
        (["a/1.mp4", "b/1.mp4", "b/2.mp4", "b/3.mp4"], "class 'a' has one clip"),
    ],
)
def test_too_little_is_refused_in_one_line(tmp_path, files, words):
    touch(tmp_path, *files)
    with pytest.raises(BadInput, match=words) as refused:
        read_folder(tmp_path)
    assert "\n" not in str(refused.value)


def test_one_clip_in_two_classes_is_refused_and_twice_in_one_taken_once(tmp_path):
    touch(tmp_path, *(f"{label}/{n}.mp4" for label in "ab" for n in range(3)))
    shutil.copy(tmp_path / "a/0.mp4", tmp_path / "a/copy.mp4")
    assert len(read_folder(tmp_path)) == 6
    shutil.copy(tmp_path / "a/0.mp4", tmp_path / "b/copy.mp4")
    with pytest.raises(BadInput, match=r"a/0\.mp4 and b/copy\.mp4 are the same clip"):
        read_folder(tmp_path)
    (tmp_path / "b/copy.mp4").unlink()
    for n in (1, 2):  # three names of one clip
        shutil.copy(tmp_path / "a/0.mp4", tmp_path / f"a/{n}.mp4")
    with pytest.raises(BadInput, match="class 'a' has one clip"):
        read_folder(tmp_path)


def test_names_of_digits_that_are_no_time_and_links_to_nothing_stop_nobody(tmp_path):
    touch(tmp_path, *(f"{label}/{n}.mp4" for label in "ab" for n in range(3)))
    touch(tmp_path, "a/12345678-123456-1.mp4")
    for name in ("x", "y"):
        (tmp_path / f"a/{name}.mp4").symlink_to(tmp_path / "nowhere.mp4")
    found = {c.path.name: c.session for c in read_folder(tmp_path)}
    assert found["12345678-123456-1.mp4"] == ONE
    assert {"x.mp4", "y.mp4"} <= set(found)  # which reading them says more of


# The judgement.


def test_sessions_are_held_out_whole_and_one_session_is_not_counted():
    clips = clips_of(
        ("wave", "mon", 4), ("wave", "tue", 3), ("clap", "mon", 3), ("clap", "wed", 3),
        ("none", "mon", 6),
    )  # fmt: skip
    folds, counted = folds_of(clips)
    assert sorted(n for fold in folds for n in fold.held) == list(range(len(clips)))
    for fold in folds:
        held = [clips[n] for n in fold.held]
        whole = {c.session for c in held if c.label != "none"}
        assert {c for c in clips if c.session in whole and c.label != "none"} <= set(held)
        for label in ("wave", "clap", "none"):  # training has something of every class
            assert {n for n, c in enumerate(clips) if c.label == label} - set(fold.held)
    assert [c.label for c, good in zip(clips, counted, strict=True) if not good] == 6 * ["none"]


def test_one_session_is_held_out_in_blocks_and_said_to_be():
    clips = clips_of(("wave", ONE, 6), ("none", ONE, 6))
    folds, counted = folds_of(clips)
    assert not any(counted)
    assert [fold.held for fold in folds] == [[0, 1, 6, 7], [2, 3, 8, 9], [4, 5, 10, 11]]
    report = judged(clips, ["none", "wave"], 6 * [1] + 6 * [0]).to_dict()
    assert (report["by"], report["accuracy"]) == ("block of one session", 100.0)
    for one in (clips, clips_of(("wave", "mon", 6), ("none", "tue", 6))):
        answers = judged(one, ["none", "wave"], 6 * [1] + 6 * [0])
        (told,) = advice.of_judgement(answers)
        assert "the accuracy is not that of another day" in told


def test_sessions_of_one_class_come_into_different_parts():
    """Five of 'a' fill the four parts first, and two of each other class must not meet in one."""
    clips = clips_of(*(("a", f"s{n}", 9 - n) for n in range(5)))
    for label in "bcd":
        clips += clips_of((label, "s0", 2), (label, f"{label} late", 3))
    folds, counted = folds_of(clips)
    assert len(folds) == 4
    assert all(counted)


def test_what_is_of_one_session_is_named():
    clips = clips_of(("a", "mon", 3), ("a", "tue", 3), ("none", "mon", 6))
    told = advice.of_judgement(judged(clips, ["a", "none"], 6 * [0] + 6 * [1]))
    assert told == ["of one session only, and so not judged: 'none'; record more another time"]


def test_the_interval_is_wilsons_and_wider_where_sessions_differ():
    flat = 18 * [True] + 2 * [False]
    assert interval([flat]) == WILSON
    apart = interval([10 * [True], 5 * [True], 3 * [True] + 2 * [False]])
    assert apart[0] < WILSON[0]
    assert interval([8 * [True]] * 3)[1] == 100.0
    rates = [10 * [True], 5 * [True] + 5 * [False]]
    mean, spread = 75.0, 25.6  # of twelve sessions, their deviation with 11 degrees of freedom
    assert interval(6 * rates)[0] <= mean - 2.201 * spread / 12**0.5  # Student's, not the normal's


def test_advice_names_what_is_confused_missing_and_few():
    clips = clips_of(("a", "mon", 15), ("a", "tue", 15), ("b", "mon", 3), ("b", "tue", 3))
    told = advice.of_clips(clips)
    assert any("no class is 'No gesture'" in line for line in told)
    assert any("'b' has 6 clips" in line for line in told)
    assert any("'a' has 30 clips and 'b' 6" in line for line in told)
    clips = clips_of(("a", "mon", 2), ("a", "tue", 2), ("none", "mon", 2), ("none", "tue", 2))
    told = advice.of_judgement(judged(clips, ["a", "none"], [0, 1, 0, 0, 1, 1, 1, 1]))
    assert "confused most: 'a' was called 'none' in one clip" in told[0]
    assert told[1] == "a/mon-1.mp4 looks like no gesture: is there a hand in it?"


def test_the_rule_is_chosen_for_a_rate_of_false_events():
    clips = clips_of(("a", "mon", 6), ("b", "mon", 6), ("none", "mon", 6))
    clips += clips_of(("a", "tue", 6), ("b", "tue", 6), ("none", "tue", 6))
    truth = [["a", "b", "none"].index(c.label) for c in clips]
    sure = judged(clips, ["a", "b", "none"], truth)
    good = choose(sure, {}, 10.0)
    assert good["chosen"]["recognised"] == good["chosen"]["gestures"] == 24
    assert good["chosen"]["false_events"] == 0
    assert good["chosen"]["false_a_minute_at_most"] == pytest.approx(3.0 / 0.6, rel=0.01)
    for number, clip in enumerate(clips):  # rest looks like a gesture, though less
        if clip.label == "none":
            sure.logits[number][:] = torch.tensor([1.2, 0.0, 0.0])
    careful = choose(sure, {}, 10.0)
    assert careful["threshold"] > 0.6
    assert careful["chosen"]["false_events"] == 0
    assert careful["chosen"]["recognised"] >= 20
    rule = Rule.of(["a", "b", "none"], {"decision": careful})
    assert (rule.threshold, rule.agree) == (careful["threshold"], careful["agree"])
    assert rule.window == NUMBERS["window"] == DECISION["window"]


# The frozen trunk.


def test_the_rest_of_a_frozen_trunk_is_the_models_other_half():
    model = make_model(size=32)
    clip = random_clip(2, model.config)
    border = border_of(model)
    rest = Rest(model, border).eval()
    maps = maps_of(model, clip, border)
    logits = rest(maps.transpose(0, 1).flatten(0, 1).float(), clip.shape[1])
    whole = model.frame_logits(clip).transpose(0, 1)
    assert (logits - whole).abs().max() < ROUNDING * whole.abs().max()
    learned = {id(p) for p in rest.learned()}
    names = {name for name, p in model.named_parameters() if id(p) in learned}
    assert "classifier.weight" in names
    assert "backbone.features.0.0.weight" not in names
    before = {name: p.clone() for name, p in model.named_parameters()}
    rows = [m[None] for m in maps]
    steps = fit(
        rest, Maps(rows, [0, 1], frozenset()), frames=4, steps=2, seed=0, told=lambda *_: None
    )
    assert steps == 2
    changed = {n for n, p in model.named_parameters() if not torch.equal(p, before[n])}
    assert changed <= names
    assert "classifier.weight" in changed
    assert frame_logits(rest, maps[0]).shape == (clip.shape[1], 5)


def test_class_means_are_discriminant_analysis():
    generator = torch.Generator().manual_seed(0)
    labels = torch.arange(4).repeat_interleave(6)
    centres = 3 * torch.randn(4, 50, generator=generator)  # more dimensions than rows
    features = centres[labels] + torch.randn(24, 50, generator=generator)
    weight, bias = class_means(features, labels, 4)
    assert ((features @ weight.T + bias).argmax(1) == labels).all()
    held = centres[labels] + torch.randn(24, 50, generator=generator)
    assert ((held @ weight.T + bias).argmax(1) == labels).all()
    means = torch.stack([features[labels == k].mean(0) for k in range(4)])
    inner = features - means[labels]
    spread = inner.var(0) + 1e-3 * inner.var() + 1e-6
    full = 0.7 * inner.T @ inner / 24 + 0.3 * torch.diag(spread)
    direct = torch.linalg.solve(full, means.T).T
    ratio = weight / direct
    assert float(ratio.std() / ratio.mean().abs()) < 1e-2  # up to one scale
