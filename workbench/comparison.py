"""What a comparison found."""

from dataclasses import asdict, dataclass, field
from typing import Any

from workbench.difference import Difference
from workbench.recipe import Verdict


@dataclass(frozen=True)
class Finding:
    """One output of one runtime for one batch."""

    case: str
    runtime: str
    reference: str
    output: str
    difference: Difference
    bound: float | None
    """The most of the relative error, or the least of the agreement; None where the recipe's judge decides. References
    must agree with each other as an export has to."""
    is_well: bool

    def __str__(self) -> str:
        return f"{self.runtime} {self.case}: {self.output} against {self.reference}: {self.difference}"


@dataclass(frozen=True)
class Judgement:
    """One figure of the recipe's judge about one runtime for one batch."""

    case: str
    runtime: str
    verdict: Verdict

    def __str__(self) -> str:
        return f"{self.runtime} {self.case}: {self.verdict}"


@dataclass
class Comparison:
    findings: list[Finding] = field(default_factory=list)
    judgements: list[Judgement] = field(default_factory=list)
    left_out: list[str] = field(default_factory=list)
    """Batches of a runtime that no time was left for."""
    failures: list[str] = field(default_factory=list)
    """Runtimes that cannot be had, and batches that they cannot compute."""

    @property
    def broken(self) -> list[str]:
        """All that is not as it should be, in words."""
        return [
            *self.failures,
            *(str(finding) for finding in self.findings if not finding.is_well),
            *(str(judged) for judged in self.judgements if not judged.verdict.is_well),
        ]

    def as_json(self) -> dict[str, Any]:
        return {**asdict(self), "broken": self.broken}
