"""Says at the end which packages ran and which were not there."""

from . import support


def pytest_terminal_summary(terminalreporter):
    if not support.ran and not support.missing:
        return
    terminalreporter.section("real packages")
    names = ", ".join(sorted(support.ran)) or "none"
    if support.talked_to:
        names += f"; with {', '.join(sorted(support.talked_to))}"
    terminalreporter.write_line(f"{len(support.ran)} ran: {names}")
    if support.missing:
        names = ", ".join(sorted(support.missing))
        terminalreporter.write_line(
            f"{len(support.missing)} SKIPPED, not installed: {names} "
            "(pip install -e '.[compat]'; some are for Python 3.11 and 3.14 only)",
            yellow=True,
        )
    for names, reason in support.NOT_TRIED.items():
        terminalreporter.write_line(f"not tried: {names}, {reason}")
