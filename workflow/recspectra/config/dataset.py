"""Schemas of `config/datasets/*.yaml`, and the short form for a user's own file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from pydantic import Field, PrivateAttr, field_validator, model_serializer, model_validator

from recspectra.config import inter_files
from recspectra.config.base import SAFE_NAME, ConfigError, Scalar, Strict, check_known, places_of
from recspectra.config.moments import moment
from recspectra.config.yaml_io import read_yaml, validate

# Keys of the short form for one's own file.
SHORT_FORM = ("path", "columns", "separator", "header", "missing")
ROLES = ("user", "item", "rating", "time")


# The keys that each recipe of a split reads.
SHARES = ("valid", "test", "valid_of")
USED = {
    "shipped": ("exchange", "valid", "seed"),
    "random": (*SHARES, "seed"),
    "random-user": (*SHARES, "seed"),
    "temporal": SHARES,
    "temporal-user": SHARES,
    "leave-one-out": (),
    "temporal-global": ("cut", "valid_cut", "warm_only", *SHARES),
    "leave-n-out": ("n",),
    "k-fold": ("folds", "fold", "seed"),
}
ADDED = ("cut", "valid_cut", "warm_only", "n", "folds", "fold")  # keys that only some recipes have
BY_TIME = ("temporal-user", "leave-one-out", "leave-n-out", "temporal", "temporal-global")
# File systems end at 255 bytes; logs and temporary files have longer names.
LONGEST_NAME = 200


class SourceFile(Strict):
    """One raw file: where it lies in a mirror and how to know it is the right one.

    `member` names a file inside a zip archive; it is read in place, never extracted.
    `part: order` marks a file that gives `reader.order_from` the order of the others'
    interactions, and none of its own. `git` is what `git hash-object` says of another version of the
    file with the same interactions, which is accepted, too. A `url` is https (`insecure: true` allows
    http as well), and what it gives may have `max_gb` gigabytes (10^9 bytes) at most.
    """

    path: str = Field(pattern=r"^[A-Za-z0-9._][A-Za-z0-9._/-]*$")
    sha256: str | None = Field(None, pattern=r"^[0-9a-f]{64}$")
    md5: str | None = Field(None, pattern=r"^[0-9a-f]{32}$")
    git: str | None = Field(None, pattern=r"^[0-9a-f]{40}$")
    part: Literal["all", "train", "valid", "test", "order"] = "all"
    url: str | None = None
    insecure: bool = False
    max_gb: float = Field(4, gt=0)
    member: str | None = None

    @model_validator(mode="after")
    def _stays_inside(self) -> SourceFile:
        if ".." in Path(self.path).parts:
            raise ValueError("path must stay inside the mirror (no '..')")
        if Path(self.path).as_posix() != self.path or self.path == ".":
            raise ValueError(f"path: must be one file's only name, such as '{Path(self.path).as_posix()}'")
        if longest := next((part for part in Path(self.path).parts if len(part) > LONGEST_NAME), ""):
            raise ValueError(
                f"path: the name {longest[:20]}... has {len(longest)} letters; {LONGEST_NAME} are the most"
            )
        return self

    @model_validator(mode="after")
    def _is_safe_to_download(self) -> SourceFile:
        if self.url is not None and not self.allows(self.url):
            raise ValueError(f"url: '{self.url}' is not an https address; `insecure: true` allows http")
        return self

    def allows(self, url: str) -> bool:
        """Return whether a download may go to `url`: to https, with `insecure` to http as well."""
        try:
            parts = urlsplit(url)
        except ValueError:
            return False
        return bool(parts.hostname) and parts.scheme in (("https", "http") if self.insecure else ("https",))


class SourceConfig(Strict):
    """Where a dataset comes from and on what terms."""

    name: str = Field(pattern=SAFE_NAME)
    homepage: str = ""
    licence: str
    citation: str
    fetch: str = ""
    files: list[SourceFile] = []


class OrderConfig(Strict):
    """Which reader reads the file with `part: order`, and its options."""

    format: str
    options: dict[str, Scalar] = {}


class ReaderConfig(Strict):
    """Which reader turns the raw files into interactions, and its options.

    With `order_from` the order of a user's interactions is that of the file with
    `part: order`, which has the same interactions and ids (see `data.alignment`).
    """

    format: str
    options: dict[str, Scalar] = {}
    order_from: OrderConfig | None = None


class FilterConfig(Strict):
    """What is dropped before the split, in this order.

    Attributes
    ----------
    min_rating : float or None
        Keep ratings of at least this; the rest are dropped, not counted as negative.
    duplicates : {"first", "last", "all"}
        Which of several interactions of a user with an item is kept (in time order);
        the matrix that models see is binary in any case.
    k_core_users, k_core_items : int
        Least interactions of a user and an item, applied in turn until both hold.
    sample_users : int or None
        Keep so many users, drawn with `seed`.
    """

    min_rating: float | None = None
    duplicates: Literal["first", "last", "all"] = "first"
    k_core_users: int = Field(0, ge=0)
    k_core_items: int = Field(0, ge=0)
    sample_users: int | None = Field(None, ge=1)
    seed: int = Field(0, ge=0)


class SplitConfig(Strict):
    """How interactions become train, valid and test.

    `valid` and `test` are shares of all interactions (of a user, for recipes by user);
    with `valid_of: train` the share of valid is taken from what test leaves.
    `exchange` swaps valid and test of a shipped split. `valid` of a shipped split is the share of its train
    part that is drawn, with `seed`, as the validation part that its files lack.

    `temporal-global` tests all that happened from one moment on: `cut`, a date or a number of seconds, or the
    moment that leaves the share `test`. `valid_cut` or the share `valid` says where validation begins.
    `warm_only` leaves out what is held out of users without a training interaction. `leave-n-out` holds out
    each user's `n` newest interactions, and the `n` before them for validation. `k-fold` deals each user's
    interactions out to `folds`: number `fold` is tested, the next one is for validation, the others train.
    """

    recipe: Literal[
        "shipped", "random", "random-user", "temporal", "temporal-user", "temporal-global", "leave-one-out",
        "leave-n-out", "k-fold",
    ]  # fmt: skip
    valid: float = Field(0.1, ge=0, lt=1)
    test: float = Field(0.2, gt=0, lt=1)
    valid_of: Literal["all", "train"] = "all"
    seed: int = Field(0, ge=0)
    exchange: bool = False
    cut: str | float | None = None
    valid_cut: str | float | None = None
    warm_only: bool = False
    n: int = Field(1, ge=1, le=1000)
    folds: int = Field(5, ge=3, le=100)
    fold: int = Field(1, ge=1)

    @model_serializer(mode="wrap")
    def _leave_out_what_is_not_there(self, handler: Any) -> dict[str, Any]:
        """Leave out keys of other recipes: what a split was made with stays the same text."""
        used = USED[self.recipe]
        return {k: v for k, v in handler(self).items() if k not in ADDED or k in used}

    @field_validator("cut", "valid_cut")
    @classmethod
    def _is_a_moment(cls, value: str | float | None) -> str | float | None:
        if isinstance(value, str):
            moment(value)
        return value

    @model_validator(mode="after")
    def _cuts_once(self) -> SplitConfig:
        for cut, share in (("cut", "test"), ("valid_cut", "valid")):
            if getattr(self, cut) is not None and share in self.model_fields_set:
                raise ValueError(f"{cut}, {share}: both say where the part begins; take one out")
        if self.cut is not None and self.valid_cut is not None and moment(self.valid_cut) >= moment(self.cut):
            raise ValueError("valid_cut: validation must begin before `cut`")
        if self.valid_cut is not None and self.cut is None:
            raise ValueError("valid_cut: give `cut` as well")
        if self.fold > self.folds:
            raise ValueError(f"fold: there are folds 1 to {self.folds}")
        return self

    @model_validator(mode="after")
    def _uses_what_is_given(self) -> SplitConfig:
        """Refuse a key that the recipe does not read, as nothing would come of it."""
        used = USED[self.recipe]
        ignored = [key for key in type(self).model_fields if key in self.model_fields_set - {"recipe", *used}]
        if ignored:
            raise ValueError(
                f"{', '.join(ignored)}: recipe '{self.recipe}' does not use "
                f"{'this key' if len(ignored) == 1 else 'these keys'}, take "
                f"{'it' if len(ignored) == 1 else 'them'} out (it uses {', '.join(used) or 'no other key'})"
            )
        return self

    @property
    def draws_valid(self) -> bool:
        """Whether a shipped split is to get a validation part out of its train part."""
        return self.recipe == "shipped" and "valid" in self.model_fields_set

    @model_validator(mode="after")
    def _draws_from_shipped_train(self) -> SplitConfig:
        if self.draws_valid and self.exchange:
            raise ValueError("exchange: there is nothing to exchange where `valid` is drawn from train")
        if self.draws_valid and self.valid == 0:
            raise ValueError("valid: a share above 0 is needed, or no validation part is drawn")
        if self.recipe == "shipped" and "seed" in self.model_fields_set and not self.draws_valid:
            raise ValueError("seed: nothing is drawn; give `valid`, the share of train to draw, as well")
        return self

    @model_validator(mode="after")
    def _leaves_train(self) -> SplitConfig:
        shares = self.recipe not in ("shipped", "k-fold", "leave-n-out") and self.cut is None
        if shares and self.valid_of == "all" and self.valid + self.test >= 1:
            raise ValueError("valid + test must be below 1, or nothing is left to train on")
        return self


class Expected(Strict):
    """Counts that the prepared dataset must show; a mismatch is an error."""

    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    train: int | None = None
    valid: int | None = None
    test: int | None = None


class Published(Strict):
    """Counts as a paper prints them, with the reason where they are a slip."""

    table: str
    users: int | None = None
    items: int | None = None
    interactions: int | None = None
    slip: str = ""


class DatasetConfig(Strict):
    """One dataset version: `config/datasets/<name>.yaml`.

    Attributes
    ----------
    ordered : bool
        Whether the order of a user's interactions means time.
    path, columns : str, dict
        The short form for one's own data: a CSV, TSV, Parquet or RecBole `.inter` file
        and which of its columns are user, item, rating and time. All else has defaults.
    separator, header, missing : str or None, bool, str
        Of the short form: what stands between two columns (by default the file's ending
        decides), whether the first line holds names (else `columns` are numbers from 1), and
        whether a row in which a value is missing is an error or is dropped.
    """

    name: str = Field(pattern=SAFE_NAME)
    title: str
    path: str | None = None
    columns: dict[str, str | int] = {}
    separator: str | None = None
    header: bool = True
    missing: Literal["error", "drop"] = "error"
    source: SourceConfig
    reader: ReaderConfig
    filter: FilterConfig = FilterConfig()
    split: SplitConfig
    ordered: bool
    expected: Expected | None = None
    published: list[Published] = []
    notes: list[str] = []

    _places: tuple[str, ...] = PrivateAttr(())

    @model_validator(mode="before")
    @classmethod
    def _fill_short_form(cls, data: Any) -> Any:
        """Fill what a user's own file does not need to say."""
        if not isinstance(data, dict) or not isinstance(data.get("path"), str):
            return data
        given = data.get("columns")
        columns = given if isinstance(given, dict) else {}
        inter = inter_files.is_inter(data["path"]) and data.get("header") is not False
        timed = "time" in columns or _reads_times(data, inter)
        defaults = {
            "title": data.get("name", ""),
            "source": {"name": "local", "licence": "the data's own", "citation": "-", "files": []},
            "reader": {"format": "inter" if inter else "table", "options": {}},
            "split": {"recipe": "temporal-user" if timed else "random-user"},
            "ordered": timed,
        }
        filled = {**defaults, **data}
        if data.get("separator") in ("tab", r"\t"):
            filled["separator"] = "\t"
        return filled

    @model_validator(mode="after")
    def _short_form_makes_sense(self) -> DatasetConfig:
        if self.path is None:
            given = [key for key in SHORT_FORM if key in self.model_fields_set]
            if given:
                raise ValueError(f"{given[0]}: this key belongs to `path`, a file of your own")
            return self
        if "{" in self.path or "}" in self.path:
            raise ValueError(
                f"path: '{self.path}' holds a brace, which Snakemake takes for a wildcard; "
                "rename the file or folder"
            )
        _check_columns(self.columns, self.header, self.reader.format)
        _check_separator(self.separator)
        if self.reader.format == "inter" and self.separator not in (None, "\t"):
            raise ValueError("separator: an .inter file is separated by tabs; rename it to .csv or so")
        if self.split.recipe in BY_TIME and not self.ordered:
            raise ValueError(
                f"split.recipe: '{self.split.recipe}' needs the order in time; name the `time` column, "
                "or write `ordered: true` if each user's rows stand in the order of time"
            )
        return self

    def where_it_should_be(self) -> str:
        """Return where an own file was looked for and not found, in words."""
        places = self._places or (str(self.path),)
        if len(places) == 1:
            return f"there is no file {places[0]} (`path:` in its YAML)"
        return (
            f"there is no file {' and no file '.join(places)} "
            "(a relative `path:` is looked for in the YAML's folder, then in the working folder)"
        )

    @model_validator(mode="after")
    def _order_has_a_file(self) -> DatasetConfig:
        files = sum(f.part == "order" for f in self.source.files)
        if files != (self.reader.order_from is not None):
            raise ValueError("reader.order_from and one file with `part: order` belong together")
        plain = self.split.recipe == "shipped" and not (self.split.exchange or self.split.draws_valid)
        if files and not (plain and self.ordered):
            raise ValueError(
                "reader.order_from needs `split: {recipe: shipped}` without other keys, and `ordered: true`"
            )
        return self


