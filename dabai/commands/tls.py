"""`dabai tls init | renew | show`: HTTPS by a local authority (see ``_authority``)."""

import argparse

from dabai.commands import Trouble, tell
from dabai.commands._authority import Authority, days_left, fingerprint, host_names
from dabai.commands._folder import data_folder, given_url, make_folders, unprivileged

HELP = "make, renew or show the local authority that lets phones use HTTPS without a public certificate"


def configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", choices=["init", "renew", "show"])
    parser.add_argument("--host", action="append", default=[], metavar="NAME", help="name or address of the server")
    parser.add_argument("--name", default="Dabai local authority", help="what phones will call it")
    parser.add_argument("--force", action="store_true", help="init: replace an authority; every phone must trust again")


def run(args: argparse.Namespace) -> int:
    folder = data_folder()
    make_folders(folder, None if given_url() else unprivileged())
    authority = Authority(folder / "tls")
    {"init": init, "renew": renew, "show": show}[args.action](authority, args)
    return 0


def init(authority: Authority, args: argparse.Namespace) -> None:
    if authority.ca.exists() and not args.force:
        raise Trouble("tls_exists", folder=authority.folder)
    if not args.host:
        raise Trouble("tls_host")
    authority.create(args.name, args.host)
    show(authority, args)
    print(tell("tls.next", host=args.host[0]))


def renew(authority: Authority, args: argparse.Namespace) -> None:
    if not authority.exists():
        raise Trouble("tls_none")
    if not authority.can_sign():
        raise Trouble("tls_no_key", folder=authority.folder)
    authority.issue(args.host or host_names(authority.certificate))
    show(authority, args)
    print(tell("tls.restart"))


def show(authority: Authority, _: argparse.Namespace) -> None:
    if not authority.exists():
        raise Trouble("tls_none")
    print(tell("tls.hosts", hosts=", ".join(host_names(authority.certificate))))
    print(tell("tls.days", days=int(days_left(authority.certificate)), ca_days=int(days_left(authority.ca))))
    print(tell("tls.fingerprint", fingerprint=fingerprint(authority.ca)))
