"""The pages of ``docs/`` that follow from the code: written by ``python -m infra.docs``, checked by ``make check``."""
