"""`fit` and `recommend`: the YAML's parameters, the file's ids, known users and new ones."""

from __future__ import annotations

import subprocess
import sys
from typing import Any

import numpy as np
import pandas as pd
import pytest

import recspectra as rs
from recspectra.api.users import asked_users
from recspectra.config.catalog import Catalog
from recspectra.config.model import RunConfig
from recspectra.fitting.fit import learn
from recspectra.fitting.scoring import Inputs
from recspectra.recommender import History, Run, create
from recspectra.spectral.eigen import leading
from recspectra.spectral.operators import build

QUICK = {"epochs": 3, "eval_every": 1, "dimensions": 8}


def has(clicks: pd.DataFrame, user: str) -> set[str]:
    return set(clicks.loc[clicks["user_id"] == user, "item_id"])


def test_what_a_user_has_is_not_recommended_unless_asked_for(clicks: pd.DataFrame, ease: rs.Model) -> None:
    found = ease.recommend(["u17", "u99"], k=5)
    assert list(found.columns) == ["user", "item", "score", "rank"]
    assert found["user"].tolist() == ["u17"] * 5 + ["u99"] * 5
    assert found["rank"].tolist() == [1, 2, 3, 4, 5] * 2
    for user, own in found.groupby("user"):
        assert not set(own["item"]) & has(clicks, user)
        assert (own["score"].diff().dropna() <= 0).all()
    everything = ease.recommend("u17", k=80, exclude_seen=False)
    assert len(everything) == 80 and has(clicks, "u17") <= set(everything["item"])
    assert len(ease.recommend("u17", k=80)) == 80 - len(has(clicks, "u17"))


def test_all_users_are_asked_by_default_and_each_alone_gives_the_same(ease: rs.Model, data: rs.Data) -> None:
    everyone = rs.recommend(ease, k=3)
    assert everyone["user"].nunique() == len(data.users) == 120
    for user in ("u3", "u110"):
        own = everyone[everyone["user"] == user].reset_index(drop=True)
        assert own[["item", "rank"]].equals(ease.recommend([user], k=3)[["item", "rank"]])


def test_a_new_user_gets_what_the_owner_of_its_history_gets(clicks: pd.DataFrame, ease: rs.Model) -> None:
    own = clicks[clicks["user_id"] == "u7"].sort_values("timestamp")
    expected = ease.recommend("u7", k=4)[["item", "rank"]]
    for history in (
        {"somebody": own["item_id"].tolist()},
        own.rename(columns={"item_id": "item", "timestamp": "time"}).assign(user="somebody").iloc[::-1],
    ):
        found = ease.recommend(history=history, k=4)
        assert set(found["user"]) == {"somebody"}
        assert found[["item", "rank"]].equals(expected)


def test_times_of_a_history_are_ordered_as_numbers_and_dates_are(ease: rs.Model) -> None:
    items = ["film 1", "film 2", "film 3"]
    for times in (["9", "10", "11"], [9, 10, 11], ["2020-01-09", "2020-01-10", "2021-01-01"],
                  pd.to_datetime(["2020-01-09", "2020-01-10", "2021-01-01"])):  # fmt: skip
        frame = pd.DataFrame({"user": "x", "item": items, "time": times}).iloc[::-1]
        asked = asked_users(ease, None, frame)
        assert ease.ids.items[asked.history.items].tolist() == items
    for times in (["9", "", "11"], ["9", "2020-01-10", "11"], [9, None, 11], ["soon", "now", "late"]):
        with pytest.raises(rs.DataError, match="column 'time'"):
            ease.recommend(history=pd.DataFrame({"user": "x", "item": items, "time": times}))


def test_known_and_new_users_may_be_asked_together(ease: rs.Model) -> None:
    given = {"u7": ["film 3"], "x": ["film 3"], "y": []}
    found = ease.recommend(["x", "u7"], history=given, k=2)
    assert found["user"].tolist() == ["x", "x", "u7", "u7"]
    assert found.iloc[:2]["item"].tolist() == found.iloc[2:]["item"].tolist()
    assert len(ease.recommend("y", history=given, k=2)) == 2


def test_a_model_that_knows_its_users_by_number_says_so(data: rs.Data, ease: rs.Model) -> None:
    factors = rs.fit("mf", data, **QUICK)
    assert ease.takes_new_users and not factors.takes_new_users
    with pytest.raises(rs.ConfigError, match="MF needs what it learned of each user.*no new users"):
        factors.recommend(history={"new": ["film 1"]})
    assert len(factors.recommend("u7", k=3)) == 3
    individual = rs.fit("sgfcf", data, rank=8, exponents="individual")
    assert not individual.takes_new_users and rs.fit("sgfcf", data, rank=8).takes_new_users


def test_a_rank_that_is_too_large_names_one_that_filters(data: rs.Data) -> None:
    with pytest.raises(
        rs.Refused, match=r"size 80 .*`rank=20` \(in a study `params: {rank: 20}`\): at 80 nothing"
    ):
        rs.fit("gfcf", data, rank=500)


def test_a_model_that_needs_order_refuses_data_without(clicks: pd.DataFrame) -> None:
    unordered = rs.read(clicks, user="user_id", item="item_id")
    with pytest.raises(rs.Refused, match="this dataset has none"):
        rs.fit("markov", unordered)


