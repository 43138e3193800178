"""What the embedded PostgreSQL is told, worked out from the machine on every start. A district's own lines go into
``local.conf`` beside it, which is read last."""

import os
import shutil
from pathlib import Path

GIB = 2**30
MIB = 2**20
CGROUP_LIMITS = (Path("/sys/fs/cgroup/memory.max"), Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"))

# Only the application's role may log in, only by the socket, only with its password. The owner of the cluster has none:
# what needs it is done in single-user mode by whoever owns the files.
HBA = "# written by dabai\nlocal all dabai scram-sha-256\n"


def memory_bytes() -> int:
    """The memory of this machine, or of the container we are in where that is less."""
    total = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    for limit in CGROUP_LIMITS:
        if limit.is_file() and (text := limit.read_text().strip()).isdigit():
            total = min(total, int(text))
    return total


def sizes(memory: int, free_disk: int) -> dict[str, str]:
    """The settings that follow from memory and free disk, both in bytes."""
    shared = min(memory // 4, 8 * GIB)
    return {
        "shared_buffers": _mib(max(shared, 128 * MIB)),
        "effective_cache_size": _mib(max(memory // 2, 256 * MIB)),
        "work_mem": _mib(min(max(memory // 512, 4 * MIB), 64 * MIB)),
        "maintenance_work_mem": _mib(min(max(memory // 32, 64 * MIB), GIB)),
        "max_wal_size": _mib(min(max(free_disk // 8, 256 * MIB), 4 * GIB)),
    }


def _mib(size: int) -> str:
    return f"{size // MIB}MB"


# Error lines without the statement and without DETAIL: both would carry names and document numbers into the log.
QUIET = {
    "log_statement": "none",
    "log_min_error_statement": "panic",
    "log_error_verbosity": "terse",
    "log_parameter_max_length": "0",
    "log_parameter_max_length_on_error": "0",
    "log_line_prefix": "'%m [%p] '",
    "log_timezone": "UTC",
}
FIXED = {
    "listen_addresses": "''",
    "unix_socket_permissions": "0700",
    "max_connections": "100",
    "password_encryption": "scram-sha-256",
    "timezone": "UTC",
    "wal_compression": "on",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "checkpoint_timeout": "15min",
    "checkpoint_completion_target": "0.9",
    "random_page_cost": "1.1",
    "jit": "off",
    "shared_preload_libraries": "''",
}
DURABLE = {"fsync": "on", "synchronous_commit": "on", "full_page_writes": "on"}
# A throwaway cluster survives the kill of any process, and need not survive the loss of the machine's power.
THROWAWAY = {"fsync": "off", "synchronous_commit": "on", "full_page_writes": "off", "shared_buffers": "256MB"}


def settings_text(*, data: Path, sockets: Path, durable: bool) -> str:
    """The whole of ``postgresql.conf``."""
    scaled = sizes(memory_bytes(), shutil.disk_usage(data).free)
    values = FIXED | QUIET | scaled | (DURABLE if durable else THROWAWAY)
    values["unix_socket_directories"] = "'" + str(sockets).replace("'", "''") + "'"
    lines = [f"{name} = {value}" for name, value in sorted(values.items())]
    return "\n".join(["# written by dabai on every start; your own lines: local.conf", *lines, LOCAL, ""])


LOCAL = "include = 'local.conf'"
