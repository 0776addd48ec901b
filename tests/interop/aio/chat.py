"""The chat of the original, with its files in a folder of the caller's.

    chat.py FOLDER --port P [--target IP] [--accept] [--upload PATH]

It takes /var/tmp/aioconnectors otherwise, and asks whether it may delete what is there.
"""

import argparse
import logging
import sys

import aioconnectors

folder = sys.argv[1]
aioconnectors.get_tmp_dir = lambda: folder
aioconnectors.core.Connector.CONNECTOR_FILES_DIRPATH = folder
for helper in (aioconnectors.ssl_helper.SSL_helper,):
    for name, value in list(vars(helper).items()):
        if isinstance(value, str) and value.startswith("/var/tmp/aioconnectors"):
            setattr(helper, name, value.replace("/var/tmp/aioconnectors", folder))

parser = argparse.ArgumentParser()
parser.add_argument("--target")
parser.add_argument("--port", type=int)
parser.add_argument("--bind_server_ip", default="127.0.0.1")
parser.add_argument("--accept", action="store_true")
parser.add_argument("--upload", default=False)
args = parser.parse_args(sys.argv[2:])
args.nowrap, args.exec = True, None
logger = logging.getLogger("chat")
logger.addHandler(logging.NullHandler())
aioconnectors.applications.chat(args, logger)
