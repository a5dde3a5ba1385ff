"""How hard the property tests try: as they say at a desk; less, and always the same, in continuous integration."""

import os

from hypothesis import HealthCheck, settings

IN_CI = bool(os.environ.get("CI"))
SHARE_IN_CI = 5  # one example of so many

settings.register_profile("octavo", deadline=None)
settings.register_profile(
    "octavo-ci",
    deadline=None,
    derandomize=True,
    database=None,
    max_examples=30,
    print_blob=True,
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("octavo-ci" if IN_CI else "octavo")


def tries(most: int, *suppressed: HealthCheck) -> settings:
    """Settings that try `most` examples when there is time; `suppressed`: what the test may do all the same."""
    return settings(
        max_examples=most // SHARE_IN_CI if IN_CI else most,
        suppress_health_check=[*settings().suppress_health_check, *suppressed],
    )
