# SPDX-License-Identifier: MIT
"""Tell whether all is well."""

import click

from spooler.cli import wellbeing


@click.command("status")
@click.option("--json", "as_json", is_flag=True, help="One JSON object.")
@click.pass_obj
def command(path: str, as_json: bool) -> int:
    """
    Tell whether all is well, and if not, what to type.

    Exits 0 if it is, 1 if the spool is in trouble, 3 if spoold is not
    running.
    """
    return wellbeing.show(path, as_json)
