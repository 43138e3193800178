"""One granian with its web processes: what ``dabai serve`` starts and watches. Not a command of its own.

Granian's main process owns the port and brings back a web process that dies; each web process asks the kernel to die
with it.
"""

import argparse
import multiprocessing
import os
import signal
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from granian.constants import HTTPModes, Interfaces, SSLProtocols
from granian.log import LogLevels
from granian.server import Server

from dabai.commands._process import die_with_parent

STOP_SECONDS = 10


def load(target: str) -> Callable[..., Any]:
    """Called in each web process: ``package.module:name`` -> the WSGI application."""
    parent = multiprocessing.parent_process()
    die_with_parent(parent.pid if parent and parent.pid else os.getppid())
    # A fork carries granian's own handlers along, which here would swallow a stop that comes while we still load.
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    module, _, name = target.partition(":")
    application: Callable[..., Any] = getattr(import_module(module), name)
    return application


def serve(args: argparse.Namespace) -> None:
    """Granian as we use it, until it is told to stop. TLS from 1.2 on: phones of 2018 know nothing newer."""
    server = Server(
        args.application,
        address=args.bind,
        port=args.port,
        interface=Interfaces.WSGI,
        workers=args.processes,
        blocking_threads=args.threads,
        backlog=2048,
        http=HTTPModes.auto,
        websockets=False,
        log_level=LogLevels.error,
        respawn_failed_workers=True,
        respawn_interval=0.5,
        workers_kill_timeout=STOP_SECONDS,
        ssl_cert=args.cert,
        ssl_key=args.key,
        ssl_protocol_min=SSLProtocols.tls12,
    )
    server.serve(target_loader=load)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--application", default="dabai.wsgi:application")
    parser.add_argument("--bind", required=True)
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument("--processes", type=int, required=True)
    parser.add_argument("--threads", type=int, required=True)
    parser.add_argument("--cert", type=Path)
    parser.add_argument("--key", type=Path)
    serve(parser.parse_args())


if __name__ == "__main__":
    main()
