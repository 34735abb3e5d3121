"""What scripts/check, scripts/test, scripts/lock and scripts/prove-checks are made of; not part of the distribution."""
