"""Sequence models: each fast path equals its formula, padding changes nothing, order counts."""

from __future__ import annotations

import math
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch

from recspectra.config.catalog import Catalog
from recspectra.data.interactions import Interactions, from_pairs
from recspectra.layers import sequential
from recspectra.layers.sequential import Dropout, Frame, attended
from recspectra.models import bsarec, fearec, fmlprec, tgsrec, waverec
from recspectra.models.bert4rec import masked
from recspectra.recommender import History, Refused, Run, Task, create
from recspectra.training.sampling import Complement
from recspectra.training.sequences import Sequences

CATALOG = Catalog(Path(__file__).resolve().parents[3])
SYSTEMS = ["sasrec", "gru4rec", "bert4rec", "fmlprec", "bsarec", "fearec", "waverec", "tgsrec"]
CAUSAL = ["sasrec", "gru4rec", "tgsrec"]
FILTERS = ["fmlprec", "bsarec", "fearec", "waverec"]
SMALL = {"max_len": 12, "dimensions": 8, "hidden": 16, "heads": 2}

every_model = pytest.mark.parametrize("name", SYSTEMS)


def built(name: str, train: Interactions, seed: int = 0, **params: Any) -> Any:
    """A model that could start to learn, in evaluation mode."""
    config = CATALOG.model(name)
    given = {k: v for k, v in (SMALL | params).items() if k in config.params}
    system = create(config, config.resolve(given))
    system.device, system.shape = torch.device("cpu"), np.array(train.shape)
    system.prepare(Task(train, None, True), Run())
    torch.manual_seed(seed)
    system.module = system.build()
    system._ready()
    return system


def bold(system: Any) -> Any:
    """The same with larger weights: states far from the embeddings, so that mixing shows."""
    with torch.no_grad():
        for p in system.module.parameters():
            if p.dim() > 1:
                p.mul_(0.5 / p.std().clamp(min=1e-3))
    system._ready()
    return system


def states(system: Any, users: torch.Tensor, inputs: torch.Tensor, last: bool = True) -> torch.Tensor:
    with torch.no_grad():
        if isinstance(system.module, tgsrec.Temporal):
            return system.module(users, inputs, system._items[inputs], last)
        return system.module(inputs) if last else system.module(inputs, last=False)


def some_inputs(n: int, width: int, reals: list[int]) -> torch.Tensor:
    """Random left-padded rows with given numbers of items."""
    inputs = torch.randint(n, (len(reals), width), generator=torch.Generator().manual_seed(0))
    return torch.where(torch.arange(width) >= width - torch.tensor(reals)[:, None], inputs, n)


# ------------------------------------------------------------------------ every model


@every_model
def test_the_loss_starts_near_the_logarithm_of_the_number_of_items(name: str, train: Interactions) -> None:
    system = built(name, train, dimensions=64, contrast=0.0, spectrum=0.0)
    batch = next(iter(system.batches(Task(train, None, True))(torch.Generator().manual_seed(0))))
    system.module.train()
    loss = system.loss(batch, torch.Generator().manual_seed(0)).item()
    assert abs(loss - math.log(train.n_items)) < 0.1


def test_sasrec_with_sampled_negatives_is_a_loop_over_targets(train: Interactions) -> None:
    """Each target beside one item that its user has not in training; a batch draws the same again."""
    system = bold(built("sasrec", train, loss="sampled"))
    batch = next(iter(system.batches(Task(train, None, True))(torch.Generator().manual_seed(0))))
    drawn: list[torch.Tensor] = []

    def draw(users: torch.Tensor, count: int, generator: torch.Generator) -> torch.Tensor:
        drawn.append(Complement(train, "cpu").draw(users, count, generator))
        return drawn[-1]

    system.free = SimpleNamespace(draw=draw)
    found = [float(system.loss(batch, torch.Generator()).detach()) for _ in range(2)]
    assert found[0] == found[1] and torch.equal(*drawn)
    table, every = system.module.table().detach(), system.module(batch.inputs, last=False).detach()
    others, costs = iter(drawn[0][:, 0].tolist()), []
    for row, column in torch.nonzero(batch.targets >= 0).tolist():
        state, other, user = every[row, column], next(others), int(batch.users[row])
        right, wrong = state @ table[batch.targets[row, column]], state @ table[other]
        assert other not in train.items[train.indptr[user] : train.indptr[user + 1]]
        costs.append(float(-torch.log(torch.sigmoid(right)) - torch.log(torch.sigmoid(-wrong))))
    assert found[0] == pytest.approx(sum(costs) / len(costs), rel=1e-4)


