# SPDX-License-Identifier: MIT
"""
Faults that somebody could write into the protocol, and who would notice.

Each is a small change of the source.  A fault that no test catches means
that the promise behind it is not tested.
"""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Mutant:
    """
    One fault.

    Attributes:
        what: it does wrong.
        module: of spooler/, without .py.
        old, new: the change; *old* is there once.
        test: the one that must fail.
    """

    what: str
    module: str
    old: str
    new: str
    test: str


_PUBLISH = "tests/unit/test_publish.py::"
_FSOPS = "tests/unit/test_fsops.py::"
_SPOOL = "tests/unit/test_spool.py::"
_JOBLOAD = "tests/unit/test_jobload.py::"
_RUN = "tests/daemon/test_run.py::"

MUTANTS = (
    Mutant(
        "no flush of the file before its rename", "publish",
        "                fsops.sync(fd)\n            if fresh",
        "                pass\n            if fresh",
        _PUBLISH + "test_a_durable_submit_takes_every_step",
    ),
    Mutant(
        "confirmed before the directory is flushed", "publish",
        "                self._sync_name(fd)\n",
        "                pass\n",
        _PUBLISH + "test_a_durable_submit_takes_every_step",
    ),
    Mutant(
        "no last look at what was published", "publish",
        "                self._sync_name(fd)\n            self._look(name)\n",
        "                self._sync_name(fd)\n",
        _PUBLISH + "test_a_file_system_that_died_confirms_nothing",
    ),
    Mutant(
        "a failed flush is a refusal after the rename too", "publish",
        "            self._look(name)\n        except OSError as error:\n"
        "            raise _unconfirmed(name, error) from None\n",
        "            self._look(name)\n        except OSError as error:\n"
        "            raise refused(error) from None\n",
        _PUBLISH + "test_what_a_failed_flush_means",
    ),
    Mutant(
        "a job under two names stays so", "recover",
        "    twice = {a for a, b in zip(hashes, hashes[1:]) if a == b}\n",
        "    twice: set[int] = set()\n",
        "tests/unit/test_recover.py::"
        "test_one_inode_under_two_names_is_one_job",
    ),
    Mutant(
        "one write is all of them", "fsops",
        "    while view:\n        view = view[os.write(fd, view):]\n",
        "    os.write(fd, view)\n",
        _FSOPS + "test_write_all_goes_on",
    ),
    Mutant(
        "an interrupted run is not counted", "recover",
        "    if name.runs - uncounted < limit:\n",
        "    if name.runs - uncounted <= limit:\n",
        "tests/unit/test_recover.py::test_an_interrupted_run_counts",
    ),
    Mutant(
        "the jobs of the living are recovered", "recover",
        "            known[owner] = is_dead(owner)\n",
        "            known[owner] = True\n",
        "tests/unit/test_recover.py::test_the_living_keep_their_jobs",
    ),
    Mutant(
        "the dead are left alone", "rescue",
        "        if self.wait_s():\n",
        "        if True:\n",
        "tests/daemon/test_signals.py::test_a_killed_daemon_loses_nothing",
    ),
    Mutant(
        "events alone, no scans", "sweep",
        "                if not self._changed():\n",
        "                if True:\n",
        "tests/daemon/test_watch.py::"
        "test_without_events_jobs_are_found_by_scans",
    ),
    Mutant(
        "workers answer in pickle", "wire",
        "                message = json.loads(bytes(",
        "                message = __import__('pickle').loads(bytes(",
        "tests/unit/test_wire.py::test_byte_by_byte",
    ),
    Mutant(
        "links are followed", "fsops",
        "    os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY",
        "    os.O_RDONLY | os.O_NONBLOCK | os.O_NOCTTY",
        _JOBLOAD + "test_only_a_regular_file_is_run",
    ),
    Mutant(
        "a pipe is opened and waited for", "fsops",
        "os.O_NOFOLLOW | os.O_NONBLOCK | os.O_NOCTTY",
        "os.O_NOFOLLOW | os.O_NOCTTY",
        _JOBLOAD + "test_only_a_regular_file_is_run",
    ),
    Mutant(
        "attempts are counted after the run", "spool",
        'active = f"{head}.a1.c{claim}',
        'active = f"{head}.c{claim}',
        _SPOOL + "test_a_claim_is_counted_and_unguessable",
    ),
    Mutant(
        "a verdict replaces another job", "fsops",
        "_RENAME_NOREPLACE = 1\n",
        "_RENAME_NOREPLACE = 0\n",
        _SPOOL + "test_a_collision_makes_a_twin",
    ),
    Mutant(
        "a missing directory looks like a lost race", "fsops",
        "        if os.fstat(dst_fd).st_nlink == 0 or"
        " os.fstat(src_fd).st_nlink == 0:\n"
        "            raise\n        return False\n    return True\n",
        "        return False\n    return True\n",
        _FSOPS + "test_rename_with_a_removed_directory",
    ),
    Mutant(
        "the digest is not looked at", "jobread",
        "    if document.digest is not None and not hmac",
        "    if False and not hmac",
        _JOBLOAD + "test_every_bit_of_the_body",
    ),
    Mutant(
        "two daemons serve one spool", "lock",
        "        except Timeout:\n"
        '            raise BlockingIOError(f"{path} is held") from None\n',
        "        except Timeout:\n            kept.append(2)\n",
        "tests/daemon/test_bad_input.py::test_one_spool_has_one_spoold",
    ),
    Mutant(
        "the record is not flushed before the verdict", "fsops",
        "        if durable:\n            os.fsync(fd)\n",
        "",
        "tests/unit/test_settle.py::"
        "test_durable_means_flushed_before_the_verdict",
    ),
    Mutant(
        "all retries come back together", "backoff",
        "    return dice * min(",
        "    return 1.0 * min(",
        "tests/unit/test_backoff.py::test_the_dice_spread_the_waits",
    ),
    Mutant(
        "retries go first", "index",
        "        (self.again if runs else self.fresh).add(text)\n",
        "        self.fresh.add(text)\n",
        "tests/unit/test_index.py::test_retries_and_fresh_jobs_take_turns",
    ),
    Mutant(
        "a timeout ends the leader alone", "programs",
        "        os.killpg(pid, number)\n",
        "        os.kill(pid, number)\n",
        _RUN + "test_a_timeout_ends_what_cannot_be_told_by_its_environment",
    ),
    Mutant(
        "a stop costs a run", "spool",
        "name.waiting(max(0, name.runs - 1))",
        "name.waiting(name.runs)",
        _SPOOL + "test_a_run_given_back_costs_nothing",
    ),
    Mutant(
        "a full spool takes more", "publish",
        "        if why:\n            raise SpoolClosed(",
        "        if False:\n            raise SpoolClosed(",
        "tests/daemon/test_room.py::"
        "test_producers_who_may_not_read_are_told_all_the_same",
    ),
    Mutant(
        "a full disk is the job's fault", "fsops",
        "    errno.ENOSPC, errno.EDQUOT, errno.EIO",
        "    errno.EDQUOT, errno.EIO",
        _FSOPS + "test_temporary_trouble",
    ),
    Mutant(
        "output is not capped", "capture",
        "                    os.ftruncate(fd, self.limit)\n",
        "                    pass\n",
        _RUN + "test_output_over_the_limit_is_cut",
    ),
    Mutant(
        "escapes reach the terminal", "text",
        '    if not (text.isascii() and text.isprintable() and "\\\\" not in'
        " text):\n",
        "    if False:\n",
        "tests/unit/test_text.py::test_the_rest_is_escaped",
    ),
    Mutant(
        "a second submit of one id is a second job", "intake",
        "                if job_id in wanted and \",\" in other.name:\n",
        "                if False:\n",
        "tests/cli/test_submit.py::test_a_second_try_is_not_run_again",
    ),
    Mutant(
        "the quick way looks at no digest", "jobread",
        ".hexdigest() != digest.decode()",
        '.hexdigest() == ""',
        "tests/unit/test_jobread.py::test_the_quick_way_reads_the_same",
    ),
    Mutant(
        "the quick way passes over what a document asks for", "jobread",
        "        if not value.keys() <= _CALL:\n",
        "        if False:\n",
        "tests/unit/test_jobread.py::test_a_json_call_is_read_the_same",
    ),
    Mutant(
        "what a handler changed stays on the plain way", "pyrunner",
        "            restore()\n",
        "            pass\n",
        "tests/daemon/test_plain_way.py::test_it_ends_the_same",
    ),
    Mutant(
        "a torn record passes for one being written", "beside",
        "sidecar.has_job(spool, state, stem)",
        "True",
        "tests/check",
    ),
)
