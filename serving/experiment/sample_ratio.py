"""Whether as many users came into each arm as were to: where not, no lift of theirs means anything.

Fabijan and others, "Diagnosing sample ratio mismatch in online controlled experiments", KDD 2019.
"""

import numpy as np
from scipy import stats


def sample_ratio_p_value(candidate_users: np.ndarray, control_users: np.ndarray, share: float) -> np.ndarray:
    """Of the chi-square test that a user is the candidate's with probability `share`; 1 where there is no user."""
    observed = np.stack([np.asarray(candidate_users, float), np.asarray(control_users, float)])
    total = observed.sum(axis=0)
    expected = np.stack([total * share, total * (1 - share)])
    with np.errstate(invalid="ignore"):
        return np.nan_to_num(stats.chisquare(observed, expected, axis=0).pvalue, nan=1.0)
