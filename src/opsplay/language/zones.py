"""Time zones by name, as the tz database has them."""

from __future__ import annotations

from zoneinfo import ZoneInfo, available_timezones

from opsplay.language.suggest import did_you_mean


def is_zone(name: str) -> bool:
    """Return whether there is a time zone of this name.

    >>> is_zone("Europe/Paris"), is_zone("Paris"), is_zone("../Paris")
    (True, False, False)
    """
    try:
        ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def unknown_zone(name: str) -> tuple[str, str]:
    """Return cause and suggestion for a name that is no time zone.

    >>> unknown_zone("Europe/Pari")
    ("there is no time zone 'Europe/Pari'", "did you mean 'Europe/Paris'?")
    """
    cause, cities = f"there is no time zone '{name}'", _by_city(name)
    if cities:
        return cause, f"did you mean '{cities[0]}'?"
    near = did_you_mean(name, available_timezones())
    return cause, near or "write a name such as Europe/Paris or UTC"


def _by_city(name: str) -> list[str]:
    """Return the zones of a city of which only the name was written, or in small letters."""
    wanted = name.lower().replace(" ", "_")
    zones = available_timezones()
    whole = [zone for zone in zones if zone.lower() == wanted]
    return whole or sorted(zone for zone in zones if zone.lower().rpartition("/")[2] == wanted)
