"""What operators see of users' log-ins."""

from __future__ import annotations

from l4lb.policy.hashes import NOBODYS
from l4lb.policy.log_ins import LogIns
from l4lb.policy.users import Users

USERS = Users({"ann": NOBODYS, "bob": NOBODYS}, {"ann": frozenset({"staff", "all"})})


def test_each_user_has_a_row_with_groups_and_without_a_hash() -> None:
    log_ins = LogIns()
    log_ins.failed(USERS, "ann", 5.0)
    log_ins.failed(USERS, "ann", 7.0)
    ann, bob = log_ins.shown(USERS, 10.0)
    assert ann == {
        "user": "ann",
        "groups": ["all", "staff"],
        "last_success_ms": None,
        "last_failure_ms": 3_000,
        "failures": 2,
        "remembered": False,
    }
    assert (bob["user"], bob["groups"], bob["failures"]) == ("bob", [], 0)


def test_a_success_ends_the_count_of_failures_and_is_remembered_for_a_time() -> None:
    log_ins = LogIns()
    log_ins.failed(USERS, "bob", 1.0)
    log_ins.succeeded(USERS, "bob", 2.0, 62.0)
    row = next(one for one in log_ins.shown(USERS, 61.0) if one["user"] == "bob")
    assert (row["failures"], row["remembered"], row["last_success_ms"]) == (0, True, 59_000)
    assert not [one for one in log_ins.shown(USERS, 62.0) if one["remembered"]]


def test_names_that_nobody_has_take_no_memory() -> None:
    log_ins = LogIns()
    for number in range(100):
        log_ins.failed(USERS, f"user{number}", 1.0)
    assert len(list(log_ins.shown(USERS, 2.0))) == 2


def test_another_file_of_users_ends_what_is_remembered() -> None:
    log_ins = LogIns()
    log_ins.succeeded(USERS, "ann", 1.0, 61.0)
    again = Users({"ann": NOBODYS})
    (row,) = log_ins.shown(again, 2.0)
    assert (row["remembered"], row["last_success_ms"]) == (False, 1_000)
    log_ins.succeeded(again, "ann", 2.0, 62.0)
    log_ins.forget()
    assert not next(log_ins.shown(again, 3.0))["remembered"]
