"""Sub-commands of ``tallystick``, one file a noun. ``infra/cli.py`` names them and loads one when it is called."""
