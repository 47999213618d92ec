"""pyftpdlib as its documentation shows it, with TLS on offer. Arguments: port, root, certificate, key, user, password."""

import logging
import sys

from pyftpdlib.authorizers import DummyAuthorizer
from pyftpdlib.handlers import TLS_FTPHandler
from pyftpdlib.servers import FTPServer

port, root, certificate, key, user, password = sys.argv[1:]
logging.basicConfig(level=logging.CRITICAL)
authorizer = DummyAuthorizer()
authorizer.add_user(user, password, root, perm="elradfmwMT")
handler = TLS_FTPHandler
handler.certfile, handler.keyfile = certificate, key
handler.authorizer = authorizer
FTPServer.max_cons = 10000
FTPServer(("127.0.0.1", int(port)), handler, backlog=1024).serve_forever()
