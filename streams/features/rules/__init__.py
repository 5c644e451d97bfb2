"""The language of fraud rules. See the README of this folder."""
