"""A whole Duoscribe of processes."""

from dataclasses import dataclass
from pathlib import Path

from support.processes import ServiceProcess


@dataclass(frozen=True)
class Deployment:
    """One process of each service, and where the gateway spools."""

    asr: ServiceProcess
    diarization: ServiceProcess
    gateway: ServiceProcess
    spool: Path

    @property
    def processes(self) -> tuple[ServiceProcess, ...]:
        return self.asr, self.diarization, self.gateway

    def temporary_files(self) -> list[str]:
        """Files in the spool's folder, those included that have lost their names and live on in the gateway."""
        named = [str(path) for path in self.spool.iterdir()]
        links = Path(f"/proc/{self.gateway.process.pid}/fd").iterdir()
        opened = (str(link.readlink()) for link in links if link.is_symlink())
        return named + [path for path in opened if path.startswith(str(self.spool))]
