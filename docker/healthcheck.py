"""Ends with 0 where the service in this container is ready."""

import os
import sys
from http.client import HTTPConnection

connection = HTTPConnection("127.0.0.1", int(os.environ.get("DMI_PORT", "8000")), timeout=3)
try:
    connection.request("GET", "/readyz")
    answer = connection.getresponse()
except OSError as error:
    sys.exit(f"no answer: {error}")
print(answer.read().decode())  # `docker inspect` shows it
sys.exit(answer.status != 200)
