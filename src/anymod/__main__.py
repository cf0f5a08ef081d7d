"""`python -m anymod`: the command line, for launchers such as torchrun that start a module."""

from anymod.cli import main

if __name__ == "__main__":
    main()
