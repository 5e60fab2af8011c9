"""Checks that what a study's tables, figures and claims name is run and measured: no cell may stay empty."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Any

from recspectra.config.base import ConfigError, Scalar, check_known
from recspectra.config.metric_names import declared
from recspectra.config.study import (
    DRAWN,
    OF_SETTINGS,
    WITH_USERS,
    ClaimConfig,
    FigureConfig,
    ProtocolConfig,
    StudyConfig,
    View,
    fits_of,
    groups_of,
    labels_of,
)

if TYPE_CHECKING:
    from recspectra.config.planned import Study


PAIR = ("better", "worse")
MOST_LABELS = 10_000


class Drawings:
    """Tables, figures and claims of a study.

    Parameters
    ----------
    study : Study
        The part of it that runs.
    whole : StudyConfig
        The study as its file has it: what names a model is checked against all of them.
    """

    def __init__(self, study: Study, whole: StudyConfig) -> None:
        self.study, self.whole = study, whole

    def check_measures(self) -> None:
        """Refuse an item whose protocol, metric, view, users, groups or datasets the study does not have."""
        groups = sorted({entry.group for entry in self.study.config.models})
        for kind in DRAWN:
            for index, item in enumerate(getattr(self.study.config, kind)):
                where = f"{self.study.origin}: {kind}[{index}]"
                for place, name, metrics, k in _measured(kind, item):
                    protocol = self.study.protocol(name, f"{where}.{place}")
                    self._check_measured(protocol, metrics, k, where)
                    self._check_views(protocol, item, where)
                    self._check_users(protocol, getattr(item, "users", None) or [], f"{where}.users")
                said = f"{where}: no model is in group '{{name}}'; groups: {{known}}"
                check_known(groups_of(item), groups, said)
                self.study.check_datasets(item, where)
                if kind == "claims":
                    self._check_one_of_a_name(item, f"{where}.groups")
                if kind == "claims" and item.kind in OF_SETTINGS and self._has_its_groups(item):
                    self._check_settings(item, where)

    def _check_one_of_a_name(self, claim: ClaimConfig, where: str) -> None:
        """Refuse a claim whose groups have two settings under one name: one would be judged, one dropped."""
        seen: dict[tuple[str, str, str], tuple[str, str]] = {}
        for one in self.study.runs if len(claim.groups) > 1 else ():
            if one.group in claim.groups and one.run.fit == claim.fit:
                place = one.dataset, one.run.model, one.variant
                key, group = seen.setdefault(place, (one.run.key, one.group))
                if key != one.run.key:
                    raise ConfigError(
                        f"{where}: {one.run.model} has other settings in {one.group} than in {group} under "
                        f"the same variant '{one.variant}'; give one of them another `variant`"
                    )

    def _has_its_groups(self, claim: ClaimConfig) -> bool:
        """Return whether a claim has the groups of the study's file; a user may have left some out."""
        return all(claim.groups == one.groups for one in self.whole.claims if one.name == claim.name)

    def _check_settings(self, claim: ClaimConfig, where: str) -> None:
        """Refuse a claim about settings that no run is of, or that no other can be set against."""
        known = self.study.catalog.model(claim.model).params
        said = f"{where}.settings: {claim.model} has no parameter '{{name}}'; it has {{known}}"
        check_known(claim.settings, known, said)
        for dataset in claim.datasets or self.study.config.datasets:
            runs = [r for r in self.study.runs if (r.dataset, r.run.model) == (dataset, claim.model)]
            runs = [r for r in runs if r.group in claim.groups and r.run.fit == claim.fit]
            self._check_points(claim, [{**r.run.params, **r.swept} for r in runs], where, dataset)

    def _check_points(
        self, claim: ClaimConfig, points: Sequence[Mapping[str, Scalar]], where: str, dataset: str
    ) -> None:
        """Refuse what a claim of settings cannot be judged by: the values of all runs of its groups."""
        if not points:
            return  # they are on another dataset; without any run there is nothing to be wrong about
        what = f"{claim.model} in {', '.join(claim.groups)} on {dataset}"
        for name in claim.settings:
            if any(name not in point for point in points):
                raise ConfigError(
                    f"{where}.settings: tuning chooses '{name}' of {what}; give its values under `sweep`"
                )
        named = [point for point in points if claim.names_setting(point)]
        if not named:
            there = "; ".join(f"{n}: {', '.join(_values_of(points, n))}" for n in claim.settings)
            raise ConfigError(
                f"{where}.settings: no run of {what} is of that setting ({there}); write one of these, or "
                "add it to the entry's `sweep`"
            )
        if len(named) == len(points) and (claim.kind == "optimum" or len(points) == 1):
            raise ConfigError(
                f"{where}.settings: there is no other setting of {what} to set it against; add values to the "
                "entry's `sweep`"
            )

    def check_models(self) -> None:
        """Refuse a figure, claim or runtime table about a model that no entry of the study's file is."""
        known = list(dict.fromkeys(name for entry in self.whole.models for name in entry.models))
        for kind in DRAWN:
            for index, item in enumerate(getattr(self.whole, kind)):
                for key, models in _named_models(kind, item).items():
                    where = f"{self.study.origin}: {kind}[{index}].{key}"
                    said = f"{where}: no model of the study is '{{name}}'; it has {{known}}"
                    check_known(models, known, said)
                if kind == "figures" and item.kind == "ablation" and item.reference is not None:
                    self._check_reference(item, f"{self.study.origin}: figures[{index}].reference")

    def check_not_empty(self) -> None:
        """Refuse a claim or figure that no entry of the study's file has runs for."""
        for index, claim in enumerate(self.whole.claims):
            where = f"{self.study.origin}: claims[{index}]"
            if claim.kind in (*OF_SETTINGS, "ablation"):
                self._check_has_runs(claim, f"{where}.groups")
            self._check_variants(claim, where)
            self._check_fit(claim, f"{where}.fit")
        for index, figure in enumerate(self.whole.figures):
            if figure.kind in ("sensitivity", "heatmap"):
                self._check_swept(figure, f"{self.study.origin}: figures[{index}]")

    def _check_has_runs(self, claim: ClaimConfig, where: str) -> None:
        """Refuse a claim that compares runs of a model in groups where it has none."""
        groups = {entry.group for entry in self.whole.models if claim.model in entry.models}
        if not groups.intersection(claim.groups):
            raise ConfigError(
                f"{where}: {claim.model} has no run in {', '.join(claim.groups)}; its groups: "
                f"{', '.join(sorted(groups))}"
            )

    def _check_fit(self, claim: ClaimConfig, where: str) -> None:
        """Refuse a claim about fits to parts that no entry of its groups is fitted to."""
        named = [e for e in self.whole.models if e.group in claim.groups and claim.model in (*e.models, "")]
        known = {part: None for entry in named for part in fits_of(entry)}
        if named and claim.fit not in known:
            raise ConfigError(
                f"{where}: no run of {claim.model or 'a model'} in {', '.join(claim.groups)} is fitted to "
                f"{claim.fit}, only to {', '.join(known)}; name one of these"
            )

    def _check_variants(self, claim: ClaimConfig, where: str) -> None:
        """Refuse a claim about a variant that no run of its model is, the points of sweeps among them."""
        named = {f"pairs[{i}].{end}": getattr(p, end) for i, p in enumerate(claim.pairs) for end in PAIR}
        named |= {} if claim.variant == "default" else {"variant": claim.variant}
        own = [e for e in self.whole.models if claim.model in e.models and e.group in claim.groups]
        known = list(dict.fromkeys(label for entry in own for label in islice(labels_of(entry), MOST_LABELS)))
        if len(known) < MOST_LABELS:  # a sweep of more is refused where it is run
            for key, variant in named.items():
                said = f"{where}.{key}: {claim.model} has no variant '{{name}}' in "
                check_known([variant], known, f"{said}{', '.join(claim.groups)}; it has {{known}}")

    def _check_swept(self, figure: FigureConfig, where: str) -> None:
        """Refuse a figure along a parameter that no entry of its group sweeps."""
        entries = [entry for entry in self.whole.models if figure.group in (None, entry.group)]
        known = sorted({name for entry in entries for name in getattr(entry, "sweep", {})})
        for key in ("param", "other_param"):
            said = f"{where}.{key}: no entry of its group sweeps '{{name}}'; swept: {{known}}"
            check_known(filter(None, [getattr(figure, key)]), known, said)

    def _check_reference(self, item: FigureConfig, where: str) -> None:
        """Refuse an ablation that is set against a variant which no entry of its group has."""
        entries = [entry for entry in self.whole.models if item.group in (None, entry.group)]
        known = sorted({entry.variant for entry in entries})
        # The points of a sweep are variants too, with names that are made later.
        if not any(getattr(entry, "sweep", {}) for entry in entries):
            said = f"{where}: no run is of the variant '{{name}}'; there are {{known}}"
            check_known([str(item.reference)], known, said)

    def _check_measured(self, protocol: ProtocolConfig, metrics: list[str], k: list[int], where: str) -> None:
        """Refuse a metric or cut-off that is not measured: its cells would stay empty."""
        file = f"config/protocols/{protocol.name}.yaml"
        here = f"is not measured by protocol '{protocol.name}'"
        for name in metrics:
            if name in declared() and name not in protocol.metrics:
                known = ", ".join(protocol.metrics)
                raise ConfigError(f"{where}: metric '{name}' {here}: {known}; add it in {file}: `metrics`")
        check_known(metrics, protocol.metrics, f"{where}: metric '{{name}}' {here}: {{known}}")
        for one in sorted(set(k) - set(protocol.k)):
            raise ConfigError(
                f"{where}.k: {one} {here} ({', '.join(map(str, protocol.k))}); write one of these, or add it "
                f"in {file}: `k: {sorted({*protocol.k, one})}`"
            )

    def _check_views(self, protocol: ProtocolConfig, item: Any, where: str) -> None:
        """Refuse a view that is not measured."""
        known = self.study.views(protocol)
        single = getattr(item, "view", None)
        for view in [*(getattr(item, "views", None) or []), *([single] if single else [])]:
            if view not in known:
                listed = "; ".join(_view_text(v) for v in known)
                raise ConfigError(
                    f"{where}: {_view_text(view)} is not measured under protocol '{protocol.name}' "
                    f"({listed}); write one of these, or add it to the study's `views`"
                )

    def _check_users(self, protocol: ProtocolConfig, users: list[str], where: str) -> None:
        """Refuse a group of users that is not measured."""
        measured = [protocol.users, "warm", *protocol.group_names]
        for group in users:
            if group not in measured:
                raise ConfigError(
                    f"{where}: '{group}' is not measured under protocol '{protocol.name}'; add it in "
                    f"config/protocols/{protocol.name}.yaml: `groups: [{group.split('-')[0]}]`"
                )


