"""The one rule by which an experiment is decided, so that its several tests do not argue.

1. Where users went missing (sample ratio), nothing is decided.
2. A breached guardrail ends the experiment.
3. The primary metric decides. Its lift is that by CUPED where activity is there and balanced, else the plain one.
   With a planned size, all daily looks together are tested at a fifth of alpha by the sequential test and, on the day
   on which the size is reached, the fixed-horizon test is made once at the other four fifths. The chance of a false
   alarm is at most the sum, alpha, whatever the looks (Bonferroni). Without a planned size the sequential test decides.
4. A secondary metric that is significantly worse, all tested together by Holm, is reported beside the decision; one
   whose interval does not exclude a loss beyond the margin is called undecided.
"""

from dataclasses import dataclass

from serving.experiment.analysis import AnalysisConfig, ExperimentResult, Look, PlannedEnd


@dataclass(frozen=True)
class Decision:
    """What follows from an experiment.

    Attributes:
        outcome: `better`, `worse`, `no difference found`, `go on`, `invalid` or `guardrail`.
        text: one or two sentences that say it with its numbers.
        rule: what the decision rests on, with its levels.
    """

    outcome: str
    text: str
    rule: str


def decide(result: ExperimentResult, config: AnalysisConfig, breached: list[str]) -> Decision:
    """Apply the rule.

    Args:
        breached: names of the guardrails that are breached.
    """
    rule = _rule(result, config)
    if result.sample_ratio.mismatch:
        ratio = result.sample_ratio
        text = (
            f"Decide nothing: {ratio.candidate:,} and {ratio.control:,} users are not the shares that were planned "
            f"(p = {ratio.p_value:.2g}), so the arms cannot be compared."
        )
        return Decision("invalid", text, rule)
    if breached:
        return Decision("guardrail", f"End the experiment: guardrails are breached ({', '.join(breached)}).", rule)
    outcome, text = _primary(result, config)
    return Decision(outcome, f"{text}{_secondary(result, config)}", rule)


def _rule(result: ExperimentResult, config: AnalysisConfig) -> str:
    test = result.sequential[config.primary]
    lift = "adjusted for the time before" if test.adjusted else "not adjusted"
    name = config.primary.replace("_", " ")
    if config.planned_users is None:
        return (
            f"No size was planned, so the sequential test of {name} ({lift}) alone decides, at {test.alpha:.1%}, on "
            "any day."
        )
    return (
        f"The sequential test of {name} ({lift}) decides on any day at {config.alpha_of_looks:.1%} for all looks "
        f"together; on the day on which {config.planned_users:,} users an arm are reached, the fixed-horizon test "
        f"decides once at {config.alpha_at_the_end:.1%}. Together they raise a false alarm in at most "
        f"{config.alpha:.1%} of experiments without a difference."
    )


def _primary(result: ExperimentResult, config: AnalysisConfig) -> tuple[str, str]:
    """The outcome of the primary metric, and its sentence."""
    name, end = config.primary.replace("_", " "), result.planned_end
    looks = result.sequential[config.primary].looks
    first = next((look for look in looks if look.significant), None)
    if first is not None and (end is None or first.day <= end.day):
        return _significant_difference(name, first, f"by the sequential test since {first.day}")
    if end is not None and end.significant:
        return _significant_difference(name, end, f"by the fixed-horizon test at the planned size, on {end.day}")
    if end is not None:
        return (
            "no difference found",
            f"No difference of {name} was found at the planned size, which was reached on {end.day}: {_interval(end)}.",
        )
    shown = result.overall[config.primary]
    if shown.exact and shown.significant:
        return (
            "worse" if shown.lift is not None else "go on",
            f"One arm has no outcome of {name} at all (exact test of users, p = {shown.p_value:.2g}): find out why "
            "before anything else.",
        )
    latest = looks[-1]
    if latest.lift is None:
        return "go on", f"Go on: it is too early for a look at {name}."
    return "go on", f"Go on: no difference of {name} is found yet, {_interval(latest)} by the sequential test."


def _significant_difference(name: str, estimate: Look | PlannedEnd, how: str) -> tuple[str, str]:
    better = estimate.lift is None or estimate.lift > 0
    word = "better" if better else "worse"
    return word, f"The candidate is {word}: {name} {_interval(estimate)}, {how}."


def _interval(estimate: Look | PlannedEnd) -> str:
    low, high = (None if bound is None else f"{bound:+.2%}" for bound in (estimate.low, estimate.high))
    lift = "lift unknown" if estimate.lift is None else f"{estimate.lift:+.2%}"
    return f"{lift} ({low or 'open'} to {high or 'open'})"


def _secondary(result: ExperimentResult, config: AnalysisConfig) -> str:
    source = result.cuped if result.sequential[config.primary].adjusted else result.overall
    others = {name: shown for name, shown in source.items() if name != config.primary}
    worse = [name for name, shown in others.items() if shown.significant and shown.verdict == "worse"]
    undecided = [name for name, shown in others.items() if shown.verdict == "undecided"]
    text = ""
    if worse:
        text += f" Worse: {_names(worse)}."
    if undecided:
        text += f" A loss of more than {config.margin:.0%} is not excluded: {_names(undecided)}."
    return text


def _names(metrics: list[str]) -> str:
    return ", ".join(name.replace("_", " ") for name in metrics)
