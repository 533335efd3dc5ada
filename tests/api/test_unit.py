"""The systemd unit: what systemd says of it, and the server with the rights that it leaves."""

import os
import re
import shutil
import subprocess
from pathlib import Path

import pytest

from server import binary, status_of

UNIT = Path(__file__).resolve().parents[2] / "deploy/wasmcloud.service"


def setting(name):
    """The value of `name=`; every setting is there once."""
    values = re.findall(rf"^{name}=(.*)$", UNIT.read_text(), re.M)
    assert len(values) == 1, name
    return values[0]


@pytest.mark.skipif(not shutil.which("systemd-analyze"), reason="needs systemd-analyze")
def test_systemd_understands_every_line(tmp_path):
    bin_folder = tmp_path / "bin"
    bin_folder.mkdir()
    (bin_folder / "wasmcloud").symlink_to(binary())
    unit = tmp_path / "wasmcloud.service"
    unit.write_text(UNIT.read_text().replace("@bindir@", str(bin_folder)))
    done = subprocess.run(["systemd-analyze", "verify", unit], capture_output=True, text=True, timeout=60)
    ours = [line for line in done.stderr.splitlines() if "wasmcloud" in line]
    assert done.returncode == 0 and not ours, done.stderr


@pytest.mark.skipif(os.geteuid() != 0, reason="takes rights of root away")
def test_guests_run_behind_all_fences_with_the_rights_of_the_unit(serve, guests, tmp_path):
    """Its capabilities and no others, no_new_privs, its umask, a system that is read-only."""
    names = setting("CapabilityBoundingSet").split()
    rights = ",".join("+" + name.removeprefix("CAP_").lower() for name in names)
    assert setting("NoNewPrivileges") == "true" and setting("ProtectSystem") == "strict"
    script = (f'mount --bind "$0" "$0" && mount -o remount,bind,ro / && umask {setting("UMask")} && '
              f'exec setpriv --bounding-set=-all,{rights} --inh-caps=-all --no-new-privs "$@"')
    server = serve(tmp_path, wrap=["unshare", "--mount", "--propagation", "private", "sh", "-c", script,
                                   str(tmp_path)])
    assert status_of(server.pid)["NoNewPrivs"] == "1"
    assert server.deploy("hello", guests / "cwa-hello.wasm").get().status == 200
    for pid in server.execs():
        status = status_of(pid)
        assert int(status["Uid"].split()[0]) >= 0x70000000  # a user of its own
        assert int(status["CapEff"], 16) == int(status["CapPrm"], 16) == 0 and status["Seccomp"] == "2"
    assert "fence_missing" not in server.log()
