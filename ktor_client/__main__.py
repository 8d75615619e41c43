"""`python -m ktor_client` is the command `ktor-client`."""

import sys

from ktor_client.cli import main

sys.exit(main())