@every_model
def test_columns_that_are_padding_change_nothing(name: str, train: Interactions) -> None:
    system = bold(built(name, train))
    n, users = train.n_items, torch.arange(4)
    inputs = some_inputs(n, 11, [5, 3, 1, 4])
    narrow, wide = (states(system, users, inputs[:, -width:]) for width in (5, 11))
    assert torch.allclose(narrow, wide, atol=1e-5)
    assert narrow.std() > 0.05


@pytest.mark.parametrize("name", [n for n in SYSTEMS if n != "bert4rec"])
def test_the_last_state_is_the_last_of_all_states(name: str, train: Interactions) -> None:
    system = bold(built(name, train))
    inputs, users = some_inputs(train.n_items, 7, [7, 4, 1]), torch.arange(3)
    every = states(system, users, inputs, last=False)
    assert torch.allclose(states(system, users, inputs), every[:, -1], atol=1e-5)


@pytest.mark.parametrize("name", [n for n in SYSTEMS if n != "bert4rec"])
def test_only_models_trained_on_all_positions_must_not_look_ahead(name: str, train: Interactions) -> None:
    system = bold(built(name, train, reach="same"))
    inputs, users = some_inputs(train.n_items, 8, [8, 8, 6]), torch.arange(3)
    other = inputs.clone()
    other[:, -1] = (other[:, -1] + 1) % train.n_items
    before, after = (states(system, users, x, last=False) for x in (inputs, other))
    assert torch.allclose(before[:, :-1], after[:, :-1], atol=1e-6) == (name in CAUSAL)
    assert (system.targets == "all") == (name in CAUSAL)
    assert not torch.allclose(before[:, -1], after[:, -1], atol=1e-3)


@every_model
def test_the_order_of_a_history_counts(name: str, train: Interactions) -> None:
    system = bold(built(name, train))
    history = History.of(train, np.arange(4))
    backwards = np.concatenate([np.flip(row) for row in np.split(history.items, history.indptr[1:-1])])
    turned = History(history.matrix, history.indptr, backwards)
    assert not np.allclose(system.score(np.arange(4), history), system.score(np.arange(4), turned), atol=1e-3)


@every_model
def test_histories_score_the_same_alone_and_in_groups_of_any_length(
    name: str, train: Interactions, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sequential.SequenceModel.encode, "__defaults__", (7,))
    system, users = bold(built(name, train)), np.array([8, 1, 60, 33, 2, 99, 7, 54, 110, 5])
    together = system.score(users, History.of(train, users))
    alone = [system.score(users[[i]], History.of(train, users[[i]]))[0] for i in range(len(users))]
    assert np.allclose(together, alone, atol=1e-4)


@pytest.mark.slow
@every_model
@pytest.mark.parametrize("max_len", [1, 2, 5])
def test_short_windows_learn_and_score(name: str, max_len: int, train: Interactions) -> None:
    system = built(name, train, max_len=max_len, epochs=1, batch_size=64)
    system.fit(Task(train, None, True), Run())
    nobody = from_pairs(np.array([1]), np.array([4]), None, train.shape)
    assert np.isfinite(system.score(np.arange(3), History.of(nobody, np.arange(3)))).all()


def test_heads_that_do_not_divide_the_dimensions_are_refused(train: Interactions) -> None:
    with pytest.raises(Refused, match="3 heads do not divide 8 dimensions"):
        built("sasrec", train, heads=3)


