"""Many transfers in one session, each of which hands the control connection's TLS session on.

Arguments: certificate, port, "explicit" or "implicit", "1.2" or "1.3", number of transfers.
Writes how many data connections resumed the session.
"""

import ftplib
import io
import ssl
import sys

certificate, port, mode, version, transfers = sys.argv[1:]
VERSION = {"1.2": ssl.TLSVersion.TLSv1_2, "1.3": ssl.TLSVersion.TLSv1_3}[version]
CONTENT = bytes(range(256)) * 300

context = ssl.create_default_context(cafile=certificate)
context.minimum_version = context.maximum_version = VERSION
resumed = 0


class Client(ftplib.FTP_TLS):
    def connect_implicitly(self, host, port):
        self.host, self.port = host, port
        self.sock = ssl_socket = self.context.wrap_socket(
            ftplib.socket.create_connection((host, port)), server_hostname=host
        )
        self.af = ssl_socket.family
        self.file = ssl_socket.makefile("r", encoding=self.encoding)
        self.welcome = self.getresp()

    def ntransfercmd(self, cmd, rest=None):
        global resumed
        data, size = ftplib.FTP.ntransfercmd(self, cmd, rest)
        if self._prot_p:
            data = self.context.wrap_socket(
                data, server_hostname=self.host, session=self.sock.session
            )
            resumed += data.session_reused
        return data, size


client = Client(context=context)
if mode == "implicit":
    client.connect_implicitly("localhost", int(port))
    ftplib.FTP.login(client, "alice", "secret")
else:
    client.connect("localhost", int(port))
    client.login("alice", "secret")
for protect in (client.prot_p, client.prot_c):
    protect()
    for n in range(int(transfers)):
        client.storbinary("STOR file", io.BytesIO(CONTENT))
        got = io.BytesIO()
        client.retrbinary("RETR file", got.write)
        assert got.getvalue() == CONTENT
        assert "file" in client.nlst()
client.quit()
print(resumed)