def read_dataset(path: Path, origin: str) -> DatasetConfig:
    """Read a dataset's YAML; the path of an own file is looked for and made absolute.

    Parameters
    ----------
    path : Path
        The YAML file. A relative path in it is looked for in its folder, then in the working
        folder; `~` is the home folder.
    origin : str
        What messages call the YAML.
    """
    data = read_yaml(path)
    own = data.get("path")
    if not isinstance(own, str) or not own:
        return validate(DatasetConfig, data, origin)
    places = places_of(own, path.parent)
    found = next((place for place in places if _is_file(place, origin)), places[0])
    config = validate(DatasetConfig, {**data, "path": found}, origin)
    config._places = places
    return config


def _is_file(place: str, origin: str) -> bool:
    try:
        return Path(place).is_file()
    except OSError as error:  # the name is too long, a folder may not be entered
        shown = place if len(place) <= LONGEST_NAME else f"{place[:LONGEST_NAME]}..."
        raise ConfigError(f"{origin}: path: {shown} cannot be looked for ({error.strerror})") from None


def _reads_times(data: Mapping[str, Any], inter: bool) -> bool:
    """Return whether the reader of a user's own file finds times that no `columns` name."""
    reader = data.get("reader")
    reader = reader if isinstance(reader, dict) else {"format": "inter" if inter else "table"}
    options = reader.get("options")
    options = options if isinstance(options, dict) else {}
    if options.get("time_column"):
        return True
    separator = options.get("separator")
    separator = separator if isinstance(separator, str) and separator else "\t"
    return reader.get("format") == "inter" and inter_files.has_times(Path(data["path"]), separator)


def _check_columns(columns: Mapping[str, str | int], header: bool, reader: str) -> None:
    check_known(columns, ROLES, "columns: unknown '{name}'; allowed: {known}", ValueError)
    for role, column in columns.items():
        if header and isinstance(column, int):
            raise ValueError(
                f'columns.{role}: a number needs `header: false`; if {column} is a name, write "{column}"'
            )
        if not header and (isinstance(column, str) or column < 1):
            raise ValueError(
                f"columns.{role}: without a header columns are numbers, counted from 1 (given: {column!r})"
            )
        if column == "":
            raise ValueError(
                f"columns.{role}: the name is empty; leave the role out if there is no such column"
            )
    if reader == "table" and not {"user", "item"} <= set(columns) and not header:
        raise ValueError("columns: without a header the numbers of user and item must be given")
    if len(set(columns.values())) < len(columns):
        raise ValueError("columns: two roles have the same column")


def _check_separator(separator: str | None) -> None:
    if separator == "" or (separator and (set(separator) & set('\r\n"') or len(separator) > 8)):
        raise ValueError(f'separator: {separator!r} cannot separate columns; such as ";", "\\t" or "::"')
