"""The command groups of the CLI. Heavy imports stand inside the commands: --help stays quick."""