@pytest.mark.parametrize("name", FILTERS)
def test_padding_that_is_learned_is_never_trimmed(name: str, train: Interactions) -> None:
    system = bold(built(name, train, pads="learned", wavelet="db2"))
    batch = next(iter(system.batches(Task(train, None, True))(torch.Generator().manual_seed(0))))
    assert (batch[0] if name == "fearec" else batch).inputs.shape[1] == 12
    inputs, users = some_inputs(train.n_items, 12, [1, 2]), torch.arange(2)
    scores = states(system, users, inputs)
    with torch.no_grad():
        system.module.items.weight[-1] += 1.0 + torch.arange(8.0)
    assert not torch.allclose(states(system, users, inputs), scores, atol=1e-4)


# ---------------------------------------------------------------------- shared modules


def test_dropout_keeps_the_mean_and_the_rate() -> None:
    drop, x = Dropout(0.3), torch.full((400, 500), 2.0)
    torch.manual_seed(0)
    found = drop(x)
    assert abs(float((found == 0).float().mean()) - 0.3) < 0.005
    assert abs(float(found.mean()) - 2.0) < 0.01
    assert len(found.unique()) == 2
    torch.manual_seed(0)
    assert torch.equal(drop(x), found)
    assert not torch.equal(drop(x), found)
    assert drop.eval()(x) is x


def test_neighbouring_entries_are_dropped_independently() -> None:
    torch.manual_seed(0)
    kept = (Dropout(0.5)(torch.ones(1 << 18)) > 0).float().view(-1, 8)
    assert torch.allclose(torch.corrcoef(kept.T), torch.eye(8), atol=0.03)
    assert torch.allclose(kept.mean(dim=0), torch.tensor(0.5), atol=0.01)


def test_attention_with_dropped_weights_equals_the_fused_kernel() -> None:
    query, key, value = torch.randn(3, 4, 2, 6, 8, generator=torch.Generator().manual_seed(0))
    attend = Frame.of(some_inputs(9, 6, [6, 3, 1, 2]), 9, causal=True).attend
    nothing = Dropout(1e-9)  # takes the plain path, rounds to a rate of zero
    fused = attended(query, key, value, attend, nothing.eval())
    assert torch.allclose(attended(query, key, value, attend, nothing.train()), fused, atol=1e-6)


def test_a_frame_hides_padding_and_the_future() -> None:
    causal, both = (Frame.of(torch.tensor([[9, 1, 2]]), 9, c).attend[0, 0].int() for c in (True, False))
    assert causal.tolist() == [[1, 0, 0], [0, 1, 0], [0, 1, 1]]
    assert both.tolist() == [[1, 1, 1], [0, 1, 1], [0, 1, 1]]


# ----------------------------------------------------------------------------- filters


@pytest.mark.parametrize("length", [12, 13])
@pytest.mark.parametrize("bins", [1, 3, 7])
def test_the_low_band_equals_a_cut_of_the_spectrum(length: int, bins: int) -> None:
    x = torch.randn(3, length, 5)
    spectrum = torch.fft.rfft(x, dim=1)
    spectrum[:, bins:] = 0
    wanted = torch.fft.irfft(spectrum, n=length, dim=1)
    assert torch.allclose(bsarec.lowest(length, bins) @ x, wanted, atol=1e-5)


def test_the_rescaler_equals_its_formula_on_the_padded_frame() -> None:
    torch.manual_seed(0)
    low = bsarec.lowest(12, 3)
    mixer = sequential.Rescaled(low, torch.eye(12) - low, 4, 0.0)
    x = torch.randn(2, 12, 4)
    x[:, :5] = 0
    cut = torch.fft.rfft(x, dim=1)
    cut[:, 3:] = 0
    smooth = torch.fft.irfft(cut, n=12, dim=1)
    wanted = mixer.norm(x + smooth + mixer.beta**2 * (x - smooth))
    assert torch.allclose(mixer(x[:, 5:], None, False), wanted[:, 5:], atol=1e-5)
    assert torch.allclose(mixer(x[:, 5:], None, True)[:, 0], wanted[:, -1], atol=1e-5)


