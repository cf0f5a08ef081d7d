"""`python -m anymod`: the command line, for `torchrun` and where no `anymod` program is on the path."""

from anymod.cli import main

main()
