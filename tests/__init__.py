"""Tests: sentences as names."""
