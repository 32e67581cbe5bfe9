"""A test that may be looked at every day, and stopped on any, without more false alarms than it says.

A fixed-horizon test that is looked at daily until it is significant finds a difference where there is none far more
often than at its level. The mixture sequential probability ratio test (Robbins 1970; Johari, Koomen, Pekelis and Walsh,
"Always valid inference", Operations Research 2022) compares no lift with lifts drawn from N(0, τ²), in logarithms:

    Λ = sqrt(V / (V + τ²)) exp(τ² θ² / (2 V (V + τ²)))

where θ is the cumulative estimate at a look and V its variance. Under no lift, Λ of one look to the next is a
martingale, so P(Λ ever reaches 1/α) is at most α (Ville), and the running least 1/Λ is a p value at every look. The
lifts that it does not reject form a confidence sequence: all of its intervals hold at once.

Any τ that is fixed before the lift is seen will do; the bounds are tightest where V is about τ² / 8, which is where a
lift of τ is found with a power of 80% by a fixed-horizon test. Far above that, V > τ², the test finds hardly anything.

It rests on the estimates having independent increments of information, cov(θ_d, θ_e) = V_e for d < e. Estimates of the
cumulative days do, in large samples, with returning users too whose differences last (Jennison and Turnbull, "Group
sequential methods", 1999, chapters 3 and 11); `tests/performance/experiment.py` counts the false alarms.
"""

import numpy as np


def mixture_p_value(log_lift: np.ndarray, variance: np.ndarray, tau: float | np.ndarray) -> np.ndarray:
    """The always-valid p value at every look, float64[..., looks], from cumulative estimates of the same shape.

    A look without an estimate ("not a number") is none.
    """
    with np.errstate(invalid="ignore", divide="ignore"):
        log_ratio = 0.5 * np.log(variance / (variance + tau**2)) + tau**2 * log_lift**2 / (
            2 * variance * (variance + tau**2)
        )
    return np.minimum.accumulate(np.exp(-np.clip(np.nan_to_num(log_ratio, nan=0.0), 0.0, 700.0)), axis=-1)


def confidence_sequence(variance: np.ndarray, tau: float, alpha: float) -> np.ndarray:
    """Half the width, in logarithms, of the interval at every look: float64, of the shape of `variance`."""
    with np.errstate(invalid="ignore", divide="ignore"):
        bound = np.log((variance + tau**2) / variance) - 2 * np.log(alpha)
        return np.sqrt(variance * (variance + tau**2) / tau**2 * bound)
