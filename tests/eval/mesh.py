"""A mesh of its own for an evaluation: `polyphony up` on free ports, stopped at the end."""

import json
import os
import signal
import subprocess


class Mesh:
    """Use as a context. `url` is the gateway's."""

    def __init__(self, binary: str):
        self.binary = binary

    def __enter__(self) -> "Mesh":
        command = [self.binary, "up", "--json"]
        for key in ("gateway.listen", "gateway.admin", "asr.server.listen", "asr.server.admin"):
            command += ["--set", f"{key}=127.0.0.1:0"]
        self.process = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
        line = self.process.stdout.readline()
        if not line:
            raise SystemExit(f"`{' '.join(command)}` ended without becoming ready")
        self.ready = json.loads(line)
        self.url = f"http://{self.ready['gateway']}"
        return self

    def __exit__(self, *_) -> None:
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(timeout=60)

    def asr_models(self) -> list[str]:
        """The recognisers that can be asked for now, the default first."""
        return next((service["models"] for service in self.ready["services"] if service["name"] == "asr"), [])

    def cpu_seconds(self) -> float:
        """What the mesh has used of the processor."""
        with open(f"/proc/{self.process.pid}/stat") as stat:
            fields = stat.read().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
