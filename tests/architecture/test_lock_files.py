"""What is installed comes from wherever this machine's package clients are set to look: no file of ours says where.

Lock, requirements and npm files, comments included, name packages, versions and hashes, but no address to fetch them
from; documents name a package without linking its page in a registry. Hosts are known here by their digest, so that
this file names none either.
"""

import hashlib
import json
import re
import subprocess
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path
from urllib.parse import urlsplit

import pytest

ROOT = Path(__file__).resolve().parents[2]

PACKAGE_FILES = (
    "*.lock",
    "*requirements*.in",
    "*requirements*.txt",
    "constraints*.txt",
    "package.json",
    "package-lock.json",
    "npm-shrinkwrap.json",
    "yarn.lock",
    "pnpm-lock.yaml",
    "pnpm-workspace.yaml",
    ".npmrc",
    ".yarnrc*",
    "pip.conf",
    "pip.ini",
    "uv.toml",
    "Pipfile",
    "pyproject.toml",
    "setup.cfg",
)
# What an address or a pointer to one looks like, whatever host it names.
ADDRESS = re.compile(
    r"""
      [a-z][a-z0-9+.-]*://            # any scheme: https, git+ssh, file ...
    | \b(git|hg|svn|bzr)\+            # a version control address cut in two
    | \b(file|link|github|gitlab|bitbucket|gist):
    | (?<![\w-])--?(index-url|extra-index-url|find-links|trusted-host|registry)\b
    | (^|\s)-[if]\s
    | \b(index-url|extra-index-url|find-links|registry)\s*[=:]
    | "resolved"
    | ^\s*resolved\s
    | (^|["'\s=@])//[\w-]+\.[\w.-]+/  # no scheme, but a host
    """,
    re.VERBOSE | re.IGNORECASE | re.MULTILINE,
)
LINK = re.compile(r"https?://[^\s)>\]\"'`]+", re.IGNORECASE)
# SHA-256, first 16 digits, of hosts that are a registry of packages or a mirror of one.
REGISTRIES = {
    "09ba7b3eafcd41c4",
    "0fd460f0568e29c1",
    "271dacc9f4d0caf8",
    "28ff1fed379fb6ec",
    "3530c4415dd857fb",
    "394bc662b64ea8fc",
    "3ca29e55be4befa4",
    "51c6b9f69c48a75b",
    "67855217519deda9",
    "71741fe2460a6150",
    "789e46d79514e280",
    "824d403c0ddada9e",
    "83ebc76e70e6df34",
    "8743857e3ea00fd1",
    "87d14f070cb96869",
    "8b5bb5eb9d758455",
    "9c6b05022d03bb05",
    "a05b0cf8b91804c7",
    "a4aa2ac280bb8d1a",
    "b7e6120a61644b60",
    "c0a8d8f06413a883",
    "cb850894a93caf5d",
    "d6d7019ca9fcbf07",
    "e0fdcc94a2080e5e",
    "e2dd3580aeebec64",
    "e4c157c5e3afda9f",
    "e83cc4bcd94e4ed5",
    "ea3d68fd8b1a56a0",
    "f6f372f868cf5e20",
    "fad691c6d9ae77c4",
}


