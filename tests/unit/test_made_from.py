"""What a file was made from is in it, and nothing that was made from something else is used."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from own_study import load

from recspectra.config.base import ConfigError
from recspectra.config.catalog import Catalog
from recspectra.config.dataset import DatasetConfig
from recspectra.config.model import Budget, PlannedRun, RunConfig, TuneConfig
from recspectra.config.scale import Caps
from recspectra.data.interactions import Interactions
from recspectra.data.splits import split, statistics
from recspectra.data.tables import InteractionTable
from recspectra.evaluation.measure import measure, run_records
from recspectra.files import ArtifactError, read_json, read_npz, sha256, write_json, write_npz
from recspectra.fitting.fit import Job, execute, made_from
from recspectra.fitting.scoring import Inputs, read_spectra
from recspectra.fitting.tune import TuneJob, trials_file
from recspectra.identity import FileDigests, check_made_from, data_digest, fit_digest, split_digests
from recspectra.paths import Paths
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build

ROOT = Path(__file__).resolve().parents[2]
CATALOG = Catalog(ROOT)
MF = {"epochs": 8, "eval_every": 2, "patience": 50}


@pytest.fixture
def other(
    tiny_table: InteractionTable, dataset_config: Callable[..., DatasetConfig]
) -> dict[str, Interactions]:
    """The same table split by time over all users."""
    return split(tiny_table, dataset_config(split={"recipe": "temporal"}))[0]


# ------------------------------------------------------------------------------- digests


def test_equal_content_has_equal_digests_whatever_the_file(
    tiny: dict[str, Interactions], tmp_path: Path
) -> None:
    tiny["train"].save(tmp_path / "a.npz")
    assert data_digest(Interactions.load(tmp_path / "a.npz")) == data_digest(tiny["train"])


def changed(part: Interactions, what: str) -> Interactions:
    if what == "items":
        items = part.items.copy()
        items[[0, 1]] = items[[1, 0]]
        return replace(part, items=items)
    if what == "times":
        return replace(part, times=part.times + 1.0)
    if what == "no times":
        return replace(part, times=None)
    if what == "a user more":
        return replace(part, indptr=np.append(part.indptr, part.indptr[-1]))
    return replace(part, n_items=part.n_items + 1)


@pytest.mark.parametrize("what", ["items", "times", "no times", "a user more", "an item more"])
def test_any_change_of_content_changes_the_digest(what: str, tiny: dict[str, Interactions]) -> None:
    assert data_digest(changed(tiny["train"], what)) != data_digest(tiny["train"])


@pytest.mark.parametrize("part", ["train", "valid"])
def test_a_fit_sees_train_valid_and_whether_they_are_ordered(
    part: str, tiny: dict[str, Interactions]
) -> None:
    before = split_digests(tiny, True)
    assert before["fit"] == fit_digest(tiny["train"], tiny["valid"], True)
    assert before["fit"] != fit_digest(tiny["train"], tiny["valid"], False)
    after = split_digests(tiny | {part: changed(tiny[part], "items")}, True)
    assert after["fit"] != before["fit"] and after["split"] != before["split"]


def test_test_data_are_part_of_the_split_and_not_of_what_a_fit_sees(tiny: dict[str, Interactions]) -> None:
    before, after = (split_digests(p, True) for p in (tiny, tiny | {"test": changed(tiny["test"], "items")}))
    assert after["fit"] == before["fit"] and after["split"] != before["split"]
    assert split_digests(tiny, False)["split"] != before["split"]


def test_stats_hold_the_digests(
    tiny: dict[str, Interactions], dataset_config: Callable[..., DatasetConfig]
) -> None:
    digests = statistics(dataset_config(), tiny)["digests"]
    assert digests == split_digests(tiny, True)
    assert set(digests) == {"train", "valid", "test", "fit", "split"}


@pytest.mark.parametrize("found", ["b" * 64, "", None])
def test_a_file_of_other_data_is_refused_with_what_to_do(found: str | None) -> None:
    check_made_from("x.npz", "a" * 64, "a" * 64, "ml-1m")
    with pytest.raises(ArtifactError, match=r"x\.npz: was made .*split on disk.*`make redo WHAT=ml-1m`"):
        check_made_from("x.npz", found, "a" * 64, "ml-1m")


def test_no_digest_does_not_equal_no_digest() -> None:
    with pytest.raises(ArtifactError, match="the split on disk has none"):
        check_made_from("x.npz", "", "", "ml-1m")


# -------------------------------------------------------------------------------- trials


def tuning(config: dict[str, Any] | None = None, code: str = "code", **model: Any) -> TuneJob:
    """A tuning job of EASE whose YAML has some other values."""
    ease = CATALOG.model("ease").model_copy(update=model)
    plain = {
        "model": "ease",
        "class_name": "EASE",
        "params": {},
        "search": ease.search,
        "trials": 3,
        "seed": 0,
    }
    return TuneJob("tiny", ease, TuneConfig(**(plain | (config or {}))), "cpu", Budget(), code)


def test_trials_of_another_split_code_order_or_yaml_are_not_loaded(
    tiny: dict[str, Interactions], other: dict[str, Interactions]
) -> None:
    inputs = Inputs(tiny["train"], tiny["valid"], True, {})
    spectrum = leading(build("item-similarity", tiny["train"]), 4)
    defaults = CATALOG.model("ease").params
    larger = {n: s.model_copy(update={"default": s.default * 2}) for n, s in defaults.items()}
    names = [
        trials_file(tuning(), inputs),
        trials_file(tuning(), Inputs(other["train"], other["valid"], True, {})),
        trials_file(tuning(), replace(inputs, ordered=False)),
        trials_file(tuning(), replace(inputs, spectra={"item-similarity": spectrum})),
        trials_file(tuning(), replace(inputs, spectra={"item-similarity": replace(spectrum, lowest=-2.0)})),
        trials_file(tuning(code="other"), inputs),
        trials_file(tuning(params=larger), inputs),
        trials_file(tuning(best={"tiny": {"regularization": 7.0}}), inputs),
    ]
    assert len(set(names)) == len(names)
    again = Inputs(replace(tiny["train"]), replace(tiny["valid"]), True, {})
    assert trials_file(tuning(), again) == names[0]
    assert (
        trials_file(tuning(), replace(inputs, spectra={"item-similarity": replace(spectrum, seconds=9.0)}))
        == names[3]
    )


# --------------------------------------------------------------------------- checkpoints


def job(folder: Path, seed: int = 0, code: str = "code", **params: Any) -> Job:
    model = CATALOG.model("mf")
    values = model.resolve(MF | params)
    config = RunConfig(model="mf", class_name=model.class_name, params=values, top=20)
    return Job("tiny", model, config, values, seed, "cpu", 1, Budget(), code, folder)


@pytest.fixture
def often(monkeypatch: pytest.MonkeyPatch) -> Iterator[list[int]]:
    """Which epochs a fit learned, with a checkpoint after each; a list that starts as [-1] ends in a kill."""
    from recspectra.training.loop import TrainingLoop

    start, epoch, learned = TrainingLoop.__init__, TrainingLoop._epoch, []

    def started(self: Any, module: Any, batches: Any, loss: Any, settings: Any, *rest: Any) -> None:
        start(self, module, batches, loss, replace(settings, checkpoint_seconds=-1.0), *rest)

    def counted(self: Any) -> float:
        if learned[:1] == [-1] and len(learned) > 5:
            raise KeyboardInterrupt
        learned.append(self.state.epoch)
        return epoch(self)

    monkeypatch.setattr(TrainingLoop, "__init__", started)
    monkeypatch.setattr(TrainingLoop, "_epoch", counted)
    yield learned


def test_a_fit_killed_on_one_split_does_not_go_on_on_another(
    often: list[int], tiny: dict[str, Interactions], other: dict[str, Interactions], tmp_path: Path
) -> None:
    """The users and items of both splits are the same: every tensor of the checkpoint fits."""
    one, two = (Inputs(p["train"], p["valid"], True, {}) for p in (tiny, other))
    checkpoints = tmp_path / "checkpoints"

    def killed() -> None:
        often[:] = [-1]
        with pytest.raises(KeyboardInterrupt):
            execute(job(checkpoints), one, tmp_path / "killed")
        often.clear()

    killed()
    assert execute(job(checkpoints), one, tmp_path / "same") == "ok"
    assert often == [5, 6, 7], "the same fit goes on"
    killed()
    assert execute(job(checkpoints), two, tmp_path / "resumed") == "ok"
    assert often == list(range(8)), "another split starts afresh"
    assert execute(job(tmp_path / "none"), two, tmp_path / "afresh") == "ok"
    lists = [read_npz(tmp_path / name / "rankings.npz") for name in ("resumed", "afresh")]
    assert all(np.array_equal(lists[0][name], lists[1][name]) for name in lists[1])


def test_checkpoints_of_capped_fits_stay_until_the_fit_ends_or_other_code_makes_it(
    tiny: dict[str, Interactions], tmp_path: Path
) -> None:
    inputs, key = Inputs(tiny["train"], tiny["valid"], True, {}), job(tmp_path).config.key
    places = {f"{code}-{seed}": tmp_path / f"{key}-{code}-{seed}" for code in "ab" for seed in (0, 1)}
    for seed in (0, 1):
        capped = replace(job(places[f"a-{seed}"], seed, "a"), caps=Caps(epochs=2))
        assert execute(capped, inputs, tmp_path / "run") == "capped"
    assert execute(job(places["b-0"], 0, "b"), inputs, tmp_path / "run") == "ok"
    assert [name for name, place in places.items() if place.exists()] == ["a-1"]
    assert execute(job(places["a-1"], 1, "a"), inputs, tmp_path / "run") == "ok"
    assert not places["a-1"].exists()


def test_trials_under_another_cap_on_minutes_are_others(tiny: dict[str, Interactions]) -> None:
    inputs = Inputs(tiny["train"], tiny["valid"], True, {})
    names = [trials_file(replace(tuning(), minutes=minutes), inputs) for minutes in (None, 1.0, 2.0)]
    assert names[0] == trials_file(tuning(), inputs) and len(set(names)) == 3


def test_what_a_fit_is_made_from(
    tiny: dict[str, Interactions], other: dict[str, Interactions], tmp_path: Path
) -> None:
    one, two = (Inputs(p["train"], p["valid"], True, {}) for p in (tiny, other))
    plain = job(tmp_path)
    variants = [
        made_from(plain, one, plain.params),
        made_from(plain, two, plain.params),
        made_from(plain, one, plain.params | {"epochs": 3}),  # a refit, or a search that chose again
        made_from(job(tmp_path, seed=1), one, plain.params),
        made_from(job(tmp_path, code="other"), one, plain.params),
        made_from(job(tmp_path, learning_rate=0.5), one, plain.params),
    ]
    assert len({json.dumps(v, sort_keys=True) for v in variants}) == len(variants)


# -------------------------------------------------------------------- spectra and rankings


def test_a_spectrum_of_other_interactions_is_refused(
    tiny: dict[str, Interactions], other: dict[str, Interactions], tmp_path: Path
) -> None:
    folder, needs = tmp_path / "tiny", [("item-similarity@train", 16)]
    spectrum = leading(build("item-similarity", tiny["train"]), 16)
    spectrum.save(folder / "item-similarity@train-r16.npz", data_digest(tiny["train"]), "code")
    assert read_spectra(folder, needs, tiny["train"])["item-similarity"].digest == spectrum.digest
    with pytest.raises(ArtifactError, match=r"item-similarity@train-r16\.npz: .*`make redo WHAT=tiny`"):
        read_spectra(folder, needs, other["train"])
    assert read_spectra(folder, needs, tiny["train"], "code")
    with pytest.raises(ArtifactError, match=r"r16\.npz: was made by other code.*`make redo WHAT=tiny`"):
        read_spectra(folder, needs, tiny["train"], "later")
    spectrum.save(folder / "item-similarity@train-r16.npz")
    with pytest.raises(ArtifactError, match="kept no digest"):
        read_spectra(folder, needs, tiny["train"])


def test_rankings_and_records_of_another_split_are_refused(
    tiny: dict[str, Interactions], other: dict[str, Interactions], tmp_path: Path
) -> None:
    model = CATALOG.model("popularity")
    config = RunConfig(model="popularity", class_name=model.class_name, params={}, top=20)
    planned = PlannedRun(dataset="tiny", run=config, variant="default", group="main", seed=0)
    folder = Paths(tmp_path).planned(planned)
    inputs = Inputs(tiny["train"], tiny["valid"], True, {})
    execute(Job("tiny", model, config, {}, 0, "cpu", 1, Budget(), "code"), inputs, folder)
    now, later = (fit_digest(p["train"], p["valid"], True) for p in (tiny, other))
    protocol = CATALOG.protocol("standard").model_copy(update={"k": [10]})
    views = [(protocol, protocol.views)]
    assert len(measure([planned], views, tiny, tmp_path, now).rows)
    assert len(run_records([planned], {"popularity": model}, tmp_path, {"tiny": now}))
    what = r".*`make redo WHAT=.*runs/tiny/popularity/.*/seed-0`"
    with pytest.raises(ArtifactError, match=r"rankings\.npz" + what):
        measure([planned], views, other, tmp_path, later)
    with pytest.raises(ArtifactError, match=r"run\.json" + what):
        run_records([planned], {"popularity": model}, tmp_path, {"tiny": later})
    assert len(measure([planned], views, tiny, tmp_path, now, {"popularity": "code"}.__getitem__).rows)
    with pytest.raises(ArtifactError, match=r"rankings\.npz: was made by other code" + what):
        measure([planned], views, tiny, tmp_path, now, {"popularity": "later"}.__getitem__)
    lists, record = read_npz(folder / "rankings.npz"), read_json(folder / "run.json")
    assert str(lists["data"]) == record["data"] == now
    assert str(lists["code"]) == record["code"] == "code"


@pytest.mark.parametrize("changes", [{"params": {"count": "users"}}, {"seed": 1}], ids=["key", "seed"])
def test_files_of_another_run_are_refused(
    changes: dict, tiny: dict[str, Interactions], tmp_path: Path
) -> None:
    """Rankings that were swapped between two runs of one model stood under each other's name."""
    model, inputs = CATALOG.model("popularity"), Inputs(tiny["train"], tiny["valid"], True, {})
    planned = []
    for given in ({}, changes):
        params = given.get("params", {})
        config = RunConfig(model="popularity", class_name=model.class_name, params=params, top=20)
        seed = given.get("seed", 0)
        item = PlannedRun(dataset="tiny", run=config, variant="default", group="main", seed=seed)
        job = Job("tiny", model, config, {}, seed, "cpu", 1, Budget(), "code")
        execute(job, inputs, Paths(tmp_path).planned(item))
        planned.append(item)
    protocol = CATALOG.protocol("standard")
    for name in ("rankings.npz", "run.json"):
        one, other = (Paths(tmp_path).planned(item) / name for item in planned)
        one.rename(tmp_path / name)
        other.rename(one)
        (tmp_path / name).rename(other)
    what = r"rankings\.npz: holds the lists of run .*, seed .*`make redo WHAT=.*seed-{}`"
    both = what.format(0) + r" makes it again\n.*" + what.format(planned[1].seed)
    with pytest.raises(ArtifactError, match=both):
        measure(planned, [(protocol, protocol.views)], tiny, tmp_path, inputs.digest)
    with pytest.raises(ArtifactError, match=r"run\.json: is not of run .*, seed 0"):
        run_records(planned, {"popularity": model}, tmp_path, {"tiny": inputs.digest})
    with np.load(Paths(tmp_path).planned(planned[0]) / "rankings.npz") as archive:
        plain = {name: array for name, array in archive.items() if name not in ("key", "seed")}
    for item in planned:  # as an earlier version wrote them
        write_npz(Paths(tmp_path).planned(item) / "rankings.npz", **plain)
    assert len(measure(planned, [(protocol, protocol.views)], tiny, tmp_path, inputs.digest).rows)