@pytest.mark.parametrize("name", ["gfcf", "mf"])
def test_a_fit_is_the_workflow_s(name: str, data: rs.Data) -> None:
    """The same task, spectra and seed give the same bytes, whoever calls."""
    given = {"rank": 16} if name == "gfcf" else QUICK
    model, config = rs.fit(name, data, seed=3, device="cpu", **given), Catalog(_root()).model(name)
    params = config.resolve(given)
    assert model.params == params
    inputs = Inputs(data.train, data.valid, True, {})
    if name == "gfcf":
        inputs.spectra["item-similarity"] = leading(build("item-similarity", data.train), 16)
    system = create(config, RunConfig(model=name, params=params).params)
    learn(system, inputs, "train", Run(seed=3))
    users = np.arange(120)
    shown = History.of(data.train, users)
    assert np.array_equal(model.system.score(users, shown), system.score(users, shown))


def _root() -> Any:
    from recspectra.files import PACKAGE_DIR

    return PACKAGE_DIR.parents[1]


def test_defaults_are_filled_in_and_shown(data: rs.Data, ease: rs.Model) -> None:
    assert repr(ease) == "EASE (regularization 20.0) fitted on clicks (train): 120 users, 80 items"
    assert repr(data).startswith("Data 'clicks': 120 users, 80 items; interactions: ")
    config = Catalog(_root()).model("gfcf")
    assert rs.fit("gfcf", data, rank=16).params == config.resolve({"rank": 16})


def test_a_trained_model_stops_by_the_validation_part_and_learns_again_from_all(data: rs.Data) -> None:
    given = {"epochs": 40, "eval_every": 2, "patience": 2, "dimensions": 8, "learning_rate": 0.05}
    first, again = (rs.fit("mf", data, on=on, **given) for on in ("train", "all"))
    assert first.log["validation_curve"] and not again.log["validation_curve"]
    assert again.log["epochs"] == again.params["epochs"] == first.log["best_epoch"]
    assert again.about["fit"] == "all"


def test_spectra_are_computed_once_and_by_part(data: rs.Data, monkeypatch: pytest.MonkeyPatch) -> None:
    from recspectra.api import data as module

    own, solved = rs.Data(**{k: v for k, v in vars(data).items() if k in rs.Data.__annotations__} | {
        "_spectra": {}}), []  # fmt: skip
    monkeypatch.setattr(module, "leading", lambda *a: solved.append(a[1]) or leading(*a))
    for given in ({"rank": 16}, {"rank": 10}, {"rank": 40}, {"rank": 40, "on": "all"}):
        rs.fit("gfcf", own, **given)
    assert solved == [16, 64, 64]  # on the ladder of ranks


def test_a_fit_does_not_depend_on_what_was_fitted_before() -> None:
    rng = np.random.default_rng(0)  # 80 groups apart: 80 times the eigenvalue 1, of which rank 16 takes some
    rows = [(user, int(item) + 8 * (user % 80), time) for user in range(320)
            for time, item in enumerate(rng.permutation(8)[:6])]  # fmt: skip
    clicks = pd.DataFrame(rows, columns=["user", "item", "time"])
    fresh, used = (rs.read(clicks, time="time", split="leave-one-out") for _ in range(2))
    rs.fit("svdae", used, rank=128)
    one, other = (rs.fit("svdae", given, rank=16) for given in (fresh, used))
    assert one.recommend(k=20).equals(other.recommend(k=20))


def test_a_fit_leaves_pytorch_s_generator_and_settings_alone(data: rs.Data) -> None:
    import torch

    torch.manual_seed(11)
    expected = torch.rand(3)
    torch.manual_seed(11)
    rs.fit("mf", data, **QUICK)
    assert torch.equal(torch.rand(3), expected)
    assert not torch.are_deterministic_algorithms_enabled()


def test_a_model_in_closed_form_is_fitted_saved_and_asked_without_torch(tmp_path: Any) -> None:
    code = (
        "import recspectra as rs, sys\n"
        "data = rs.dataset('synthetic')\n"
        f"model = rs.load(rs.fit('gfcf', data, rank=16).save({str(tmp_path / 'm.rs')!r}))\n"
        "assert len(model.recommend([1, 2], k=3)) == 6\n"
        "print(rs.compare(model, rs.fit('popularity', data), data))\n"
        "assert 'torch' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=tmp_path)


def test_importing_the_package_loads_nothing_and_takes_no_time() -> None:
    code = (
        "import sys, time; before = set(sys.modules); started = time.process_time()\n"
        "import recspectra\n"
        "took = time.process_time() - started\n"
        "heavy = {'torch', 'numpy', 'pandas', 'scipy', 'pydantic', 'matplotlib'} & set(sys.modules)\n"
        "assert not heavy, heavy\n"
        "assert took < 0.5, took"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_public_names_are_listed_and_found() -> None:
    assert sorted(rs.PUBLIC) == sorted(rs.__all__) and set(rs.PUBLIC) <= set(dir(rs))
    assert all(getattr(rs, name).__name__ == name for name in rs.PUBLIC)
    with pytest.raises(AttributeError, match="no attribute 'fitt'"):
        rs.fitt  # noqa: B018


def test_no_model_has_a_parameter_that_fit_takes_for_itself() -> None:
    catalog = Catalog(_root())
    for name in catalog.names("models"):
        assert not {"name", "data", "on", "seed", "device"} & set(catalog.model(name).params), name
