"""What `l4lb check` says of forward proxies' rules, users and lists, with file and line."""

from __future__ import annotations

from pathlib import Path

import pytest

from l4lb.config.model import Config
from l4lb.config.reading.parse import loads
from l4lb.errors import ConfigError
from l4lb.policy import checked

START = """[listeners.proxy]
bind = ["127.0.0.1:3128"]
protocol = "http"
forward = "office"
"""


def config(text: str) -> Config:
    return loads(START + text, "l4lb.toml")


@pytest.mark.parametrize(
    ("rule", "told"),
    [
        ('domain = ["a.example", "a..b"]', "domain: 'a..b' is no domain"),
        ('time = "mon-fri 8-12"', "time: '8-12' is no span of hours"),
        ('url = "http:///a"', "url: 'http:///a' begins with no host"),
    ],
)
def test_a_wrong_pattern_is_told_with_its_line(rule: str, told: str) -> None:
    found = config(f'[[forward.office.rules]]\nname = "a"\naction = "deny"\n{rule}\n')
    with pytest.raises(ConfigError) as caught:
        checked.check(found)
    assert str(caught.value).startswith(f"l4lb.toml:8: forward.office.rules[0].{told}")


def test_users_that_cannot_be_read_are_told(tmp_path: Path) -> None:
    users, groups = tmp_path / "users", tmp_path / "groups"
    text = f'[forward.office.auth]\nhtpasswd = "{users}"\ngroups = "{groups}"\n'
    with pytest.raises(ConfigError, match=r"l4lb.toml:6: forward.office.auth.htpasswd: .*users"):
        checked.check(config(text))
    users.write_text("alice:$apr1$salt$DtdQ0PcnHmSmUl0xKQMCG1\n")
    groups.write_text("staff alice\n")
    with pytest.raises(ConfigError, match=r"l4lb.toml:7: forward.office.auth.groups: .*:1: "):
        checked.check(config(text))
    groups.write_text("staff: alice\n")
    checked.check(config(text))


def test_wrong_lines_of_lists_are_told_and_count_for_nothing(tmp_path: Path) -> None:
    names = tmp_path / "ads"
    names.write_text("ads.example\na..b\n")
    (told,) = checked.faults_of_lists(config(f'[forward.office]\n[lists.ads]\nfiles = "{names}"\n'))
    assert (told.line, told.key) == (7, "lists.ads.files")
    assert f"{names}:2" in told.message
    (told,) = checked.faults_of_lists(
        config('[forward.office]\n[lists.ads]\nfiles = "/nowhere/*"\n')
    )
    assert "there is no such file" in told.message
