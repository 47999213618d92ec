"""Does with Python's ftplib what programs do with it, and fails where a server surprises them.

usage: tour.py PART HOST PORT USER PASSWORD
"""

import ftplib
import hashlib
import io
import sys

NAMES = ["plain.bin", "with two  spaces.bin", "häß-日本-🚀.bin", "-dash.bin", "#;|'\"&$.bin"]


def octets(count, seed):
    """Octets in which every position shows."""
    made, number = bytearray(), 0
    while len(made) < count:
        made += hashlib.sha256(b"%d %d" % (seed, number)).digest()
        number += 1
    return bytes(made[:count])


def fetched(ftp, command, **more):
    got = []
    reply = ftp.retrbinary(command, got.append, **more)
    assert reply.startswith("226"), reply
    return b"".join(got)


def refused(code, call, *arguments):
    try:
        reply = call(*arguments)
    except ftplib.Error as error:
        assert str(error).startswith(code), error
    else:
        raise AssertionError(f"{arguments}: {reply}")


def files(ftp):
    assert "UTF8" in ftp.sendcmd("FEAT")
    assert ftp.pwd() == "/"
    assert ftp.mkd('a "quoted" place') == '/a "quoted" place'
    ftp.cwd('a "quoted" place')
    assert ftp.pwd() == '/a "quoted" place'
    for seed, name in enumerate(NAMES):
        content = octets(200_000 + seed, seed)
        ftp.storbinary(f"STOR {name}", io.BytesIO(content))
        assert fetched(ftp, f"RETR {name}") == content, name
        ftp.voidcmd("TYPE I")
        assert ftp.size(name) == len(content), name
    # "-dash.bin" is an option to a LIST of the old school, and a name to everybody else.
    assert sorted(ftp.nlst()) == sorted(NAMES)
    facts = dict(ftp.mlsd(facts=["type", "size"]))
    assert {name: facts[name] for name in NAMES} == {
        name: {"type": "file", "size": str(200_000 + seed)} for seed, name in enumerate(NAMES)
    }
    lines = []
    ftp.retrlines("LIST", lines.append)
    assert [name for name in NAMES if not any(line.endswith(" " + name) for line in lines)] == []
    # Listings came as text, and so would files: their size is that of the text.
    ftp.voidcmd("TYPE I")
    ftp.rename(NAMES[1], "renamed.bin")
    refused("550", ftp.size, NAMES[1])
    assert ftp.size("renamed.bin") == 200_001
    for name in ["renamed.bin", NAMES[0], *NAMES[2:]]:
        ftp.delete(name)
    assert ftp.nlst() == []
    ftp.cwd("..")
    ftp.rmd('a "quoted" place')
    refused("550", ftp.cwd, 'a "quoted" place')


def resume(ftp):
    content = octets(3_000_000, 7)
    ftp.storbinary("STOR whole.bin", io.BytesIO(content))
    assert fetched(ftp, "RETR whole.bin", rest=1_234_567) == content[1_234_567:]
    assert fetched(ftp, "RETR whole.bin", rest=len(content)) == b""
    refused("554", ftp.retrbinary, "RETR whole.bin", print, 8192, len(content) + 1)
    ftp.storbinary("STOR part.bin", io.BytesIO(content[:1_000_000]))
    ftp.storbinary("STOR part.bin", io.BytesIO(content[1_000_000:2_000_000]), rest=1_000_000)
    ftp.storbinary("APPE part.bin", io.BytesIO(content[2_000_000:]))
    assert fetched(ftp, "RETR part.bin") == content
    # What is behind the place where an upload goes on does not stay.
    ftp.storbinary("STOR part.bin", io.BytesIO(b"end"), rest=10)
    assert fetched(ftp, "RETR part.bin") == content[:10] + b"end"


def lines(ftp):
    text = ["first", "", "ümlaut", "a lone \\r does not end a line", "last"]
    sent = io.BytesIO("\n".join(text).encode() + b"\n")
    ftp.storlines("STOR text.txt", sent)
    got = []
    ftp.retrlines("RETR text.txt", got.append)
    assert got == text, got
    on_disk = "".join(line + "\n" for line in text).encode()
    assert fetched(ftp, "RETR text.txt") == on_disk
    ftp.voidcmd("TYPE A")
    assert int(ftp.sendcmd("SIZE text.txt")[4:]) == len(on_disk) + len(text)
    ftp.voidcmd("TYPE I")
    assert ftp.size("text.txt") == len(on_disk)


def active(ftp):
    ftp.set_pasv(False)
    content = octets(1_000_000, 9)
    ftp.storbinary("STOR active.bin", io.BytesIO(content))
    assert fetched(ftp, "RETR active.bin") == content
    assert ftp.nlst() == ["active.bin"]


def main():
    part, host, port, user, password = sys.argv[1:]
    ftp = ftplib.FTP(timeout=50, encoding="utf-8")
    welcome = ftp.connect(host, int(port))
    assert welcome.startswith("220"), welcome
    refused("530", ftp.nlst)
    assert ftp.login(user, password).startswith("230")
    {"files": files, "resume": resume, "lines": lines, "active": active}[part](ftp)
    assert ftp.quit().startswith("221")


main()
