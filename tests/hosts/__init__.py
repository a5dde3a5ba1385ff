"""Octavo on hosts whose pages are not 4 KiB: `make test-hosts` boots them in a virtual machine. See __main__.py."""