# --------------------------------------------------------------------------------- class


def test_another_class_is_another_run() -> None:
    one, two = (RunConfig(model="ease", class_name=name, params={}) for name in ("EASE", "Other"))
    assert one.key != two.key
    plain = {"model": "ease", "params": {}, "search": {"regularization": [1.0]}, "trials": 3, "seed": 0}
    assert TuneConfig(**plain, class_name="EASE").key != TuneConfig(**plain, class_name="Other").key


def test_a_study_says_the_class_of_each_run_and_search(project: Path) -> None:
    study = {"tuning": {"trials": 3}, "models": [{"model": "ease"}, {"model": "gfcf", "tune": True}]}
    before = load(project, project, **study).runs
    assert [r.run.class_name for r in before] == ["EASE", CATALOG.model("gfcf").class_name]
    assert before[1].run.tune.class_name == CATALOG.model("gfcf").class_name
    for name in ("ease", "gfcf"):
        path = project / "config" / "models" / f"{name}.yaml"
        text = path.read_text(encoding="utf-8")
        assert f"class_name: {CATALOG.model(name).class_name}\n" in text
        path.write_text(text.replace("class_name: ", "class_name: Other"), encoding="utf-8")
    after = load(project, project, **study).runs
    assert not {r.run.key for r in before} & {r.run.key for r in after}
    assert before[1].run.tune.key != after[1].run.tune.key


