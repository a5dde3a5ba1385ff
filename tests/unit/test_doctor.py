"""octavo doctor: each check on machines that have the trouble, and on those that have not."""

import argparse
import errno
import json
import os
import resource

import pytest

from binfmt import report
from runtime import config, doctor


class Fake(doctor.Machine):
    """A machine where all is well, but for what a test says."""

    def __init__(self, **trouble):
        self.files = {"/proc/self/stat": "x", "/proc/self/status": "Seccomp:\t0"}
        self.files.update(trouble.pop("files", {}))
        self.limits = trouble.pop("limits", {})
        self.space = trouble.pop("space", {})
        self.unshare = trouble.pop("unshare", 0)
        self.calls = trouble.pop("calls", ())
        self.arenas = trouble.pop("arenas", {})
        assert not trouble

    def text(self, path):
        return self.files.get(path)

    def limit(self, what):
        return self.limits.get(what)

    def free(self, path):
        return self.space.get(path, 1 << 40)

    def new_user_namespace(self):
        return self.unshare

    def refused(self, call):
        return call in self.calls

    def arena(self, bits):
        return self.arenas.get(bits)


@pytest.fixture(autouse=True)
def no_configuration(tmp_path, monkeypatch):
    monkeypatch.setattr(config, "SYSTEM_FILE", str(tmp_path / "system.yaml"))
    monkeypatch.setenv("HOME", str(tmp_path))
    for name in ("OCTAVO_CONFIG", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)


QUIET = (doctor.mounts, doctor.namespaces, doctor.sysctls, doctor.confinement, doctor.limits)


@pytest.mark.parametrize("check", [*QUIET, doctor.clocks, doctor.configuration])
def test_a_good_machine_has_nothing_to_remedy(check):
    for finding in check(Fake()):
        assert (finding.state, finding.remedy) == (doctor.GOOD, ""), finding.text


@pytest.mark.parametrize(
    ("check", "trouble", "state", "text", "remedy"),
    [
        (doctor.mounts, {"files": {"/proc/self/stat": None}}, "bad", "/proc", "mount -t proc"),
        (doctor.mounts, {"space": {"/dev/shm": None}}, "bad", "/dev/shm", "tmpfs"),
        (doctor.mounts, {"space": {"/tmp": None}}, "bad", "/tmp", "chmod 1777"),
        (doctor.mounts, {"space": {"/dev/shm": 1 << 20}}, "note", "1 MiB", "--shm-size"),
        (doctor.namespaces, {"unshare": errno.EPERM}, "note", "not permitted", "container"),
        (
            doctor.namespaces,
            {"unshare": errno.ENOSPC, "files": {"/proc/sys/user/max_user_namespaces": "0"}},
            "note",
            "no user namespace",
            "sysctl -w user.max_user_namespaces",
        ),
        (
            doctor.namespaces,
            {
                "unshare": errno.EACCES,
                "files": {"/proc/sys/kernel/apparmor_restrict_unprivileged_userns": "1"},
            },
            "note",
            "no user namespace",
            "sysctl -w kernel.apparmor",
        ),
        (
            doctor.sysctls,
            {"files": {"/proc/sys/vm/overcommit_memory": "2"}},
            "bad",
            "overcommit",
            "sysctl -w vm.overcommit_memory=0",
        ),
        (
            doctor.sysctls,
            {"files": {"/proc/sys/vm/max_map_count": "100"}},
            "note",
            "100",
            "sysctl -w vm.max_map_count",
        ),
        (
            doctor.confinement,
            {"calls": ("statx",), "files": {"/proc/self/status": "Seccomp:\t2"}},
            "note",
            "a seccomp filter refuses statx",
            "seccomp=unconfined",
        ),
        (doctor.confinement, {"calls": ("execveat",)}, "note", "the kernel refuses", "newer"),
        (doctor.confinement, {"files": {"/.dockerenv": ""}}, "note", "container", "host"),
        (
            doctor.confinement,
            {"files": {"/sys/fs/cgroup/pids.max": "20"}},
            "note",
            "20 processes",
            "raise pids.max",
        ),
        (doctor.limits, {"arenas": {64: "no room"}}, "bad", "64-bit", "ulimit -v unlimited"),
        (
            doctor.limits,
            {"limits": {resource.RLIMIT_AS: 1 << 35}},
            "note",
            "32768 MiB: 64-bit",
            "ulimit -v",
        ),
        (doctor.limits, {"limits": {resource.RLIMIT_NOFILE: 64}}, "note", "is 64", "ulimit -n"),
        (
            doctor.clocks,
            {"files": {"/sys/devices/system/clocksource/clocksource0/current_clocksource": "hpet"}},
            "note",
            "hpet",
            "tsc",
        ),
    ],
)
def test_trouble_is_found_and_has_a_remedy(check, trouble, state, text, remedy):
    found = [each for each in check(Fake(**trouble)) if each.state != doctor.GOOD]
    assert len(found) == 1, [each.text for each in found]
    assert found[0].state == state
    assert text in found[0].text
    assert remedy in found[0].remedy


