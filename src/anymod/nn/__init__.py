"""Building blocks of networks: modules that hold parameters and receive plain numbers, never a configuration."""
