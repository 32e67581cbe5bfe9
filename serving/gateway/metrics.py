"""What the gateway counts and measures, for Prometheus; no label holds a user or an item."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

# Half a millisecond to two seconds; the budgets lie between 10 and 300 ms.
_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1.0, 2.0)
_SIMILARITIES = tuple(tenths / 10 for tenths in range(11))
_AGES = (60.0, 600.0, 3_600.0, 21_600.0, 86_400.0, 172_800.0, 604_800.0, 2_592_000.0)


class Metrics:
    """One registry for each gateway, so that several in one process do not add up."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.stage_seconds = Histogram(
            "reland_gateway_stage_seconds",
            "time of a stage of a request (features, candidates, ranking, total)",
            ["stage"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.arm_seconds = Histogram(
            "reland_gateway_arm_seconds",
            "time of a request, by arm",
            ["arm"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.responses = self._counter("responses", "answers by route and status", "route", "status")
        self.answers = self._counter(
            "answers", "lists served, by endpoint, ladder step and arm", "endpoint", "step", "arm"
        )
        self.cold_starts = self._counter("cold_starts", "lists served to users of whom nothing is known", "arm")
        self.similarity = Histogram(
            "reland_gateway_rationale_similarity",
            "similarity of the user and whose rationale it is, of lists ranked with one; its count is their number",
            ["arm"],
            buckets=_SIMILARITIES,
            registry=self.registry,
        )
        self.candidates = self._counter("candidates", "where a recommendation's candidates came from", "source")
        self.cache = self._counter("cache", "look-ups of the caches, by result (hit, miss)", "cache", "result")
        self.failures = self._counter("failures", "calls of a dependency without an answer", "dependency")
        self.mismatches = self._counter("mismatches", "features that do not fit the ranker and were refused", "feature")
        self.refused = self._counter("refused", "requests refused before they were read", "reason")
        self.events = self._counter("events", "outcome events taken in", "outcome")
        self.log_lost = self._counter("log_lost", "rows of a log that were lost", "log")
        self.log_failures = self._counter("log_failures", "files of a log that the disk did not take", "log")
        self.record_errors = self._counter("record_errors", "arms' records that could not be used")
        self.exclusion_errors = self._counter("exclusion_errors", "files of exclusions that could not be used")
        self.excluded_items = Gauge(
            "reland_gateway_excluded_items", "items that operators keep out of all lists", registry=self.registry
        )
        self.record_state = Gauge(
            "reland_gateway_record_state", "state of the arms' record that is served", registry=self.registry
        )
        self.generation_begun = Gauge(
            "reland_gateway_generation_begun_seconds",
            "when the generation that an arm is served by was begun, in seconds since 1970",
            ["arm"],
            registry=self.registry,
        )
        self.circuit_open = Gauge(
            "reland_gateway_circuit_open",
            "1 while a dependency's circuit is open",
            ["dependency"],
            registry=self.registry,
        )
        self.in_flight = Gauge("reland_gateway_in_flight", "requests being answered", registry=self.registry)
        self.queued = Gauge("reland_gateway_queued", "requests waiting to be answered", registry=self.registry)
        self.feature_age = Histogram(
            "reland_gateway_feature_age_seconds",
            "time since the oldest feature of a user was pushed",
            buckets=_AGES,
            registry=self.registry,
        )

    def _counter(self, name: str, text: str, *labels: str) -> Counter:
        return Counter(f"reland_gateway_{name}", text, labels, registry=self.registry)