def test_a_filter_that_lets_everything_pass():
    (found,) = doctor.confinement(Fake(files={"/proc/self/status": "Seccomp:\t2"}))
    assert (found.state, found.remedy) == (doctor.GOOD, "")
    assert found.text == "a seccomp filter is active; what Octavo needs passes it"


def test_an_old_kernel_and_large_pages(monkeypatch):
    monkeypatch.setattr(
        os, "uname", lambda: os.uname_result(("Linux", "x", "5.4.0-150-generic", "#1", "x86_64"))
    )
    monkeypatch.setattr(doctor, "HOST_PAGE", 16384)
    kernel, *pages = doctor.host(Fake())
    assert "Linux 5.4.0-150-generic, x86_64, pages of 16k" in kernel.text
    assert (kernel.state, kernel.remedy) == (
        doctor.NOTE,
        "Linux 5.10 or later has every call that is passed on",
    )
    names = [each.text.partition(" programs have pages of ")[0] for each in pages]
    assert names == ["arm", "riscv64", "ppc64le", "x86_64"]
    assert "not of the host's 16k: their small mappings cost more" in pages[0].text


def test_a_clock_before_this_was_built(monkeypatch):
    monkeypatch.setattr("time.time", lambda: 0.0)
    found = next(doctor.clocks(Fake()))
    assert found.state == doctor.BAD
    assert found.text.startswith("the clock says ") and "look invalid" in found.text
    assert found.remedy == "set it (timedatectl set-ntp true)"


def test_configuration_that_is_wrong_or_names_no_root(tmp_path):
    system = tmp_path / "system.yaml"
    system.write_text("targets: {arm: {root: /nowhere/at/all}}\n")
    bad = [each for each in doctor.configuration(Fake()) if each.state == "bad"]
    assert [each.text for each in bad] == [
        f"{system}:1: targets.arm.root: /nowhere/at/all is no directory"
    ]
    system.write_text("targets: {arm: {rot: x}}\n")
    (only,) = doctor.configuration(Fake())
    assert (only.state, "did you mean 'root'" in only.text) == ("bad", True)


def test_registrations_come_with_binfmts_remedies(monkeypatch):
    row = {
        "target": "arm",
        "handler": "qemu-arm",
        "owner": "qemu-user",
        "flags": "POC",
        "interpreter": "/q",
        "file": "by path",
    }
    none = {**row, "target": "mips", "handler": None}
    problem = {"targets": ["arm"], "text": "broken", "remedy": "mend it"}
    found_there = {"targets": [row, none], "problems": [problem]}
    monkeypatch.setattr(report, "collect", lambda registry: found_there)
    found = list(doctor.registrations(Fake()))
    assert [(each.state, each.text.split(":")[0]) for each in found] == [
        ("bad", "arm"),
        ("good", "arm"),
        ("note", "arm"),
        ("note", "arm"),
        ("note", "no handler for mips"),
    ]
    assert found[-1].remedy == "octavo binfmt register mips"


def test_this_machine_can_be_examined(capsys):
    parser = argparse.ArgumentParser()
    doctor.configure(parser)
    status = doctor.execute(parser.parse_args(["--json"]))
    found = json.loads(capsys.readouterr().out)
    assert {row["check"] for row in found["findings"]} >= {"host", "mounts", "binfmt", "limits"}
    assert all(row["remedy"] for row in found["findings"] if row["state"] == "bad")
    assert status == (0 if found["works"] else 1)
    doctor.execute(parser.parse_args([]))
    text = capsys.readouterr().out
    assert text.splitlines()[-1].endswith(" notes")


def test_a_check_that_fails_is_a_finding(monkeypatch):
    def broken(machine):
        yield from os.listdir("/nowhere/at/all")

    monkeypatch.setattr(doctor, "CHECKS", (broken,))
    (only,) = doctor.examine(Fake())
    assert (only.check, only.state) == ("broken", "note")