def tracked(repo: Path) -> Iterator[Path]:
    """Files that git tracks or would track; submodules and links are left out."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=repo,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    for name in filter(None, listed.split("\0")):
        path = repo / name
        if path.is_file() and not path.is_symlink():
            yield path


def addresses(repo: Path) -> list[str]:
    """``file:line: text`` of every address in a package file."""
    files = (path for path in tracked(repo) if any(fnmatch(path.name, pattern) for pattern in PACKAGE_FILES))
    return [
        f"{path.relative_to(repo)}:{number}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1)
        if ADDRESS.search(line)
    ]


def digest(host: str) -> str:
    return hashlib.sha256(host.lower().encode()).hexdigest()[:16]


def is_registry(link: str, registries: set[str]) -> bool:
    """Whether a link's host, or a domain it belongs to, is a package registry's."""
    labels = (urlsplit(link).hostname or "").split(".")
    return any(digest(".".join(labels[start:])) in registries for start in range(len(labels) - 1))


def registry_links(repo: Path, registries: set[str]) -> list[str]:
    """``file: link`` of every link from a document to a registry."""
    documents = (path for path in tracked(repo) if path.suffix.lower() in (".md", ".rst", ".html"))
    return [
        f"{path.relative_to(repo)}: {link}"
        for path in documents
        for link in LINK.findall(path.read_text(encoding="utf-8"))
        if is_registry(link, registries)
    ]


def test_package_files_name_no_address() -> None:
    assert addresses(ROOT) == []


def test_documents_link_no_registry() -> None:
    assert registry_links(ROOT, REGISTRIES) == []


def test_locks_carry_a_hash_for_every_package() -> None:
    for name, least in (("requirements.lock", 20), ("requirements-dev.lock", 20), ("requirements-node.lock", 2)):
        text = (ROOT / name).read_text()
        blocks = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE)
        assert len(blocks) > least
        assert [block.splitlines()[0] for block in blocks if block and "--hash=sha256:" not in block] == []


def test_locks_hold_what_was_asked_for() -> None:
    for name in ("requirements", "requirements-dev", "requirements-node"):
        asked = re.findall(r"^([A-Za-z][\w.-]*)", (ROOT / f"{name}.in").read_text(), re.MULTILINE)
        locked = set(re.findall(r"^([a-z0-9-]+)==", (ROOT / f"{name}.lock").read_text(), re.MULTILINE))
        assert {package.lower() for package in asked} <= locked


def test_the_apps_lock_file_proves_every_package() -> None:
    """npm writes addresses into a lock file unless ``.npmrc`` says otherwise; a hash stands for each package."""
    assert "omit-lockfile-registry-resolved=true" in (ROOT / "field" / ".npmrc").read_text().split()
    packages = json.loads((ROOT / "field" / "package-lock.json").read_text())["packages"]
    assert len(packages) > 50
    assert [name for name, one in packages.items() if name and not one.get("integrity", "").startswith("sha512-")] == []
    asked = json.loads((ROOT / "field" / "package.json").read_text())
    versions = {**asked["dependencies"], **asked["devDependencies"]}
    assert [name for name, version in versions.items() if not re.fullmatch(r"\d+\.\d+\.\d+", version)] == []
    assert [name for name in versions if packages[f"node_modules/{name}"]["version"] != versions[name]] == []


# ---- the check itself


@pytest.fixture
def repo(tmp_path: Path) -> Path:
    subprocess.run(["git", "init", "-q"], cwd=tmp_path, check=True)
    (tmp_path / "requirements.lock").write_text("# by hand\nsome-package==1.0 \\\n    --hash=sha256:00ff\n")
    (tmp_path / "package.json").write_text(
        '{"name": "field", "dependencies": {"@scope/vue": "^3.5.0"}, "type": "module"}\n'
    )
    (tmp_path / ".npmrc").write_text("omit-lockfile-registry-resolved=true\n")
    (tmp_path / "pyproject.toml").write_text('[tool.x]\npaths = ["a/b", "c//d"]\n')
    (tmp_path / "README.md").write_text("See https://docs.example.org/guide and package `some-package`.\n")
    return tmp_path


def test_an_innocent_repository_passes(repo: Path) -> None:
    assert addresses(repo) == []
    assert registry_links(repo, REGISTRIES) == []


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("requirements.lock", "# from https://mirror.example/simple\n"),
        ("requirements.lock", "--index-url mirror\n"),
        ("requirements-dev.lock", "--extra-index-url=mirror\n"),
        ("requirements.in", "-i mirror\n"),
        ("requirements.in", "-f ./wheels\n"),
        ("requirements.in", "package @ git+ssh://git.example/x\n"),
        ("requirements.in", "package @ file:///opt/x.whl\n"),
        ("deep/down/package-lock.json", '{"resolved": "x.tgz"}\n'),
        ("field/package-lock.json", '{"funding": {"url": "https://money.example"}}\n'),
        ("field/package.json", '{"dependencies": {"x": "github:someone/x"}}\n'),
        ("field/package.json", '{"dependencies": {"x": "file:../x"}}\n'),
        ("field/.npmrc", "registry=//mirror.example/\n"),
        ("field/.npmrc", "omit-lockfile-registry-resolved=true\n@scope:registry = mirror\n"),
        ("field/yarn.lock", "  resolved mirror\n"),
        ("pyproject.toml", '[tool.uv]\nindex-url = "mirror"\n'),
        ("uv.lock", 'source = { registry = "mirror" }\n'),
    ],
)
def test_a_planted_address_is_found(repo: Path, name: str, text: str) -> None:
    (repo / name).parent.mkdir(parents=True, exist_ok=True)
    (repo / name).write_text(text)
    assert [line.split(":")[0] for line in addresses(repo)] == [name]


def test_a_planted_link_to_a_registry_is_found(repo: Path) -> None:
    (repo / "docs").mkdir()
    (repo / "docs" / "guide.md").write_text("[it](https://www.registry.example/project/it) (http://other.example)\n")
    assert registry_links(repo, {digest("registry.example")}) == [
        "docs/guide.md: https://www.registry.example/project/it"
    ]


def test_what_git_ignores_is_not_ours(repo: Path) -> None:
    (repo / ".gitignore").write_text("node_modules/\n")
    (repo / "node_modules" / "x").mkdir(parents=True)
    (repo / "node_modules" / "x" / "package.json").write_text('{"homepage": "https://x.example"}')
    assert addresses(repo) == []