def _values_of(points: Sequence[Mapping[str, Scalar]], name: str) -> list[str]:
    return list(dict.fromkeys(str(point[name]) for point in points))


def _measured(kind: str, item: Any) -> list[tuple[str, str, list[str], list[int]]]:
    """Return (key of the protocol, protocol, metrics, cut-offs) of what an item shows."""
    if kind == "claims":
        keys = ("protocol", "rival_protocol")
        if item.kind == "listed":
            return [("protocol", item.protocol, [], [])]
        return [(key, p, [metric], [item.k]) for key, (p, metric) in zip(keys, item.measured, strict=False)]
    if kind == "tables":
        return [("protocol", item.protocol, item.metrics, item.k)] if item.metrics else []
    drawn = item.kind in WITH_USERS or item.kind == "trade-off"
    return [("protocol", item.protocol, [item.metric], [item.k])] if drawn else []


def _view_text(view: View) -> str:
    return f"history {view.history}, mask {view.mask}"


def _named_models(kind: str, item: Any) -> dict[str, list[str]]:
    """Return the models that a table, figure or claim names, by the key that names them."""
    if kind == "claims":
        return {"model": [item.model] if item.model else [], "rivals": item.rivals}
    if kind == "figures":
        return {"model": [item.model] if item.model else []}
    return {"reference": [item.reference] if item.reference else [], "epochs": list(item.epochs)}