@pytest.mark.parametrize("length", [10, 11])
@pytest.mark.parametrize("t", [1, 4, 10])
def test_the_filter_equals_a_product_of_spectra(length: int, t: int) -> None:
    torch.manual_seed(0)
    layer, x = fmlprec.Filter(length, 3, 0.0), torch.zeros(2, length, 3)
    x[:, length - t :] = torch.randn(2, t, 3)
    weight = torch.view_as_complex(layer.weight)
    spectrum = torch.fft.rfft(x, dim=1, norm="ortho")
    wanted = torch.fft.irfft(spectrum * weight, n=length, dim=1, norm="ortho")[:, length - t :]
    part = x[:, length - t :]
    assert torch.allclose(fmlprec.convolved(layer.kernel(), part), wanted, atol=1e-6)
    assert torch.allclose(fmlprec.convolved(layer.kernel(), part, last=True), wanted[:, -1:], atol=1e-6)


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_wavelet_bands_equal_a_convolution_with_zeros_around(wavelet: str) -> None:
    x = torch.randn(4, 1, 9)
    for taps in waverec.pair(wavelet):
        kernel, k = torch.as_tensor(taps.copy()).float()[None, None], len(taps)
        for reach, back in (("behind", k - 1), ("same", (k - 1) // 2)):
            around = torch.nn.functional.pad(x, (back, k - 1 - back))
            wanted = torch.nn.functional.conv1d(around, kernel)
            assert torch.allclose(x @ waverec.correlation(taps, 9, reach).T, wanted, atol=1e-6)


def test_with_haar_around_each_column_the_last_state_knows_the_last_item_alone(train: Interactions) -> None:
    one, other = some_inputs(train.n_items, 6, [6, 6]), some_inputs(train.n_items, 6, [6, 6])
    other[:, :-1] = (other[:, :-1] + 1) % train.n_items
    for reach, alone in (("same", True), ("behind", False)):
        system = bold(built("waverec", train, reach=reach))
        first, second = (states(system, torch.arange(2), x) for x in (one, other))
        assert torch.allclose(first, second, atol=1e-5) == alone


@pytest.mark.parametrize("wavelet", ["haar", "db2"])
def test_wavelet_taps_are_a_quadrature_mirror_pair(wavelet: str) -> None:
    low, high = waverec.pair(wavelet)
    gains = [np.abs(np.fft.fft(taps, 64)) ** 2 for taps in (low, high)]
    assert np.allclose(sum(gains), 2.0)
    assert np.isclose(low.sum(), np.sqrt(2.0)) and np.isclose(high.sum(), 0.0)
    assert np.isclose(low @ high, 0.0) and np.isclose(low @ low, 1.0)


def test_gradients_of_waverec_may_be_cut_at_the_filters(train: Interactions) -> None:
    for gradient, passes in (("through", True), ("detached", False)):
        mixer = built("waverec", train, gradient=gradient, reach="same").module.blocks[0].mixer
        x = torch.randn(1, 6, 8, requires_grad=True)
        mixer.norm = torch.nn.Identity()
        mixer(x, None, False)[0, 2].sum().backward()
        assert bool(x.grad[0, 3].abs().sum() > 0) == passes


# ------------------------------------------------------------------------------ FEARec


def test_bands_slide_from_high_to_low_frequencies() -> None:
    assert fearec.ramp(26, 2, 0.6) == [(10, 26), (0, 16)]  # worked out in the paper's code for L = 50
    assert fearec.ramp(26, 1, 0.6) == [(0, 26)]
    assert fearec.ramp(26, 2, 0.3) == [(13, 26), (0, 13)]


def test_the_hybrid_mixer_equals_transforms_and_rolls() -> None:
    torch.manual_seed(0)
    length, band = 10, (1, 4)
    mixer = fearec.Hybrid(8, 2, 0.0, length, band, 1.5, 0.3).eval()
    torch.nn.init.normal_(mixer.inward.bias)
    frame = Frame.of(some_inputs(5, length, [10, 4, 1, 3]), 5, causal=True)
    real = frame.real[:, :, None]
    x = torch.randn(4, length, 8) * real
    query, key, value = (mixer.inward(x) * real).chunk(3, dim=2)
    inside = torch.zeros(length // 2 + 1, 1)
    inside[band[0] : band[1]] = 1
    spectrum = torch.fft.rfft(query, dim=1) * torch.fft.rfft(key, dim=1).conj() * inside
    top, lags = torch.fft.irfft(spectrum, n=length, dim=1).mean(dim=2).topk(mixer.lags, dim=1)
    assert mixer.lags == 3
    rolled = [
        sum(w * value[r].roll(-int(lag), 0) for w, lag in zip(top[r].softmax(0), lags[r], strict=True))
        for r in range(4)
    ]

    def heads(y: torch.Tensor) -> torch.Tensor:
        cut = torch.fft.irfft(torch.fft.rfft(y, dim=1) * inside, n=length, dim=1)
        return cut.unflatten(2, (2, 4)).transpose(1, 2)

    near = attended(heads(query), heads(key), heads(value), frame.attend, mixer.dropout)
    mixed = 0.7 * torch.stack(rolled) + 0.3 * near.transpose(1, 2).flatten(2)
    wanted = mixer.norm(x + mixer.outward(mixed))
    assert torch.allclose(mixer(x, frame, False)[frame.real], wanted[frame.real], atol=1e-5)


def test_partners_share_the_target_and_are_others_where_there_are_others(train: Interactions) -> None:
    pairs = fearec.SameTarget(Sequences(train, 12, 64, "cpu", "prefix", bucket=True))
    targets = pairs.sequences.items[pairs.sequences.ends]
    samples = torch.arange(len(targets))
    seen = torch.stack([pairs.partners(samples, torch.Generator().manual_seed(s)) for s in range(30)])
    assert (targets[seen] == targets).all()
    alone = torch.bincount(targets)[targets] == 1
    assert ((seen == samples).all(dim=0) == alone).all()
    assert not ((seen == samples) & ~alone).any()
    third = torch.nonzero(torch.bincount(targets)[targets] == 3)[0, 0]
    assert len(seen[:, third].unique()) == 2


def test_the_contrast_prefers_partners() -> None:
    one = 5.0 * torch.eye(4, 8)
    assert fearec.contrast(one, one) < 0.01
    assert fearec.contrast(one, one.roll(1, 0)) > 5.0
    assert torch.isclose(fearec.contrast(torch.zeros(4, 8), one), torch.log(torch.tensor(7.0)))


# ---------------------------------------------------------------------------- BERT4Rec


def test_masks_never_fall_on_padding_and_leave_no_row_out() -> None:
    items = some_inputs(9, 30, [30, 1, 12, 5] * 200)
    draw = torch.Generator().manual_seed(0)
    chosen = masked(items, 9, 0.3, 0.0, draw)
    assert not chosen[items == 9].any()
    assert chosen.any(dim=1).all()
    assert abs(float(chosen[::4].float().mean()) - 0.3) < 0.02
    only = masked(items, 9, 0.3, 1.0, draw)
    assert only[:, -1].all() and only.sum() == len(items)


def test_the_mask_at_the_end_reads_the_whole_window_but_one(train: Interactions) -> None:
    system = bold(built("bert4rec", train))
    inputs, users = some_inputs(train.n_items, 12, [12, 12]), torch.arange(2)
    assert torch.allclose(states(system, users, inputs), states(system, users, inputs[:, 1:]), atol=1e-6)
    assert not torch.allclose(states(system, users, inputs), states(system, users, inputs[:, 2:]), atol=1e-3)


# ------------------------------------------------------------------------------ TGSRec


def test_items_attend_to_their_latest_users() -> None:
    users, items = np.array([0, 1, 2, 3, 0]), np.array([1, 1, 1, 1, 0])
    data = from_pairs(users, items, np.array([4.0, 9.0, 1.0, 7.0, 0.0]), (5, 3))
    found = tgsrec.neighbours_of(data, 3, seed=0)
    assert found.tolist() == [[0, 5, 5], [1, 3, 0], [5, 5, 5], [5, 5, 5]]


def test_without_times_an_items_users_are_drawn() -> None:
    data = from_pairs(np.arange(50), np.zeros(50, dtype=int), None, (50, 2))
    one, same, other = (tgsrec.neighbours_of(data, 5, seed)[0].tolist() for seed in (0, 0, 1))
    assert one == same != other
    assert len(set(one)) == 5 and max(one) < 50


@pytest.mark.parametrize("asked", [1, 5])
def test_attention_with_ages_equals_a_loop_over_pairs(asked: int) -> None:
    torch.manual_seed(0)
    layer = tgsrec.Gather(8, 2, 16, 0.0).eval()
    asking, others, codes = torch.randn(3, asked, 8), torch.randn(3, 5, 8), torch.randn(5, 8)
    attend = Frame.of(some_inputs(9, 5, [5, 3, 1]), 9, causal=True).attend
    found = layer(asking, others, codes, attend, aged=True)
    for b in range(3):
        for t in range(5):
            one = asking[b, t if asked > 1 else 0]
            query = layer.query(one) + layer.now(codes[0])
            joined = [layer.pairs(others[b, s]) + layer.codes(codes[max(0, t - s)]) for s in range(5)]
            keys, values = torch.stack(joined).chunk(2, dim=1)
            parts = []
            for h in range(2):
                part = slice(4 * h, 4 * h + 4)
                scores = keys[:, part] @ query[part] / 2.0
                weights = scores.masked_fill(~attend[b, 0, t], float("-inf")).softmax(0)
                parts.append(weights @ values[:, part])
            out = layer.norm(one + layer.outward(torch.cat(parts)))
            assert torch.allclose(found[b, t], layer.merge(torch.cat([out, one])), atol=1e-5)


def test_a_user_asks_in_layer_2_with_the_state_of_layer_1(train: Interactions) -> None:
    """Each state is that of its own prefix: layer 1 over free vectors, layer 2 over the items' states."""
    system, users = bold(built("tgsrec", train)), torch.tensor([3, 4])
    net, inputs = system.module, some_inputs(train.n_items, 6, [6, 6])
    found = states(system, users, inputs, last=False)
    for row, user in enumerate(users):
        for t in range(6):
            prefix, attend = inputs[row : row + 1, : t + 1], torch.ones(1, 1, 1, t + 1, dtype=torch.bool)
            codes, free = net.ages(t + 1), net.users(user)[None, None]
            asking = net.first(free, net.items(prefix), codes, attend, aged=True)
            state = net.outward(net.second(asking, system._items[prefix], codes, attend, aged=True))
            assert torch.allclose(found[row, t], state[0, 0], atol=1e-5)
            assert not torch.allclose(asking, free, atol=1e-2)


def test_what_is_recent_counts_for_a_user_without_a_vector(train: Interactions) -> None:
    """What is learned about recency is every user's: the query knows the time even if the user is 0."""
    system = bold(built("tgsrec", train))
    with torch.no_grad():
        system.module.users.weight.zero_()
    system._ready()
    inputs, users = some_inputs(train.n_items, 6, [6]), torch.tensor([0])
    turned = states(system, users, inputs.flip(1))
    assert not torch.allclose(states(system, users, inputs), turned, atol=1e-3)


def test_a_users_state_follows_from_the_items_that_were_read_alone(train: Interactions) -> None:
    """So no target that comes later can be seen in it."""
    system, users = bold(built("tgsrec", train)), torch.tensor([0])
    inputs = some_inputs(train.n_items, 4, [4])
    found = [states(system, users, inputs)]
    read = torch.zeros(train.n_items + 1, dtype=torch.bool).index_fill_(0, inputs[0], True)
    for changed in (~read, read):
        with torch.no_grad():
            system.module.items.weight[changed] *= -2.0
        system._ready()
        found.append(states(system, users, inputs))
    assert torch.equal(found[0], found[1])
    assert not torch.allclose(found[1], found[2], atol=1e-3)
