"""Makes transfers in one session over TLS, each with the TLS session of the control connection.

usage: session.py CERTIFICATE PORT explicit|implicit 1.2|1.3 C|P USER PASSWORD

Reads what to do from stdin: "put FROM NAME", "get NAME TO", "list", one a line.
"""

import ftplib
import ssl
import sys

BLOCK = 256 * 1024

certificate, port, mode, version, protection, user, password = sys.argv[1:]
VERSION = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]

context = ssl.create_default_context(cafile=certificate)
context.minimum_version = context.maximum_version = VERSION


class Client(ftplib.FTP_TLS):
    def connect_implicitly(self, host, port):
        self.host, self.port = host, port
        connection = ftplib.socket.create_connection((host, port), self.timeout)
        self.sock = self.context.wrap_socket(connection, server_hostname=host)
        self.af = self.sock.family
        self.file = self.sock.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def ntransfercmd(self, cmd, rest=None):
        data, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            session = self.sock.session
            data = self.context.wrap_socket(data, server_hostname=self.host, session=session)
            assert data.session_reused, cmd
        return data, size


client = Client(context=context, timeout=50)
if mode == "implicit":
    client.connect_implicitly("localhost", int(port))
    ftplib.FTP.login(client, user, password)
else:
    client.connect("localhost", int(port))
    client.login(user, password)
client.prot_p()
if protection == "C":
    # Without PBSZ, which only prot_p() sends, a server has to refuse it.
    client.prot_c()
names = []
for line in sys.stdin:
    match line.split():
        case ["put", local, name]:
            with open(local, "rb") as file:
                assert client.storbinary(f"STOR {name}", file, BLOCK).startswith("226")
            names.append(name)
        case ["get", name, local]:
            with open(local, "wb") as file:
                assert client.retrbinary(f"RETR {name}", file.write, BLOCK).startswith("226")
        case ["list"]:
            assert sorted(client.nlst()) == names, names
assert client.quit().startswith("221")
