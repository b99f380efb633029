"""The process manager, without the idle second that it begins with: every process starts at once."""

from __future__ import annotations

from supervisor.options import ServerOptions
from supervisor.supervisord import Supervisor


class Manager(Supervisor):  # type: ignore[misc] # it publishes no types
    """Supervisor looks at its processes once a second, and waits for the first time to come."""

    def runforever(self) -> None:
        """Start everything, then watch it until a signal."""
        for group in sorted(self.process_groups.values()):
            group.transition()
        super().runforever()


def main() -> None:
    """Run what the configuration file `-c FILE` names, in the foreground."""
    options = ServerOptions()
    options.realize()
    options.first, options.test = True, False
    Manager(options).main()


if __name__ == "__main__":
    main()
