"""What strace writes, read back."""

from __future__ import annotations

from snakemake_repro.logic.trace import Access, Connection, parse, through_shadow, without_network

LINES = r"""
1113  openat(AT_FDCWD</w>, "\303\274 x", O_RDONLY) = 3</w/\303\274 x>
1113  newfstatat(3</w/x>, "", {st_mode=S_IFREG|0644, st_size=2, ...}, AT_EMPTY_PATH) = 0
1113  openat(AT_FDCWD</w>, "sub/../no", O_RDONLY|O_CLOEXEC) = -1 ENOENT (No such file or directory)
1114  execve("./tool", ["tool", "other"], 0x7ffc /* 2 vars */) = 0
1114  chdir("/w/sub") = 0
1114  access("here", R_OK) = -1 EACCES (Permission denied)
1115  openat(AT_FDCWD</w>, "out",  <unfinished ...>
1114  openat(5</w/dir>, "a\"b\n", O_WRONLY|O_CREAT|O_TRUNC, 0666) = -1 EROFS (Read-only file system)
1115  <... openat resumed>O_RDWR) = 4</w/out>
1115  rename("//w//a", "b") = 0
1115  symlinkat("target", AT_FDCWD</w>, "link") = 0
1115  connect(3<UDP:[1]>, {sa_family=AF_INET, sin_port=htons(443), sin_addr=inet_addr("10.1.2.3")}, 16) = -1 ENETUNREACH (Network is unreachable)
1115  connect(3<TCP:[1]>, {sa_family=AF_INET6, sin6_port=htons(80), sin6_flowinfo=htonl(0), inet_pton(AF_INET6, "fe80::1", &sin6_addr), sin6_scope_id=0}, 28) = -1 EINPROGRESS (Operation now in progress)
1115  connect(3<UNIX-STREAM:[1]>, {sa_family=AF_UNIX, sun_path="/run/x"}, 110) = 0
1116  openat(AT_FDCWD</w>, "cut",  <unfinished ...>
"""


def test_paths_are_absolute_with_what_was_tried_and_how_it_ended() -> None:
    assert list(parse(LINES.splitlines(), "/w")) == [
        Access("/w/ü x", writes=False, opens=True, error=None),
        Access("/w/x", writes=False, opens=False, error=None),
        Access("/w/no", writes=False, opens=True, error="ENOENT"),
        Access("/w/tool", writes=False, opens=True, error=None),
        Access("/w/sub", writes=False, opens=False, error=None),
        Access("/w/sub/here", writes=False, opens=False, error="EACCES"),
        Access('/w/dir/a"b\n', writes=True, opens=True, error="EROFS"),
        Access("/w/out", writes=True, opens=True, error=None),
        Access("/w/a", writes=True, opens=False, error=None),
        Access("/w/b", writes=True, opens=False, error=None),
        Access("/w/link", writes=True, opens=False, error=None),
        Connection("10.1.2.3", 443, "ENETUNREACH"),
        Connection("fe80::1", 80, "EINPROGRESS"),
    ]


def test_the_network_can_be_left_out() -> None:
    uses = without_network(parse(LINES.splitlines(), "/w"))
    assert not any(isinstance(use, Connection) for use in uses)


def test_what_lies_in_a_shadow_directory_is_the_jobs_own() -> None:
    def access(path: str) -> Access:
        return Access(path, writes=False, opens=True, error=None)

    links = {"/w/.s/x/in": "/w/in", "/w/.s/x/data/new": "/w/data/new"}
    connection = Connection("10.1.2.3", 443, None)
    uses = [access("/w/.s/x/left"), *map(access, links), access("/w/.s/xy"), connection]
    found = through_shadow(uses, "/w/.s/x", "/w", lambda path: links.get(path, path))
    assert list(found) == [
        access("/w/in"),
        access("/w/data/new"),
        access("/w/.s/xy"),
        connection,
    ]
