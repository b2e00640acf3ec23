"""The fence of a host: nothing begins there for a controller that does not hold the lock any more.

The lock's note names the run and its epoch: the number of the journal's event by which a process
began or resumed the run. Who resumes takes the lock over with a higher epoch; whatever an older
process of the same run still sends is then refused by the host itself.
"""

from __future__ import annotations

from dataclasses import dataclass

from opsplay.core.errors import Fenced
from opsplay.kit.shell import assign, quote


@dataclass(frozen=True)
class Fence:
    """What an act on a host has to prove: that this run and epoch hold this lock."""

    lock: str
    """Name of the lock on the host."""
    run: str
    epoch: int

    @property
    def lines(self) -> str:
        """Return the assignments that `HELD` reads."""
        return "\n".join(
            [
                f'lock="$HOME/.opsplay/locks/"{quote(self.lock)}',
                assign("run", self.run),
                assign("epoch", str(self.epoch)),
            ]
        )

    def refuse(self, note: str, site: str = "") -> Fenced:
        """Return the error for an act that the host refused; `note`: what its lock says."""
        run, who, since, _, epoch, *_ = [*note.splitlines(), *[""] * 5]
        if not run:
            holder = "nobody holds it any more (was its lock removed, or older than 8 hours?)"
        elif run == self.run:
            holder = f"another process of this run ({who}, epoch {epoch}) goes on with it"
        else:
            holder = f"run {run} of {who} holds it since {since}"
        return Fenced(
            f"this process (epoch {self.epoch}) may not act here any more: {holder}",
            site=site,
            state="what it was about to do was refused by the host and not begun",
            next_command=f"invoke logs {run or self.run}",
        )


NO_LINES = "lock=; run=; epoch="
"""For acts outside of any lock: `held_by_us` is then true."""

HELD = r"""
read_note() {
  holder=; who=; since=; until=; held=
  { read -r holder; read -r who; read -r since; read -r until; read -r held; } 2>/dev/null < "$lock/holder"
  held=${held:-0}
}
held_by_us() {
  [ -n "$lock" ] || return 0
  read_note; [ "$holder" = "$run" ] && [ "$held" -le "$epoch" ]
}
beat() {
  # The host's own time, so that no controller's clock matters; since it was started where it tells.
  if read -r up rest 2>/dev/null < /proc/uptime; then moment="u ${up%%.*}"; else moment="w $(date +%s)"; fi
  # Over the old text, at one length: that needs no room, so a full disk cannot empty it.
  printf '%-20s\n' "$moment" 2>/dev/null 1<> "$lock/beat"
}
"""
"""Shell functions: `read_note`, `held_by_us`, and `beat`, which says that the holder is alive."""