def test_a_run_by_hand_may_leave_the_class_out_but_not_name_another() -> None:
    model = CATALOG.model("ease")
    tune = TuneConfig(model="ease", params={}, search=model.search, trials=3, seed=0)
    filled = RunConfig(model="ease", params={}, tune=tune).of_class(model)
    assert filled.class_name == filled.tune.class_name == "EASE"
    assert filled.of_class(model) == filled
    with pytest.raises(ConfigError, match="class_name: 'Mine' is not the class of model 'ease'"):
        RunConfig(model="ease", class_name="Mine", params={}).of_class(model)


# ----------------------------------------------------------------------------- own files


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FileDigests:
    monkeypatch.setattr(FileDigests, "settled", -1.0)
    return FileDigests(tmp_path / "results" / ".digests.json")


def test_a_file_exchanged_for_one_of_the_same_size_and_time_is_noticed(
    digests: FileDigests, tmp_path: Path
) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("1,2\n")
    before, time = digests.of(path), path.stat()
    path.write_text("1,3\n")
    os.utime(path, ns=(time.st_atime_ns, time.st_mtime_ns))
    assert FileDigests(digests.place).of(path) != before
    path.write_text("1,2\n")
    assert FileDigests(digests.place).of(path) == before
    assert FileDigests(digests.place).of(tmp_path / "nowhere.csv") == "missing"


