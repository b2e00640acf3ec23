"""Leaves: shell quoting, identifiers, clock, secrets. Nothing here knows opsplay's own words."""
