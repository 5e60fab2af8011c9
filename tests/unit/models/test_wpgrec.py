"""WPGRec: losses and gradients by each propagation, caches, readings, bad input."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from ragged import ragged

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.layers.wpgrec_graph import (
    Replaced,
    layer_by_layer,
)
from recspectra.models.wpgrec import Prefixes, QueryBatch, WPGRec, _without_last
from recspectra.recommender import History, Refused, Run, Task
from recspectra.spectral.wavelets import swpt

CONFIG = Catalog(Path(__file__).resolve().parents[3]).model("wpgrec")
SMALL = {"dimensions": 8, "hidden": 6, "max_len": 12, "batch_size": 16, "epochs": 2, "eval_every": 1}
Make = Callable[..., WPGRec]


@pytest.fixture(scope="module")
def train() -> Interactions:
    return ragged()


@pytest.fixture
def built(train: Interactions) -> Make:
    """A factory of models that are ready to be trained on `train`, or on other interactions."""

    def make(data: Interactions = train, **changes: Any) -> WPGRec:
        system = WPGRec(CONFIG.resolve(SMALL | changes))
        system.device, system.shape = torch.device("cpu"), np.array(data.shape)
        system.prepare(Task(data, None, True), Run())
        torch.manual_seed(0)
        system.module = system.build()
        return system

    return make


def first_batch(system: WPGRec, data: Interactions, seed: int = 0) -> QueryBatch:
    return next(iter(Prefixes(system, data)(torch.Generator().manual_seed(seed))))


def noise() -> torch.Generator:
    return torch.Generator().manual_seed(1)


def gradients(system: WPGRec, loss: torch.Tensor) -> torch.Tensor:
    found = torch.autograd.grad(loss, list(system.module.parameters()), allow_unused=True)
    return torch.cat([g.flatten() for g in found if g is not None])


def histories(data: Interactions) -> History:
    return History.of(data, np.arange(data.n_users))


# ------------------------------------------------------------------------------ model


@pytest.mark.parametrize("graph", ["query", "last-only", "literal"])
def test_losses_and_gradients_do_not_depend_on_the_propagation(
    built: Make, train: Interactions, graph: str
) -> None:
    found = []
    for propagation in ("collapsed", "layers"):
        system = built(graph=graph, propagation=propagation, start="random")
        loss = system.batch_loss(first_batch(system, train), noise(), exact=False)
        found.append((loss.detach(), gradients(system, loss)))
    (a, x), (b, y) = found
    assert torch.allclose(a, b, rtol=1e-5)
    assert float((x - y).norm() / y.norm()) < 1e-4


@pytest.mark.parametrize("graph", ["query", "literal"])
def test_cached_summaries_are_exact_where_the_batch_has_all_users(built: Make, graph: str) -> None:
    rng = np.random.default_rng(0)
    everybody = from_pairs(
        np.repeat(np.arange(20), 6),
        np.concatenate([rng.permutation(18)[:6] for _ in range(20)]),
        None,
        (20, 18),
    )
    system = built(everybody, graph=graph, batch_size=20, dropout=0.3)
    batch = first_batch(system, everybody)
    with torch.no_grad():
        system.keep(system.kept.summaries + 1.0)  # must not matter
    found = [system.batch_loss(batch, noise(), exact) for exact in (False, True)]
    assert torch.allclose(*found)
    one, other = (gradients(system, loss) for loss in found)
    assert float((one - other).norm() / other.norm()) < 1e-5
    assert system.gradient_cosine(batch, noise()) == pytest.approx(1.0, abs=1e-5)


def test_cached_gradients_point_where_the_exact_ones_do(built: Make, train: Interactions) -> None:
    system = built(batch_size=8)
    batch = first_batch(system, train)
    assert torch.allclose(*(system.batch_loss(batch, noise(), exact) for exact in (False, True)))
    assert 0.8 < system.gradient_cosine(batch, noise()) < 0.99999


def test_comparing_gradients_leaves_the_noise_as_it_was(built: Make, train: Interactions) -> None:
    system, generator = built(dropout=0.5), noise()
    system.gradient_cosine(first_batch(system, train), generator)
    assert torch.equal(generator.get_state(), noise().get_state())


def test_the_log_says_how_summaries_were_had(train: Interactions) -> None:
    for wanted, mode in (("auto", "cached"), ("exact", "exact")):
        system = WPGRec(CONFIG.resolve(SMALL | {"summaries": wanted}))
        log = system.fit(Task(train, None, True), Run())
        assert log["summaries"] == mode
        assert [epoch for epoch, _ in log["gradient_cosine"]] == ([1] if mode == "cached" else [])
        assert all(0.5 < cosine <= 1.0 for _, cosine in log["gradient_cosine"])


def test_the_loss_starts_near_that_of_a_guess(tiny: dict[str, Interactions], built: Make) -> None:
    data = tiny["train"]
    for start in ("smoothing", "random"):
        system = built(data, start=start, dimensions=64, batch_size=64)
        loss = system.batch_loss(first_batch(system, data), noise(), exact=False)
        assert abs(float(loss.detach()) - np.log(80)) < 0.6
    plain = built(data, logits="plain", dimensions=64, batch_size=64)
    assert float(plain.batch_loss(first_batch(plain, data), noise(), False).detach()) > 2 * np.log(80)


def test_a_query_sees_neither_its_target_nor_what_came_later(built: Make, train: Interactions) -> None:
    system = built(batch_size=100)
    batch = first_batch(system, train)
    for user, inputs, linked, target in zip(
        batch.users.tolist(),
        batch.inputs.tolist(),
        batch.linked.tolist(),
        batch.targets.tolist(),
        strict=True,
    ):
        history = train.sequence(user).tolist()
        past = history[: history.index(target)]
        assert past
        assert [i for i in inputs if i < 18] == past[-12:]
        assert [i for i in linked if i < 18] == past
    later = built(_with_other_futures(train, batch), batch_size=100)
    found = []
    for s in (system, later):
        s.cross.item_scale = s.cross.item_scale * 0 + 0.5  # degrees alone may differ
        found.append(s.past.rows_of(batch.linked))
    assert torch.equal(*found)


def _with_other_futures(train: Interactions, batch: QueryBatch) -> Interactions:
    """The same users without what came after the moments of a batch."""
    ends = train.lengths.copy()
    for user, linked in zip(batch.users.tolist(), batch.linked.tolist(), strict=True):
        ends[user] = sum(i < 18 for i in linked)
    items = np.concatenate([train.sequence(u)[:n] for u, n in enumerate(ends)])
    return from_pairs(np.repeat(np.arange(25), ends), items, None, train.shape)


def test_users_of_a_batch_differ_and_every_user_is_served(built: Make, train: Interactions) -> None:
    system = built(batch_size=7, samples=3)
    batches = list(Prefixes(system, train)(torch.Generator().manual_seed(0)))
    assert all(len(b.users.unique()) == len(b.users) for b in batches)
    served = torch.cat([b.users for b in batches]).bincount(minlength=25)
    assert torch.equal(served, torch.as_tensor(3 * (train.lengths > 1)))
    assert [b.last for b in batches] == [False] * (len(batches) - 1) + [True]
    targets = {(u, t) for b in batches for u, t in zip(b.users.tolist(), b.targets.tolist(), strict=True)}
    assert len(targets) > 30  # not one target a user


def test_the_last_items_are_cut_from_the_graph_of_last_only(built: Make, train: Interactions) -> None:
    system = built(graph="last-only", batch_size=100)
    batch = first_batch(system, train)
    assert batch.targets.tolist() == [train.sequence(u)[-1] for u in batch.users.tolist()]
    cut = _without_last(train)
    assert cut.nnz == train.nnz - (train.lengths > 1).sum()
    dense = system.past.rows(torch.arange(25)).numpy() > 0
    assert np.array_equal(dense, cut.matrix.toarray() > 0)
    assert np.array_equal(system.cross.rows(torch.arange(25)).numpy() > 0, train.matrix.toarray() > 0)


@pytest.mark.parametrize("graph", ["query", "last-only", "literal"])
def test_scores_of_shown_histories_are_those_of_a_graph_in_which_they_are(
    built: Make, train: Interactions, graph: str
) -> None:
    system = built(graph=graph, start="random")
    system._ready()
    shown = from_pairs(
        np.append(train.users, [0, 5]),
        np.append(train.items, [3, 17 - train.sequence(5)[0]]),
        None,
        train.shape,
    )
    scores = system.score(np.arange(25), History.of(shown, np.arange(25)))
    for user in (0, 5, 8):
        linked = torch.as_tensor(shown.sequence(user).astype(np.int64))[None]
        inputs = torch.nn.functional.pad(linked, (12, 0), value=18)[:, -12:]
        ids = torch.tensor([user])
        row = system.cross.rows_of(linked) if graph == "query" else system.cross.rows(ids)
        with torch.no_grad():
            p, gates = system.module.summarise(inputs)
            h, _ = layer_by_layer(
                Replaced(system.cross, ids, row), p, system.base, system.module.items, system.module.theta
            )
            expected = system.module.user_vectors(h, gates) @ system._items.T
        assert np.allclose(scores[user], expected[0].numpy(), rtol=1e-4, atol=1e-5)


def test_scores_of_training_histories_come_from_the_whole_graph(built: Make, train: Interactions) -> None:
    system = built(start="random")
    system._ready()
    fast = system.score(np.arange(25), histories(train))
    with torch.no_grad():
        users = torch.arange(25)
        slow = system._vectors_of(users, system.cross.sequences(users, 12)) @ system._items.T
    assert np.allclose(fast, slow.numpy(), rtol=1e-4, atol=1e-5)


def test_summaries_do_not_depend_on_padding_or_company(built: Make) -> None:
    module = built().module
    inputs = torch.full((3, 12), 18)
    inputs[0, -2:], inputs[1, -9:] = torch.tensor([4, 1]), torch.arange(9)
    together = module.summarise(inputs)
    for i, width in ((0, 2), (1, 9), (2, 1)):
        alone = module.summarise(inputs[i : i + 1, -width:])
        for a, b in zip(alone, together, strict=True):
            assert torch.allclose(a[0], b[i], atol=1e-6)
    assert torch.isfinite(together[0]).all()


def test_summaries_and_gates_follow_the_equations(built: Make) -> None:
    module = built(tokens=1, attention="mean", max_len=14).module
    signal = torch.cat([module.tokens[0], module.items[[4, 1, 7]], module.tokens[1]]).detach()
    bands = swpt(signal.numpy(), "coif1", 2)
    p, gates = module.summarise(torch.tensor([[18, 4, 1, 7]]))
    assert np.allclose(p[0].detach().numpy(), bands.mean(axis=1), atol=1e-5)
    energies = torch.as_tensor((bands**2).sum(axis=(1, 2)) / 5).float()
    shares = torch.log(energies / energies.sum())
    flat = module.packets.flatness(torch.as_tensor(bands, dtype=torch.float32)[:, None])[0]
    place = (torch.arange(4) + 0.5) / 4
    expected = torch.softmax(module.gate(torch.stack([shares, flat, place], dim=1))[:, 0], dim=0)
    assert torch.allclose(gates[0], expected, atol=1e-4)


def test_attention_weighs_the_steps_of_a_band(built: Make) -> None:
    module = built(tokens=0, levels=0).module
    items = module.items[[4, 1]].detach()
    weights = torch.softmax(
        (torch.tanh(items @ module.attention_in[0] + module.bias[0]) @ module.attention_out[0])[:, 0], 0
    )
    assert torch.allclose(module.summarise(torch.tensor([[4, 1]]))[0][0, 0], weights @ items, atol=1e-6)


READINGS = [
    {"descriptor": "paper"}, {"descriptor": "code", "band_order": "natural"}, {"flatness": "all_bins"},
    {"gate_head": "per-band"}, {"gate_weight": 1.0}, {"theta": "shared"},
    {"norm": "shared"}, {"logits": "plain"}, {"graph": "literal"}, {"graph": "last-only"},
    {"targets": "last"}, {"gate": "uniform"}, {"attention": "mean"}, {"levels": 0},
    {"graph_layers": 0}, {"tokens": 0, "extension": "zero", "levels": 1}, {"extension": "circular"},
    {"extension": "zero"}, {"start": "random"}, {"wavelet": "sym4", "levels": 1}, {"dropout": 0.5},
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("reading", READINGS, ids=str)
def test_every_reading_is_another_model_that_learns(
    built: Make, train: Interactions, reading: dict[str, Any]
) -> None:
    found = []
    for changes in ({}, reading):
        system = built(**changes)
        losses, optimiser = [], torch.optim.Adam(system.module.parameters(), 1e-2)
        for epoch in range(8):
            loss = system.batch_loss(first_batch(system, train, epoch % 2), noise(), False)
            optimiser.zero_grad()
            loss.backward()
            optimiser.step()
            losses.append(float(loss.detach()))
        assert losses[-1] < losses[0]
        found.append(losses)
    assert found[0] != found[1]


def test_the_gate_penalty_has_the_sign_that_its_name_says(built: Make, train: Interactions) -> None:
    losses = []
    for penalty in ("concentrate", "spread"):
        system = built(gate_penalty=penalty, gate_weight=0.5)
        losses.append(float(system.batch_loss(first_batch(system, train), noise(), False).detach()))
    assert 0 < losses[0] - losses[1] <= 2 * 0.5 * np.log(4) + 1e-5


# --------------------------------------------------------------------------- bad input


def test_a_depth_beyond_the_sequences_is_refused(built: Make) -> None:
    with pytest.raises(Refused, match="levels 3 of wavelet 'coif5' is too deep: its filters span 204"):
        built(wavelet="coif5", levels=3)


def test_matrices_that_do_not_fit_are_refused(built: Make) -> None:
    with pytest.raises(Refused, match=r"the bands of 516 steps need \d+\.\d GB"):
        built(max_len=512, levels=5)


def test_items_that_were_not_fitted_are_refused(built: Make, train: Interactions) -> None:
    system = built()
    system._ready()
    history = histories(train)
    wrong = replace(history, items=np.where(history.items == 3, 18, history.items))
    with pytest.raises(Refused, match=r"outside \[0, 18\)"):
        system.score(np.arange(25), wrong)


def test_the_log_has_what_the_gate_sees_and_gives(built: Make, train: Interactions) -> None:
    system = built(band_order="natural")
    system._ready()
    bands = system.band_statistics()
    assert [(b["low"], b["high"]) for b in bands] == [(i / 8, (i + 1) / 8) for i in range(4)]
    sequences = [train.items[a:b] for a, b in zip(train.indptr, train.indptr[1:], strict=False) if b > a]
    tokens = system.module.tokens.detach().numpy()
    shares = []
    for items in sequences:
        signal = np.concatenate([tokens[0], system.module.items.detach().numpy()[items[-12:]], tokens[1]])
        found = swpt(signal, "coif1", 2)
        power = (found**2).sum(axis=(1, 2))
        shares.append(power / power.sum())
    assert [b["energy"] for b in bands] == pytest.approx(np.mean(shares, axis=0), rel=1e-4)
    assert [b["energy_sd"] for b in bands] == pytest.approx(np.std(shares, axis=0), rel=1e-3)
    assert sum(b["gate"] for b in bands) == pytest.approx(1.0, abs=1e-5)


def test_decay_is_part_of_the_gradient_or_of_the_step_as_the_optimiser_says(train: Interactions) -> None:
    def weights(**changes: Any) -> torch.Tensor:
        system = WPGRec(CONFIG.resolve(SMALL | {"epochs": 1} | changes))
        system.fit(Task(train, None, True), Run())
        return system.module.items.detach()

    plain = weights(optimiser="adam")
    assert torch.equal(weights(optimiser="adamw"), plain)
    decayed = [weights(optimiser=name, weight_decay=0.1) for name in ("adam", "adamw")]
    assert not torch.equal(*decayed) and not torch.equal(decayed[1], plain)
