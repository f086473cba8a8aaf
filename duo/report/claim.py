"""What a claim is: the statistic that it is judged by, the one that says whether it is more than luck, and what is
beside.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from math import sqrt
from typing import Any

from duo.stats import Statistic
from duo.tables.files import Table
from duo.terms import EXCESS, PLACEBO
from duo.verdicts import BELOW, BEYOND, CLAIMED, EFFECT, WITHIN

COLUMNS = ("family", "subject", "reference", "budget", "labels")  # of a statistic
# Whose claims are: of the model that other stages study and its seeds, or of models that saw skips in training.
STUDIED, SKIPPING = "studied", "skipping"


@dataclass(frozen=True)
class Test:
    """One statistic, and where it must lie.

    table: of statistics, in duo.tables.studies. kind, delta: as in duo.verdicts. sign: -1 where the claim is of
    the statistic's negative. whose: STUDIED or SKIPPING. needs: what the experiment or the domain must have for the
    statistic to exist; `there`: whether the experiment has it, so that a statistic that is missing all the same is an
    error.
    """

    table: Table
    statistic: Statistic
    kind: str
    delta: float
    sign: int = 1
    whose: str = STUDIED
    needs: str = ""
    there: bool = True
    halved: bool = False

    @property
    def supports(self) -> str:
        """Where the statistic must lie, as text."""
        return {BELOW: "< ", WITHIN: "within ±"}.get(self.kind, "> ") + f"{self.delta:g}"

    @property
    def words(self) -> str:
        """The statistic in plain English."""
        return self.statistic.words if self.sign > 0 else f"minus the {self.statistic.words}"

    @property
    def inflation(self) -> float:
        """What an error over clusters is multiplied by.

        What each half chooses for the other makes the two halves' means move together, at most as one; then the error
        of their mean is the root of two times what independent clusters would have.
        """
        return sqrt(2) if self.halved else 1.0

    def concerns(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of a table of statistics is what is tested."""
        return all(row[name] == getattr(self.statistic, name) for name in COLUMNS)

    def excess(self, table: Table, kind: str = EFFECT, delta: float | None = None) -> "Test":
        """The same of what the true labels have more than matched ones, in a table of such statistics."""
        statistic = self.statistic.of(EXCESS, "true less matched labels")
        return replace(self, table=table, statistic=statistic, kind=kind, delta=self.delta if delta is None else delta)

    def placebo(self) -> "Test":
        """The same where a sampled label plays the truth."""
        return replace(self, statistic=replace(self.statistic, labels=PLACEBO))


@dataclass(frozen=True)
class Beside:
    """Statistics that stand beside a claim: every one that is like `statistic` in the columns `by`.

    tasks: names of other people's tasks; where given, of these, whatever kind of text the claim is judged on.
    """

    table: Table
    statistic: Statistic
    by: tuple[str, ...] = COLUMNS
    tasks: tuple[str, ...] = ()

    def concerns(self, row: Mapping[str, Any]) -> bool:
        """Whether a row of a table of statistics is one of them."""
        return all(row[name] == getattr(self.statistic, name) for name in self.by)


@dataclass(frozen=True)
class Claim:
    """One claim of the paper."""

    name: str
    words: str
    figure: str  # name of the picture that it rests on
    primary: Test
    beyond: Test | None = None  # None where nothing is chosen by the label, or where luck has nothing to add
    shown: tuple[Beside, ...] = ()

    @property
    def tests(self) -> dict[str, Test]:
        """What is tested, by what a row of CLAIMS calls it."""
        tests = {CLAIMED: self.primary} | ({BEYOND: self.beyond} if self.beyond else {})
        if self.beyond and self.beyond.statistic.labels == EXCESS:
            tests[PLACEBO] = self.beyond.placebo()
        return tests
