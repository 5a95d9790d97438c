"""`python -m service` is the `dmi` command."""

from service.cli import main

main()
