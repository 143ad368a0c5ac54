# SPDX-License-Identifier: MIT
"""spoolctl submit --unique: one job of a key, and who is told of it."""

import os
import shutil
from typing import Any

import pytest

from .harness import Cli, Served, as_nobody, until

KEYED = ("submit", "mail", "ann", "--key", "k", "--unique")
root = pytest.mark.skipif(
    os.getuid() != 0, reason="only root can be another user"
)


def as_json(cli: Cli, unique: str, **how: Any) -> tuple[str, bool]:
    """Submit with --json; the id, and whether it was there before."""
    told = cli(*KEYED, unique, "--json", **how).object
    assert told.pop("v") == 1 and set(told) == {"id", "existing"}
    return told["id"], told["existing"]


@pytest.mark.parametrize("unique", ["waiting", "done", "1h", "90"])
def test_the_job_that_is_there_is_printed(cli: Cli, unique: str) -> None:
    """With exit status 0, its id on stdout, and a line on stderr."""
    first = cli(*KEYED, unique)
    assert first.err == ""
    again = cli(*KEYED, unique)
    assert again.out == first.out
    assert again.err == (
        f"spoolctl: {first.lines[0]}: is there already; nothing was"
        " submitted\n"
    )
    assert as_json(cli, unique) == (first.lines[0], True)
    _, document, _ = cli.document()
    assert document.key == "k"
    assert cli("submit", "other", "--key", "k", "--unique", unique).out
    assert cli("submit", "mail", "--key", "j", "--unique", unique).out
    assert len(cli.listed("incoming")) == 3


def test_the_latest_takes_the_place(cli: Cli) -> None:
    """Each is a new job, and one is left."""
    first = as_json(cli, "latest")
    second = as_json(cli, "latest")
    assert not first[1] and not second[1] and first != second
    assert cli.only()[0].id == second[0]


@pytest.mark.parametrize(("words", "why"), [
    (("mail", "--unique", "done"), "needs a --key"),
    (("mail", "--key", "k", "--unique", "newest"), "not 'newest'"),
    (("mail", "--key", "k", "--unique", "0"), "no time to be unique in"),
    (("--file", "x", "--key", "k", "--unique", "done"), "carries no options"),
    (("--batch", "--key", "k", "--unique", "done"), "no other option"),
])
def test_what_cannot_be_meant(
    cli: Cli, words: tuple[str, ...], why: str
) -> None:
    """It is refused, and nothing is submitted."""
    assert why in cli("submit", *words, input="", status=2).err
    assert cli.listed("incoming") == cli.listed("keys") == []


def test_json_without_a_key(cli: Cli) -> None:
    """Plain jobs, files and batches are told in the same form."""
    assert cli("submit", "mail", "--json").object["existing"] is False
    done = cli("submit", "--batch", "mail", "--json", input="a\nb\n")
    assert [told["existing"] for told in done.objects] == [False, False]


def test_wait_waits_for_the_one_that_is_there(served: Served) -> None:
    """--wait of a job that exists ends with that job's own status."""
    words = ("submit", "sh", "exit 3", "--key", "k", "--unique", "1h")
    first = served(*words, "--wait", status=3)
    again = served(*words, "--wait", status=3)
    assert first.lines[0] == again.lines[0]


def test_rm_frees_the_key(cli: Cli) -> None:
    """A job that a person removed stands for nobody."""
    first, _ = as_json(cli, "done")
    cli("rm", first)
    assert cli.listed("keys") == []
    assert not as_json(cli, "done")[1]


@root
def test_producers_of_other_users_share_keys(public: Cli) -> None:
    """Each finds the job of the other, which it can neither read nor touch."""
    shutil.rmtree(public.path)
    public("init", "--anyone", str(public.path))

    def nobody(unique: str, **how: Any) -> tuple[str, bool]:
        words = as_nobody(public, *KEYED, unique, "--json")
        told = public(argv=words, **how).object
        return told["id"], told["existing"]

    first, _ = nobody("done")
    assert as_json(public, "done") == (first, True)
    # It runs, where nobody can see it.
    name = public.only()[0]
    os.rename(
        public.path / "incoming" / str(name), public.path / "hold" / str(name)
    )
    assert nobody("done") == (first, True)
    public("rm", first)
    assert public.listed("keys") == []
    second, existing = as_json(public, "waiting")
    assert not existing and nobody("waiting") == (second, True)
    refused = public(argv=as_nobody(public, *KEYED, "latest"), status=77)
    assert "only the spool's owner may replace" in refused.err
    assert len(public.listed("incoming")) == 1
    assert public.listed("tmp") == []


@root
def test_others_try_again_until_a_time_is_over(public: Cli) -> None:
    """Only the owner removes what is over: spoold, or its next submission."""
    shutil.rmtree(public.path)
    public("init", "--anyone", str(public.path))
    first, _ = as_json(public, "1ms")
    words = as_nobody(public, *KEYED, "1ms", "--json")
    refused = public(argv=words, status=75)
    assert "try again later" in refused.err
    second, existing = as_json(public, "1h")
    assert not existing and second != first
    assert public(argv=words).object["id"] == second


def test_spoold_frees_what_is_over(served: Served) -> None:
    """Nobody needs to submit for a key to be let go."""
    served("submit", "sh", "true", "--key", "k", "--unique", "50ms")
    until(lambda: not served.listed("keys"), "the key is free")