def test_a_file_is_hashed_once(digests: FileDigests, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path, hashed = tmp_path / "clicks.csv", []
    path.write_text("1,2\n")
    monkeypatch.setattr("recspectra.identity.sha256", lambda p: hashed.append(p) or sha256(p))
    first = digests.of(path)
    assert [FileDigests(digests.place).of(path) for _ in range(3)] == [first] * 3
    assert len(hashed) == 1


def test_a_file_that_has_just_changed_is_hashed_again(tmp_path: Path) -> None:
    """It may change once more within one tick of the clock."""
    path, digests = tmp_path / "clicks.csv", FileDigests(tmp_path / "digests.json")
    path.write_text("1,2\n")
    assert digests.of(path).startswith("4 bytes, sha256 ")
    assert not digests.place.exists()


@pytest.mark.parametrize(
    "text", ["", "{", "[1, 2]", '{"PATH": 3}', '{"PATH": [[1], 2, 3]}', '{"PATH": [null, "x"]}']
)
def test_a_damaged_store_of_digests_is_made_again(digests: FileDigests, tmp_path: Path, text: str) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("1,2\n")
    sound = digests.of(path)
    digests.place.write_text(text.replace("PATH", str(path)))
    assert FileDigests(digests.place).of(path) == sound
    assert read_json(digests.place)[str(path)][1] in sound


def test_a_store_that_cannot_be_written_stops_nothing(tmp_path: Path) -> None:
    path = tmp_path / "clicks.csv"
    path.write_text("1,2\n")
    write_json(tmp_path / "file", {})
    digests = FileDigests(tmp_path / "file" / "digests.json")
    digests.settled = -1.0
    assert digests.of(path).startswith("4 bytes")
