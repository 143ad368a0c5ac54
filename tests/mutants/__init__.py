"""Seeded faults of the protocol, each caught by a named test."""
